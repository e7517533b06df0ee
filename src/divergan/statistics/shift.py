"""How much higher x is than y: by Student's t where all runs finished, by ranks where some failed.

Both forms give the one-sided p-values against any margin and the interval that belongs to them, so that a verdict
from the interval and one from the p-value cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import inf, nan, sqrt
from typing import TYPE_CHECKING

import numpy as np

from divergan.lazy import lazy
from divergan.statistics.intervals import Interval, StatisticsError, Values, mean_and_variance

if TYPE_CHECKING:
    from scipy import stats
else:
    stats = lazy("scipy.stats")

# An exact p-value that equals 1 - level is not below it, whatever the rounding of 1 - level.
BELOW = 1 - 1e-9


@dataclass(frozen=True, kw_only=True)
class Student:
    """An estimate with its standard error and degrees of freedom; with none of these, nothing is known."""

    effect: float
    error: float
    freedom: float
    method: str

    def tails(self, margin: float) -> tuple[float, float]:
        """One-sided p-values for "above `margin`" and "below `margin`"; without variance they are 0 or 1."""
        if self.freedom <= 0:
            return 1.0, 1.0
        if self.error == 0:
            return float(self.effect <= margin), float(self.effect >= margin)
        t = (self.effect - margin) / self.error
        return float(stats.t.sf(t, self.freedom)), float(stats.t.cdf(t, self.freedom))

    def interval(self, level: float) -> Interval:
        if self.freedom <= 0:
            return -inf, inf
        half = float(stats.t.ppf((1 + level) / 2, self.freedom)) * self.error
        return self.effect - half, self.effect + half


@dataclass(frozen=True, kw_only=True)
class WorstRank:
    """All n m differences x_i - y_j, sorted, where a failed run is +inf and two failed runs differ by 0.

    Worst-rank score: Lachin (1999), "Worst-rank score analysis with informatively missing observations". The estimate
    is the median of the differences (Hodges and Lehmann 1963), the interval runs between two of their order
    statistics (Moses' interval). Both rest on the exact distribution of Mann and Whitney's U without ties. Ties, also
    those between failed runs, count against each rejection: p-value and interval are then conservative.
    """

    differences: np.ndarray
    n: int
    m: int
    method: str = "exact worst-rank"

    @property
    def effect(self) -> float:
        return float(np.median(self.differences))

    def tails(self, margin: float) -> tuple[float, float]:
        """One-sided p-values for "above `margin`" and "below `margin`"."""
        below = mann_whitney_cdf(self.n, self.m)
        return (
            below[int((self.differences <= margin).sum())],
            below[int((self.differences >= margin).sum())],
        )

    def interval(self, level: float) -> Interval:
        """[D_(k), D_(nm + 1 - k)]: U < k has probability below (1 - level) / 2 on each side; no end where k = 0."""
        k = sum(2 * p < (1 - level) * BELOW for p in mann_whitney_cdf(self.n, self.m))
        return (float(self.differences[k - 1]), float(self.differences[-k])) if k else (-inf, inf)


def shift(x: Values, y: Values, *, paired: bool) -> Student | WorstRank:
    """The form that these runs allow: see `divergan.statistics.difference`."""
    x, y = _runs(x, "x"), _runs(y, "y")
    if paired and len(x) != len(y):
        raise StatisticsError(f"{len(x)} runs of x cannot be paired with {len(y)} of y: pass the seeds that both have.")
    if min(len(x), len(y)) == 0:
        return Student(effect=nan, error=nan, freedom=0, method=_name(paired))
    if np.isinf(x).any() or np.isinf(y).any():
        with np.errstate(invalid="ignore"):
            differences = np.nan_to_num(np.subtract.outer(x, y).ravel(), nan=0.0, posinf=inf, neginf=-inf)
        return WorstRank(differences=np.sort(differences), n=len(x), m=len(y))
    if min(len(x), len(y)) < 2:
        return Student(effect=float(np.mean(x) - np.mean(y)), error=nan, freedom=0, method=_name(paired))
    return _paired(x - y) if paired else _welch(x, y)


def _name(paired: bool) -> str:
    return "paired t" if paired else "Welch t"


def _paired(differences: np.ndarray) -> Student:
    mean, variance = mean_and_variance(differences)
    n = len(differences)
    return Student(effect=mean, error=sqrt(variance / n), freedom=n - 1, method=_name(True))


def _welch(x: np.ndarray, y: np.ndarray) -> Student:
    """Welch (1947): variances need not be equal; degrees of freedom by Welch and Satterthwaite."""
    (mean_x, var_x), (mean_y, var_y) = mean_and_variance(x), mean_and_variance(y)
    a, b = var_x / len(x), var_y / len(y)
    freedom = (a + b) ** 2 / (a**2 / (len(x) - 1) + b**2 / (len(y) - 1)) if a + b > 0 else len(x) + len(y) - 2
    return Student(effect=mean_x - mean_y, error=sqrt(a + b), freedom=freedom, method=_name(False))


def _runs(values: Values, name: str) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or np.isnan(array).any() or (array == -inf).any():
        raise StatisticsError(
            f"The runs of {name} must be one row of numbers without NaN or -inf: give a failed run the value +inf."
        )
    return array


@lru_cache(maxsize=64)
def mann_whitney_cdf(n: int, m: int) -> tuple[float, ...]:
    """P(U <= u), u = 0 ... n m, of Mann and Whitney's (1947) U of n and m values without ties.

    The counts are the coefficients of the Gaussian binomial, the product over i of (1 - q^(m+i)) / (1 - q^i); in
    whole numbers, so exact.
    """
    counts = [1] + [0] * (n * m)
    for i in range(1, n + 1):
        for u in range(n * m, m + i - 1, -1):
            counts[u] -= counts[u - m - i]
        for u in range(i, n * m + 1):
            counts[u] += counts[u - i]
    total = sum(counts)
    reached = 0
    return tuple((reached := reached + count) / total for count in counts)
