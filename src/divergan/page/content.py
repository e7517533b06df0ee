"""What fills the page of a study of trained generators: its tables, its curves, its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
import pandas as pd

from divergan.figures import Tables
from divergan.figures.declaration import floor_of, outcome
from divergan.figures.style import colours
from divergan.page import tables as made
from divergan.page.pictures import ACROSS, SHOWN, SampleSet, Walk, drawn, sheet

MOST_POINTS = 120  # of a curve: more than its width on a phone has room for
CURVES = {  # column -> what it is called; FID stands in a table of its own
    "fid": "FID",
    "critic_loss": "critic's loss",
    "generator_loss": "generator's loss",
    "bound": "the bound, or the objective's value",
    "accuracy": "critic's accuracy",
    "v_real_mean": "critic's score v, mean on real images",
    "v_fake_mean": "critic's score v, mean on generated images",
    "v_min": "critic's score v, least",
    "v_max": "critic's score v, greatest",
}


def content(
    tables: Tables,
    values: Mapping[str, Any],
    *,
    recipes: Mapping[str, str],
    files: Sequence[str],
    sets: Sequence[SampleSet],
    walks: Sequence[Walk],
) -> dict[str, Any]:
    """What `render` takes. `values` are the report's; `recipes` those of the runs, `files` the CSV files' names, both
    as links from reports/<study>/.
    """
    shown = drawn(sets)
    return {
        **{name: values[name] for name in ("title", "study", "question", "provenance")},
        "answer": values,
        "files": files,
        **dict.fromkeys(("chapters", "tables", "left_out"), ()),
        "results": made.results(tables),
        "runs": made.runs(tables, recipes),
        "samplers": made.samplers(tables),
        "claims": made.claims(values["claims"]),
        "curves": curve_names(tables),
        "sets_left_out": len(sets) - len(shown),
        "data": {
            "runs": named_runs(tables),
            "histories": {"fid": thinned(tables.over_training), "history": thinned(tables.history)},
            "floor": finite(floor_of(tables, "fid")),
            "across": ACROSS,
            "shown": SHOWN,
            "real": sheet(tables.samples["real"][:SHOWN]) if "real" in tables.samples else "",
            "size": size_of(tables),
            "sets": shown,
            "walks": [{"run": walk.run, "image": sheet(walk.images)} for walk in walks],
        },
    }


def size_of(tables: Tables) -> list[int]:
    """Height and width of an image."""
    return [int(side) for side in tables.samples["real"].shape[1:3]] if "real" in tables.samples else [1, 1]


def named_runs(tables: Tables) -> list[dict[str, Any]]:
    """Every run with its names, its colour, and its arm's number, for the dashes of its curves."""
    colour, arms = colours(tables.objectives), list(tables.runs["arm"].unique())
    return [
        {
            "key": row["key"],
            "variant": row["label"] if len(arms) == 1 else f"{row['label']}, {row['arm']}",
            "seed": int(row["seed"]),
            "outcome": outcome(row),
            "colour": visible(colour[row["objective"]]),
            "arm": arms.index(row["arm"]),
        }
        for row in tables.runs.to_dict("records")
    ]


def visible(colour: str) -> str:
    """Black is the text's colour, which is light where the page is dark."""
    return "currentColor" if colour == "#000000" else colour


def curve_names(tables: Tables) -> dict[str, str]:
    """The curves that the study has, and what they are called."""
    there = {name for table in (tables.over_training, tables.history) if len(table) for name in table}
    return {name: label for name, label in CURVES.items() if name in there}


def thinned(table: pd.DataFrame) -> dict[str, dict[str, list[float | None]]]:
    """key -> column -> values, of so many steps that the curve keeps its form; four digits, null for no number."""
    if table.empty:
        return {}
    columns = [name for name in ("step", *CURVES) if name in table]
    found = {}
    for key, own in table.sort_values("step", kind="stable").groupby("key", sort=False):
        kept = own.iloc[np.unique(np.linspace(0, len(own) - 1, min(len(own), MOST_POINTS)).round().astype(int))]
        found[str(key)] = {name: [finite(value) for value in kept[name]] for name in columns}
    return found


def finite(value: float | None) -> float | None:
    return float(f"{value:.4g}") if value is not None and isfinite(value) else None
