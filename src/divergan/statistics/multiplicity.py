"""Many claims at once: Holm's procedure, as adjusted p-values and as the level at which each claim is tested."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from divergan.statistics.intervals import StatisticsError
from divergan.statistics.shift import BELOW


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Holm's (1979) adjusted p-values, shape (k,), in the order of `p_values`.

    The i-th smallest of k is multiplied by k + 1 - i, then made no smaller than those before it and at most 1. The
    chance that any true hypothesis is rejected stays below the level, however the tests depend on each other.
    """
    p_values = _checked(p_values)
    k = len(p_values)
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(k)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * (k - np.arange(k))), 1)
    return adjusted


def holm_levels(p_values: Sequence[float] | np.ndarray, alpha: float = 0.05) -> np.ndarray:
    """The confidence level 1 - α_i, shape (k,), at which Holm's procedure tests each of the k hypotheses.

    α_i = α / (k + 1 - i) for the i-th smallest p-value as long as all before it were rejected; those after the first
    that is not rejected keep its α_i. So hypothesis i is rejected exactly where its interval of that level excludes
    the margin. A p-value that equals its α_i is not a rejection.
    """
    p_values = _checked(p_values)
    k = len(p_values)
    levels = np.empty(k)
    step = 0
    for place, i in enumerate(np.argsort(p_values, kind="stable")):
        levels[i] = 1 - alpha / (k - step)
        if step == place and p_values[i] < alpha / (k - step) * BELOW:
            step = min(place + 1, k - 1)
    return levels


def _checked(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    array = np.asarray(p_values, dtype=float)
    if not ((array >= 0) & (array <= 1)).all():
        raise StatisticsError("A p-value is not between 0 and 1: leave out claims that could not be tested.")
    return array
