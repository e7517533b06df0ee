"""Whether the generator repeats its training images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from divergan.features import FeatureSet
from divergan.lazy import lazy
from divergan.metrics.pair import Metric, Pair

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

ROWS = 512  # points at a time: 60 MB of float32 against 30,000 training images


def nearest_training_distances(images: FeatureSet, training: FeatureSet) -> torch.Tensor:
    """The L2 distance of each image from its nearest training image, pixels in [0, 1], (N,) float32.

    Pixels, not features: a copy is a copy in pixels, and the classifier's features forget what tells two images of a
    class apart.
    """
    return nearest_distance(*(part.images.flatten(1).float() / 255 for part in (images, training)))


def nearest_distance(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The L2 distance of each point of x (N, D) from the nearest point of y (M, D), (N,) float32.

    The nearest is found with float32 products, twice as fast as float64, and its distance is computed from the
    difference: so a copy is at distance 0, and a near tie costs no more than a rounding error.
    """
    x, y = x.float(), y.float()
    y_norms = y.square().sum(dim=1)
    found = []
    for rows in x.split(ROWS):
        nearest = torch.addmm(y_norms, rows, y.T, alpha=-2).argmin(dim=1)  # the norm of x shifts all alike
        found.append((rows - y[nearest]).square().sum(dim=1).sqrt())
    return torch.cat(found)


def copied_share(generated: torch.Tensor, held_out: torch.Tensor) -> float:
    """The share of generated images nearer to a training image than the nearest hundredth of held-out real images.

    Both are `nearest_training_distances` (N,) and (M,) from the same training images. 0.01 where generated images are
    as far from training as unseen real ones, 1 for copies.
    """
    return float((generated < torch.quantile(held_out, 0.01)).double().mean())


def _nearest_training_distance(pair: Pair) -> float:
    """The median over generated images of the L2 distance to the nearest training image, pixels in [0, 1].

    0 for copies. Neither small nor large is good by itself: held-out real images give the value to compare with, well
    below it the generator copies, well above it the images are not like any real ones.
    """
    return float(nearest_training_distances(pair.generated, pair.training).median())


NEAREST_TRAINING_DISTANCE = Metric(
    name="nearest_training_distance",
    label="Distance to training",
    unit="L2 over pixels in [0, 1]",
    source="this project",
    better=None,
    at_identity=None,
    needs="images",
    compute=_nearest_training_distance,
)
