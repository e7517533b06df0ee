"""The adversarial objectives by name: the one list that training, tests, figures and report read."""

from __future__ import annotations

from divergan.objectives.as_published import (
    AS_PUBLISHED,
    GAN_AS_PUBLISHED,
    JENSEN_SHANNON_AS_PUBLISHED,
    PEARSON_AS_PUBLISHED,
    REVERSE_KL_AS_PUBLISHED,
    SQUARED_HELLINGER_AS_PUBLISHED,
)
from divergan.objectives.declaration import GENERATOR_LOSSES, FDivergence, Objective, Scores
from divergan.objectives.f_divergences import (
    GAN,
    JEFFREYS,
    JENSEN_SHANNON,
    KL,
    NEYMAN,
    PEARSON,
    REVERSE_KL,
    SQUARED_HELLINGER,
    TOTAL_VARIATION,
)
from divergan.objectives.families import ALPHA, LAMBDA, PRECISION_RECALL, Family, split_name
from divergan.objectives.kernels import MMD_ENERGY, MMD_GAUSSIAN, MMD_RATIONAL_QUADRATIC, KernelDistance
from divergan.objectives.relativistic import (
    RELATIVISTIC_AVERAGE_BCE,
    RELATIVISTIC_AVERAGE_HINGE,
    RELATIVISTIC_AVERAGE_LEAST_SQUARES,
    RELATIVISTIC_BCE,
    RELATIVISTIC_HINGE,
    RELATIVISTIC_LEAST_SQUARES,
    Relativistic,
)
from divergan.objectives.scores import (
    BCE,
    BRIER,
    EXPONENTIAL,
    HINGE,
    LEAST_SQUARES,
    MISCLASSIFICATION,
    SPHERICAL,
    WASSERSTEIN,
)

__all__ = [
    "AS_PUBLISHED",
    "FAMILIES",
    "GENERATOR_LOSSES",
    "OBJECTIVES",
    "FDivergence",
    "Family",
    "KernelDistance",
    "Objective",
    "Relativistic",
    "Scores",
    "declared",
    "objective",
]

OBJECTIVES: dict[str, Objective] = {
    o.name: o
    for o in (
        BCE,
        KL,
        REVERSE_KL,
        PEARSON,
        SQUARED_HELLINGER,
        JENSEN_SHANNON,
        GAN,
        NEYMAN,
        JEFFREYS,
        TOTAL_VARIATION,
        BRIER,
        EXPONENTIAL,
        SPHERICAL,
        LEAST_SQUARES,
        HINGE,
        MISCLASSIFICATION,
        WASSERSTEIN,
        MMD_GAUSSIAN,
        MMD_RATIONAL_QUADRATIC,
        MMD_ENERGY,
        RELATIVISTIC_BCE,
        RELATIVISTIC_LEAST_SQUARES,
        RELATIVISTIC_HINGE,
        RELATIVISTIC_AVERAGE_BCE,
        RELATIVISTIC_AVERAGE_LEAST_SQUARES,
        RELATIVISTIC_AVERAGE_HINGE,
        REVERSE_KL_AS_PUBLISHED,
        PEARSON_AS_PUBLISHED,
        SQUARED_HELLINGER_AS_PUBLISHED,
        JENSEN_SHANNON_AS_PUBLISHED,
        GAN_AS_PUBLISHED,
    )
}
FAMILIES: dict[str, Family] = {f.name: f for f in (ALPHA, LAMBDA, PRECISION_RECALL)}


def objective(name: str) -> Objective:
    """The objective of a name, "kl", or of a family's name and number, "alpha(0.5)".

    Raises KeyError for a name that there is not, ValueError for a number that the family does not accept.
    """
    if name in OBJECTIVES:
        return OBJECTIVES[name]
    family, value = split_name(name)
    return FAMILIES[family].member(value)


def declared(name: str) -> Objective | Family:
    """What stands in this package under that name: an objective, or the family that makes it."""
    return OBJECTIVES[name] if name in OBJECTIVES else FAMILIES[split_name(name)[0]]
