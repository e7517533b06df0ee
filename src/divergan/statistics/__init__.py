"""What the runs say: intervals, tests, ranks and power. Pure functions of the values of some metric over seeds.

Lower is better, and a failed run is +inf: it counts as worst and is never left out, except where a function says so.
"""

from divergan.statistics.intervals import (
    Interval,
    StatisticsError,
    mean_interval,
    prediction_interval,
    proportion_interval,
)
from divergan.statistics.multiplicity import holm, holm_levels
from divergan.statistics.power import seeds_needed
from divergan.statistics.ranks import one_run, order_agreement, ranks
from divergan.statistics.two_groups import (
    Result,
    difference,
    equivalence,
    failure_difference,
    sign_test,
    spread_ratio,
)
from divergan.statistics.variance import variance_shares

__all__ = [
    "Interval", "Result", "StatisticsError", "difference", "equivalence", "failure_difference", "holm", "holm_levels",
    "mean_interval", "one_run", "order_agreement", "prediction_interval", "proportion_interval", "ranks",
    "seeds_needed", "sign_test", "spread_ratio", "variance_shares",
]  # fmt: skip
