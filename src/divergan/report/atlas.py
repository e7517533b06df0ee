"""What fills the atlas: of every loss and regulariser, the exact minimiser that training is nearest to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from divergan.figures.atlas import short
from divergan.report.wording import MINUS, NONE, Tables

LOSSES = {"bound": "bound", "alternative": "alt."}


def atlas(tables: Tables) -> dict[str, Any]:
    """For each target a table of landmarks and one of losses (rows) by regularisers (columns)."""
    exact, summary = tables["atlas_landmarks"], tables["atlas_summary"]
    regularisers = list(dict.fromkeys(summary["regulariser"]))
    return {
        "regularisers": regularisers,
        "noise": f"{exact['noise'].max():g}",
        "seeds": int(summary["n_runs"].max()),
        "runs": int(summary["n_runs"].sum()),
        "failed": int((summary["n_runs"] - summary["n"]).sum()),
        "counts": [counts(name, summary[summary["regulariser"] == name]) for name in regularisers],
        "alternative": alternative(summary),
        "targets": [
            {
                "label": own["target_label"].iloc[0],
                "landmarks": landmark_rows(exact[exact["target"] == target]),
                "rows": [
                    loss_row(of, regularisers) for _, of in own.groupby(["objective", "generator_loss"], sort=False)
                ],
            }
            for target, own in summary.groupby("target", sort=False)
        ],
    }


def true(column: pd.Series) -> int:
    """How many are true, of values that may be missing."""
    return int((column == True).sum())  # noqa: E712


def counts(name: str, own: pd.DataFrame) -> dict[str, Any]:
    """Of the losses trained under a regulariser, how many are nearest to what theory says and to what they are named.

    `shortest` counts where theory's minimiser is nearer than the divergence's own, among the losses where they differ.
    """
    known = own[own["theory"] != ""]
    apart = known[(known["nominal"] != "") & (known["theory"] != known["nominal"])]
    return {
        "regulariser": name, "losses": len(own), "known": len(known), "agree": true(known["agrees"]),
        "certain": true(known["agrees"] & known["certain"].eq(True)),
        "named": int((own["nominal"] != "").sum()), "nominal": true(own["is_nominal"]), "apart": len(apart),
        "shorter": int((apart["to_theory"] < apart["to_nominal"]).sum()),
    }  # fmt: skip


def alternative(summary: pd.DataFrame) -> dict[str, int]:
    """Of the alternative losses without regulariser whose theory is another divergence: nearer to which of the two."""
    own = summary[(summary["generator_loss"] == "alternative") & (summary["regulariser"] == "none")]
    found = counts("none", own)
    return {name: found[name] for name in ("apart", "shorter")}


def landmark_rows(exact: pd.DataFrame) -> list[dict[str, Any]]:
    """A row a landmark: its place without noise and with it."""
    noises = sorted(set(exact["noise"]))
    return [
        {"label": short(str(label)), "places": [place(own[own["noise"] == noise]) for noise in noises]}
        for label, own in exact.groupby("landmark", sort=False)
    ]


def place(own: pd.DataFrame) -> dict[str, str]:
    return {name: numbers(own.iloc[0], name) for name in ("mean", "std")}


def numbers(row: pd.Series, name: str) -> str:
    """One number, or two in brackets."""
    own = [row[f"{name}_{i}"] for i in (1, 2) if not pd.isna(row[f"{name}_{i}"])]
    printed = ", ".join(f"{value + 0.0:.4f}" for value in own).replace("-", MINUS)
    return f"({printed})" if len(own) > 1 else printed


def loss_row(of: pd.DataFrame, regularisers: list[str]) -> dict[str, Any]:
    by_name = {row["regulariser"]: row for row in of.to_dict("records")}
    first = of.iloc[0]
    return {
        "label": first["label"], "loss": LOSSES[first["generator_loss"]],
        "theory": " or ".join(short(name) for name in dict.fromkeys(of["theory"]) if name) or NONE,
        "cells": [cell(by_name.get(name)) for name in regularisers],
    }  # fmt: skip


def three_decimals(row: Mapping[Any, Any], name: str) -> dict[str, str]:
    """A distance and its interval; a whole column reads alike."""
    mean, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    ends = [NONE if pd.isna(end) else f"{end:.3f}".replace("-", MINUS) for end in (low, high)]
    return {"mean": f"{mean:.3f}", "low": ends[0], "high": ends[1]}


def cell(row: Mapping[Any, Any] | None) -> dict[str, Any] | None:
    """The nearest landmark and the distance to it; None where the loss was not trained so."""
    if row is None:
        return None
    if not row["n"]:
        return {"nearest": "diverged", "distance": {"mean": NONE, "low": NONE, "high": NONE},
                "agrees": False, "certain": False, "share": "", "theory": ""}  # fmt: skip
    seeds = round(row["share"] * row["n"])
    return {
        "nearest": short(str(row["nearest"])), "distance": three_decimals(row, "distance"),
        "agrees": row["agrees"] is True or row["agrees"] == 1, "certain": bool(row["certain"]),
        "share": "" if seeds == row["n"] == row["n_runs"] else f"{seeds}/{row['n']}",
        "theory": "" if pd.isna(row["to_theory"]) else f"{row['to_theory']:.3f}",
    }  # fmt: skip
