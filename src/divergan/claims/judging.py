"""Claims and runs to verdicts: every claim in every arm that has its variants, corrected within its family."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import nan
from typing import Any

import pandas as pd

from divergan.claims import tests
from divergan.claims.findings import NOT_RUN, UNDECIDED, Evidence, Finding
from divergan.claims.schema import Claim
from divergan.statistics import holm, holm_levels

ALPHA = 0.05  # of a family in an arm
COLUMNS = [
    "id", "family", "arm", "says", "source", "test", "variant", "against", "metric", "direction", "margin", "n_x",
    "n_y", "effect", "low", "high", "level", "p", "p_adjusted", "verdict", "reason", "seeds_needed", "scale",
    "published", "method",
]  # fmt: skip
COUNTS = ["n_x", "n_y", "seeds_needed"]
TESTS: dict[str, Callable[..., Finding]] = {
    "value": tests.value,
    "difference": tests.difference,
    "equivalence": tests.equivalence,
    "no_benefit": tests.no_benefit,
    "outweighs": tests.outweighs,
    "same_weights": tests.same_weights,
    "order": tests.order,
    "seeds": tests.seeds,
    "spread": tests.spread,
    "failures": tests.failures,
    "definition": tests.definition,
    "none": tests.none,
}


def judge(
    claims: Sequence[Claim],
    runs: pd.DataFrame,
    *,
    published: pd.DataFrame,
    features: str,
    n_samples: int,
    training_images: Mapping[str, int],
    checksums: Mapping[str, str],
) -> pd.DataFrame:
    """One row a claim and arm, in the order of `claims`, with COLUMNS; one row without an arm where no run is asked.

    `runs` is the runs table (key, variant as "kl.stabilised", objective, arm, seed, outcome, fid, ...): a run that
    did not finish, or lacks the metric, counts as worst; `sampler_evidence.sampled_runs` adds the variants as samplers
    draw them, "kl/drs.stabilised". `published` is published.csv with `n_samples` and
    `training_images` as text; `features` and `n_samples` are those of our FIDs; `training_images` is by variant;
    `checksums` is run key -> SHA-256 of the generator's weights.

    effect, low, high and margin are on the scale that `scale` names: "ratio" is a log ratio (print its exp),
    "difference" one of shares of runs, "share" one of seeds, "value" the metric itself, "tau" Kendall's. `level` is the
    coverage of [low, high], and the verdict follows from that interval and the margin. Holm's correction runs over the
    claims of one family in one arm that have a p-value.
    """
    evidence = Evidence(
        runs=runs,
        published=published,
        features=features,
        n_samples=n_samples,
        training_images=training_images,
        checksums=checksums,
    )
    found = [(claim, arm, finding) for claim in claims for arm, finding in findings(claim, evidence)]
    families: dict[tuple[str, str], list[int]] = {}
    for place, (claim, arm, finding) in enumerate(found):
        if finding.result is not None:
            families.setdefault((claim.family, arm), []).append(place)
    corrected: dict[int, tuple[float, float]] = {}
    for places in families.values():
        p_values = [found[place][2].result.p_value for place in places]  # type: ignore[union-attr]
        corrected |= dict(zip(places, zip(holm(p_values), holm_levels(p_values, ALPHA), strict=True), strict=True))
    rows = [row(*one, *corrected.get(place, (nan, nan))) for place, one in enumerate(found)]
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(COUNTS, "Int64"))


def findings(claim: Claim, evidence: Evidence) -> Iterator[tuple[str, Finding]]:
    """(arm, what the test found) for every arm that has what the claim names."""
    test = TESTS[claim.test]
    named = claim.variants or [name for name in (claim.variant, claim.against) if name]
    if not named:
        yield "", test(claim, evidence)
        return
    present = set(evidence.runs["variant"])
    if claim.arms:
        keys = [f"{name}.{arm}" for name in named for arm in claim.arms]
        absent = [key for key in keys if key not in present]
        yield "", not_run(absent, "in this study") if absent else test(claim, evidence, *keys)
        return
    arms = arms_of(named if claim.variants else named[:1], evidence.runs)
    for arm in arms:
        keys = [name if "." in name else f"{name}.{arm}" for name in named]
        absent = [key.partition(".")[0] for key in keys if key not in present]
        if absent:
            yield arm, not_run(absent, "in this arm")
        else:
            yield arm, qualified(test(claim, evidence, *keys), claim, evidence, keys)
    if not arms:
        ran = {name for key in present for name in (key, key.partition(".")[0])}
        yield "", not_run([name for name in named if name not in ran], "in this study")


def qualified(finding: Finding, claim: Claim, evidence: Evidence, keys: Sequence[str]) -> Finding:
    """The finding on one variant against another, with what else their trainings differ in."""
    told = tests.confounded(evidence, *keys) if claim.against and finding.result else ""
    return replace(finding, reason="; ".join(filter(None, (finding.reason, told))))


def arms_of(names: Sequence[str], runs: pd.DataFrame) -> list[str]:
    """The arms that have all of the variants; a name with its own arm is in that alone."""
    having = [
        {arm for variant, arm in zip(runs["variant"], runs["arm"], strict=True) if variant in (name, f"{name}.{arm}")}
        for name in names
    ]
    return [arm for arm in runs["arm"].drop_duplicates() if all(arm in own for own in having)]


def not_run(names: Sequence[str], where: str) -> Finding:
    told = f"not run {where}: {', '.join(names)}" if names else "not run together in one arm"
    return Finding(verdict=NOT_RUN, reason=told)


def row(claim: Claim, arm: str, finding: Finding, p_adjusted: float, level: float) -> dict[str, Any]:
    """A claim's row, with its verdict at the level that Holm's correction leaves it."""
    finding = decided(finding, level)
    result = finding.result
    return {
        **{name: getattr(claim, name) for name in ("id", "family", "says", "source", "test", "variant", "against")},
        "arm": arm,
        "metric": finding.metric,
        "direction": claim.direction or "",
        "margin": finding.margin,
        "n_x": finding.n[0],
        "n_y": finding.n[1],
        "effect": finding.effect,
        "low": finding.interval[0],
        "high": finding.interval[1],
        "level": finding.coverage(level) if result else (0.95 if finding.scale == "value" else nan),
        "p": result.p_value if result else nan,
        "p_adjusted": p_adjusted,
        "verdict": finding.verdict,
        "reason": finding.reason,
        "seeds_needed": finding.seeds_needed,
        "scale": finding.scale,
        "published": finding.published,
        "method": finding.method,
    }


def decided(finding: Finding, level: float) -> Finding:
    """What the interval at this level says; a finding without a result is decided already."""
    result = finding.result
    if result is None:
        return finding
    interval = result.interval(level)
    verdict = finding.decide(interval)
    return replace(
        finding,
        method=finding.method or result.method,
        n=finding.n if any(finding.n) else result.n,
        effect=result.effect,
        interval=interval,
        verdict=verdict,
        seeds_needed=finding.needed(1 - level) if verdict == UNDECIDED else None,
    )
