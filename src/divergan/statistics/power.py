"""How many seeds would decide a claim."""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from math import isfinite, sqrt
from typing import TYPE_CHECKING

import numpy as np

from divergan.lazy import lazy

if TYPE_CHECKING:
    from scipy import stats
else:
    stats = lazy("scipy.stats")

MOST_SEEDS = 1000
_QUANTILES = (np.arange(2000) + 0.5) / 2000  # of the sampled variance; power is its mean over them, error below 1e-4


def seeds_needed(
    effect: float,
    sd: float,
    *,
    margin: float,
    alpha: float,
    power: float = 0.8,
    paired: bool,
    equivalence: bool = False,
) -> int | None:
    """Runs a side, the smallest n >= 2, with which the test of `margin` at `alpha` rejects with probability `power`.

    For `difference` (two-sided t test), or for `equivalence` (TOST), were the true difference `effect` and the
    standard deviation `sd`: of the differences where `paired`, else of the runs of either side. All three in one unit.
    None where 1000 runs do not do, or where a number is not finite.
    """
    if not (isfinite(effect) and isfinite(sd)):
        return None

    def enough(n: int) -> bool:
        freedom = n - 1 if paired else 2 * (n - 1)
        error = sd * sqrt((1 if paired else 2) / n)
        if equivalence:
            return _power_of_equivalence(margin - effect, margin + effect, error, freedom, alpha) >= power
        return _power_of_difference(effect - margin, error, freedom, alpha) >= power

    n = bisect_left(range(MOST_SEEDS + 1), True, lo=2, key=enough)
    return n if n <= MOST_SEEDS else None


def _power_of_difference(distance: float, error: float, freedom: int, alpha: float) -> float:
    """The noncentral t tail on both sides, as a mean over the sampled variance: statsmodels' form of it gives NaN at
    some sizes that are needed here, and it has no TOST."""
    if error == 0:
        return float(distance != 0)
    critical = stats.t.isf(alpha / 2, freedom) * _sampled_sd(freedom)
    shift = distance / error
    return float(np.mean(stats.norm.cdf(shift - critical) + stats.norm.cdf(-shift - critical)))


def _power_of_equivalence(above: float, below: float, error: float, freedom: int, alpha: float) -> float:
    """Both one-sided tests reject; `above` and `below` are the distances from the truth to the two margins."""
    if error == 0:
        return float(min(above, below) > 0)
    critical = stats.t.isf(alpha, freedom) * _sampled_sd(freedom)
    inside = stats.norm.cdf(above / error - critical) + stats.norm.cdf(below / error - critical) - 1
    return float(np.mean(np.maximum(inside, 0)))


@lru_cache(maxsize=1024)
def _sampled_sd(freedom: int) -> np.ndarray:
    """Quantiles of s / σ with these degrees of freedom."""
    return np.sqrt(stats.chi2.ppf(_QUANTILES, freedom) / freedom)
