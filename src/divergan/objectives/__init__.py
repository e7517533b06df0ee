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
from divergan.objectives.f_divergences import GAN, JENSEN_SHANNON, KL, PEARSON, REVERSE_KL, SQUARED_HELLINGER
from divergan.objectives.scores import BCE, WASSERSTEIN

__all__ = ["AS_PUBLISHED", "GENERATOR_LOSSES", "OBJECTIVES", "FDivergence", "Objective", "Scores"]

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
        WASSERSTEIN,
        REVERSE_KL_AS_PUBLISHED,
        PEARSON_AS_PUBLISHED,
        SQUARED_HELLINGER_AS_PUBLISHED,
        JENSEN_SHANNON_AS_PUBLISHED,
        GAN_AS_PUBLISHED,
    )
}
