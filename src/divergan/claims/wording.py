"""The evidence for a claim as people read it."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, floor, inf, isfinite, isnan, log10
from typing import Any

MINUS = "\N{MINUS SIGN}"


def evidence(row: Mapping[Any, Any]) -> str:
    """One short phrase from a row of claims.csv: "FID 2.1 times as high [1.5, 2.9] at 95 %, 5 pairs, paired t"."""
    if row["test"] == "definition":
        return str(row["method"])
    if row["test"] == "same_weights" and row["n_x"] > 0:
        return f"equal weights at {round(row['effect'] * row['n_x'])} of {row['n_x']} seeds"
    if row["scale"] == "value":
        return value(row)
    if row["scale"] == "none" or isnan(row["low"]):
        return ""
    shown = exponential if row["scale"] == "ratio" else float
    ends = ", ".join(number(shown(row[end])) for end in ("low", "high"))
    level = f"{100 * row['level']:.4g} %"
    basis = row["method"] if row["test"] == "failures" else f"{sample(row)}, {row['method']}"
    return f"{size(row, number(shown(row['effect'])))} [{ends}] at {level}, {basis}"


def size(row: Mapping[Any, Any], effect: str) -> str:
    """The effect, with what it is an effect on."""
    if row["metric"] == "evaluations":
        return f"{effect} times as many evaluations an image"
    return {
        "spread": f"standard deviation {effect} times as large",
        "seeds": f"FIDs {effect} times apart",
        "failures": f"difference of the shares of failed runs {effect}",
        "outweighs": f"share of seeds at which arms are further apart than losses {effect}",
        "order": f"tau {effect}",
    }.get(row["test"], f"{quantity(row)} {effect} times as high")


def quantity(row: Mapping[Any, Any]) -> str:
    return {"fid": "FID"}.get(row["metric"], str(row["metric"]).replace("_", " "))


def sample(row: Mapping[Any, Any]) -> str:
    if row["test"] in ("order", "outweighs"):
        return f"{row['n_x']} seeds"
    if "paired t" in row["method"] or row["method"].endswith(", paired"):
        return f"{row['n_x']} pairs"
    return f"{row['n_x']} against {row['n_y']} runs"


def value(row: Mapping[Any, Any]) -> str:
    """Ours, where one further run of ours falls, and the published number."""
    interval = "" if isnan(row["low"]) else f", a further run in [{number(row['low'])}, {number(row['high'])}]"
    ours = f"{quantity(row)} {number(row['effect'])}" if isfinite(row["effect"]) else f"{quantity(row)} without a mean"
    return f"{ours}{interval}, published {row['published']:g}, {row['n_x']} runs"


def exponential(value: float) -> float:
    return inf if value > 700 else exp(value)  # exp overflows at 710; an interval may have no end


def number(value: float) -> str:
    """Three significant digits."""
    if not isfinite(value):
        return "–" if isnan(value) else ("∞" if value > 0 else f"{MINUS}∞")
    digits = max(0, 2 - floor(log10(abs(value)))) if value else 0
    return f"{value:.{min(digits, 6)}f}".replace("-", MINUS)
