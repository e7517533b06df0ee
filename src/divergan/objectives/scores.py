"""Objectives written directly on the critic's scores."""

from __future__ import annotations

from math import log

from divergan.objectives.declaration import Scores
from divergan.objectives.f_divergences import softplus

BCE = Scores(
    name="bce",
    label="BCE",
    source="goodfellow2014gan, Eq. 1",
    real=lambda v: softplus(-v),
    fake=softplus,
    alternative=lambda v: softplus(-v),
    cost_when_equal=log(4),
    log_ratio=lambda v: v,
)

WASSERSTEIN = Scores(
    name="wasserstein",
    label="Wasserstein",
    source="arjovsky2017wgan, Eq. 3",
    real=lambda v: -v,
    fake=lambda v: v,
    alternative=lambda v: -v,
    cost_when_equal=0.0,
    log_ratio=None,
)
