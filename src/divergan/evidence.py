"""What runs say together: agreement of features, what one run can tell, what varies, arms, the ablation, controls.

Pure functions on the runs table of the compare step and on tables with a row a run. The primary quantity is the log of
FID at the last step; a run that did not finish is worse than any that did.
"""

from __future__ import annotations

from itertools import combinations
from math import exp, inf, log

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from divergan.comparison import SEEDS_TO_JUDGE, family
from divergan.sampler_evidence import corrected
from divergan.statistics import (
    Result,
    difference,
    mean_interval,
    one_run,
    proportion_interval,
    ranks,
    variance_shares,
)

COUNTS = (1, 2, 3, 5, 10, 20)  # seeds a variant, of the tables whose reliability is asked for
DRAWS = 4000
BASELINE = "bce"
FEWEST_VARIANTS = 3  # that can be said to have an order
ARM_EFFECTS = ["name", "label", "arm", "against", "n", "failed", "effect", "low", "high", "level", "p", "p_adjusted"]


def log_fid(runs: pd.DataFrame, column: str = "fid") -> pd.Series:
    """log of `column`, +inf for a run that did not finish or has no value."""
    values = runs[column].astype(float)
    finished = (runs["outcome"] == "finished") & np.isfinite(values)
    return pd.Series(np.log(values.where(finished, inf)), index=runs.index)


def by_variant(runs: pd.DataFrame) -> dict[str, np.ndarray]:
    """variant -> log FID of its runs, in the order of their seeds."""
    table = runs.assign(log_fid=log_fid(runs)).sort_values("seed", kind="stable")
    return {str(variant): own["log_fid"].to_numpy() for variant, own in table.groupby("variant", sort=False)}


def ranks_table(runs: pd.DataFrame) -> pd.DataFrame:
    """arm, variant, rank, low, high: the rank in its arm by mean log FID, a failed run worst, with its 95 % interval;
    runs, failed, failed_low, failed_high: the probability that a run fails, with Clopper and Pearson's interval.
    """
    rows = []
    for arm, own in runs.groupby("arm", sort=False):
        values = by_variant(own)
        for variant, rank, low, high in ranks(values, draws=DRAWS, seed=0):
            n, failed = len(values[variant]), int(np.isinf(values[variant]).sum())
            failed_low, failed_high = proportion_interval(failed, n)
            rows.append({"arm": arm, "variant": variant, "rank": rank, "low": low, "high": high, "runs": n,
                         "failed": failed, "failed_low": failed_low, "failed_high": failed_high})  # fmt: skip
    return pd.DataFrame(rows)


def one_run_table(runs: pd.DataFrame) -> pd.DataFrame:
    """arm, variants, seeds, pair, best, order: how often the table of so many seeds a variant says what all runs say.

    Of the variants with runs enough to judge: they stand for all the runs that there could be.
    """
    rows = []
    for arm, own in runs.groupby("arm", sort=False):
        values = {variant: fids for variant, fids in by_variant(own).items() if len(fids) >= SEEDS_TO_JUDGE}
        if len(values) >= FEWEST_VARIANTS:
            told = one_run(values, COUNTS, draws=DRAWS, seed=0)
            rows += [{"arm": arm, "variants": len(values), **row} for row in told]
    return pd.DataFrame(rows, columns=["arm", "variants", "seeds", "pair", "best", "order"])


def agreement_table(fids: pd.DataFrame) -> pd.DataFrame:
    """Every pair of feature sets: Kendall's tau of the two orders of one seed's variants, mean over seeds and interval.

    Variants are ordered within their arm, and a seed's tau is the mean over the arms. `fids` has a row a run and
    feature set: variant, arm, seed, outcome, features, features_label, fid.
    """
    labels = dict(zip(fids["features"], fids["features_label"], strict=True))
    table = fids.assign(log_fid=log_fid(fids)).pivot_table(
        index=["seed", "arm", "variant"], columns="features", values="log_fid", sort=False, aggfunc="first"
    )
    rows = []
    for a, b in combinations(labels, 2):
        arms = table.groupby(["seed", "arm"]).apply(lambda own: kendall(own[a], own[b]))  # noqa: B023
        taus = list(arms.astype(float).groupby("seed").mean().dropna())
        low, high = np.clip(mean_interval(taus), -1, 1)
        mean = float(np.mean(taus)) if taus else np.nan
        rows.append({"a": a, "b": b, "a_label": labels[a], "b_label": labels[b], "tau": mean, "low": low, "high": high,
                     "seeds": len(taus)})  # fmt: skip
    return pd.DataFrame(rows, columns=["a", "b", "a_label", "b_label", "tau", "low", "high", "seeds"])


def kendall(a: pd.Series, b: pd.Series) -> float:
    """Kendall's tau-b of two orders of the same variants; NaN where there are too few, or all are tied."""
    return float(kendalltau(a, b).statistic) if len(a) >= FEWEST_VARIANTS else np.nan


FACTORS = ["family", "generator_loss", "regulariser_kind"]  # columns of a crossed study
NAMES = {
    "family": "objective",
    "variant": "objective",
    "generator_loss": "generator loss",
    "regulariser_kind": "regulariser",
}


def is_crossed(runs: pd.DataFrame) -> bool:
    """Whether every objective was run with each of several combinations of generator loss and regulariser."""
    cells = runs.assign(family=runs["objective"].map(family)).groupby("family")[["generator_loss", "regulariser_kind"]]
    combinations_of = {name: set(map(tuple, own.to_numpy())) for name, own in cells}
    first = next(iter(combinations_of.values()))
    return len(first) > 1 and all(own == first for own in combinations_of.values())


def variance_table(runs: pd.DataFrame) -> pd.DataFrame:
    """arm, factor, share, low, high: what the variance of log FID is due to, the seed being what is left.

    A crossed study is taken as one; else each arm by itself, where the objective stands for all that differs. A run
    that did not finish enters with the FID of the last generator that it had.
    """
    table = runs[np.isfinite(runs["fid"])].assign(
        family=lambda t: t["objective"].map(family), log_fid=lambda t: np.log(t["fid"])
    )
    parts, factors = list(table.groupby("arm", sort=False)), ["variant"]
    if is_crossed(runs):
        parts, factors = [("all arms", table)], FACTORS
    rows = []
    for arm, own in parts:
        if own["variant"].nunique() > 1 and len(own) > own["variant"].nunique():
            for row in variance_shares(own, "log_fid", factors):
                rows.append({"arm": arm, **row, "factor": NAMES.get(str(row["factor"]), row["factor"])})
    return pd.DataFrame(rows, columns=["arm", "factor", "share", "low", "high"])


def arm_effects_table(runs: pd.DataFrame) -> pd.DataFrame:
    """A row for every arm after the first and every variant that both have: the ratio of FIDs, equal seeds paired.

    `failed` of the `n` pairs have a run that did not finish, worse than any that did; then the effect is Hodges and
    Lehmann's. p and the interval's level are Holm's over the variants of an arm. NaN with fewer than two pairs.
    Empty for a crossed study, whose arms `ablation_table` compares.
    """
    if is_crossed(runs):
        return pd.DataFrame(columns=ARM_EFFECTS)
    values = runs.assign(log_fid=log_fid(runs), name=runs["variant"].str.split(".").str[0])
    first, *others = (own for _, own in values.groupby("arm", sort=False))
    rows = []
    for arm in others:
        pairs = arm.merge(first, on=["name", "seed"], suffixes=("", "_first"))
        rows += corrected([beside(own) for _, own in pairs.groupby("name", sort=False)])
    return pd.DataFrame(rows, columns=ARM_EFFECTS)


def beside(pairs: pd.DataFrame) -> tuple[dict[str, object], Result | None]:
    """What one variant's pairs are, and their difference in log FID; None where there are not two to compare."""
    x, y = pairs["log_fid"].to_numpy(), pairs["log_fid_first"].to_numpy()
    row = {name: pairs[name].iloc[0] for name in ("name", "label", "arm")} | {"against": pairs["arm_first"].iloc[0]}
    row |= {"metric": "fid", "n": len(pairs), "failed": int((~np.isfinite(x) | ~np.isfinite(y)).sum())}
    comparable = len(pairs) > 1 and bool(np.isfinite([x, y]).any())
    return row, difference(x, y, paired=True) if comparable else None


def ablation_table(runs: pd.DataFrame) -> pd.DataFrame:
    """A row for each objective, generator loss and regulariser: failures, geometric mean of FID with its interval.

    `picked` is each objective's best cell: fewest failed runs, then the lowest mean. Empty unless the study is crossed.
    """
    columns = [
        "objective",
        "label",
        "generator_loss",
        "regulariser",
        "n_runs",
        "n_failed",
        "fid",
        "low",
        "high",
        "picked",
    ]
    if not is_crossed(runs):
        return pd.DataFrame(columns=columns)
    rows = []
    for _, own in runs.groupby("variant", sort=False):
        values = log_fid(own)[lambda v: np.isfinite(v)].to_numpy()
        low, high = mean_interval(values)
        rows.append({
            **{name: own[name].iloc[0] for name in ("objective", "label", "generator_loss")},
            "regulariser": own["regulariser_kind"].iloc[0], "n_runs": len(own), "n_failed": len(own) - len(values),
            "fid": exp(values.mean()) if len(values) else np.nan, "low": np.exp(low), "high": np.exp(high),
        })  # fmt: skip
    table = pd.DataFrame(rows)
    best = table.sort_values(["n_failed", "fid"], kind="stable").drop_duplicates("objective").index
    return table.assign(picked=table.index.isin(best))[columns]


def controls_table(runs: pd.DataFrame, floors: pd.DataFrame, controls: pd.DataFrame) -> pd.DataFrame:
    """The defects of the released evaluation on real images and on BCE, and the search for copies among BCE's samples.

    `controls` has a row a run (and one with the key "real") with the values of pipeline.measures.controls.
    """
    real = controls[controls["key"] == "real"].iloc[0]
    floor = float(floors.set_index("metric")["floor"]["fid"])
    rows = [
        control("real-unrescaled", "Real images, saved without rescaling", real["fid_unrescaled"], floor,
                "real images", "FID(real, max(0, 2 real − 1)): what the fault alone costs"),
        control("real-training-reference", "Real training images against training images",
                real["fid_training_reference"], floor, "real images", "the same images on both sides"),
    ]  # fmt: skip
    joined = runs[runs["objective"] == BASELINE].merge(controls, on="key")
    for variant, own in joined[joined["outcome"] == "finished"].groupby("variant", sort=False):
        who = f"{own['label'].iloc[0]} ({own['arm'].iloc[0]})"
        beside = geometric_mean(own["fid"])
        rows += [
            control(f"{variant}-unrescaled", f"{who}: unrescaled samples", geometric_mean(own["fid_unrescaled"]),
                    beside, "its FID here (geometric mean)", "negative values become black"),
            control(f"{variant}-training-reference", f"{who}: training images as reference",
                    geometric_mean(own["fid_training_reference"]), beside, "its FID here (geometric mean)",
                    "against the images that the generator saw"),
            control(f"{variant}-as-released", f"{who}: both", geometric_mean(own["fid_as_released"]), beside,
                    "its FID here (geometric mean)", "the released evaluation"),
            control(f"{variant}-nearest", f"{who}: distance to the nearest training image",
                    own["nearest_training_distance"].mean(), own["held_out_distance"].mean(), "held-out real images",
                    "clearly below: copies"),
            control(f"{variant}-copies", f"{who}: share nearer than 99 % of held-out images",
                    own["copied_share"].mean(), 0.01, "held-out real images", "1 if all were copies"),
        ]  # fmt: skip
    return pd.DataFrame(rows)


def control(name: str, label: str, value: float, beside: float, beside_label: str, says: str) -> dict[str, object]:
    value = round(value, 9) + 0.0  # equal images are at 0, not at a rounding error on either side of it
    return {"name": name, "label": label, "value": value, "beside": beside, "beside_label": beside_label, "says": says}


def geometric_mean(values: pd.Series) -> float:
    positive = values[values > 0]
    return exp(sum(map(log, positive)) / len(positive)) if len(positive) else np.nan
