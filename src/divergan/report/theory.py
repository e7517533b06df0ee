"""What fills the report on known densities: the chapters' tables as the numbers and words of values.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from divergan.chapters.dynamics import REACHED
from divergan.chapters.modes import MEASURED, MIXTURES, PUBLISHED_STEPS
from divergan.comparison import CONFIDENCE
from divergan.figures.theory import FIGURES
from divergan.report.wording import MINUS, NONE, source, text

Tables = Mapping[str, pd.DataFrame]


def theory_values(
    tables: Tables,
    settings: Mapping[str, Any],
    facts: Sequence[Mapping[str, Any]],
    timings: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """`settings` are the report step's; `facts` and `timings` the run.json and timing.json of all that it rests on."""
    chapters = settings["chapters"]
    return {
        **settings["study"],
        "confidence": f"{100 * CONFIDENCE:g} %",
        "chapters": chapters,
        "figures": {figure.name: figure.caption(tables) for name in chapters for figure in FIGURES[name]},
        "provenance": provenance(settings, facts, timings),
        **{name: VALUES[name](tables) for name in chapters},
    }


def provenance(
    settings: Mapping[str, Any], facts: Sequence[Mapping[str, Any]], timings: Sequence[Mapping[str, Any]]
) -> list[list[str]]:
    machines = [fact["environment"] for fact in facts]
    packages = dict.fromkeys(name for machine in machines for name in machine["packages"])

    def distinct(values: Any) -> str:
        return ", ".join(sorted({str(value) for value in values}))

    return [
        ["study", settings["study"]["study"]],
        ["jobs", str(len(facts))],
        ["commit", distinct(fact["commit"] or "none" for fact in facts)],
        ["Python", distinct(machine["python"] for machine in machines)],
        *([name, distinct(machine["packages"][name] or "absent" for machine in machines)] for name in packages),
        ["device", distinct(f"{m['device']}, {m['threads']} threads, {m['processor']}" for m in machines)],
        ["processor time", f"{sum(t['cpu_seconds'] for t in timings) / 60:.0f} min"],
    ]


def gaussian(tables: Tables) -> dict[str, Any]:
    fits, crossed = tables["gaussian_fit"], tables["gaussian_cross"]
    bound = fits[fits["generator_loss"] == "bound"]
    other = fits[fits["generator_loss"] == "alternative"]
    own = crossed[crossed["generator_loss"] == "bound"]
    return {
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
    cells = ("bound", "divergence", "mean", "std", "mean_error", "std_error", "distance", "distance_to_bound")
    return {
        "label": row["label"],
        "minimises": row["minimises"],
        "n": int(row["n"]),
        "n_runs": int(row["n_runs"]),
        **{name: f"{row[name]:.4f}" for name in ("exact", "exact_mean", "exact_std", "bound_mean", "bound_std")},
        **{name: ranged(row, name) for name in cells},
    }


def ranged(row: Mapping[Any, Any], name: str) -> dict[str, str]:
    """A mean with its interval, which has the decimals of the mean."""
    low, high = (text(row[f"{name}_{end}"], row[name]) for end in ("low", "high"))
    return {"mean": text(row[name]), "low": NONE if low == high else low, "high": NONE if low == high else high}


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


def dynamics(tables: Tables) -> dict[str, Any]:
    """Counts of outcomes by regulariser and rule, and how far the eigenvalues foretell them."""
    rows = tables["dynamics"]
    foretold = rows[rows["radius"].notna()]
    known = foretold[(foretold["radius"] - 1).abs() > EDGE]
    agree = (known["radius"] < 1) == (known["outcome"] == "converges")
    settings = rows[["regulariser", "rule"]].drop_duplicates()
    return {
        "games": len(rows[["objective", "generator_loss"]].drop_duplicates()),
        "regularisers": list(dict.fromkeys(rows["regulariser"])),
        "rules": [
            {"name": rule, "cells": [count(rows, rule, name) for name in dict.fromkeys(rows["regulariser"])]}
            for rule in dict.fromkeys(rows["rule"])
        ],
        "combinations": len(rows),
        "settings": len(settings),
        "foretold": {"known": len(known), "agree": int(agree.sum())},
        "plain": [plain(row) for row in rows[(rows["rule"] == "alternating")].to_dict("records")
                  if row["regulariser"] in ("none", "r1")],
        "energy": energy(rows),
        "reached": f"{REACHED:g}",
        "edge": f"{EDGE:g}",
    }  # fmt: skip


EDGE = 1e-3  # of the spectral radius: nearer to 1 a path of some thousand steps does not tell


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


def modes(tables: Tables) -> dict[str, Any]:
    """A table a mixture: ours over seeds, the published rows below."""
    summary, published = tables["modes_summary"], tables["modes_published"]
    return {
        "failed": int((summary["n_runs"] - summary["n"]).sum()),
        "samples": f"{int(tables['modes']['samples'].iloc[0]):,}",
        "published_steps": f"{PUBLISHED_STEPS:,}",
        "mixtures": [
            {
                "label": own["mixture_label"].iloc[0],
                "modes": len(MIXTURES[str(name)].centres),
                "steps": ", ".join(dict.fromkeys(f"{steps:,}" for steps in own["steps"])),
                "batch": ", ".join(dict.fromkeys(map(str, own["batch"]))),
                "rows": [mode_row(row) for row in own.to_dict("records")],
                "published": [published_row(row) for row in published[published["mixture"] == name].to_dict("records")],
            }
            for name, own in summary.groupby("mixture", sort=False)
        ],
    }


def mode_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    interval = f"[{text(row['modes_low'], row['modes'])}, {text(row['modes_high'], row['modes'])}]"
    return {
        "label": f"{row['label']}, {row['generator_loss']} loss",
        "regulariser": "" if row["regulariser"] == "none" else row["regulariser"],
        "n": f"{row['n']} of {row['n_runs']}" if row["n"] < row["n_runs"] else str(row["n"]),
        "interval": None if pd.isna(row["modes_low"]) or row["modes_low"] == row["modes_high"] else interval,
        **{name: with_error(row[name], row[f"{name}_error"]) for name in MEASURED},
    }


def published_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "label": row["label"],
        "source": source(row["source"]),
        "modes": with_error(row["modes"], row["modes_error"]),
        "quality": with_error(row["quality"], None),
        "reverse_kl": with_error(row["reverse_kl"], row["reverse_kl_error"]),
    }


def with_error(mean: float, error: float | None) -> dict[str, str]:
    """A mean with its standard error, which has the decimals of the mean."""
    return {"mean": text(mean), "error": NONE if error is None or not error else text(error, mean)}


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


VALUES = {"gaussian": gaussian, "modes": modes, "bounds": bounds, "dynamics": dynamics}
