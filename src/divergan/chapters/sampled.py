"""Distances estimated from samples alone: the empirical W1, and MMD² with and without its bias, beside exact values."""

from __future__ import annotations

from collections.abc import Iterator
from math import lgamma, log
from typing import TYPE_CHECKING, Any

from divergan.chapters.lipschitz import Pair
from divergan.lazy import lazy
from divergan.objectives.kernels import SCALES, SHAPES, KernelDistance
from divergan.randomness import generator

if TYPE_CHECKING:
    import numpy as np
    import ot
    import scipy.special
    import scipy.stats
    import torch
else:
    np, ot, scipy, torch = lazy("numpy"), lazy("ot"), lazy("scipy"), lazy("torch")


def plug_in(pair: Pair, count: int, d: int, draw: int) -> float:
    """W1 between `count` points of P and as many of Q, exactly."""
    rng = generator(draw, "distances plug-in", pair.name, d, count)
    x, y = (side.sample(count, d, rng).double().numpy() for side in (pair.p, pair.q))
    if d == 1:
        return float(scipy.stats.wasserstein_distance(x[:, 0], y[:, 0]))
    return float(ot.emd2([], [], ot.dist(x, y, metric="euclidean"), numItermax=10_000_000))


# --- MMD² of N(0, I) and N(m, I), |m| = distance


def exact_discrepancy(kernel: KernelDistance, d: int, distance: float) -> float:
    """2 E k(x, x') - 2 E k(x, y): both differences are normal with covariance 2 I, that of x - y around m."""
    return 2 * (mean_kernel(kernel, d, 0.0) - mean_kernel(kernel, d, distance))


def mean_kernel(kernel: KernelDistance, d: int, distance: float) -> float:
    """E k(z), z from N(m, 2 I) in d dimensions, |m| = distance."""
    return MEANS[kernel.name](d, distance)


def gaussian_mean(precision: np.ndarray, d: int, distance: float) -> np.ndarray:
    """E exp(-precision |z|²/2): a product of normals, integrated."""
    wider = 1 + 2 * precision
    return wider ** (-d / 2) * np.exp(-precision * distance**2 / (2 * wider))


def gaussians_mean(d: int, distance: float) -> float:
    return float(sum(gaussian_mean(np.asarray(s**-2.0), d, distance) for s in SCALES))


def rational_quadratics_mean(d: int, distance: float) -> float:
    """(1 + |z|²/(2a))^-a is a mixture of Gaussian kernels, whose precision has the gamma law of shape and rate a."""
    logs = np.linspace(-250.0, 8.0, 100_001)  # of the precision: at shape 0.2 a share of e^-50 lies below
    precision = np.exp(logs)
    total = 0.0
    for a in SHAPES:
        density = np.exp(a * logs - a * precision + a * log(a) - lgamma(a))
        total += float(np.trapezoid(density * gaussian_mean(precision, d, distance), logs))
    return total


def energy_mean(d: int, distance: float) -> float:
    """-E|z|: z/√2 has a norm of the noncentral chi law, E|z| = 2 Γ((d + 1)/2)/Γ(d/2) 1F1(-1/2; d/2; -|m|²/4)."""
    ratio = float(np.exp(lgamma((d + 1) / 2) - lgamma(d / 2)))
    return -2 * ratio * float(scipy.special.hyp1f1(-0.5, d / 2, -(distance**2) / 4))


MEANS = {
    "mmd_gaussian": gaussians_mean,
    "mmd_rational_quadratic": rational_quadratics_mean,
    "mmd_energy": energy_mean,
}


def exact_bias(kernel: KernelDistance, d: int, count: int) -> float:
    """Of the V-statistic of `count` points a side: a point beside itself counts k(0) in place of E k(x, x')."""
    at_itself = float(kernel.kernel(torch.zeros((), dtype=torch.float64)))
    return 2 * (at_itself - mean_kernel(kernel, d, 0.0)) / count


def discrepancies(kernel: KernelDistance, d: int, count: int, distance: float, draws: int) -> np.ndarray:
    """(draws, 2): the unbiased estimate and the V-statistic, of `count` points a side."""
    return np.array([list(estimates(kernel, *points)) for points in pairs_of(d, count, distance, draws)])


def pairs_of(d: int, count: int, distance: float, draws: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for draw in range(draws):
        rng = generator(draw, "distances discrepancy", d, count)
        x, y = torch.randn(2, count, d, generator=rng, dtype=torch.float64)
        yield x, y + distance / d**0.5


def estimates(kernel: KernelDistance, x: torch.Tensor, y: torch.Tensor) -> Iterator[float]:
    yield float(kernel.discrepancy(x, y))
    yield float(kernel.gram(x, x).mean() + kernel.gram(y, y).mean() - 2 * kernel.gram(x, y).mean())


def moments(values: np.ndarray) -> dict[str, Any]:
    """Mean, its 95 % interval, and standard deviation of independent values (n,)."""
    from divergan.statistics import mean_interval

    low, high = mean_interval(values)
    return {"mean": float(values.mean()), "low": low, "high": high, "std": float(values.std(ddof=1))}
