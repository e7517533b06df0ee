"""Whether images are of the classes that they were made as: what a conditional generator is answerable for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from divergan.features import classifier_accuracy, digits_network, predictions, train_classifier
from divergan.metrics.pair import Metric, Pair

if TYPE_CHECKING:
    import torch

SEED = 0  # of every classifier: runs differ in their images alone
BATCH = 50  # images
LEARNING_RATE = 3e-3
SEEN = 10_000  # images that a classifier sees at least, each as often as the others, ...
FEWEST_EPOCHS = 2  # ... and as many times at least


def classification_accuracy_score(
    images: torch.Tensor, labels: torch.Tensor, real_images: torch.Tensor, real_labels: torch.Tensor
) -> float:
    """The share of real images whose label a classifier names that saw no others than these; images uint8 (N, C, H, W).

    Ravuri and Vinyals (2019, section 3), with the digits classifier in the place of their ResNet-50, its recipe fixed.
    The same from real training images, at equal N, is the ceiling. A classifier sees 10,000 images, the same
    ones again where N is less, and all twice where N is above 5,000: 7 s of one core at N = 1,000, 9 s at 10,000.
    """
    state = train_classifier(
        images,
        labels,
        seed=SEED,
        epochs=max(FEWEST_EPOCHS, round(SEEN / len(images))),
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        classes=1 + int(max(labels.max(), real_labels.max())),
    )
    return classifier_accuracy(digits_network(state), real_images, real_labels)


def _classification_accuracy_score(pair: Pair) -> float:
    generated, real = pair.generated, pair.reference
    return classification_accuracy_score(generated.images, generated.known_labels, real.images, real.known_labels)


def _label_accuracy(pair: Pair) -> float:
    """The share of images that the study's classifier takes for what they were made as."""
    return float((predictions(pair.generated) == pair.generated.known_labels.long()).double().mean())


CLASSIFICATION_ACCURACY_SCORE = Metric(
    name="classification_accuracy_score",
    label="CAS",
    unit="share of reference images",
    source="ravuri2019classification, section 3",
    better="higher",
    at_identity=None,  # a classifier's accuracy on its own training images
    needs="images",
    of_labels=True,
    most=1.0,
    compute=_classification_accuracy_score,
)

LABEL_ACCURACY = Metric(
    name="label_accuracy",
    label="Labels obeyed",
    unit="share of generated images",
    source="odena2017acgan, section 4.1",
    better="higher",
    at_identity=None,  # the classifier's accuracy on the reference
    needs="classes",
    of_labels=True,
    most=1.0,
    compute=_label_accuracy,
)
