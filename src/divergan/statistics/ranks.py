"""The order of the variants: against a published order, with its uncertainty, and as one run of each would show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import nan
from typing import TYPE_CHECKING

import numpy as np

from divergan.lazy import lazy
from divergan.statistics.intervals import Interval, StatisticsError, Values, mean_and_variance
from divergan.statistics.shift import Student
from divergan.statistics.two_groups import Result

if TYPE_CHECKING:
    from scipy import stats
else:
    stats = lazy("scipy.stats")


def order_agreement(published: Values, ours: np.ndarray, *, margin: float = 0.0) -> Result:
    """How well tables of one seed each agree with a published table: the mean over seeds of Kendall's (1938) tau-b.

    `published` has shape (k,), `ours` (seeds, k) in the same order of variants, +inf for a failed run. 1 is the same
    order, -1 the reverse, 0 none; a seed whose runs are all equal shows no order and counts as 0. Student's test of
    mean tau = `margin`, and interval, over the seeds; `n` is (seeds, 1). An interval end never leaves [-1, 1], and
    has no width where all seeds give one tau. Raises StatisticsError where the shapes do not fit.
    """
    published, ours = np.asarray(published, dtype=float), np.asarray(ours, dtype=float)
    if ours.ndim != 2 or ours.shape[1:] != published.shape or np.isnan(ours).any() or np.ptp(published) == 0:
        raise StatisticsError(
            f"{published.size} published values cannot be compared with runs of shape {ours.shape}: give (seeds, k) "
            "values without NaN, and k published values that are not all equal."
        )
    taus = np.array([stats.kendalltau(published, row).statistic if len(set(row)) > 1 else 0.0 for row in ours])
    seeds = len(taus)
    mean, variance = mean_and_variance(taus) if seeds > 1 else (float(taus.mean()) if seeds else nan, nan)
    found = Student(effect=mean, error=(variance / max(seeds, 1)) ** 0.5, freedom=seeds - 1, method="Kendall")

    def interval(level: float) -> Interval:
        low, high = found.interval(level)
        return max(low, -1.0), min(high, 1.0)

    p = min(1.0, 2 * min(found.tails(margin)))
    return Result(effect=mean, p_value=p, interval=interval, n=(seeds, 1), method="Kendall")


def ranks(
    values: Mapping[str, Values], *, draws: int, seed: int, level: float = 0.95
) -> list[tuple[str, float, float, float]]:
    """(name, rank, low, high) of every variant: the rank of its mean, 1 the lowest, ties sharing their middle rank.

    `values[name]` are the runs of a variant, shape (n,), +inf for a failed one: its mean is then +inf, the worst. The
    interval holds the middle `level` of the ranks in `draws` tables whose runs were drawn again with replacement,
    each variant for itself. With few runs that is somewhat too short; NaN where a variant has only one run.
    """
    if not values:
        return []
    random = np.random.default_rng(seed)
    table = np.array([np.mean(runs) for runs in values.values()])
    drawn = np.stack([_drawn_means(runs, len(runs), draws, random) for runs in values.values()])
    ends = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(stats.rankdata(drawn, axis=0), ends, axis=1, method="inverted_cdf")
    if min(len(runs) for runs in values.values()) < 2:
        low = high = np.full(len(table), nan)
    rows = zip(values, stats.rankdata(table), low, high, strict=True)
    return [(name, float(rank), float(a), float(b)) for name, rank, a, b in rows]


def one_run(
    values: Mapping[str, Values], counts: Iterable[int], *, draws: int, seed: int
) -> list[dict[str, float | int]]:
    """How often a table with few runs a variant shows what the table of all runs shows; one dict for each of `counts`.

    `seeds`: runs a variant, drawn with replacement from its `values[name]`, shape (n,), lower better, +inf worst;
    `pair`: probability that a pair of variants has the same order of means as with all runs, averaged over the pairs
    that all runs do not leave tied; `best`: that the same variant has the lowest mean; `order`: that all those pairs
    have the same order. A tie in the drawn table counts 1/2 (1/t for the best among t). NaN where nothing is untied.

    The runs stand for the population: with few of them the answer is as uncertain as they are.
    """
    random = np.random.default_rng(seed)
    table = np.array([np.mean(runs) for runs in values.values()])
    first, second = np.nonzero(table[:, None] < table[None, :])
    rows = []
    for count in counts:
        drawn = np.stack([_drawn_means(runs, count, draws, random) for runs in values.values()])
        agrees = (drawn[first] < drawn[second]) + 0.5 * (drawn[first] == drawn[second])
        lowest = drawn == drawn.min(axis=0)
        named = lowest[table == table.min()].sum(axis=0) / lowest.sum(axis=0)
        untied = len(first) > 0
        rows.append(
            {
                "seeds": count,
                "pair": float(agrees.mean()) if untied else nan,
                "best": float(named.mean()) if untied else nan,
                "order": float(agrees.prod(axis=0).mean()) if untied else nan,
            }
        )
    return rows


def _drawn_means(runs: Values, count: int, draws: int, random: np.random.Generator) -> np.ndarray:
    """Means of `count` of the `runs`, drawn with replacement, shape (draws,)."""
    return random.choice(np.asarray(runs, dtype=float), size=(draws, count)).mean(axis=1)
