"""What fills the chapter on the tightness of the bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from divergan.report.wording import MINUS, NONE, Tables, ranged, text


def bounds(tables: Tables) -> dict[str, Any]:
    """A table for each number of points: every objective and dimension, at the last look, with the widest critic."""
    rows, summary = tables["bounds"], tables["bounds_summary"]
    last = summary[(summary["step"] == summary["step"].max()) & (summary["hidden"] == summary["hidden"].max())]
    dimensions = list(dict.fromkeys(last["dimension"]))
    distance = float(rows["distance"].iloc[0])
    return {
        "distance": f"{distance:g}",
        "dimensions": [str(d) for d in dimensions],
        "hidden": int(last["hidden"].iloc[0]),
        "seeds": int(last["n_runs"].max()),
        "failed": int((last["n_runs"] - last["n"]).sum()),
        "tables": [
            {
                "steps": f"{int(own['step'].iloc[0]):,}",
                "points": "ever fresh points" if points == 0 else f"{points:,} points a side",
                "rows": [bound_row(of, own, dimensions) for _, of in own.groupby("objective", sort=False)],
            }
            for points, own in last.groupby("points", sort=False)
        ],
    }


def percent(row: Mapping[Any, Any], name: str) -> str:
    """A share with its interval, in whole per cent; one beyond ten times is told as that."""
    shares = [row[name], row[f"{name}_low"], row[f"{name}_high"]]
    if any(pd.isna(share) for share in shares) or max(map(abs, shares)) > 10:
        return NONE if pd.isna(shares[0]) else "over 1000 %" if shares[0] > 10 else f"{100 * shares[0]:.0f} %"
    mean, low, high = (str(round(100 * share)).replace("-", MINUS) for share in shares)
    return f"{mean} % [{low}, {high}]"


def bound_row(of: pd.DataFrame, all_rows: pd.DataFrame, dimensions: Sequence[int]) -> dict[str, Any]:
    by_dimension = of.set_index("dimension")
    best = all_rows.groupby("dimension")["ratio_error"].min()
    return {
        "label": of["label"].iloc[0],
        "exact": text(float(of["exact"].iloc[0])),
        "cells": [
            {
                "gap": percent(dict(by_dimension.loc[d]), "gap"),
                "error": ranged(dict(by_dimension.loc[d]), "ratio_error"),
                "best": bool(by_dimension.loc[d, "ratio_error"] == best[d]),
            }
            for d in dimensions
        ],
    }
