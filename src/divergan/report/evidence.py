"""The evidence as the report prints it: verdicts, controls, agreement of features, what one run can tell, ablation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from divergan.claims.findings import NOT_RUN, VERDICTS
from divergan.claims.judging import ALPHA
from divergan.claims.wording import evidence, exponential, number
from divergan.figures import Tables
from divergan.figures.ablation import failed
from divergan.figures.claims import family_title
from divergan.report.wording import NONE, source, text
from divergan.statistics import seeds_needed
from divergan.training import COLLAPSED_SPREAD

EXACT = ("definition", "same_weights")  # tests without chance
WORDS = {"arm": "", "direction": "", "reason": "", "method": ""}  # columns whose empty cells a CSV file reads as NaN


def evidence_values(tables: Tables) -> dict[str, Any]:
    """A key for each table of the evidence, [] where the study has none."""
    return {
        "claims": _families(_run(tables.claims)),
        "claim_families": _by_family(tables.claims),
        "claims_not_run": _not_run(tables.claims),
        "claim_counts": _counts(tables.claims),
        "claims_exact": _counts(tables.claims[tables.claims["test"].isin(EXACT)]) if len(tables.claims) else [],
        "judging": {
            "collapsed": percent(COLLAPSED_SPREAD),
            "family_error": f"{100 * ALPHA:g} %",
            "power": f"{100 * (seeds_needed.__kwdefaults__ or {})['power']:g} %",  # the one that judging uses
        },
        "controls": [_control(row) for row in tables.controls.to_dict("records")],
        "agreement": [_pair(row) for row in tables.agreement.to_dict("records")],
        "one_run": [_chances(row) for row in tables.one_run.to_dict("records")],
        "variance": [_share(row) for row in tables.variance.to_dict("records")],
        "arm_effects": [_beside(row) for row in tables.arm_effects.to_dict("records")],
        "arms_apart": _arms_apart(tables.arm_effects),
        "least_agreement": [_pair(row) for row in tables.agreement.nsmallest(1, "tau").to_dict("records")]
        if len(tables.agreement)
        else [],
        "best_by_features": _best_by_features(tables.feature_fids, tables.runs),
        **_ablation(tables.ablation),
    }


def percent(value: float) -> str:
    """A share as printed; those that only round to none or all are said to be below or above."""
    if pd.isna(value):
        return NONE
    if 0 < value < 0.005:
        return "< 1 %"
    return "> 99 %" if 0.995 < value < 1 else f"{100 * value:.0f} %"


def _p(value: float) -> str:
    if pd.isna(value):
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _run(claims: pd.DataFrame) -> pd.DataFrame:
    """The claims of which this study ran something in any arm."""
    return claims if claims.empty else claims[~claims["says"].isin(_not_run(claims))]


def _not_run(claims: pd.DataFrame) -> list[str]:
    """What the claims say of which this study ran nothing."""
    if claims.empty:
        return []
    unrun = (claims["verdict"] == NOT_RUN).groupby(claims["says"], sort=False).all()
    return list(unrun.index[unrun])


def _by_family(claims: pd.DataFrame) -> list[dict[str, Any]]:
    """A row a family: how many of its verdicts are which."""
    if claims.empty:
        return []
    return [
        {"name": family_title(str(name)), "counts": {verdict: str(n) for verdict, n in own.value_counts().items()}}
        for name, own in claims.groupby("family", sort=False)["verdict"]
    ]


def _families(claims: pd.DataFrame) -> list[dict[str, Any]]:
    """The claims by family, each with a row for every arm in which it was judged."""
    if claims.empty:
        return []
    return [
        {
            "name": family_title(str(name)),
            "claims": [_claim(rows) for _, rows in own.groupby("id", sort=False)],
        }
        for name, own in claims.fillna(WORDS).groupby("family", sort=False)
    ]


def _claim(rows: pd.DataFrame) -> dict[str, Any]:
    first = rows.iloc[0]
    return {
        "says": first["says"],
        "margin": _margin(rows),
        "source": source(first["source"]),
        "rows": [_judged(row) for row in rows.to_dict("records")],
    }


def _margin(rows: pd.DataFrame) -> str:
    """The margin of a claim's ratio as printed; empty where it asks for any difference, or has no ratio."""
    stated = rows.loc[(rows["scale"] == "ratio") & rows["margin"].notna() & (rows["margin"] != 0), "margin"]
    return "" if stated.empty else number(exponential(abs(stated.iloc[0])))


def _judged(row: Mapping[Any, Any]) -> dict[str, str]:
    return {
        "arm": row["arm"],
        "evidence": evidence(row),
        "reason": row["reason"].split(": ")[0] if row["reason"].startswith("not run") else row["reason"],
        "p": _p(row["p_adjusted"]),
        "verdict": row["verdict"],
        "seeds": NONE if pd.isna(row["seeds_needed"]) else f"{row['seeds_needed']:.0f}",
    }


def _counts(claims: pd.DataFrame) -> list[dict[str, Any]]:
    """How often each verdict was given, in the order of VERDICTS."""
    if claims.empty:
        return []
    found = claims["verdict"].value_counts()
    return [
        {"verdict": verdict, "n": int(found[verdict])}
        for verdict in VERDICTS
        if verdict in found and verdict != NOT_RUN  # of what was not run there is no verdict
    ]


def _control(row: Mapping[Any, Any]) -> dict[str, str]:
    return {
        "label": row["label"],
        "value": text(row["value"]),
        "beside": text(row["beside"]),
        "beside_label": row["beside_label"],
        "says": row["says"],
    }


def _pair(row: Mapping[Any, Any]) -> dict[str, str]:
    tau, low, high = (
        NONE if pd.isna(row[name]) else f"{round(row[name], 2) + 0.0:.2f}" for name in ("tau", "low", "high")
    )
    minus = str.maketrans("-", "\N{MINUS SIGN}")
    return {
        "a": row["a_label"],
        "b": row["b_label"],
        "mean": tau.translate(minus),
        "low": low.translate(minus),
        "high": high.translate(minus),
        "seeds": f"{row['seeds']:.0f}",
    }


def _chances(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "arm": row["arm"],
        "variants": int(row["variants"]),
        "seeds": int(row["seeds"]),
        **{question: percent(row[question]) for question in ("pair", "best", "order")},
    }


def _share(row: Mapping[Any, Any]) -> dict[str, str]:
    return {
        "arm": row["arm"],
        "factor": row["factor"],
        "mean": percent(row["share"]),
        "low": percent(row["low"]),
        "high": percent(row["high"]),
    }


def _beside(row: Mapping[Any, Any]) -> dict[str, Any]:
    effect = row["effect"]
    return {
        **{name: row[name] for name in ("label", "arm", "against")},
        "mean": text(effect),
        **{end: text(row[end], effect) for end in ("low", "high")},
        "level": NONE if pd.isna(row["level"]) else f"{100 * row['level']:.4g} %",
        "p": _p(row["p_adjusted"]),
        "pairs": f"{row['n']:.0f}",
        "failed": int(row["failed"]),
    }


def _arms_apart(effects: pd.DataFrame) -> list[dict[str, Any]]:
    """An arm beside another: the least and the greatest of its variants' ratios, and how many are significant."""
    if effects.empty:
        return []
    return [
        {
            "arm": arm,
            "against": against,
            "variants": len(own),
            "sure": int((own["p_adjusted"] < ALPHA).sum()),
            "least": number(own["effect"].min()),
            "most": number(own["effect"].max()),
        }
        for (arm, against), own in effects[effects["effect"].notna()].groupby(["arm", "against"], sort=False)
    ]


def _best_by_features(fids: pd.DataFrame, runs: pd.DataFrame) -> list[dict[str, Any]]:
    """By arm: the variants that some feature set puts first by mean log FID, with how many sets do.

    Of the variants all of whose runs finished, and that have as many runs as any: the others' means are of other seeds.
    """
    if fids.empty or fids["features"].nunique() < 2:
        return []
    finished = fids[(fids["outcome"] == "finished") & (fids["fid"] > 0)].assign(log_fid=lambda t: np.log(t["fid"]))
    rows = []
    for arm, own in finished.groupby("arm", sort=False):
        counted = runs[runs["arm"] == arm].groupby("variant")["outcome"]
        whole = [v for v, ended in counted if len(ended) == counted.size().max() and (ended == "finished").all()]
        means = own[own["variant"].isin(whole)].groupby(["features", "variant"], sort=False)["log_fid"].mean().unstack()
        if means.shape[1] > 1:
            labels = own.drop_duplicates("variant").set_index("variant")["label"]
            first = means.idxmin(axis="columns").value_counts()
            rows.append({"arm": str(arm), "sets": len(means),
                         "first": [{"label": labels[str(v)], "n": int(n)} for v, n in first.items()]})  # fmt: skip
    return rows


def _ablation(ablation: pd.DataFrame) -> dict[str, Any]:
    """A row for each objective and regulariser with a cell for each generator loss; what was picked, and by what."""
    if ablation.empty:
        return {"ablation": [], "ablation_losses": [], "ablation_picked": [], "ablation_by_rule": False}
    rows = ablation.groupby(["label", "regulariser"], sort=False)
    picked = ablation.loc[ablation["picked"], ["label", "generator_loss", "regulariser"]]
    return {
        "ablation": [
            {
                "label": label,
                "regulariser": regulariser,
                "cells": {cell["generator_loss"]: _cell(cell) for cell in own.to_dict("records")},
            }
            for (label, regulariser), own in rows
        ],
        "ablation_losses": list(ablation["generator_loss"].unique()),
        "ablation_picked": picked.to_dict("records"),
        "ablation_by_rule": picked_by_rule(ablation),
    }


def _cell(cell: Mapping[Any, Any]) -> dict[str, Any]:
    fid = cell["fid"]
    ends = {end: text(cell[end], fid) for end in ("low", "high")}
    return {"mean": text(fid), **ends, "failed": failed(cell), "picked": bool(cell["picked"])}


def picked_by_rule(ablation: pd.DataFrame) -> bool:
    """Whether each objective's pick is its cell of the fewest failed runs and, of these, the lowest FID."""
    best = ablation.sort_values(["n_failed", "fid"], kind="stable").drop_duplicates("objective").index
    return set(best) == set(ablation.index[ablation["picked"]])
