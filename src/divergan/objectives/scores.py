"""Objectives written directly on the critic's scores: proper scoring rules and an integral probability metric.

A scoring rule rewards an honest D = P(real | x) (Gneiting and Raftery 2007). Here D = sigmoid(v), so that v = log p/q
is the honest score, except where a source writes the rule on v itself (least squares, hinge).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from divergan.lazy import lazy
from divergan.objectives.declaration import SIGN, Scores
from divergan.objectives.f_divergences import softplus

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

BCE = Scores(
    name="bce",
    label="BCE",
    source="goodfellow2014gan, Eq. 1",  # the Bernoulli score; "bound" is its saturating loss, "alternative" the other
    formula="u*log(u) - (u + 1)*log(u + 1)",
    alternative_formula="-log(u) - u*log(u) + (u + 1)*log(u + 1)",
    alternative_label="reverse KL - 2 JSD",
    f=lambda u: u * u.log() - (u + 1) * (u + 1).log(),
    real=lambda v: softplus(-v),
    fake=softplus,
    log_ratio=lambda v: v,
)

BRIER = Scores(
    name="brier",
    label="Brier",
    source="gneiting2007scoring, section 3",
    formula="-u/(1 + u)",
    alternative_formula="2*u*log(u/(1 + u)) - 1/(1 + u)",
    f=lambda u: -u / (1 + u),
    real=lambda v: (-v).sigmoid() ** 2,
    fake=lambda v: v.sigmoid() ** 2,
    log_ratio=lambda v: v,
)

EXPONENTIAL = Scores(
    name="exponential",
    label="Exponential",
    source="mohamed2016implicit, Table 1",
    formula="-2*sqrt(u)",
    alternative_formula="2/(3*sqrt(u))",
    alternative_label="½ α-divergence, α = -½",
    f=lambda u: -2 * u.sqrt(),
    real=lambda v: (-v / 2).exp(),
    fake=lambda v: (v / 2).exp(),
    log_ratio=lambda v: v,
)

SPHERICAL = Scores(
    name="spherical",
    label="Spherical",
    source="gneiting2007scoring, section 3",
    formula="sqrt(1 + u**2)",
    alternative_formula="-u*log((1 + sqrt(1 + u**2))/u)",
    f=lambda u: (1 + u**2).sqrt(),
    real=lambda v: -(-softplus(-2 * v) / 2).exp(),  # -D/sqrt(D² + (1 - D)²), for D = sigmoid(v)
    fake=lambda v: -(-softplus(2 * v) / 2).exp(),
    log_ratio=lambda v: v,
)

EDGE = 2.0**-23  # of least squares' scores: beyond it log(v) and log(1 - v) are no longer finite in float32

LEAST_SQUARES = Scores(
    name="least_squares",
    label="Least squares",
    source="mao2017lsgan, Eq. 2 and section 3.2.2",  # a = 0, b = c = 1
    formula="-u/(2*(1 + u))",
    alternative_formula="u*log(u/(1 + u)) - 1/(2*(1 + u))",
    f=lambda u: -u / (2 * (1 + u)),
    real=lambda v: (v - 1) ** 2 / 2,
    fake=lambda v: v**2 / 2,
    log_ratio=lambda v: v.clamp(EDGE, 1 - EDGE).logit(),
)

HINGE = Scores(
    name="hinge",
    label="Hinge",
    source="lim2017geometric, section 2",
    formula="-2*minimum(u, 1)",
    alternative_formula="-2*minimum(u, 1)",
    alternative_label="2 total variation",
    f=lambda u: -2 * u.clamp(max=1),
    real=lambda v: (1 - v).relu(),
    fake=lambda v: (1 + v).relu(),
    alternative=lambda v: -v,
    log_ratio=None,
    identifies=SIGN,
)

MISCLASSIFICATION = Scores(
    name="misclassification",
    label="Misclassification",
    source="mohamed2016implicit, Table 1",
    formula="-minimum(u, 1)",
    f=lambda u: -u.clamp(max=1),
    real=lambda v: (v <= 0).to(v.dtype),
    fake=lambda v: (v > 0).to(v.dtype),
    log_ratio=None,
    identifies=SIGN,
    untrainable="it counts errors, and a count has no gradient: use it to evaluate a critic (its Bayes accuracy)",
)

WASSERSTEIN = Scores(
    name="wasserstein",
    label="Wasserstein",
    source="arjovsky2017wgan, Eq. 3",
    formula="",
    f=None,
    real=lambda v: -v,
    fake=lambda v: v,
    log_ratio=None,
    identifies="a potential of W1, where the critic is 1-Lipschitz",
)
