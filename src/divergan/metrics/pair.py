"""What a metric is, and what it is computed from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import inf
from typing import Literal

from divergan.features import FeatureSet
from divergan.metrics.pairwise import Across, Within, across, within


@dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """Generated images beside reference images, and the GAN's training images; what metrics share is computed once.

    Real images as `generated` give the floor or ceiling of each metric at that number of images.
    """

    generated: FeatureSet
    reference: FeatureSet
    training: FeatureSet
    validation: FeatureSet | None = None  # real images that are neither, for what a metric chooses by itself

    @property
    def within_generated(self) -> Within:
        return _within(self.generated)

    @property
    def within_reference(self) -> Within:
        return _within(self.reference)

    @cached_property
    def across(self) -> Across:
        sides = (self.generated.features, self.reference.features)
        return across(*sides, self.within_generated, self.within_reference)


@lru_cache(maxsize=2)  # one reference beside many sample sets in turn: it stays, the sample sets pass
def _within(images: FeatureSet) -> Within:
    return within(images.features)


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
    least: float = 0.0  # what no value of it is below, and
    most: float = inf  # above: an interval of its mean ends there
    compute: Callable[[Pair], float]
