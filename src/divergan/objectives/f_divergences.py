"""The f-divergences of f-GAN (Nowozin et al. 2016, Tables 1, 2 and 6): one declaration each.

To add one, write a declaration here and put its name in OBJECTIVES; nothing else changes.
"""

from __future__ import annotations

from math import inf, log
from typing import TYPE_CHECKING

from divergan.lazy import lazy
from divergan.objectives.declaration import SIGN, FDivergence

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
    alternative_formula="-log(u)",
    alternative_label="reverse KL",
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
    alternative_formula="1/(2*u)",
    alternative_label="½ Neyman χ²",
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
    alternative_formula="2*u*log(u)",
    alternative_label="2 KL",
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
    alternative_formula="2/(3*sqrt(u))",
    alternative_label="½ α-divergence, α = -½",
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
    alternative_formula="-log(u) - u*log(u) + (u + 1)*log(u + 1)",
    alternative_label="reverse KL - 2 JSD",
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
    alternative_formula="-log(u) - u*log(u) + (u + 1)*log(u + 1)",
    alternative_label="reverse KL - 2 JSD",
    conjugate_formula="-log(1 - exp(t))",
    activation_formula="-log(1 + exp(-v))",
    f=lambda u: u * u.log() - (u + 1) * (u + 1).log(),
    conjugate=lambda t: -(1 - t.exp()).log(),
    domain=(-inf, 0.0),
    activation=lambda v: -softplus(-v),
    fake_score=lambda v: softplus(v),
    log_ratio=lambda v: v,
)

NEYMAN = FDivergence(
    name="neyman",
    label="Neyman χ²",
    source="nowozin2016fgan, Table 6",
    formula="(1 - u)**2/u",
    alternative_formula="1/(3*u**2)",
    alternative_label="2 α-divergence, α = -2",
    conjugate_formula="2 - 2*sqrt(1 - t)",
    activation_formula="1 - exp(-v)",
    f=lambda u: (1 - u) ** 2 / u,
    conjugate=lambda t: 2 - 2 * (1 - t).sqrt(),
    domain=(-inf, 1.0),
    activation=lambda v: 1 - (-v).exp(),
    fake_score=lambda v: 2 - 2 * (-v / 2).exp(),
    log_ratio=lambda v: v / 2,
)


def wright_omega(x: torch.Tensor) -> torch.Tensor:
    """The w > 0 with w + log(w) = x (Corless and Jeffrey 2002), for x from -700 to where float64 ends.

    Newton's steps on y = log w are solved without a graph; one more gives the derivative w/(1 + w).
    """
    with torch.no_grad():
        y = torch.where(x > 1, x.clamp(min=1).log(), x)
        for _ in range(12):
            y = y - (y + y.exp() - x) / (1 + y.exp())
    return (y - (y + y.exp() - x) / (1 + y.exp())).exp()


def jeffreys_conjugate(t: torch.Tensor) -> torch.Tensor:
    """At the supremum t = f'(u) = 1 + log u - 1/u, so that 1/u is ω(1 - t)."""
    w = wright_omega(1 - t)
    return 1 / w + w + t - 2


JEFFREYS = FDivergence(
    name="jeffreys",
    label="Jeffreys",
    source="nowozin2016fgan, Table 6",  # with v = log u for its score, which needs no ω in training
    formula="(u - 1)*log(u)",
    alternative_formula="1/(2*u) - log(u)",
    alternative_label="reverse KL + ½ Neyman χ²",
    conjugate_formula="1/omega(1 - t) + omega(1 - t) + t - 2",
    activation_formula="1 + v - exp(-v)",
    f=lambda u: (u - 1) * u.log(),
    conjugate=jeffreys_conjugate,
    domain=(-inf, inf),
    activation=lambda v: 1 + v - (-v).exp(),
    fake_score=lambda v: v.exp() + v - 1,
    log_ratio=lambda v: v,
)

TOTAL_VARIATION = FDivergence(
    name="total_variation",
    label="Total variation",
    source="nowozin2016fgan, Table 6",
    formula="abs(u - 1)/2",
    alternative_formula="abs(u - 1)/2",
    alternative_label="total variation",
    conjugate_formula="maximum(t, -1/2)",  # for t up to 1/2: u >= 0 leaves -f(0) below -1/2
    activation_formula="tanh(v)/2",
    f=lambda u: (u - 1).abs() / 2,
    conjugate=lambda t: t.clamp(min=-0.5),
    domain=(-inf, 0.5),
    activation=lambda v: v.tanh() / 2,
    fake_score=lambda v: v.tanh() / 2,
    log_ratio=None,
    identifies=SIGN,
)
