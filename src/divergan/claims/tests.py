"""One claim in one arm, by the test that it names: what the runs have to say, before Holm's correction.

Every test works on log FID at the last step, +inf for a run that failed: nothing that was run is left out. A value, a
difference and an equivalence may be of another metric, turned so that lower is better. Where a failed run has no number
(a spread, a difference between two seeds), the interval has no end on that side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from math import exp, isfinite, log, nan

import numpy as np
import pandas as pd

from divergan import statistics
from divergan.claims.findings import (
    NOT_COMPARABLE,
    NOT_MEASURABLE,
    NOT_REPRODUCED,
    REPRODUCED,
    Evidence,
    Finding,
    array,
    at_other_seeds,
    beyond,
    deviation,
    failed,
    matched,
    sign,
    turned,
    unbounded,
    within,
)
from divergan.claims.properties import PROPERTIES
from divergan.claims.schema import Claim
from divergan.claims.wording import number
from divergan.comparison import SEEDS_TO_JUDGE, beside_published, family, summarise

MOST_RUNS = 200  # a side, that the search for a decisive number of runs tries


def signed(claim: Claim) -> float:
    """The margin as a log ratio: 1.1 higher, or 1.1 times lower."""
    return -log(claim.margin) if claim.direction == "lower" else log(claim.margin)


def too_few(x: np.ndarray, y: np.ndarray) -> Finding | None:
    if len(x) and len(y) and not np.isfinite([*x, *y]).any():
        return Finding(n=(len(x), len(y)), reason="all runs of both failed: no two values to compare")
    if min(len(x), len(y)) >= 2:
        return None
    reason = f"{len(x)} against {len(y)} runs: a test needs two a side"
    return Finding(n=(len(x), len(y)), reason=reason, seeds_needed=2)


def value(claim: Claim, evidence: Evidence, variant: str) -> Finding:
    """A published number against the interval in which one further run of ours falls with 95 %."""
    published = evidence.published[evidence.published["id"] == claim.published[0]]
    number, metric = float(published["value"].iloc[0]), str(published["metric"].iloc[0])
    if metric not in evidence.runs:
        return unmeasured(metric)
    values = array(evidence.logs(variant, metric))
    mean = exp(sign(metric) * float(values.mean()))  # of the logs: the geometric mean of the values
    finding = Finding(
        metric=metric, scale="value", published=number, n=(len(values), 0), method="prediction interval", effect=mean
    )
    if reason := incomparable(evidence, variant, published):
        return replace(finding, verdict=NOT_COMPARABLE, reason=reason)
    if len(values) < SEEDS_TO_JUDGE:
        reason = f"{len(values)} runs: fewer than {SEEDS_TO_JUDGE} are shown, not judged"
        return replace(finding, reason=reason, seeds_needed=SEEDS_TO_JUDGE)
    if lost := int((~np.isfinite(values)).sum()):
        return replace(finding, reason=f"{lost} of {len(values)} runs failed: no interval holds a further run")
    low, high = sorted(exp(sign(metric) * end) for end in statistics.prediction_interval(values))
    verdict = REPRODUCED if low <= number <= high else NOT_REPRODUCED
    return replace(finding, interval=(low, high), verdict=verdict)


def incomparable(evidence: Evidence, variant: str, published: pd.DataFrame) -> str:
    """Why the published number and this variant's are of different things; empty where they are not."""
    table = evidence.table(variant)
    theirs, ours = published["objective"].iloc[0], family(table["objective"].iloc[0])
    if theirs != ours:
        return f"objective: {ours} here, {theirs} there"
    summary = summarise(table, list(published["metric"])).assign(training_images=evidence.images(variant))
    beside = beside_published(
        summary,
        published,
        features=evidence.features,
        n_samples=evidence.n_samples,
        quantity=str(published["quantity"].iloc[0]),
    )
    return str(beside["reason"].iloc[0])


def unmeasured(metric: str) -> Finding:
    return Finding(metric=metric, reason=f"{metric} was not measured in this study")


def difference(claim: Claim, evidence: Evidence, variant: str, against: str) -> Finding:
    metric = claim.metric
    if metric not in evidence.runs:
        return unmeasured(metric)
    x, y, paired = matched(evidence.logs(variant, metric), evidence.logs(against, metric))
    if finding := too_few(x, y):
        return replace(finding, metric=metric)
    return apart(x, y, paired, metric=metric, margin=signed(claim), direction=claim.direction)


def no_benefit(claim: Claim, evidence: Evidence, variant: str, against: str) -> Finding:
    """Is FID not `margin` times lower than that of the other, whatever else it is?"""
    x, y, paired = matched(evidence.logs(variant), evidence.logs(against))
    return too_few(x, y) or apart(x, y, paired, metric="fid", margin=-log(claim.margin), direction="higher")


def apart(x: np.ndarray, y: np.ndarray, paired: bool, *, metric: str, margin: float, direction: str | None) -> Finding:
    """Is x, less y, on the claimed side of the margin?"""
    sd = deviation(x, y, paired)
    result = turned(statistics.difference(x, y, margin=sign(metric) * margin, paired=paired), metric)
    return Finding(
        metric=metric,
        scale="ratio",
        margin=margin,
        result=result,
        decide=beyond(direction, margin),
        needed=lambda alpha: statistics.seeds_needed(result.effect, sd, margin=margin, alpha=alpha, paired=paired),
    )


def equivalence(claim: Claim, evidence: Evidence, variant: str, against: str) -> Finding:
    """Pairs at equal seeds; where these are identical, they say nothing of chance and runs at other seeds must do."""
    metric = claim.metric
    if metric not in evidence.runs:
        return unmeasured(metric)
    ours, others = evidence.logs(variant, metric), evidence.logs(against, metric)
    x, y, paired = matched(ours, others)
    common, reason = sorted(ours.keys() & others.keys()), ""
    if common and np.array_equal(array(ours, common), array(others, common)):
        x, y = at_other_seeds(ours, others)
        paired, reason = False, "equal runs at equal seeds: compared at different seeds"
    if finding := too_few(x, y):
        return replace(finding, metric=metric, reason="; ".join(filter(None, (reason, finding.reason))))
    margin, sd = log(claim.margin), deviation(x, y, paired)
    result = turned(statistics.equivalence(x, y, margin=margin, paired=paired), metric)
    return Finding(
        metric=metric,
        scale="ratio",
        margin=margin,
        result=result,
        method=f"TOST, {'paired' if paired else 'unpaired'}",
        decide=within(margin),
        coverage=lambda level: 2 * level - 1,
        reason=reason,
        needed=lambda alpha: statistics.seeds_needed(
            result.effect, sd, margin=margin, alpha=alpha, paired=paired, equivalence=True
        ),
    )


def same_weights(claim: Claim, evidence: Evidence, variant: str, against: str) -> Finding:
    """Equal files at every common seed; asked only where the two runs differ in the objective alone, as far as told."""
    if reason := confounded(evidence, variant, against):
        return Finding(metric="weights", verdict=NOT_COMPARABLE, reason=reason)
    x, y = evidence.weights(variant), evidence.weights(against)
    common = sorted(x.keys() & y.keys())
    if not common:
        return Finding(metric="weights", reason="no seed at which both kept weights", seeds_needed=1)
    equal = sum(x[seed] == y[seed] for seed in common)
    return Finding(
        metric="weights",
        method="SHA-256 of the weights",
        n=(len(common), len(common)),
        effect=equal / len(common),
        verdict=REPRODUCED if equal == len(common) else NOT_REPRODUCED,
    )


def confounded(evidence: Evidence, variant: str, against: str) -> str:
    """In what the trainings of two variants differ beside the objective, as far as told; empty where in nothing."""
    x, y = evidence.table(variant).iloc[0], evidence.table(against).iloc[0]
    told = (what for what in ("generator_loss", "regulariser", "steps") if pd.notna(x.get(what)))
    differing = [f"{what.replace('_', ' ')}: {x[what]} against {y[what]}" for what in told if x[what] != y[what]]
    if (x.get("own_generator") is True) != (y.get("own_generator") is True):
        differing.append("the generator was trained on meanwhile")
    return "; ".join(differing)


def order(claim: Claim, evidence: Evidence, *variants: str) -> Finding:
    """The order of each table that has one run of every variant: those of a seed, or else the first, the second, ..."""
    runs = [evidence.logs(variant) for variant in variants]
    common = sorted(set.intersection(*(set(own) for own in runs)))
    ours = np.array([[own[seed] for own in runs] for seed in common])
    if len(common) < 2:
        ours = np.array(list(zip(*map(array, runs), strict=False)))
    if len(ours) < 2:
        return Finding(reason="some variant has fewer than two runs: a test needs two", seeds_needed=2)
    published = np.array([evidence.published_value(name) for name in claim.published])
    taus = [statistics.order_agreement(published, row[None]).effect for row in ours]
    result = statistics.order_agreement(published, ours, margin=claim.margin)
    return Finding(
        scale="tau",
        margin=claim.margin,
        result=result,
        n=(len(ours), 0),
        decide=beyond("higher", claim.margin),
        needed=lambda alpha: statistics.seeds_needed(
            result.effect, float(np.std(taus, ddof=1)), margin=claim.margin, alpha=alpha, paired=True
        ),
    )


def seeds(claim: Claim, evidence: Evidence, *variants: str) -> Finding:
    """Two runs of one variant, over pairs with no seed twice: the mean size of their log ratio against the margin."""
    pairs = [
        (own[a], own[b])
        for own in map(evidence.logs, variants)
        for a, b in zip(sorted(own)[::2], sorted(own)[1::2], strict=False)
    ]
    finished = [(a, b) for a, b in pairs if isfinite(a) and isfinite(b)]
    if len(finished) < 2:
        return Finding(reason=f"{len(finished)} pairs of finished runs: a test needs two", seeds_needed=4)
    worse, better = (np.array([pick(pair) for pair in finished]) for pick in (max, min))
    margin, lost = log(claim.margin), len(pairs) - len(finished)
    result = statistics.difference(worse, better, margin=margin, paired=True)
    return Finding(
        scale="ratio",
        margin=margin,
        result=unbounded(result, margin, above=lost > 0),
        decide=beyond("higher", margin),
        reason=f"pairs with a failed run: {lost} of {len(pairs)}, so no upper end" if lost else "",
    )


def outweighs(claim: Claim, evidence: Evidence, *keys: str) -> Finding:
    """Ranks of all runs of a seed, failed ones last and level: are two arms further apart than two variants?

    A seed gives one number: by how many places, in the mean, runs that differ in the arm alone are further apart than
    runs that differ in the variant alone. Places are whole and bounded, so what is judged is at how many seeds that is
    above 0.
    """
    runs = [evidence.logs(key) for key in keys]
    common = sorted(set.intersection(*(set(own) for own in runs)))
    if len(common) < 2:
        return Finding(reason=f"{len(common)} seeds at which all ran: a test needs two", seeds_needed=2)
    further: list[float] = []
    for seed in common:
        places = pd.Series([own[seed] for own in runs]).rank().to_numpy().reshape(len(claim.variants), len(claim.arms))
        by_variant, by_arm = (
            np.mean([np.abs(a - b) for a, b in combinations(along, 2)]) for along in (places, places.T)
        )
        further.append(float(by_arm - by_variant))
    told = [places for places in further if places]  # a sign test has no use for a tie
    if not told:
        return Finding(metric="places", reason=f"at all of {len(further)} seeds both are as far apart")
    won, ties = sum(places > 0 for places in told), len(further) - len(told)
    return Finding(
        metric="places",
        scale="share",
        method=f"sign test, {number(float(np.mean(further)))} places further in the mean",
        reason=f"{ties} of {len(further)} seeds with no difference left out" if ties else "",
        margin=0.5,
        result=statistics.sign_test(won, len(told)),
        decide=beyond("higher", 0.5),
        needed=lambda alpha: least(lambda n: statistics.sign_test(round(won / len(told) * n), n).p_value < alpha),
    )


def spread(claim: Claim, evidence: Evidence, variant: str, against: str) -> Finding:
    """Standard deviations; a failed run scatters without bound, so the ratio has no end on its side."""
    x, y = evidence.logs(variant), evidence.logs(against)
    finished = [values[np.isfinite(values)] for values in (array(x), array(y))]
    lost = failed(x), failed(y)
    lost_text = f"{lost[0]} against {lost[1]} failed runs, which have no spread: no end on that side"
    if finding := too_few(*finished):
        return replace(finding, reason=f"{len(finished[0])} against {len(finished[1])} finished runs: a test needs two")
    margin = signed(claim)
    result = statistics.spread_ratio(array(x), array(y), margin=margin)
    return Finding(
        scale="ratio",
        margin=margin,
        result=unbounded(result, margin, above=lost[0] > 0, below=lost[1] > 0),
        decide=beyond(claim.direction, margin),
        reason=lost_text if any(lost) else "",
    )


def failures(claim: Claim, evidence: Evidence, variant: str, against: str) -> Finding:
    x, y = evidence.logs(variant), evidence.logs(against)
    shares = " against ".join(f"{failed(runs)} of {len(runs)}" for runs in (x, y))
    result = statistics.failure_difference(failed(x), len(x), failed(y), len(y))
    return Finding(
        metric="failed runs",
        scale="difference",
        method=f"{result.method}, {shares}",
        margin=0.0,
        result=result,
        decide=beyond(claim.direction, 0.0),
        needed=lambda alpha: runs_to_tell(failed(x) / len(x), failed(y) / len(y), alpha),
    )


def runs_to_tell(share_x: float, share_y: float, alpha: float) -> int | None:
    """The least number of runs a side with which Fisher's test tells these shares apart, if they stay what they are."""
    if share_x == share_y:
        return None

    def tells(n: int) -> bool:
        return statistics.failure_difference(round(share_x * n), n, round(share_y * n), n).p_value < alpha

    return least(tells)


def least(enough: Callable[[int], bool]) -> int | None:
    """The least number of runs that is enough; None where MOST_RUNS are not."""
    return next(filter(enough, range(2, MOST_RUNS + 1)), None)


def definition(claim: Claim, evidence: Evidence) -> Finding:
    stated = PROPERTIES[claim.property]
    faults = stated.broken(claim.objectives or claim.samplers)
    verdict = NOT_REPRODUCED if faults else REPRODUCED
    return Finding(metric="definition", method=stated.checked, verdict=verdict, reason="; ".join(faults))


def none(claim: Claim, evidence: Evidence) -> Finding:
    published = evidence.published_value(claim.published[0]) if claim.published else nan
    return Finding(metric="none", published=published, verdict=NOT_MEASURABLE, reason=claim.unmeasurable)
