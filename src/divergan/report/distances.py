"""What fills the chapter on learned distances."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

import pandas as pd

from divergan.report.wording import MINUS, NONE, Tables, text

RATIO = {"mean": "ratio", "low": "ratio_low", "high": "ratio_high"}
FAR = 10.0  # times the divergence: a bound that much below nothing is told as that


def distances(tables: Tables) -> dict[str, Any]:
    learned, relaxed = tables["distances_learned_summary"], tables["distances_relaxed_summary"]
    last = learned[learned["step"] == learned["step"].max()]
    points = tables["distances_relaxed"].iloc[0]
    return {
        "seeds": int(learned["n_runs"].max()),
        "steps": f"{int(learned['step'].max()):,}",
        "pairs": [
            {"label": own["pair_label"].iloc[0], "dimension": str(own["dimension"].iloc[0]),
             "exact": f"{own['exact'].iloc[0]:.4f}"}
            for _, own in last.groupby(["pair", "dimension"], sort=False)
        ],
        "ways": [way_row(own) for _, own in last.groupby("way", sort=False)],
        "plug_in": sampled_table(tables["distances_plug_in"], [("", "")]),
        "draws": int(tables["distances_plug_in"]["draws"].iloc[0]),
        "kernels": [
            {"label": own["label"].iloc[0], **sampled_table(own, [("unbiased_", "unbiased"), ("biased_", "biased")])}
            for _, own in tables["distances_discrepancy"].groupby("kernel", sort=False)
        ],
        "mmd_draws": int(tables["distances_discrepancy"]["draws"].iloc[0]),
        **covered(tables["distances_discrepancy"]),
        "relaxed": {
            "points": f"{int(points['points']):,}",
            "dimension": int(points["dimension"]),
            "steps": f"{int(relaxed['step'].max()):,}",
            "objectives": [objective_rows(own) for _, own in relaxed.groupby("objective", sort=False)],
        },
        "failed": int((last["n_runs"] - last["n"]).sum()) + failed_at_last(relaxed),
    }  # fmt: skip


def failed_at_last(relaxed: pd.DataFrame) -> int:
    last = relaxed[relaxed["step"] == relaxed["step"].max()]
    return int((last["n_runs"] - last["n"]).sum())


def way_row(own: pd.DataFrame) -> dict[str, Any]:
    """A way to hold the critic: of each pair its estimate over the exact one, the theory's, and its steepest slope."""
    return {
        "label": own["way_label"].iloc[0],
        "cells": [
            {
                "ratio": {end: decimals(row[name]) for end, name in RATIO.items()},
                "foretold": decimals(row["foretold"]),
                "slope": text(row["slope"]),
            }
            for row in own.to_dict("records")
        ],
    }


def decimals(value: float) -> str:
    return NONE if pd.isna(value) else f"{value:.3f}".replace("-", MINUS)


def sampled_table(own: pd.DataFrame, estimators: list[tuple[str, str]]) -> dict[str, Any]:
    """A row a dimension and estimator: the exact value, and mean and interval at each number of points."""
    rows = []
    for d, of in own.groupby("dimension", sort=False):
        for prefix, name in estimators:
            cells = [estimate_cell(row, prefix) for row in of.to_dict("records")]
            rows.append({"dimension": str(d), "name": name, "exact": text(of["exact"].iloc[0]), "cells": cells})
    return {"points": [f"{int(n):,}" for n in dict.fromkeys(own["points"])], "rows": rows}


def estimate_cell(row: Mapping[Any, Any], prefix: str) -> dict[str, str]:
    mean, low, high, std = (row[f"{prefix}{name}"] for name in ("mean", "low", "high", "std"))
    return {"mean": text(mean), "low": text(low, mean), "high": text(high, mean), "std": text(std, mean)}


def covered(rows: pd.DataFrame) -> dict[str, int]:
    """In how many cells the interval holds the exact mean of each estimator."""
    biased = rows["exact"] + rows["exact_bias"]
    return {
        "cells": len(rows),
        "unbiased_covered": int(rows["exact"].between(rows["unbiased_low"], rows["unbiased_high"]).sum()),
        "biased_covered": int(biased.between(rows["biased_low"], rows["biased_high"]).sum()),
    }


def objective_rows(own: pd.DataFrame) -> dict[str, Any]:
    return {
        "label": own["label"].iloc[0],
        "exact": text(own["exact"].iloc[0]),
        "rows": [restriction_row(of) for _, of in own.groupby(["restriction", "schedule"], sort=False)],
    }


def restriction_row(of: pd.DataFrame) -> dict[str, Any]:
    """Shares of the divergence at the last look, and at the look that is the best in the mean."""
    looks = of.to_dict("records")
    last, best = looks[-1], max(looks, key=lambda look: -inf if pd.isna(look["share"]) else look["share"])
    return {
        "restriction": last["restriction_label"],
        "schedule": "" if last["restriction"] == "none" else last["schedule"],
        "last": share(last, "share"),
        "seen": share(last, "share_seen"),
        "best": share(best, "share"),
        "best_step": f"{int(best['step']):,}",
    }


def share(row: Mapping[Any, Any], name: str) -> dict[str, str]:
    """Whole per cent with its interval; far from the divergence, that it is."""
    mean, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if pd.isna(mean) or abs(mean) > FAR:
        told = NONE if pd.isna(mean) else f"{'over ' if mean > 0 else f'below {MINUS}'}{100 * FAR:.0f} %"
        return {"mean": told, "low": NONE, "high": NONE}
    ends = [NONE if pd.isna(value) else f"{100 * value:.0f}".replace("-", MINUS) for value in (low, high)]
    return {"mean": f"{100 * mean:.0f} %".replace("-", MINUS), "low": ends[0], "high": ends[1]}
