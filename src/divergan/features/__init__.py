"""What the metrics see of an image: features and class probabilities, from a named network.

`digits` is a small classifier that the pipeline trains by itself; `random_convolutions` is trained by nobody;
`inception` is the network of the FID paper, in the port of torch-fidelity. Its own authors advise against it on MNIST.
"""

from divergan.features.declaration import FeatureExtractor, FeatureSet, extract, predictions, to_unit_range
from divergan.features.digits import (
    classifier_accuracy,
    compare_weights,
    digits_classifier,
    digits_network,
    train_classifier,
    warp,
)
from divergan.features.inception import check_available, inception_network
from divergan.features.stacked import stacked_digits_network
from divergan.features.untrained import random_convolutions

FEATURE_SETS: dict[str, FeatureExtractor] = {
    "digits": FeatureExtractor(
        name="digits",
        label="digits classifier",
        source="divergan, features.digits_classifier",
        provides=frozenset({"features", "probabilities", "images", "classes"}),
        network=digits_network,
    ),
    "stacked_digits": FeatureExtractor(
        name="stacked_digits",
        label="digits classifier, channel by channel",
        source="lin2018pacgan, stacked MNIST; divergan, features.stacked",
        provides=frozenset({"features", "probabilities", "images", "stacked classes"}),
        network=stacked_digits_network,
    ),
    "random_convolutions": FeatureExtractor(
        name="random_convolutions",
        label="random convolutions",
        source="naeem2020reliable, on random embeddings",
        provides=frozenset({"features", "images"}),
        network=random_convolutions,
    ),
    "inception": FeatureExtractor(
        name="inception",
        label="InceptionV3",
        source="heusel2017ttur; obukhov2020torchfidelity",
        provides=frozenset({"features", "probabilities", "images"}),  # ImageNet's classes are no modes of our data
        network=inception_network,
    ),
}

__all__ = [
    "FEATURE_SETS",
    "FeatureExtractor",
    "FeatureSet",
    "check_available",
    "classifier_accuracy",
    "compare_weights",
    "digits_classifier",
    "digits_network",
    "extract",
    "inception_network",
    "predictions",
    "random_convolutions",
    "stacked_digits_network",
    "to_unit_range",
    "train_classifier",
    "warp",
]
