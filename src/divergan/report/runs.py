"""The appendix: every run with its outcome, its FID over training, its samples and its recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from divergan.figures import Tables
from divergan.figures.declaration import outcome
from divergan.figures.style import mosaic
from divergan.report.wording import text
from divergan.store import written

STRIPS = "strips"  # the folder of the pictures beside values.json
IMAGES = 10


def every_run(tables: Tables, recipes: Mapping[str, str]) -> list[dict[str, Any]]:
    """A row for each run, in the order of the tables; `recipes` has its folder's hash by key."""
    curves = _curves(tables.over_training)
    return [
        {
            **{name: run[name] for name in ("key", "label", "arm")},
            "seed": str(run["seed"]),
            "outcome": outcome(run),
            "fid": text(run.get("fid")),
            "curve": curves.get(run["key"], []),
            "recipe": recipes.get(run["key"], ""),
            "pictured": run["key"] in tables.samples,
        }
        for run in tables.runs.to_dict("records")
    ]


def _curves(over_training: pd.DataFrame) -> dict[str, list[list[int]]]:
    """log FID over steps by run, both in thousandths of all runs' range; nothing where there is no positive FID."""
    if over_training.empty:
        return {}
    drawn = over_training[np.isfinite(over_training["fid"]) & (over_training["fid"] > 0)]
    heights, steps = np.log(drawn["fid"]), drawn["step"]
    if drawn.empty or not (tall := float(heights.max() - heights.min())) or not steps.max():
        return {}
    points = drawn.assign(x=1000 * steps / steps.max(), y=1000 * (heights - heights.min()) / tall)
    return {
        str(key): [[round(x), round(y)] for x, y in zip(own["x"], own["y"], strict=True)]
        for key, own in points.sort_values("step").groupby("key")
    }


def write_strips(tables: Tables, folder: Path) -> None:
    """The first samples of each run as <folder>/strips/<key>.png, on the same latent vectors for equal seeds."""
    from PIL import Image

    for key in tables.samples:
        with written(folder / STRIPS / f"{key}.png") as temporary:
            Image.fromarray(mosaic(tables.samples[key][:IMAGES], IMAGES)).save(temporary, "png")
