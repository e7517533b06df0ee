"""Precision and recall, density and coverage: fidelity and diversity, from nearest neighbours in feature space.

A ball around a point reaches to its k-th nearest neighbour in its own set. Precision and recall take k = 3 and count a
point on the sphere as inside (`<=`), as Kynkäänniemi et al. (2019), Equation 1 and torch-fidelity do. Density and
coverage take k = 5 and leave it outside (`<`), as Naeem et al. (2020) and their code do: then a set compared with
itself has density 1 exactly, since each ball holds its centre and the k - 1 nearer neighbours. The two readings
differ only at ties, which copies and quantised features do make.
"""

from __future__ import annotations

from divergan.errors import DivergaNError
from divergan.metrics.pair import Metric, Pair
from divergan.metrics.pairwise import DENSITY_K, LARGEST_K, Across


def precision(pair: Pair) -> float:
    """The share of generated images in a ball of some reference image."""
    return float(_across(pair).held.double().mean())


def recall(pair: Pair) -> float:
    """The share of reference images in a ball of some generated image.

    Scattered generated images have wide balls, so noise can raise it: read it beside precision and coverage.
    """
    return float(_across(pair).reached.double().mean())


def density(pair: Pair) -> float:
    """The mean number of reference balls that a generated image is in, over k. Not bounded by 1."""
    return float(_across(pair).balls.double().mean()) / DENSITY_K


def coverage(pair: Pair) -> float:
    """The share of reference images whose ball holds a generated image."""
    return float(_across(pair).covered.double().mean())


def _across(pair: Pair) -> Across:
    for name, images in (("generated", pair.generated), ("reference", pair.reference)):
        if len(images.features) <= LARGEST_K:
            raise DivergaNError(
                f"the neighbour metrics got {len(images.features)} {name} images and need {LARGEST_K + 1}: "
                "evaluate on more images"
            )
    return pair.across


PRECISION = Metric(
    name="precision",
    label="Precision",
    unit="share of generated images",
    source="kynkaanniemi2019improved, Equation 2",
    better="higher",
    at_identity=1.0,
    needs="features",
    most=1.0,
    compute=precision,
)

RECALL = Metric(
    name="recall",
    label="Recall",
    unit="share of reference images",
    source="kynkaanniemi2019improved, Equation 2",
    better="higher",
    at_identity=1.0,
    needs="features",
    most=1.0,
    compute=recall,
)

DENSITY = Metric(
    name="density",
    label="Density",
    unit="1",
    source="naeem2020reliable, Section 3.2",
    better="higher",
    at_identity=1.0,
    needs="features",
    compute=density,
)

COVERAGE = Metric(
    name="coverage",
    label="Coverage",
    unit="share of reference images",
    source="naeem2020reliable, Section 3.2",
    better="higher",
    at_identity=1.0,
    needs="features",
    most=1.0,
    compute=coverage,
)
