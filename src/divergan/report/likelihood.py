"""What fills the chapter on likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from divergan.report.wording import NONE, Tables, ranged, text

INFINITE = "∞"


def likelihood(tables: Tables) -> dict[str, Any]:
    """A table of models at the fewest and the most dimensions, one of divergences, one of Parzen windows."""
    models, windows = tables["likelihood_summary"], tables["likelihood_parzen_summary"]
    noise = tables["likelihood_divergences_summary"]
    dimensions = list(dict.fromkeys(models["dimension"]))
    last = windows[windows["dimension"] == dimensions[-1]]
    return {
        "dimensions": [str(d) for d in dimensions],
        "seeds": int(models["n"].max()),
        "noisy": models.loc[models["model"] == "noisy", "label"].iloc[0],
        "ceiling": text(float(noise.loc[noise["divergence"] == "kl", "ceiling"].iloc[0])),
        "models": [
            {"dimension": str(d), "rows": [model_row(row) for row in own.to_dict("records") if row["model"] != "data"]}
            for d, own in models.groupby("dimension", sort=False)
            if d in (dimensions[0], dimensions[len(dimensions) // 2], dimensions[-1])
        ],
        "overtaken": overtaken(models),
        "divergences": [divergence_row(own) for _, own in noise.groupby("divergence", sort=False)],
        "fewest": str(dimensions[0]),
        "most": str(dimensions[-1]),
        "parzen": [parzen_row(own, dimensions) for _, own in windows.groupby("model", sort=False)],
        "flattered": [row["label"] for row in last.to_dict("records") if row["flattered_low"] > 0],
        "compared": int((last["model"] != "data").sum()),
    }


def model_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "label": row["label"],
        "exact": exact_below(row),
        "below": ranged(row, "below"),
        "seen": ranged(row, "below_seen"),
        "exact_good": exactly(percent(row["exact_good"])),
        "good": percents(row, "good"),
        "exact_accuracy": exactly(percent(row["exact_accuracy"])),
        "accuracy": percents(row, "accuracy"),
    }


def exact_below(row: Mapping[Any, Any]) -> str:
    """A number, or the two ends that it lies between."""
    if not pd.isna(row["exact_below"]):
        return exactly(text(row["exact_below"]))
    return f"from {text(row['below_least'])} to {text(row['below_most'])}"


def exactly(number: str) -> str:
    return "" if number == NONE else f"exactly {number}"


def percent(share: float) -> str:
    return NONE if pd.isna(share) else f"{100 * share:.1f}"


def percents(row: Mapping[Any, Any], name: str) -> dict[str, str]:
    low, high = (percent(row[f"{name}_{end}"]) for end in ("low", "high"))
    return {"mean": percent(row[name]), "low": NONE if low == high else low, "high": NONE if low == high else high}


def overtaken(models: pd.DataFrame) -> list[dict[str, str]]:
    """From how many dimensions on each model has the lower likelihood than the noisy one, in the mean."""
    wide = models.pivot(index="dimension", columns="model", values="below")
    labels = dict(models[["model", "label"]].drop_duplicates("model").to_numpy())
    found = []
    for name in ("shifted", "scaled", "memoriser", "smoothed"):
        worse = wide.index[wide[name] > wide["noisy"]]
        found.append({"label": labels[name], "from": str(worse.min()) if len(worse) else NONE})
    return found


def divergence_row(own: pd.DataFrame) -> dict[str, Any]:
    """A divergence of the noisy model at the fewest and the most dimensions, its ceiling, and the most it can be."""
    first, last = own.iloc[0], own.iloc[-1]
    ceiling, most = (INFINITE if pd.isna(last[name]) else text(last[name]) for name in ("ceiling", "most"))
    share = f"{100 * last['ceiling'] / last['most']:.0f} %" if INFINITE not in (ceiling, most) else NONE
    return {
        "label": last["label"],
        "first": {"exact": exactly(text(first["exact"])), "measured": ranged(dict(first), "measured")},
        "last": {"exact": exactly(text(last["exact"])), "measured": ranged(dict(last), "measured")},
        "ceiling": ceiling,
        "most": most,
        "share": share,
    }


def parzen_row(own: pd.DataFrame, dimensions: list[int]) -> dict[str, Any]:
    """What a window says of a model at each number of dimensions, and the likelihood that it has at the last."""
    by_dimension = own.set_index("dimension")
    last = by_dimension.loc[dimensions[-1]]
    return {
        "label": last["label"],
        "exact": INFINITE if pd.isna(last["exact_below"]) else text(last["exact_below"]),
        "cells": [ranged(dict(by_dimension.loc[d]), "parzen_below") for d in dimensions],
        "flattered": NONE if last["model"] == "data" else ranged(dict(last), "flattered"),
    }
