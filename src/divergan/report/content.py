"""What fills the report: tables and provenance as the numbers and words of values.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import numpy as np
import pandas as pd

from divergan.claims.findings import NOT_REPRODUCED, REPRODUCED, UNDECIDED
from divergan.claims.wording import exponential
from divergan.claims.wording import number as digits
from divergan.comparison import CONFIDENCE, SEEDS_TO_JUDGE, ranking, summarise
from divergan.figures import Tables, drawable
from divergan.figures.declaration import floor_of, outcome, trained
from divergan.report.evidence import evidence_values, percent
from divergan.report.formulas import interval, number, typst
from divergan.report.published import published_values
from divergan.report.reweighting import reweighting_values
from divergan.report.runs import every_run
from divergan.report.wording import NONE, cell, source, text

HEADLINE = "fid"
BESIDE_BCE = "table-2-order"  # the family of claims that compares every loss with BCE
# Those behind Table 2 of benatti2024fdivergences.
PUBLISHED_RUNS = "12000 steps of 2048 images (Jensen-Shannon half as many) and no seed"
SETTLED = 0.01  # the change of FIDs between two checkpoints below which nothing is said of it
RATIO = {"mean": "effect", "low": "low", "high": "high"}
GENERATOR_LOSSES = {"alternative": "alternative", "bound": "the divergence's own bound"}


class Provenance(TypedDict):
    """What made the results: texts and counts that the tables do not hold."""

    study: str
    title: str
    question: str
    parameters: Sequence[tuple[str, str]]  # name, values: the settings of the trainings
    commits: Sequence[str]
    versions: Mapping[str, Sequence[str]]  # package -> the versions that made results
    devices: Sequence[str]
    core_seconds: float
    wall_seconds: float  # of all jobs, as if one ran after the other
    features: str
    classifier_accuracy: float | None  # on real images that it never saw; None where features are not our own
    n_samples: int  # per run and metric
    reference: NotRequired[str]  # the split that all are compared with; "evaluation" where it is not said
    data: str
    splits: Mapping[str, int]  # split -> images
    recipes: NotRequired[Mapping[str, str]]  # key of a run -> the hash in its folder's name


def values(tables: Tables, published: pd.DataFrame, provenance: Provenance) -> dict[str, Any]:
    """The content of values.json: JSON types alone, numbers as the text that is printed.

    `published` is what comparison.beside_published returned.
    """
    summary = summarise(tables.runs, tables.metrics)
    failed = tables.runs[tables.runs["outcome"] != "finished"]
    identical = _identical(tables)
    return {
        "title": provenance["title"],
        "study": provenance["study"],
        "question": provenance["question"],
        "confidence": f"{100 * CONFIDENCE:g} %",
        "seeds_to_judge": SEEDS_TO_JUDGE,
        "runs": len(tables.runs),
        "finished": len(tables.runs) - len(failed),
        "judged": [bool(j) for j in summary.loc[summary["metric"] == HEADLINE, "judged"]],
        "arms": [_arm(arm, tables, summary, identical) for arm in tables.runs["arm"].unique()],
        "regimes": _regimes(tables.runs),
        "confounded": list(tables.runs.groupby("arm", sort=False)["regulariser"].nunique().loc[lambda n: n > 1].index),
        "divergences": [_divergence(o) for o in trained(tables).values() if hasattr(o, "activation")],
        "other_objectives": [_named(o) for o in trained(tables).values() if not hasattr(o, "activation")],
        "flaws": _flaws(tables),
        "generator_losses": sorted(tables.runs["generator_loss"].unique()),
        "conditional": list(tables.runs.loc[tables.runs["key"].isin(list(tables.sample_labels)), "arm"].unique()),
        "metrics": [_metric(m, tables) for m in tables.metrics.values()],
        "results": _results(tables, summary),
        "identical": identical,
        "published": published_values(published, tables),
        "failures": [_failure(run) for run in failed.to_dict("records")],
        "limits": _limits(tables),
        "every_run": every_run(tables, provenance.get("recipes", {})),
        "figures": {figure.name: figure.caption(tables) for figure in drawable(tables)},
        "parameters": [[str(name), str(value)] for name, value in provenance["parameters"]],
        "measurement": _measurement(provenance, tables),
        "provenance": _provenance_rows(provenance, len(tables.runs)),
        **evidence_values(tables),
        **reweighting_values(tables),
    }


def _named(objective: Any) -> dict[str, Any]:
    return {"label": objective.label, "source": source(objective.source)}


def _divergence(o: Any) -> dict[str, Any]:
    return _named(o) | {
        "f": typst(o.formula),
        "activation": typst(o.activation_formula),
        "conjugate": typst(o.conjugate_formula),
        "alternative": typst(o.alternative_formula),
        "domain": interval(*o.domain),
        "threshold": number(o.threshold),
    }


def _flaws(tables: Tables) -> list[dict[str, Any]]:
    """What is kept wrong on purpose, and in which of the objectives that were run."""
    found: dict[str, list[str]] = {}
    for name in tables.runs["objective"].unique():
        if flaw := getattr(tables.objectives.get(name), "flaw", ""):
            found.setdefault(flaw, []).append(tables.objectives[name].label)
    return [{"flaw": flaw, "labels": labels} for flaw, labels in found.items()]


def _metric(metric: Any, tables: Tables) -> dict[str, Any]:
    return {
        "name": metric.name,
        "label": metric.label,
        "unit": "" if metric.unit == "1" else metric.unit,
        "better": metric.better,
        "floor": text(floor_of(tables, metric.name)),
        "source": source(metric.source),
    }


def _results(tables: Tables, summary: pd.DataFrame) -> list[dict[str, Any]]:
    """A row per variant, by arm and rank: its cells by metric, and the marks that qualify it."""
    cells: dict[str, dict[str, Any]] = {}
    for row in summary.to_dict("records"):
        cells.setdefault(row["variant"], {})[row["metric"]] = cell(row)
    order = ranking(summary, HEADLINE)
    overlapping = summary.groupby("variant")["overlapping"].any()
    return [
        {
            **{column: row[column] for column in ("label", "arm", "n", "n_runs", "judged", "survivors_only")},
            "overlapping": bool(overlapping[row["variant"]]),
            "above_floor": _above_floor(row["mean"], tables),
            "cells": cells[row["variant"]],
        }
        for arm in tables.runs["arm"].unique()
        for row in order[order["arm"] == arm].to_dict("records")
    ]


def _identical(tables: Tables) -> list[dict[str, Any]]:
    """Variants that agree in every metric at every seed that they share, with the arms in which they do."""
    found: dict[tuple[str, ...], list[str]] = {}
    for arm, own in tables.runs.groupby("arm", sort=False):
        groups: list[list[pd.DataFrame]] = []
        for _, runs in own.groupby("variant", sort=False):
            measured = runs.set_index("seed")[["label", *tables.metrics]]
            group = next((group for group in groups if _agree(group[0], measured)), None)
            groups.append([measured]) if group is None else group.append(measured)
        for group in groups:
            if len(group) > 1:
                labels = tuple(str(measured["label"].iloc[0]) for measured in group)
                found.setdefault(labels, []).append(str(arm))
    return [{"labels": list(labels), "arms": arms} for labels, arms in found.items()]


def _agree(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    """Whether two variants' metrics, by seed, are equal at every seed that both have, and there is one."""
    shared = a.index.intersection(b.index)
    return len(shared) > 0 and a.drop(columns="label").loc[shared].equals(b.drop(columns="label").loc[shared])


def _above_floor(mean: float, tables: Tables) -> str:
    floor_value = floor_of(tables, HEADLINE)
    return NONE if floor_value is None else text(mean - floor_value, mean)


def _arm(arm: str, tables: Tables, summary: pd.DataFrame, identical: list[dict[str, Any]]) -> dict[str, Any]:
    """An arm's best variant with those that are one game with it, that of the highest mean, those without a value, the
    best recall, and the others beside BCE.

    Of the variants with seeds enough to judge, where there are such.
    """
    order = ranking(summary[summary["arm"] == arm], HEADLINE)
    if order["judged"].any():
        order = order[order["judged"] | (order["share_failed"] > 0)].reset_index(drop=True)
    first = order.iloc[0]
    with_value = order[order["mean"].notna()].sort_values("mean", kind="stable")
    return {
        "name": arm,
        "beside_bce": _beside_bce(arm, tables),
        "level": next((g["labels"] for g in identical if arm in g["arms"] and first["label"] in g["labels"]), []),
        "recall": _best_recall(summary[summary["arm"] == arm], tables),
        "best": _ranked(first, tables) if first["n"] else None,
        "highest": _ranked(with_value.iloc[-1], tables) if len(with_value) > 1 else None,
        "without_value": list(order.loc[order["n"] == 0, "label"]),
    }


def _best_recall(summary: pd.DataFrame, tables: Tables) -> list[dict[str, str]]:
    """The variant of the highest recall: a generator of few images can have any precision, but not this."""
    own = summary[(summary["metric"] == "recall") & summary["mean"].notna()]
    if own.empty:
        return []
    floor = text(floor_of(tables, "recall"))
    best = own.nlargest(1, "mean").to_dict("records")
    return [{"label": row["label"], "mean": text(row["mean"]), "floor": floor} for row in best]


def _beside_bce(arm: str, tables: Tables) -> list[dict[str, Any]]:
    """The claims that a loss has a higher FID than BCE, by verdict: the losses, each with its ratio of FIDs."""
    if tables.claims.empty:
        return []
    own = tables.claims[(tables.claims["arm"] == arm) & (tables.claims["family"] == BESIDE_BCE)]
    names = tables.runs.assign(name=tables.runs["variant"].str.split(".").str[0])
    labels = names[names["arm"] == arm].drop_duplicates("name").set_index("name")["label"]
    own = own[own["variant"].isin(labels.index) & own["effect"].notna()].fillna({"reason": ""})
    return [
        {
            "verdict": verdict,
            "margin": digits(exponential(own["margin"].iloc[0])),
            "losses": [
                {"label": labels[row["variant"]], "qualified": bool(row["reason"])}
                | {name: digits(exponential(row[column])) for name, column in RATIO.items()}
                for row in own[own["verdict"] == verdict].to_dict("records")
            ],
        }
        for verdict in (REPRODUCED, UNDECIDED, NOT_REPRODUCED)
        if (own["verdict"] == verdict).any()
    ]


def _regimes(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """A row for each arm, regulariser and generator loss: which losses were trained so."""
    return [
        {
            "arm": arm,
            "regulariser": regulariser,
            "generator_loss": GENERATOR_LOSSES.get(str(loss), str(loss)),
            "labels": list(own["label"].unique()),
            "runs": len(own),
            "finished": int((own["outcome"] == "finished").sum()),
        }
        for (arm, regulariser, loss), own in runs.groupby(["arm", "regulariser", "generator_loss"], sort=False)
    ]


def _ranked(row: pd.Series, tables: Tables) -> dict[str, Any]:
    return {
        **cell(row.to_dict()),
        "label": row["label"],
        "n": int(row["n"]),
        "judged": bool(row["judged"]),
        "survivors_only": bool(row["survivors_only"]),
        "above_floor": _above_floor(row["mean"], tables),
    }


def _limits(tables: Tables) -> dict[str, Any]:
    """How much is behind a number: training images, seeds, whether FIDs had settled; what the published runs had."""
    runs = tables.runs
    images = sorted(set(runs["training_images"].astype(int))) if "training_images" in runs else []
    seeds = sorted(set(runs.groupby("variant").size()))
    return {
        "images": " or ".join(map(str, images)) or NONE,
        "seeds": "–".join(map(str, dict.fromkeys([seeds[0], seeds[-1]]))),
        "one_seed": seeds[0] == 1,
        "published": PUBLISHED_RUNS,
        "settling": _settling(tables),
    }


def _settling(tables: Tables) -> list[dict[str, str]]:
    """By arm: how far FIDs of finished runs moved between the last checkpoints; [] where all by less than SETTLED."""
    curves = tables.over_training
    if curves.empty:
        return []
    finished = tables.runs.loc[tables.runs["outcome"] == "finished", "key"]
    whole = curves[curves["key"].isin(finished) & np.isfinite(curves["fid"]) & (curves["fid"] > 0)]
    rows, moved = [], False
    for arm, own in whole.sort_values("step").groupby("arm", sort=False):
        ends = [run.tail(2) for _, run in own.groupby("key") if len(run) > 2]
        if not ends:
            continue
        change = float(np.exp(np.mean([np.diff(np.log(run["fid"])) for run in ends]))) - 1
        share = float(np.median([1 - run["step"].iloc[0] / run["step"].iloc[1] for run in ends]))
        moved |= abs(change) >= SETTLED
        rows.append({"arm": str(arm), "change": f"{'rose' if change > 0 else 'fell'} by {percent(abs(change))}",
                     "share": percent(share)})  # fmt: skip
    return rows if moved else []


def _failure(run: Mapping[Any, Any]) -> dict[str, str]:
    return {
        "label": run["label"],
        "arm": run["arm"],
        "seed": str(run["seed"]),
        "outcome": outcome(run),
        "fid": text(run.get(HEADLINE)),
    }


def _measurement(provenance: Provenance, tables: Tables) -> dict[str, Any]:
    accuracy = provenance["classifier_accuracy"]
    return {
        "features": provenance["features"],
        "classifier_accuracy": None if accuracy is None else f"{100 * accuracy:.1f} %",
        "n_samples": provenance["n_samples"],
        "reference": provenance.get("reference", "evaluation"),
        "floor": text(floor_of(tables, HEADLINE)),
        "data": provenance["data"],
        "splits": [{"name": name, "images": images} for name, images in provenance["splits"].items()],
        "overlapping": bool(tables.runs["overlapping"].any()),
    }


def _provenance_rows(provenance: Provenance, runs: int) -> list[list[str]]:
    return [
        ["study", provenance["study"]],
        ["training runs", str(runs)],
        ["commit", ", ".join(provenance["commits"])],
        *([package, ", ".join(versions)] for package, versions in provenance["versions"].items()),
        ["device", ", ".join(provenance["devices"])],
        ["processor time", _duration(provenance["core_seconds"])],
        ["time of the jobs, one after the other", _duration(provenance["wall_seconds"])],
    ]


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return (
        f"{minutes // 60} h {minutes % 60} min"
        if minutes >= 60
        else f"{minutes} min {'' if minutes else '(less than one)'}".strip()
    )
