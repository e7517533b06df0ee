"""What fills the chapter on what converges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from divergan.chapters.dynamics import REACHED
from divergan.report.wording import MINUS, NONE, Tables

EDGE = 1e-3  # of the spectral radius: nearer to 1 a path of some thousand steps does not tell


def dynamics(tables: Tables) -> dict[str, Any]:
    """Counts of outcomes by regulariser and rule, and how far the eigenvalues foretell them."""
    rows = tables["dynamics"]
    foretold = rows[rows["radius"].notna()]
    known = foretold[(foretold["radius"] - 1).abs() > EDGE]
    agree = (known["radius"] < 1) == (known["outcome"] == "converges")
    return {
        "games": len(rows[["objective", "generator_loss"]].drop_duplicates()),
        "regularisers": list(dict.fromkeys(rows["regulariser"])),
        "rules": [
            {"name": rule, "cells": [count(rows, rule, name) for name in dict.fromkeys(rows["regulariser"])]}
            for rule in dict.fromkeys(rows["rule"])
        ],
        "combinations": len(rows),
        "foretold": {"known": len(known), "agree": int(agree.sum())},
        "plain": [plain(row) for row in rows[(rows["rule"] == "alternating")].to_dict("records")
                  if row["regulariser"] in ("none", "r1")],
        "energy": energy(rows),
        "reached": f"{REACHED:g}",
        "edge": f"{EDGE:g}",
    }  # fmt: skip


def count(rows: pd.DataFrame, rule: str, regulariser: str) -> dict[str, Any]:
    """In how many games it converges; None where the rule was not followed under this regulariser."""
    own = rows[(rows["rule"] == rule) & (rows["regulariser"] == regulariser)]
    converged = int((own["outcome"] == "converges").sum())
    return {"converges": converged, "games": len(own), "all": converged == len(own), "none": converged == 0}


def plain(row: Mapping[Any, Any]) -> dict[str, str]:
    return {
        "label": row["label"], "loss": row["generator_loss"], "regulariser": row["regulariser"],
        "real": decimals(row["real"]), "imaginary": decimals(row["imaginary"]), "radius": decimals(row["radius"], 4),
        "outcome": row["outcome"], "falls": "yes" if row["falls"] else "no",
    }  # fmt: skip


def decimals(value: float, places: int = 3) -> str:
    return NONE if pd.isna(value) else f"{value + 0.0:.{places}f}".replace("-", MINUS)


def energy(rows: pd.DataFrame) -> dict[str, int]:
    """In how many of the games of either loss θ² + ψ² rises nowhere, without a regulariser and with R1."""
    one = rows[rows["rule"] == rows["rule"].iloc[0]]

    def falling(loss: str, regulariser: str) -> int:
        return int(one.loc[(one["generator_loss"] == loss) & (one["regulariser"] == regulariser), "falls"].sum())

    return {
        "games": int(one["objective"].nunique()),
        **{f"{loss}_none": falling(loss, "none") for loss in ("bound", "alternative")},
        **{f"with_{loss}": falling(loss, "r1") for loss in ("bound", "alternative")},
    }
