"""What a metric is, and what it is computed from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from divergan.errors import DivergaNError
from divergan.features import FeatureSet
from divergan.metrics.distances import distances, neighbour_distances

if TYPE_CHECKING:
    import torch

LARGEST_K = 5  # the most neighbours that any metric asks for


@dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """Generated images beside reference images, and the GAN's training images; what metrics share is computed once.

    Real images as `generated` give the floor or ceiling of each metric at that number of images. At 10,000 images on
    either side `cross_distances` takes 400 MB.
    """

    generated: FeatureSet
    reference: FeatureSet
    training: FeatureSet
    validation: FeatureSet | None = None  # real images that are neither, for what a metric chooses by itself

    @cached_property
    def cross_distances(self) -> torch.Tensor:
        """L2 distances of generated (rows) from reference features (columns), float32."""
        return distances(self.generated.features, self.reference.features)

    @cached_property
    def generated_neighbours(self) -> torch.Tensor:
        """Distances of each generated image from its LARGEST_K nearest other generated images, nearest first."""
        return _neighbours(self.generated, "generated")

    @cached_property
    def reference_neighbours(self) -> torch.Tensor:
        """Distances of each reference image from its LARGEST_K nearest other reference images, nearest first."""
        return _neighbours(self.reference, "reference")


def _neighbours(images: FeatureSet, name: str) -> torch.Tensor:
    count = len(images.features)
    if count <= LARGEST_K:
        raise DivergaNError(
            f"the neighbour metrics got {count} {name} images and need {LARGEST_K + 1}: evaluate on more images"
        )
    return neighbour_distances(images.features, LARGEST_K)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What evaluation, tests and report need to know of a metric."""

    name: str  # key in params.yaml, in file names and in result tables
    label: str  # as the report prints it
    unit: str  # "1" for a pure number
    source: str  # BibTeX key, then the place in it
    better: Literal["lower", "higher"] | None  # None: read it beside its floor
    at_identity: float | None  # its value where generated and reference are the same images; None: it depends on them
    needs: Literal["features", "probabilities", "images", "classes", "stacked classes"]  # classes: the data's own
    of_labels: bool = False  # whether it also needs the labels of the images: conditional generators alone have them
    compute: Callable[[Pair], float]
