"""What seeds come to: a mean with its interval, as every chapter's tables have it."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from typing import TYPE_CHECKING, Any

from divergan.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy("numpy")


def with_intervals(measured: Mapping[str, Any]) -> dict[str, float]:
    """name, name_low, name_high: mean and 95 % Student interval of the values (n,) under each name; NaN if n is 0."""
    from divergan.statistics import mean_interval  # it loads numpy, which a plan does without

    row: dict[str, float] = {}
    for name, given in measured.items():
        values = np.asarray(given, dtype=float)
        low, high = mean_interval(values)
        row |= {name: float(values.mean()) if len(values) else nan, f"{name}_low": low, f"{name}_high": high}
    return row
