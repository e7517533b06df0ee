"""The f-divergences of f-GAN (Nowozin et al. 2016, Tables 1 and 2): one declaration each.

To add one, write a declaration here and put its name in OBJECTIVES; nothing else changes.
"""

from __future__ import annotations

from math import inf, log
from typing import TYPE_CHECKING

from divergan.lazy import lazy
from divergan.objectives.declaration import FDivergence

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


def softplus(v: torch.Tensor) -> torch.Tensor:
    """log(1 + e^v) without overflow."""
    return torch.nn.functional.softplus(v, threshold=80.0)  # torch's default switches to v at 20, in float64 too


KL = FDivergence(
    name="kl",
    label="Kullback-Leibler",
    source="nowozin2016fgan, Tables 1 and 2",
    formula="u*log(u)",
    conjugate_formula="exp(t - 1)",
    activation_formula="v",
    f=lambda u: u * u.log(),
    conjugate=lambda t: (t - 1).exp(),
    domain=(-inf, inf),
    activation=lambda v: v,
    fake_score=lambda v: (v - 1).exp(),
    log_ratio=lambda v: v - 1,
)

REVERSE_KL = FDivergence(
    name="reverse_kl",
    label="Reverse KL",
    source="nowozin2016fgan, Tables 1 and 2",
    formula="-log(u)",
    conjugate_formula="-1 - log(-t)",
    activation_formula="-exp(-v)",
    f=lambda u: -u.log(),
    conjugate=lambda t: -1 - (-t).log(),
    domain=(-inf, 0.0),
    activation=lambda v: -(-v).exp(),
    fake_score=lambda v: v - 1,
    log_ratio=lambda v: v,
)


def pearson_conjugate(t: torch.Tensor) -> torch.Tensor:
    """The supremum over u >= 0 is at u = max(0, 1 + t/2): below t = -2 it is f*(t) = -f(0) = -1."""
    t = t.clamp(min=-2)
    return t**2 / 4 + t


PEARSON = FDivergence(
    name="pearson",
    label="Pearson χ²",
    source="nowozin2016fgan, Tables 1 and 2",
    formula="(u - 1)**2",
    conjugate_formula="maximum(t, -2)**2/4 + maximum(t, -2)",
    activation_formula="v",
    f=lambda u: (u - 1) ** 2,
    conjugate=pearson_conjugate,
    domain=(-inf, inf),
    activation=lambda v: v,
    fake_score=pearson_conjugate,
    log_ratio=lambda v: (1 + v / 2).clamp(min=0).log(),
)

SQUARED_HELLINGER = FDivergence(
    name="squared_hellinger",
    label="Squared Hellinger",
    source="nowozin2016fgan, Tables 1 and 2",
    formula="(sqrt(u) - 1)**2",
    conjugate_formula="t/(1 - t)",
    activation_formula="1 - exp(-v)",
    f=lambda u: (u.sqrt() - 1) ** 2,
    conjugate=lambda t: t / (1 - t),
    domain=(-inf, 1.0),
    activation=lambda v: 1 - (-v).exp(),
    fake_score=lambda v: v.exp() - 1,
    log_ratio=lambda v: 2 * v,
)

JENSEN_SHANNON = FDivergence(
    name="jensen_shannon",
    label="Jensen-Shannon",
    source="nowozin2016fgan, Tables 1 and 2",
    formula="u*log(u) - (u + 1)*log((u + 1)/2)",
    conjugate_formula="-log(2 - exp(t))",
    activation_formula="log(2) - log(1 + exp(-v))",
    f=lambda u: u * u.log() - (u + 1) * ((u + 1) / 2).log(),
    conjugate=lambda t: -(2 - t.exp()).log(),
    domain=(-inf, log(2)),
    activation=lambda v: log(2) - softplus(-v),
    fake_score=lambda v: softplus(v) - log(2),
    log_ratio=lambda v: v,
)

GAN = FDivergence(
    name="gan",
    label="GAN",
    source="nowozin2016fgan, Tables 1 and 2",
    formula="u*log(u) - (u + 1)*log(u + 1)",
    conjugate_formula="-log(1 - exp(t))",
    activation_formula="-log(1 + exp(-v))",
    f=lambda u: u * u.log() - (u + 1) * (u + 1).log(),
    conjugate=lambda t: -(1 - t.exp()).log(),
    domain=(-inf, 0.0),
    activation=lambda v: -softplus(-v),
    fake_score=lambda v: softplus(v),
    log_ratio=lambda v: v,
)
