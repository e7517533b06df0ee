"""Families of f-divergences with a number in their name: `objective: alpha(0.5)` in a parameter file.

With v = log(u) up to a factor, the score of the ratio itself, every one follows from f alone: T = f'(u) and
f*(T) = u f'(u) - f(u).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, log
from typing import TYPE_CHECKING

from divergan.lazy import lazy
from divergan.objectives.declaration import FDivergence

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


@dataclass(frozen=True, kw_only=True)
class Family:
    name: str  # before the brackets
    parameter: str  # as formulas name it
    accepted: str  # which numbers, in words
    accepts: Callable[[float], bool]
    make: Callable[[float], FDivergence]
    examples: tuple[float, ...]  # that tables and tests look at

    def member(self, value: float) -> FDivergence:
        if not self.accepts(value):
            raise ValueError(f"{self.name}({value:g}): expected {self.parameter} {self.accepted}")
        return self.make(value)


def named(family: str, value: float) -> str:
    return f"{family}({value:g})"


def split_name(name: str) -> tuple[str, float]:
    """("alpha", 0.5) of "alpha(0.5)"; KeyError for a name without a number in brackets."""
    found = re.fullmatch(r"([a-z_]+)\(\s*([-+]?[0-9]*\.?[0-9]+(?:e[-+]?[0-9]+)?)\s*\)", name)
    if not found:
        raise KeyError(name)
    return found[1], float(found[2])


def alpha_divergence(a: float) -> FDivergence:
    """f(u) = (u^α - αu + α - 1)/(α(α - 1)): KL as α -> 1, reverse KL as α -> 0, half Pearson at 2, half Neyman at -1.

    The score is v = s log u with s = max(1, |α|, |1 - α|), so that no exponent is larger than v.
    """
    s = max(1.0, abs(a), abs(1 - a))
    below = {0.0: ("-log(u)", "reverse KL"), 1.0: ("u*log(u)", "KL")}
    after, label = below.get(a - 1, (f"u**({a - 1:g})/({(a - 1) * (a - 2):g})", f"α-divergence, α = {a - 1:g}"))
    return FDivergence(
        name=named("alpha", a),
        label=f"α-divergence, α = {a:g}",
        source="cichocki2010families, Eq. 5",
        formula=f"(u**({a:g}) - ({a:g})*u + ({a - 1:g}))/({a * (a - 1):g})",
        alternative_formula=after,
        alternative_label=label,
        conjugate_formula=f"(maximum(1 + ({a - 1:g})*t, 0)**({a / (a - 1):.17g}) - 1)/({a:g})",
        activation_formula=f"(exp({(a - 1) / s:.17g}*v) - 1)/({a - 1:g})",
        f=lambda u: (u**a - a * u + a - 1) / (a * (a - 1)),
        conjugate=lambda t: ((1 + (a - 1) * t).clamp(min=0) ** (a / (a - 1)) - 1) / a,
        domain=(-inf, inf if a > 1 else 1 / (1 - a)),
        activation=lambda v: torch.expm1((a - 1) / s * v) / (a - 1),
        fake_score=lambda v: torch.expm1(a / s * v) / a,
        log_ratio=lambda v: v / s,
    )


def lambda_divergence(b: float) -> FDivergence:
    """λ KL(P || M) + (1 - λ) KL(Q || M), M = λP + (1 - λ)Q: a skewed Jensen-Shannon divergence, JSD itself at ½.

    Divided by λ it tends to KL(P || Q) as λ -> 0, divided by 1 - λ to KL(Q || P) as λ -> 1.
    """
    a, log_a, log_b = 1 - b, log(1 - b), log(b)

    def log_mixture(v: torch.Tensor) -> torch.Tensor:
        """log(λ e^v + 1 - λ), so that log(λ + (1 - λ) e^-v) is log_mixture(v) - v."""
        return torch.logaddexp(v + log_b, torch.full_like(v, log_a))

    f = f"({b:g})*u*log(u) - (({b:g})*u + ({a:g}))*log(({b:g})*u + ({a:g}))"
    return FDivergence(
        name=named("lambda", b),
        label=f"λ-divergence, λ = {b:g}",
        source="nowozin2016fgan, Table 6",  # there "Jensen-Shannon-weighted", with π for λ
        formula=f,
        alternative_formula=f"-({b:g})*log(u) - ({b / a:.17g})*({f})",
        alternative_label="",
        conjugate_formula=f"-({a:g})*log((1 - ({b:g})*exp(t/({b:g})))/({a:g}))",
        activation_formula=f"-({b:g})*log(({b:g}) + ({a:g})*exp(-v))",
        f=lambda u: b * u * u.log() - (b * u + a) * (b * u + a).log(),
        conjugate=lambda t: -a * ((1 - b * (t / b).exp()) / a).log(),
        domain=(-inf, -b * log_b),
        activation=lambda v: -b * torch.logaddexp(torch.full_like(v, log_b), log_a - v),
        fake_score=lambda v: a * log_mixture(v),
        log_ratio=lambda v: v,
    )


def precision_recall_divergence(c: float) -> FDivergence:
    """f(u) = max(λu, 1) - max(λ, 1): what is lacking in precision where recall is it over λ; TV at λ = 1."""
    top = max(c, 1.0)
    return FDivergence(
        name=named("precision_recall", c),
        label=f"Precision-recall divergence, λ = {c:g}",
        source="verine2023precision, Definition 4.1",
        formula=f"maximum(({c:g})*u, 1) - {top:g}",
        alternative_formula=f"maximum(({c:g})*u, 1) - {top:g}",
        alternative_label="the same",
        conjugate_formula=f"maximum(t, 0)/({c:g}) + {top - 1:g}",
        activation_formula=f"({c:g})/(1 + exp(-v))",
        f=lambda u: (c * u).clamp(min=1) - top,
        conjugate=lambda t: t.clamp(min=0) / c + top - 1,
        domain=(-inf, c),
        activation=lambda v: c * v.sigmoid(),
        fake_score=lambda v: v.sigmoid() + (top - 1),
        log_ratio=None,
        identifies=f"sign({c:g} p - q)",
    )


ALPHA = Family(
    name="alpha",
    parameter="α",
    accepted="other than 0 (reverse_kl) and 1 (kl), from -10 to 10",
    accepts=lambda a: -10 <= a <= 10 and a not in (0, 1),
    make=alpha_divergence,
    examples=(-1.0, 0.5, 2.0, 3.0),
)
LAMBDA = Family(
    name="lambda",
    parameter="λ",
    accepted="between 0 and 1",
    accepts=lambda b: 0 < b < 1,
    make=lambda_divergence,
    examples=(0.1, 0.5, 0.9),
)
PRECISION_RECALL = Family(
    name="precision_recall",
    parameter="λ",
    accepted="above 0",
    accepts=lambda c: 0 < c < inf,
    make=precision_recall_divergence,
    examples=(0.1, 1.0, 10.0),
)
