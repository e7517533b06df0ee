"""Exact values between normals N(0, s² I) in d dimensions, all of which depend on a point's norm alone.

For P = N(0, I) the norm has the chi distribution with d degrees of freedom, so that every expectation is an integral
over a line, whatever d is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, log
from typing import TYPE_CHECKING

from divergan.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
    import scipy.integrate
    import scipy.stats
else:
    np, scipy = lazy("numpy"), lazy("scipy")

OUTSIDE = 1e-18  # probability beyond either end of the quadrature
POINTS = 20_001
OnLogRatio = Callable[["np.ndarray"], "np.ndarray"]


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """An f-divergence by f at log u, u = p/q, so that no ratio is too large or small; f(1) = 0."""

    label: str
    f: OnLogRatio
    at_zero: float  # f(0)
    slope: float  # lim f(u)/u

    @property
    def most(self) -> float:
        """Its value where P and Q have nothing in common."""
        return self.at_zero + self.slope

    def ceiling(self, share: float) -> float:
        """Its largest value where q = (1 - share) p + share noise: noise that never looks like data."""
        return share * self.at_zero + (1 - share) * float(self.f(np.asarray(-np.log1p(-share))))


def jensen_shannon(log_u: np.ndarray) -> np.ndarray:
    u = np.exp(log_u)
    return u * log_u - (1 + u) * (np.log1p(u) - log(2))


DIVERGENCES = {
    "kl": Divergence(label="Kullback-Leibler", f=lambda log_u: np.exp(log_u) * log_u, at_zero=0.0, slope=inf),
    "reverse_kl": Divergence(label="Reverse KL", f=lambda log_u: -log_u, at_zero=inf, slope=0.0),
    "pearson": Divergence(label="Pearson χ²", f=lambda log_u: np.expm1(log_u) ** 2, at_zero=1.0, slope=inf),
    "jensen_shannon": Divergence(label="Jensen-Shannon", f=jensen_shannon, at_zero=log(2), slope=log(2)),
    "squared_hellinger": Divergence(
        label="Squared Hellinger", f=lambda log_u: np.expm1(log_u / 2) ** 2, at_zero=1.0, slope=1.0
    ),
}


def log_density_above(squares: np.ndarray, d: int, std: float) -> np.ndarray:
    """log N(x; 0, std² I) - log p(x) at |x|²."""
    return squares / 2 * (1 - 1 / std**2) - d * log(std)


def expected(h: OnLogRatio, d: int, std: float = 1.0) -> float:
    """E h(|x|²) under N(0, std² I), by Simpson's rule over the norm."""
    norms = scipy.stats.chi(d)
    r = np.linspace(norms.ppf(OUTSIDE), norms.isf(OUTSIDE), POINTS)
    return float(scipy.integrate.simpson(norms.pdf(r) * h((std * r) ** 2), x=r))


def noisy_log_density_above(squares: np.ndarray, d: int, std: float, share: float) -> np.ndarray:
    """log q - log p at |x|², for q = (1 - share) p + share N(0, std² I)."""
    return np.logaddexp(np.log1p(-share), log(share) + log_density_above(squares, d, std))


def noisy_divergence(divergence: Divergence, d: int, std: float, share: float) -> float:
    """D_f(P || Q) of that q."""

    def integrand(squares: np.ndarray) -> np.ndarray:
        return divergence.f(-noisy_log_density_above(squares, d, std, share))

    return (1 - share) * expected(integrand, d) + share * expected(integrand, d, std)


def total_variation(d: int, std: float) -> float:
    """Between P and N(0, std² I), std > 1: their densities are equal on one sphere, and p is larger within."""
    square = 2 * d * log(std) / (1 - 1 / std**2)
    return float(scipy.stats.chi2.cdf(square, d) - scipy.stats.chi2.cdf(square / std**2, d))


def shell(d: int, mass: float) -> tuple[float, float]:
    """The squared norms between which P has this mass, as much below as above: where typical samples lie."""
    return tuple(float(scipy.stats.chi2.ppf(tail, d)) for tail in ((1 - mass) / 2, (1 + mass) / 2))  # type: ignore[return-value]


def mass_in_shell(d: int, mass: float, *, std: float = 1.0, distance: float = 0.0) -> float:
    """Of N(m, std² I) with |m| = distance, the share of samples in that shell."""
    low, high = (edge / std**2 for edge in shell(d, mass))
    law = scipy.stats.ncx2(d, (distance / std) ** 2) if distance else scipy.stats.chi2(d)
    return float(law.cdf(high) - law.cdf(low))
