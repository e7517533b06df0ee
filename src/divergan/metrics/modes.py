"""Which classes a generator makes, and how often, by the classes that the classifier gives its images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from divergan.features import FeatureSet, predictions
from divergan.lazy import lazy
from divergan.metrics.pair import Metric, Pair

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

COVERED = 0.1  # the part of its equal share 1/K above which a class counts as covered


def class_histogram(images: FeatureSet) -> torch.Tensor:
    """The share of the images in each of the K classes, (K,) float64, sum 1."""
    classes = images.class_probabilities.shape[1]
    return torch.bincount(predictions(images), minlength=classes).double() / len(images.images)


def modes_covered(shares: torch.Tensor) -> int:
    """The number of classes with at least COVERED / K of the images: 1 % for ten classes; of shares (K,).

    PacGAN (Lin et al. 2018, stacked MNIST) counts a class from its first image on. With a classifier that errs on a few
    percent of the images each class gets such an image by mistake: 5 % of errors over nine other classes is 0.6 % each.
    """
    return int((shares >= COVERED / len(shares)).sum())


def class_divergence(generated: torch.Tensor, reference: torch.Tensor) -> float:
    """KL(generated || reference) of two class histograms (K,), in nats.

    Nothing is smoothed: a class that is never generated adds 0, and one that only the generator has makes it infinite.
    """
    logarithms = torch.special.xlogy(generated, generated) - torch.special.xlogy(generated, reference)
    return float(logarithms.sum())


def modes_found(shares: torch.Tensor) -> int:
    """The number of classes with an image or more, of shares (K,): the published count on stacked digits."""
    return int((shares > 0).sum())


def divergence_from_equal(shares: torch.Tensor) -> float:
    """KL(shares || equal shares) of a class histogram (K,), in nats: between 0 and log K.

    Its value for N images drawn from equal shares is about (K - 1) / 2N and not 0: compare at equal N.
    """
    return class_divergence(shares, torch.full_like(shares, 1 / len(shares)))


def _modes_found(pair: Pair) -> float:
    return float(modes_found(class_histogram(pair.generated)))


def _mode_kl(pair: Pair) -> float:
    return divergence_from_equal(class_histogram(pair.generated))


def _modes_covered(pair: Pair) -> float:
    return float(modes_covered(class_histogram(pair.generated)))


def _class_kl(pair: Pair) -> float:
    return class_divergence(class_histogram(pair.generated), class_histogram(pair.reference))


MODES_COVERED = Metric(
    name="modes_covered",
    label="Modes covered",
    unit="classes",
    source="lin2018pacgan, stacked MNIST; with a threshold of this project",
    better="higher",
    at_identity=None,
    needs="classes",
    compute=_modes_covered,
)

CLASS_KL = Metric(
    name="class_kl",
    label="KL of classes",
    unit="nats",
    source="lin2018pacgan, stacked MNIST, against the reference's classes",
    better="lower",
    at_identity=0.0,
    needs="classes",
    compute=_class_kl,
)

MODES_FOUND = Metric(
    name="modes_found",
    label="Modes found",
    unit="classes",
    source="lin2018pacgan, stacked MNIST",
    better="higher",
    at_identity=None,
    needs="stacked classes",
    compute=_modes_found,
)

MODE_KL = Metric(
    name="mode_kl",
    label="KL to equal modes",
    unit="nats",
    source="lin2018pacgan, stacked MNIST",
    better="lower",
    at_identity=None,
    needs="stacked classes",
    compute=_mode_kl,
)
