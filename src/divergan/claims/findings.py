"""What claims are judged on, what a test of one claim comes to, and how an interval becomes a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite, nan

import numpy as np
import pandas as pd

from divergan.claims.schema import METRICS
from divergan.evidence import log_fid
from divergan.statistics import Interval, Result

REPRODUCED, NOT_REPRODUCED, UNDECIDED = "reproduced", "not reproduced", "undecided"
NOT_COMPARABLE, NOT_MEASURABLE, NOT_RUN = "not comparable", "could not have been measured", "not run"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, UNDECIDED, NOT_COMPARABLE, NOT_MEASURABLE, NOT_RUN)

Runs = Mapping[int, float]  # seed -> log of a metric, turned so that lower is better; +inf for a failed run


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that claims are judged on: the runs table, published.csv, and what the study is made of."""

    runs: pd.DataFrame
    published: pd.DataFrame
    features: str
    n_samples: int
    training_images: Mapping[str, int]  # by variant in its arm
    checksums: Mapping[str, str]  # SHA-256 of the generator's weights, by run

    def table(self, variant: str) -> pd.DataFrame:
        return self.runs[self.runs["variant"] == variant]

    def logs(self, variant: str, metric: str = "fid") -> dict[int, float]:
        """By seed; minus the log where higher is better, and a value of 0 there is as bad as a failed run, +inf."""
        table = self.table(variant)
        with np.errstate(divide="ignore"):
            values = log_fid(table, metric)
        if sign(metric) < 0:
            values = (-values).where(np.isfinite(values), inf)
        return dict(sorted(zip(table["seed"].astype(int), values, strict=True)))

    def images(self, variant: str) -> int | None:
        """How many images a variant was trained on, or the variant that a sampler draws from."""
        name, _, arm = variant.partition(".")
        return self.training_images.get(f"{name.partition('/')[0]}.{arm}")

    def weights(self, variant: str) -> dict[int, str]:
        """Checksum by seed, of the runs that kept weights."""
        table = self.table(variant)
        pairs = zip(table["seed"].astype(int), table["key"], strict=True)
        return {seed: self.checksums[key] for seed, key in pairs if key in self.checksums}

    def published_value(self, name: str) -> float:
        return float(self.published.set_index("id")["value"][name])


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a test came to. Where `result` is given, Holm's level decides the interval and `decide` the verdict."""

    metric: str = "fid"
    scale: str = "none"
    method: str = ""
    n: tuple[int, int] = (0, 0)
    margin: float = nan  # on the effect's own scale
    result: Result | None = None
    decide: Callable[[Interval], str] = lambda interval: UNDECIDED
    coverage: Callable[[float], float] = lambda level: level  # of result.interval(level)
    needed: Callable[[float], int | None] = lambda alpha: None  # seeds that would decide it at this alpha
    verdict: str = UNDECIDED  # this and the next four where there is no `result`
    reason: str = ""
    effect: float = nan
    interval: Interval = (nan, nan)
    seeds_needed: int | None = None
    published: float = nan


def sign(metric: str) -> int:
    """-1 for a metric of which more is better: what turns its log so that lower is better, and back."""
    return 1 if METRICS[metric] == "lower" else -1


def turned(result: Result, metric: str) -> Result:
    """A result of turned logs as one of logs."""
    if sign(metric) == 1:
        return result

    def interval(level: float) -> Interval:
        low, high = result.interval(level)
        return -high, -low

    return replace(result, effect=-result.effect, interval=interval)


def failed(runs: Runs) -> int:
    return sum(not isfinite(value) for value in runs.values())


def array(runs: Runs, seeds: Sequence[int] | None = None) -> np.ndarray:
    return np.array([runs[seed] for seed in (runs if seeds is None else seeds)], dtype=float)


def matched(x: Runs, y: Runs) -> tuple[np.ndarray, np.ndarray, bool]:
    """The runs of both at the seeds that they share, as pairs; where no two are shared, unpaired at different seeds."""
    common = sorted(x.keys() & y.keys())
    return (array(x, common), array(y, common), True) if len(common) > 1 else (*at_other_seeds(x, y), False)


def at_other_seeds(x: Runs, y: Runs) -> tuple[np.ndarray, np.ndarray]:
    """Runs of both with no seed on both sides: a shared seed is dealt to the side that has fewer, x first."""
    sides: tuple[list[int], list[int]] = (sorted(x.keys() - y.keys()), sorted(y.keys() - x.keys()))
    for seed in sorted(x.keys() & y.keys()):
        min(sides, key=len).append(seed)
    return array(x, sides[0]), array(y, sides[1])


def deviation(x: np.ndarray, y: np.ndarray, paired: bool) -> float:
    """Standard deviation of the differences of pairs, or of a run of either side; not finite where a run failed."""
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return nan
    return float(np.std(x - y, ddof=1)) if paired else float(np.sqrt((np.var(x, ddof=1) + np.var(y, ddof=1)) / 2))


def beyond(direction: str | None, margin: float) -> Callable[[Interval], str]:
    """The verdict on "higher (or lower) than the margin": the whole interval decides, on either side."""

    def decide(interval: Interval) -> str:
        above, below = interval[0] > margin, interval[1] < margin
        claimed, refuted = (above, below) if direction == "higher" else (below, above)
        return REPRODUCED if claimed else NOT_REPRODUCED if refuted else UNDECIDED

    return decide


def within(margin: float) -> Callable[[Interval], str]:
    """The verdict on "the same within the margin"."""

    def decide(interval: Interval) -> str:
        if -margin < interval[0] and interval[1] < margin:
            return REPRODUCED
        return NOT_REPRODUCED if interval[0] > margin or interval[1] < -margin else UNDECIDED

    return decide


def unbounded(result: Result, margin: float, *, above: bool = False, below: bool = False) -> Result:
    """The result without an end of its interval; p stays where the other end still can exclude the margin."""
    if not (above or below):
        return result

    def interval(level: float) -> Interval:
        low, high = result.interval(level)
        return (-inf if below else low), (inf if above else high)

    kept = (result.effect > margin and not below) or (result.effect < margin and not above)
    return replace(result, interval=interval, p_value=result.p_value if kept else 1.0)
