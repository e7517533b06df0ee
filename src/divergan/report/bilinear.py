"""What fills the chapter on bilinear games."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from divergan.chapters.bilinear import LOST, SHRUNK
from divergan.report.dynamics import decimals
from divergan.report.wording import NONE, Tables, ranged, text


def bilinear(tables: Tables) -> dict[str, Any]:
    """A table of radii and outcomes, one of where one stops, one of what never rises."""
    runs, summary = tables["bilinear"], tables["bilinear_summary"]
    conditions = list(dict.fromkeys(summary["condition"]))
    widest = summary[(summary["condition"] == max(conditions)) & (summary["dimension"] == summary["dimension"].max())]
    return {
        "dimensions": [str(n) for n in dict.fromkeys(summary["dimension"])],
        "conditions": [f"{c:g}" for c in conditions],
        "condition": f"{max(conditions):g}",
        "dimension": int(summary["dimension"].max()),
        "seeds": int(summary["n_runs"].max()),
        "games": len(runs),
        "as_foretold": int(summary["as_foretold"].sum()),
        "eigenvalue_error": text(float(summary["eigenvalue_error"].max())),
        "tolerance": f"{runs['tolerance'].iloc[0]:g}",
        "lost": f"{LOST:g}",
        "shrunk": f"{SHRUNK:g}",
        "rises": text(max(0.0, float(runs["rises"].max()))),
        "rows": [row_of(row) for row in widest.to_dict("records")],
        "stops": stops(runs),
        "forms": [form(str(rule), own) for rule, own in runs.groupby("rule", sort=False)],
    }


def row_of(row: Mapping[Any, Any]) -> dict[str, Any]:
    foretold = row["reached_foretold"]
    return {
        "rule": row["rule"], "step_size": f"{row['step_size']:g}", "radius": decimals(row["radius"], 5),
        "outcome": row["outcome"], "foretold": NONE if pd.isna(foretold) else f"{foretold:,.0f}",
        "reached": ranged(row, "reached") if row["reached_n"] == row["n_runs"] else nothing(),
        "gradient": ranged(row, "gradient") if row["gradient_n"] == row["n_runs"] else nothing(),
    }  # fmt: skip


def nothing() -> dict[str, str]:
    return {"mean": NONE, "low": NONE, "high": NONE}


def stops(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """By what is watched: how often it says stop, how far from the equilibrium at most, how often beyond the limit."""
    found = []
    for name in ("gradient", "payoff"):
        at = pd.to_numeric(runs[f"{name}_distance"])
        right = at <= runs["condition"] * runs["tolerance"] * (1 + 1e-9)
        found.append({
            "watched": name, "stopped": int(at.notna().sum()), "games": len(runs),
            "right": int(right.sum()), "farthest": text(float((at / runs["tolerance"]).max())),
            "lost": int((at.notna() & (runs["foretold"] != "converges")).sum()),
        })  # fmt: skip
    return found


def form(rule: str, own: pd.DataFrame) -> dict[str, Any]:
    """Which form never rises, and in how many of a rule's games."""
    counts = own["lyapunov"].value_counts()
    solved = pd.to_numeric(own["lyapunov_condition"]).max()
    return {
        "rule": rule,
        "games": len(own),
        "counts": [int(counts.get(name, 0)) for name in ("energy", "bent energy", "solved", "none")],
        "norm": text(float(own["norm"].max())),
        "condition": NONE if pd.isna(solved) else text(float(solved)),
    }
