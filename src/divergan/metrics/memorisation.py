"""Whether the generator repeats its training images."""

from __future__ import annotations

from divergan.metrics.distances import nearest_distance
from divergan.metrics.pair import Metric, Pair


def _nearest_training_distance(pair: Pair) -> float:
    """The median over generated images of the L2 distance to the nearest training image, pixels in [0, 1].

    0 for copies. Neither small nor large is good by itself: held-out real images give the value to compare with, well
    below it the generator copies, well above it the images are not like any real ones. Pixels, not features: a copy
    is a copy in pixels, and the classifier's features forget what tells two images of a class apart.
    """
    generated, training = (images.flatten(1).float() / 255 for images in (pair.generated.images, pair.training.images))
    return float(nearest_distance(generated, training).median())


NEAREST_TRAINING_DISTANCE = Metric(
    name="nearest_training_distance",
    label="Distance to training",
    unit="L2 over pixels in [0, 1]",
    source="divergan, metrics.memorisation",
    better=None,
    at_identity=None,
    needs="images",
    compute=_nearest_training_distance,
)
