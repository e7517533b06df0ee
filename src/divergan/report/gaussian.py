"""What fills the chapter on normals fitted to a mixture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from divergan.chapters.gaussian import MEANS, SHARES, VARIANCES
from divergan.report.wording import MINUS, Tables, ranged, text


def gaussian(tables: Tables) -> dict[str, Any]:
    fits, crossed = tables["gaussian_fit"], tables["gaussian_cross"]
    bound = fits[fits["generator_loss"] == "bound"]
    other = fits[fits["generator_loss"] == "alternative"]
    own = crossed[crossed["generator_loss"] == "bound"]
    return {
        "mixture": [
            {"share": f"{share:g}", "mean": f"{mean:g}".replace("-", MINUS), "variance": f"{variance:g}"}
            for share, mean, variance in zip(SHARES, MEANS, VARIANCES, strict=True)
        ],
        "seeds": int(fits["n_runs"].max()),
        "failed": int((fits["n_runs"] - fits["n"]).sum()),
        "bound": [fitted(row) for row in bound.to_dict("records")],
        "alternative": [fitted(row) for row in other.to_dict("records")],
        "nearer": int((other["distance"] < other["distance_to_bound"]).sum()),
        "apart": int((~same_place(other)).sum()),
        "cross": cross(own),
        "lowest": lowest(own),
    }


def same_place(fits: pd.DataFrame) -> pd.Series:
    """Whether the loss's own optimum is the divergence's."""
    return (fits["exact_mean"] - fits["bound_mean"]).abs() + (fits["exact_std"] - fits["bound_std"]).abs() < 1e-4


def fitted(row: Mapping[Any, Any]) -> dict[str, Any]:
    cells = ("bound", "mean_error", "std_error", "distance", "distance_to_bound")
    return {
        "label": row["label"],
        "minimises": row["minimises"],
        "n": int(row["n"]),
        "n_runs": int(row["n_runs"]),
        **{name: f"{row[name]:.4f}" for name in ("exact", "exact_mean", "exact_std", "bound_mean", "bound_std")},
        **{name: ranged(row, name) for name in cells},
    }


def cross(own: pd.DataFrame) -> dict[str, Any]:
    """Every divergence (columns) at the normals that each objective (rows) led to; the lowest of a column is marked."""
    wide = own.pivot(index="trained", columns="measured", values="divergence")
    order = list(dict.fromkeys(own["trained"]))
    wide = wide.loc[order, order]
    labels = dict(own[["trained", "trained_label"]].drop_duplicates().to_numpy())
    return {
        "columns": [labels[name] for name in order],
        "rows": [
            {
                "label": labels[name],
                "cells": [
                    {"mean": text(wide.loc[name, column]), "lowest": bool(wide[column].idxmin() == name)}
                    for column in order
                ],
            }
            for name in order
        ],
    }


def lowest(own: pd.DataFrame) -> dict[str, int]:
    """In how many columns of the cross table the objective that is measured is the one that reached the least."""
    wide = own.pivot(index="trained", columns="measured", values="divergence")
    return {"own": sum(wide[name].idxmin() == name for name in wide.columns), "all": len(wide.columns)}
