"""From runs to statements: seeds to mean and interval, variants to a ranking, ours beside the published numbers.

Pure functions on tables. A run that did not finish is counted in every table and never enters a mean:
its variant is marked `survivors_only`.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import nan

import numpy as np
import pandas as pd

from divergan.errors import DivergaNError
from divergan.metrics import METRICS
from divergan.statistics import mean_interval

CONFIDENCE = 0.95
SEEDS_TO_JUDGE = 5  # with fewer, Student's interval is mostly the width of its own quantile: shown, not judged
OUTCOMES = ("finished", "diverged", "collapsed")
UNSETTLED = "|"  # separates the values between which a published account leaves the choice open
AS_PUBLISHED = "_as_published"  # ends the name of an objective that keeps a defect of the released code
IDENTITY = ["variant", "objective", "label", "arm"]


class ComparisonError(DivergaNError):
    """A table that cannot be compared as it is."""


def family(objective: str) -> str:
    """The objective without the mark of its as-published form: "pearson_as_published" is of the family "pearson"."""
    return objective.removesuffix(AS_PUBLISHED)


def summarise(runs: pd.DataFrame, metrics: Iterable[str]) -> pd.DataFrame:
    """One row per (variant, metric), in the order of `runs` and `metrics`.

    Mean, standard deviation (n - 1) and interval are over the `n` runs that finished with a finite value; an interval
    ends where the metric's values do, which no mean is beyond. `n_runs`, `n_diverged` and `n_collapsed` count all
    runs; `survivors_only` says that n < n_runs; `judged` needs SEEDS_TO_JUDGE values. `overlapping`: trained on images
    that the feature classifier saw too.

    Raises ComparisonError for an unknown outcome, a missing metric or a seed that appears twice.
    """
    metrics = list(metrics)
    _check(runs, metrics)
    rows = [_summary_row(group, metric) for _, group in runs.groupby("variant", sort=False) for metric in metrics]
    return pd.DataFrame(rows, columns=_SUMMARY_COLUMNS)


_SUMMARY_COLUMNS = [
    *IDENTITY, "metric", "n_runs", "n", "n_diverged", "n_collapsed", "mean", "standard_deviation",
    "low", "high", "judged", "survivors_only", "overlapping",
]  # fmt: skip


def _summary_row(group: pd.DataFrame, metric: str) -> dict[str, object]:
    values = group.loc[group["outcome"] == "finished", metric].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    low, high = np.clip(mean_interval(values, CONFIDENCE), METRICS[metric].least, METRICS[metric].most)
    return {
        **{column: group.iloc[0][column] for column in IDENTITY},
        "metric": metric,
        "n_runs": len(group),
        "n": len(values),
        "n_diverged": int((group["outcome"] == "diverged").sum()),
        "n_collapsed": int((group["outcome"] == "collapsed").sum()),
        "mean": float(np.mean(values)) if len(values) else nan,
        "standard_deviation": float(np.std(values, ddof=1)) if len(values) > 1 else nan,
        "low": low,
        "high": high,
        "judged": len(values) >= SEEDS_TO_JUDGE,
        "survivors_only": len(values) < len(group),
        "overlapping": bool(group["overlapping"].any()),
    }


def _check(runs: pd.DataFrame, metrics: list[str]) -> None:
    if absent := [m for m in metrics if m not in runs.columns]:
        raise ComparisonError(f"The runs table has no column {absent[0]!r}: evaluate that metric, or leave it out.")
    if unknown := sorted(set(runs["outcome"]) - set(OUTCOMES)):
        raise ComparisonError(
            f"The runs table has the outcome {unknown[0]!r}; expected one of {', '.join(OUTCOMES)}: correct run.json."
        )
    twice = runs[runs.duplicated(["variant", "seed"])]
    if len(twice):
        raise ComparisonError(
            f"The run {twice.iloc[0]['key']!r} is in the runs table twice; seeds of a variant must differ: "
            "remove one, for a seed counted twice narrows the interval."
        )


def ranking(summary: pd.DataFrame, metric: str = "fid", better: str = "lower") -> pd.DataFrame:
    """The variants from best to worst, with `rank` from 1 and `share_failed`.

    A run without a value counts as infinitely bad, so the mean of a variant with such a run is infinite. These
    variants come after all others, ordered by the share of runs that failed, then by the mean of the survivors.
    Equal share and equal mean give equal rank; their order is then that of `summary`.
    """
    table = summary[summary["metric"] == metric].copy()
    table["share_failed"] = 1 - table["n"] / table["n_runs"]
    badness = table["mean"] if better == "lower" else -table["mean"]
    order = list(zip(table["share_failed"], badness.fillna(np.inf), strict=True))
    table["rank"] = [1 + sum(other < own for other in order) for own in order]
    columns = ["rank", *IDENTITY, "n_runs", "n", "share_failed", "mean", "low", "high", "judged", "survivors_only"]
    return table.sort_values("rank", kind="stable")[columns].reset_index(drop=True)


def beside_published(
    summary: pd.DataFrame,
    published: pd.DataFrame,
    *,
    features: str,
    n_samples: int,
    training_images: int | None = None,
    quantity: str = "trained GAN",
) -> pd.DataFrame:
    """Each published number beside every variant of ours with its quantity, objective family and metric.

    `quantity` says what `summary` measured, in the words of published.csv; `features` and `n_samples` are those of our
    metrics; `training_images` those of our runs where `summary` has no such column of its own. `comparable` is False,
    and `reason` says why, where features, sample count or training images differ or are not stated, or where we ran
    nothing. A `caveat` does not forbid the comparison.
    """
    ours = summary.rename(columns={"mean": "ours"}).assign(
        quantity=quantity, objective=summary["objective"].map(family)
    )
    if "training_images" in ours:
        ours = ours.rename(columns={"training_images": "our_training_images"})
    else:
        ours = ours.assign(our_training_images=training_images)
    keys = ["quantity", "objective", "metric"]
    columns = ["variant", "arm", "n", "n_runs", "ours", "low", "high", "judged", "our_training_images"]
    table = published.merge(ours[keys + columns], on=keys, how="left")
    verdicts = [_reasons(row, features, n_samples) for row in table.to_dict("records")]
    table["comparable"] = [not reasons for reasons in verdicts]
    table["reason"] = ["; ".join(reasons) for reasons in verdicts]
    table["caveat"] = [
        f"the number of training images is not settled: {row.replace(UNSETTLED, ' or ')}" if UNSETTLED in row else ""
        for row in table["training_images"].map(_text)
    ]
    return table


def _reasons(row: dict, features: str, n_samples: int) -> list[str]:
    if not isinstance(row["variant"], str):
        return ["not run in this study"]
    stated = {"features": features, "samples": str(n_samples), "training images": _text(row["our_training_images"])}
    theirs = [_text(row[column]) for column in ("features", "n_samples", "training_images")]
    return [
        f"{what}: {ours} here, {published.replace(UNSETTLED, ' or ') or 'not stated'} there"
        for (what, ours), published in zip(stated.items(), theirs, strict=True)
        if ours not in published.split(UNSETTLED)
    ]


def _text(value: object) -> str:
    """A cell as published.csv writes it: no NaN, and no decimals on a count that pandas made a float."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return str(int(value)) if isinstance(value, float) else str(value)
