"""What fills the chapter on disjoint supports."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor, isfinite, log10
from typing import Any

import numpy as np
import pandas as pd

from divergan.chapters.supports import NEAR, RULES, STARTS
from divergan.report.wording import MINUS, NONE, SUPERSCRIPT, Tables, ranged, text

GONE = 0.1  # of its highest look: a gradient below it counts as vanishing
HELD = 0.5  # |dL/dv| above it counts as not vanishing
INFINITE = "∞"
LARGE = 1e4  # beyond it a table tells the power of ten


def supports(tables: Tables) -> dict[str, Any]:
    """What the critic says while θ is frozen, where θ goes, and counts of what vanished and what was learned."""
    looks, arms = tables["supports_looks"], tables["supports_learning"]
    last = looks[looks["step"] == looks["step"].max()]
    return {
        "start": f"{tables['supports']['start'].iloc[0]:g}",
        "seeds": int(last["n_runs"].max()),
        "near": f"{NEAR:g}",
        "gone": f"{100 * GONE:g} %",
        "looks": {"first": f"{looks['step'].min():,}", "last": f"{looks['step'].max():,}"},
        "frozen": [frozen(row, looks) for row in last.to_dict("records")],
        "vanishing": vanishing(looks),
        "arms": [{"critic": critic, "rule": rule} for critic in STARTS for rule in RULES],
        "learning": [learned(own) for _, own in arms.groupby(["objective", "generator_loss"], sort=False)],
        "silent": silent(arms, last),
        "failed": int((arms["n_runs"] - arms["n"]).sum()),
    }


def frozen(row: Mapping[Any, Any], looks: pd.DataFrame) -> dict[str, Any]:
    """A loss at the last look, with the gradient at the first beside it."""
    own = looks[(looks["objective"] == row["objective"]) & (looks["generator_loss"] == row["generator_loss"])]
    first = own.sort_values("step").to_dict("records")[0]
    exact = float(row["exact"])
    return {
        "label": row["label"], "loss": row["generator_loss"], "n": int(row["n"]), "n_runs": int(row["n_runs"]),
        "exact": INFINITE if np.isinf(exact) else text(exact),
        "bound": ranged(row, "bound"), "pull": power(row["pull"]) or text(row["pull"]),
        "first": sized(first, "gradient"), "last": sized(row, "gradient"),
    }  # fmt: skip


def sized(row: Mapping[Any, Any], name: str) -> dict[str, str]:
    """A mean with its interval; one that is LARGE as a power of ten alone."""
    large = power(row[name])
    return {"mean": large, "low": NONE, "high": NONE} if large else ranged(row, name)


def power(value: float) -> str:
    """The power of ten next below a LARGE number, "10²⁹" or "−10²⁹"; empty for any other."""
    if not isfinite(value) or abs(value) < LARGE:
        return ""
    return f"{MINUS if value < 0 else ''}10{str(floor(log10(abs(value)))).translate(SUPERSCRIPT)}"


def vanishing(looks: pd.DataFrame) -> dict[str, int]:
    """Of the losses that stayed finite: how many end with nearly no gradient, and by dL/dv or by the critic's slope."""
    found = {"all": 0, "gone": 0, "by_score": 0, "by_slope": 0}
    for _, own in looks.groupby(["objective", "generator_loss"], sort=False):
        end = own.sort_values("step").to_dict("records")[-1]
        if end["n"] == 0:
            continue
        gone = bool(end["gradient"] < GONE * own["gradient"].max())
        held = bool(abs(end["pull"]) > HELD)
        found["all"] += 1
        found["gone"] += gone
        found["by_score"] += gone and not held
        found["by_slope"] += gone and held
    return found


def learned(own: pd.DataFrame) -> dict[str, Any]:
    """How many seeds of each arm ever overlap the data and end near 0, in the order of the arms."""
    by_arm = {(row["critic"], row["rule"]): row for row in own.to_dict("records")}
    cells = [reached(by_arm[critic, rule]) for critic in STARTS for rule in RULES]
    return {"label": own["label"].iloc[0], "loss": own["generator_loss"].iloc[0], "cells": cells}


def reached(row: Mapping[Any, Any]) -> dict[str, Any]:
    counts = {name: int(row[name]) for name in ("overlaps", "near", "n", "n_runs")}
    return counts | {"distance": ranged(row, "distance")}


def silent(arms: pd.DataFrame, last: pd.DataFrame) -> dict[str, Any]:
    """The runs of divergences that are infinite at every θ but 0, with a critic that starts with θ, by Adam."""
    infinite = last[np.isinf(last["exact"].astype(float))]
    own = arms[arms["objective"].isin(infinite["objective"]) & (arms["critic"] == "fresh") & (arms["rule"] == "adam")]
    labels = list(dict.fromkeys(infinite["label"])) or [NONE]
    return {"labels": labels, "near": int(own["near"].sum()), "runs": int(own["n_runs"].sum())}
