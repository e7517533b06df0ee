"""Two groups of runs: is x above y, are they the same within a margin, does one scatter or fail more?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, log, nan
from typing import TYPE_CHECKING

import numpy as np

from divergan.lazy import lazy
from divergan.statistics.intervals import Interval, StatisticsError, Values, mean_and_variance, proportion_interval
from divergan.statistics.shift import BELOW, shift

if TYPE_CHECKING:
    from scipy import stats
else:
    stats = lazy("scipy.stats")


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one test found. `interval(level)` excludes the margin exactly where `p_value` < 1 - level."""

    effect: float  # x minus y, or the statistic that the test names
    p_value: float  # two-sided against the margin; of an equivalence test the larger of the two one-sided ones
    interval: Callable[[float], Interval]
    n: tuple[int, int]  # runs of x and of y that were used
    method: str


def difference(x: Values, y: Values, *, margin: float = 0.0, paired: bool) -> Result:
    """Two-sided test of E x - E y = `margin`; `x` (n,) and `y` (m,) in one unit, which effect and interval have too.

    All runs finite: the t test of the differences where `paired` (then n = m, in one order), else Welch's. Any failed
    run (+inf): the exact Mann-Whitney test of a shift with failed runs worst and two failed runs equal, and Moses'
    interval, which may end at -inf or +inf. It leaves the pairing aside: the signed-rank test of five pairs can never
    give p < 0.06, and pairs by seed share little, so ignoring them costs little and errs to the safe side.

    Identical runs (no variance): p is 0 or 1 and the interval has no width. With one run on a side and none failed
    nothing is known: p is 1, the interval the whole line. Raises StatisticsError for NaN, and where paired sides
    differ in length.
    """
    found = shift(x, y, paired=paired)
    return Result(
        effect=found.effect,
        p_value=min(1.0, 2 * min(found.tails(margin))),
        interval=found.interval,
        n=(len(x), len(y)),
        method=found.method,
    )


def equivalence(x: Values, y: Values, *, margin: float, paired: bool) -> Result:
    """Two one-sided tests (TOST, Schuirmann 1987) of |E x - E y| >= `margin`; a small p says that x and y are the same.

    p is the larger of the one-sided p-values; `interval(level)` is the interval of level 1 - 2 (1 - level), inside
    (-margin, margin) exactly where p < 1 - level. Failed runs, units and errors as in `difference`; also raises
    StatisticsError where the margin is not positive.
    """
    if not margin > 0:
        raise StatisticsError(f"An equivalence margin must be above 0, not {margin}: say how much counts as the same.")
    found = shift(x, y, paired=paired)
    return Result(
        effect=found.effect,
        p_value=max(found.tails(-margin)[0], found.tails(margin)[1]),
        interval=lambda level: found.interval(2 * level - 1),
        n=(len(x), len(y)),
        method="TOST",
    )


def spread_ratio(x: Values, y: Values, *, margin: float = 0.0) -> Result:
    """Two-sided F test of log(sd x / sd y) = `margin`, over the runs that finished: failures are left out here.

    (sd x / sd y)² / (σx / σy)² has the F distribution with n - 1 and m - 1 degrees of freedom for normal values; the
    test is known to reject too often for heavy tails. With fewer than two finite values on a side, or no variance on
    both, the effect is NaN, p is 1 and the interval the whole line.
    """
    finished = [values[np.isfinite(values)] for values in (np.asarray(x, dtype=float), np.asarray(y, dtype=float))]
    n = (len(finished[0]), len(finished[1]))
    variances = [mean_and_variance(values)[1] if len(values) > 1 else 0.0 for values in finished]
    if min(n) < 2 or max(variances) == 0:
        return Result(effect=nan, p_value=1.0, interval=lambda level: (-inf, inf), n=n, method="F")
    effect = 0.5 * (_log(variances[0]) - _log(variances[1]))
    freedom = (n[0] - 1, n[1] - 1)
    observed = np.exp(2 * (effect - margin))

    def interval(level: float) -> Interval:
        low, high = np.log(stats.f.ppf([(1 + level) / 2, (1 - level) / 2], *freedom))
        return float(effect - 0.5 * low), float(effect - 0.5 * high)

    p = 2 * min(float(stats.f.sf(observed, *freedom)), float(stats.f.cdf(observed, *freedom)))
    return Result(effect=effect, p_value=min(1.0, p), interval=interval, n=n, method="F")


def failure_difference(fx: int, nx: int, fy: int, ny: int) -> Result:
    """Fisher's exact test that x, with `fx` failures of `nx` runs, and y, `fy` of `ny`, fail equally often; margin 0.

    `effect` is fx / nx - fy / ny. Fisher's test has no interval of this difference, in statsmodels or elsewhere; here
    it is Newcombe's (1998, method 10), lengthened to reach 0 where Fisher's test, the more cautious, does not reject.
    p is 1 and the interval (-1, 1) where a side has no run. Raises StatisticsError for impossible counts.
    """
    if not (0 <= fx <= nx and 0 <= fy <= ny):
        raise StatisticsError(f"{fx} failures of {nx} runs and {fy} of {ny} are impossible: count among the runs.")
    if min(nx, ny) == 0:
        return Result(effect=nan, p_value=1.0, interval=lambda level: (-1.0, 1.0), n=(nx, ny), method="Fisher")
    p = float(stats.fisher_exact([[fx, nx - fx], [fy, ny - fy]]).pvalue)

    def interval(level: float) -> Interval:
        from statsmodels.stats.proportion import confint_proportions_2indep

        low, high = confint_proportions_2indep(fx, nx, fy, ny, method="newcomb", compare="diff", alpha=1 - level)
        if p < (1 - level) * BELOW:
            return float(low), float(high)
        return min(float(low), 0.0), max(float(high), 0.0)

    return Result(effect=fx / nx - fy / ny, p_value=p, interval=interval, n=(nx, ny), method="Fisher")


def sign_test(won: int, n: int) -> Result:
    """Exact two-sided test that each of two sides wins as often as the other; margin 1/2.

    `effect` is won / n, the interval Clopper and Pearson's (1934). p is 1 and the interval (0, 1) without a seed. Fewer
    than six seeds never give p < 0.05. Raises StatisticsError for impossible counts.
    """

    proportion_interval(won, n)  # refuses impossible counts
    p = min(1.0, 2 * float(min(stats.binom.cdf(won, n, 0.5), stats.binom.sf(won - 1, n, 0.5))))

    def interval(level: float) -> Interval:
        low, high = proportion_interval(won, n, level)
        return (low, high) if p < (1 - level) * BELOW else (min(low, 0.5), max(high, 0.5))

    return Result(effect=won / n if n else nan, p_value=p, interval=interval, n=(n, 0), method="sign test")


def _log(value: float) -> float:
    return log(value) if value > 0 else -inf
