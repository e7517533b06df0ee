"""Intervals of one group of runs: of the mean, of one further run, of the share that fails."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan, sqrt
from typing import TYPE_CHECKING

import numpy as np

from divergan.errors import DivergaNError
from divergan.lazy import lazy

if TYPE_CHECKING:
    from scipy import stats
else:
    stats = lazy("scipy.stats")

Interval = tuple[float, float]
Values = Sequence[float] | np.ndarray


class StatisticsError(DivergaNError):
    """Values that a statement cannot be made from."""


def mean_interval(values: Values, level: float = 0.95) -> Interval:
    """Student's t interval of the mean of independent `values`, shape (n,), in their unit: mean ± t s / √n.

    It says where the mean of very many runs lies, not where one further run does: see `prediction_interval`.
    NaN, NaN when n < 2 or a value is not finite.
    """
    return _student(values, level, further_runs=0)


def prediction_interval(values: Values, level: float = 0.95) -> Interval:
    """Where one further run of the same kind falls with probability `level`: mean ± t s √(1 + 1/n).

    `values` has shape (n,), normal and independent; the interval is in their unit. One published run is judged
    against this. NaN, NaN when n < 2 or a value is not finite.
    """
    return _student(values, level, further_runs=1)


def proportion_interval(failures: int, runs: int, level: float = 0.95) -> Interval:
    """Clopper and Pearson's (1934) exact interval of a probability from `failures` out of `runs`; conservative.

    Its ends are the probabilities at which so many failures, or so few, have probability (1 - level) / 2. (0, 1)
    without a run. Raises StatisticsError for counts that are not 0 <= failures <= runs.
    """
    if not 0 <= failures <= runs:
        raise StatisticsError(f"{failures} failures of {runs} runs is impossible: count failures among the runs.")
    if runs == 0:
        return 0.0, 1.0
    found = stats.binomtest(failures, runs).proportion_ci(level, "exact")
    return float(found.low), float(found.high)


def mean_and_variance(values: np.ndarray) -> tuple[float, float]:
    """Mean and variance (n - 1) of `values`, shape (n,), n >= 2; the variance of identical values is exactly 0."""
    if np.ptp(values) == 0:
        return float(values[0]), 0.0
    return float(np.mean(values)), float(np.var(values, ddof=1))


def _student(values: Values, level: float, *, further_runs: int) -> Interval:
    values = np.asarray(values, dtype=float)
    n = len(values)
    if n < 2 or not np.isfinite(values).all():
        return nan, nan
    mean, variance = mean_and_variance(values)
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * sqrt(variance * (further_runs + 1 / n))
    return mean - half, mean + half
