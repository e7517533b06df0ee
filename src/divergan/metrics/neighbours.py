"""Precision and recall, density and coverage: fidelity and diversity, from nearest neighbours in feature space.

A ball around a point reaches to its k-th nearest neighbour in its own set. Precision and recall take k = 3 and count a
point on the sphere as inside (`<=`), as Kynkäänniemi et al. (2019), Equation 1 and torch-fidelity do. Density and
coverage take k = 5 and leave it outside (`<`), as Naeem et al. (2020) and their code do: then a set compared with
itself has density 1 exactly, since each ball holds its centre and the k - 1 nearer neighbours. The two readings
differ only at ties, which copies and quantised features do make.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from divergan.lazy import lazy
from divergan.metrics.pair import LARGEST_K, Metric, Pair

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

MANIFOLD_K = 3  # Kynkäänniemi et al. (2019), Section 2
DENSITY_K = LARGEST_K  # Naeem et al. (2020): coverage of real against real is above 0.95 then


def precision(cross: torch.Tensor, reference_neighbours: torch.Tensor) -> float:
    """The share of generated images in a ball of some reference image; `cross` is (generated, reference)."""
    return float((cross <= reference_neighbours[:, MANIFOLD_K - 1]).any(dim=1).double().mean())


def recall(cross: torch.Tensor, generated_neighbours: torch.Tensor) -> float:
    """The share of reference images in a ball of some generated image; `cross` is (generated, reference).

    Scattered generated images have wide balls, so noise can raise it: read it beside precision and coverage.
    """
    return float((cross <= generated_neighbours[:, MANIFOLD_K - 1, None]).any(dim=0).double().mean())


def density(cross: torch.Tensor, reference_neighbours: torch.Tensor) -> float:
    """The mean number of reference balls that a generated image is in, over k. Not bounded by 1."""
    inside = cross < reference_neighbours[:, DENSITY_K - 1]
    balls = inside.sum(dim=1, dtype=torch.int32)  # the default, int64, would take 8 bytes a pair
    return float(balls.double().mean()) / DENSITY_K


def coverage(cross: torch.Tensor, reference_neighbours: torch.Tensor) -> float:
    """The share of reference images whose ball holds a generated image."""
    return float((cross.min(dim=0).values < reference_neighbours[:, DENSITY_K - 1]).double().mean())


def _precision(pair: Pair) -> float:
    return precision(pair.cross_distances, pair.reference_neighbours)


def _recall(pair: Pair) -> float:
    return recall(pair.cross_distances, pair.generated_neighbours)


def _density(pair: Pair) -> float:
    return density(pair.cross_distances, pair.reference_neighbours)


def _coverage(pair: Pair) -> float:
    return coverage(pair.cross_distances, pair.reference_neighbours)


PRECISION = Metric(
    name="precision",
    label="Precision",
    unit="share of generated images",
    source="kynkaanniemi2019improved, Equation 2",
    better="higher",
    at_identity=1.0,
    needs="features",
    compute=_precision,
)

RECALL = Metric(
    name="recall",
    label="Recall",
    unit="share of reference images",
    source="kynkaanniemi2019improved, Equation 2",
    better="higher",
    at_identity=1.0,
    needs="features",
    compute=_recall,
)

DENSITY = Metric(
    name="density",
    label="Density",
    unit="1",
    source="naeem2020reliable, Section 3.2",
    better="higher",
    at_identity=1.0,
    needs="features",
    compute=_density,
)

COVERAGE = Metric(
    name="coverage",
    label="Coverage",
    unit="share of reference images",
    source="naeem2020reliable, Section 3.2",
    better="higher",
    at_identity=1.0,
    needs="features",
    compute=_coverage,
)
