"""What failing looks like: the images and scores of runs that did not finish, or of the worst that did."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from divergan.figures.declaration import Figure, Tables, outcome
from divergan.figures.pictures import inverted
from divergan.figures.style import GREY, WIDTH, colours, mosaic, show
from divergan.figures.training import draw_range, scale

MOST_RUNS = 7  # rows: what a page holds
CHECKPOINTS = 5
IMAGES = 6, 3  # a picture, and a row of it


def gallery(runs: pd.DataFrame) -> list[str]:
    """The keys of the runs that are shown: the first failure of each variant; where none failed, the worst FID."""
    failed = runs[runs["outcome"] != "finished"].drop_duplicates("variant").head(MOST_RUNS)
    worst = runs[runs["fid"].notna()].sort_values("fid", kind="stable").tail(1)
    return list((failed if len(failed) else worst)["key"])


def _draw(tables: Tables) -> Canvas:
    rows = _rows(tables)
    fig = Canvas(figsize=(WIDTH, 0.3 + 0.98 * len(rows)))
    grid = fig.subplots(len(rows), CHECKPOINTS + 1, squeeze=False, width_ratios=[1.5, *[1.0] * CHECKPOINTS])
    for (scores, *pictures), run in zip(grid, rows, strict=True):
        _draw_scores(scores, tables, run)
        _draw_checkpoints(pictures, tables, run["key"])
    grid[-1][0].set_xlabel("step")
    return fig


def _rows(tables: Tables) -> list[pd.Series]:
    return [run for _, run in tables.runs[tables.runs["key"].isin(list(tables.training_samples))].iterrows()]


def _draw_scores(ax: Axes, tables: Tables, run: pd.Series) -> None:
    draw_range(ax, tables.history[tables.history["key"] == run["key"]], colours(tables.objectives)[run["objective"]])
    scale(ax)
    ax.xaxis.set_major_locator(MaxNLocator(3))
    ax.set_title(f"{run['label']}, {run['arm']}, seed {run['seed']}: {outcome(run)}", fontsize=7)


def _draw_checkpoints(axes: list[Axes], tables: Tables, key: str) -> None:
    """Some of the run's checkpoints, evenly spaced, its first and its last among them."""
    taken = tables.training_samples[key]
    some = sorted(set(np.linspace(0, len(taken) - 1, min(len(axes), len(taken))).round().astype(int)))
    for ax, index in zip(axes, some, strict=False):
        step, images = taken[index]
        show(ax, mosaic(images[: IMAGES[0]], IMAGES[1]))
        ax.set_xlabel(f"step {step}", fontsize=6.5, labelpad=2, color=GREY)
    for ax in axes[len(some) :]:
        ax.set_visible(False)


def _caption(tables: Tables) -> str:
    failed = any(run["outcome"] != "finished" for run in _rows(tables))
    what = (
        "What failing looks like: the first failed run of each variant."
        if failed
        else "No run failed; this is the one that ended with the highest FID."
    )
    return (
        f"{what} Left: the critic's raw scores, from the least to the greatest, with the means on real images (line) "
        "and on generated ones (dots); where they span decades the axis is logarithmic on both sides of zero. Right: "
        "images of the same latent vectors at checkpoints, on the right the last that was kept."
        f"{inverted(tables)}"
    )


def _has_pictures(tables: Tables) -> bool:
    return "real" in tables.samples and bool(_rows(tables))


FAILURES = Figure(name="failures", caption=_caption, draw=_draw, possible=_has_pictures)
