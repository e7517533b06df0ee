"""Re-weighting in pictures: images by their acceptance, what rejection keeps and removes, how weights are learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from divergan.figures.declaration import Figure, Tables
from divergan.figures.style import DASHED, GREY, PALETTE, WIDTH, mosaic, show

ACROSS, DOWN = 20, 3  # images of a ranking: a column holds neighbours in rank
KEPT_ACROSS, KEPT_DOWN = 9, 3
MOST_RUNS = 4  # rankings that a figure holds
WIDEST = 50.0  # a history whose largest value is so many times its median is cut there, lest the rest be a line

HISTORIES = {  # column of weight_history -> title
    "w_mean": "mean of w",
    "acceptance": "acceptance, mean of min(w, m)/m",
    "ess": "effective sample size, share of the draws",
    "emd": "critic's estimate of the distance",
}


def title(run: pd.Series | dict[Any, Any], tables: Tables, between: str = ", ") -> str:
    """The variant's name, with its arm where variants of several arms were sampled."""
    several = len(tables.samplers) and tables.samplers["arm"].nunique() > 1
    return f"{run['label']}{between}{run['arm']}" if several else str(run["label"])


def ranked_runs(tables: Tables) -> pd.DataFrame:
    """The first run of each variant that has a ranking, at most MOST_RUNS."""
    return tables.runs[tables.runs["key"].isin(list(tables.ranked))].drop_duplicates("variant").head(MOST_RUNS)


def columns_by_rank(acceptance: np.ndarray) -> np.ndarray:
    """Places of DOWN * ACROSS images, row by row, so that acceptance rises from column to column and down a column."""
    order = np.argsort(acceptance, kind="stable")
    across = min(ACROSS, len(order) // DOWN)
    spread = np.linspace(0, len(order) - 1, across * DOWN).round().astype(int)
    return order[spread].reshape(across, DOWN).T.ravel()


def _draw_ranked(tables: Tables) -> Canvas:
    runs = ranked_runs(tables)
    fig = Canvas(figsize=(WIDTH, 1.75 * len(runs)))
    grid = fig.subplots(2 * len(runs), 1, height_ratios=[0.42, 1] * len(runs), squeeze=False)[:, 0]
    for curve, sheet, run in zip(grid[::2], grid[1::2], runs.to_dict("records"), strict=True):
        ranked = tables.ranked[run["key"]]
        order = columns_by_rank(ranked["acceptance"])
        across = len(order) // DOWN
        shown = ranked["acceptance"][order].reshape(DOWN, across).T.ravel()
        curve.plot((np.arange(len(shown)) + 0.5) / DOWN, shown, color="black", marker=".", markersize=3, linewidth=0.8)
        curve.set(xlim=(0, across), ylim=(0, 1.02), ylabel="acceptance", xticks=[])
        curve.set_title(f"{title(run, tables)}, seed {run['seed']}")
        show(sheet, mosaic(ranked["images"][order], across))
        sheet.set_anchor("N")
    return fig


def _caption_ranked(tables: Tables) -> str:
    runs = ranked_runs(tables)
    ranges = [tables.ranked[key]["acceptance"] for key in runs["key"]]
    low, high = (f"{end:.2f}" for end in (min(map(np.min, ranges)), max(map(np.max, ranges))))
    return (
        "Images of the prior by the probability min(1, w/m) with which latentRS accepts their latent vector, rising "
        f"from left to right and down each column; the curve has a point for each image. It runs from {low} to {high}."
        f"{ended(tables)}"
    )


def ended(tables: Tables) -> str:
    """Which of the shown runs have weights whose learning did not finish; empty where all did."""
    if tables.weight_runs.empty:
        return ""
    first = tables.weight_runs.drop_duplicates("key").set_index("key")["outcome"]
    runs = [(run, first.get(run["key"], "finished")) for run in ranked_runs(tables).to_dict("records")]
    told = [f"{title(run, tables)}, seed {run['seed']}: {outcome}" for run, outcome in runs if outcome != "finished"]
    return f" Weights that did not finish: {'; '.join(told)}." if told else ""


def _draw_removed(tables: Tables) -> Canvas:
    runs = ranked_runs(tables)
    fig = Canvas(figsize=(WIDTH, 0.95 * len(runs)))
    grid = fig.subplots(len(runs), 3, squeeze=False)
    for row, run in zip(grid, runs.to_dict("records"), strict=True):
        images, kept = (tables.ranked[run["key"]][name] for name in ("images", "accepted"))
        parts = {"as drawn": images, "kept": images[kept], "removed": images[~kept]}
        for ax, (name, part) in zip(row, parts.items(), strict=True):
            _draw_part(ax, part)
            first = name == "as drawn"
            ax.set_title(f"{title(run, tables)}, {name}" if first else f"{name}, {len(part)} of {len(images)}")
    return fig


def _draw_part(ax: Axes, images: np.ndarray) -> None:
    """The first images, on a sheet of equal size however few they are."""
    places = KEPT_ACROSS * KEPT_DOWN
    shown = images[:places]
    blank = np.zeros((places - len(shown), *images.shape[1:]), np.uint8) + np.uint8(255 * (images.ndim == 4))
    show(ax, mosaic(np.concatenate([shown, blank]), KEPT_ACROSS))


def _caption_removed(tables: Tables) -> str:
    return (
        "What latentRS does to the images of the prior: the first as drawn, not selected, the first that it kept and "
        "the first that it removed, in the order in which they were drawn."
        f"{ended(tables)}"
    )


def _draw_training(tables: Tables) -> Canvas:
    fig = Canvas(figsize=(WIDTH, 3.9))
    panels = fig.subplots(2, 2, sharex=True).ravel()
    names = dict(tables.weight_history[["weights", "weights_label"]].drop_duplicates().to_numpy())
    colour = dict(zip(names, PALETTE[1:], strict=False))
    ends = tables.weight_runs.set_index(["key", "weights"])["outcome"] if len(tables.weight_runs) else pd.Series()
    for ax, (column, name) in zip(panels, HISTORIES.items(), strict=True):
        for run, own in tables.weight_history.groupby(["key", "weights"], sort=False):
            finite = own[np.isfinite(own[column])]
            ax.plot(finite["step"], finite[column], color=colour[run[1]], linewidth=0.7, alpha=0.7)
            if ends.get(run, "finished") != "finished":
                ax.plot(finite["step"].tail(1), finite[column].tail(1), "x", color=colour[run[1]], markersize=4)
        _scale(ax, tables.weight_history[column])
        ax.set_title(name)
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    panels[0].axhline(1, color=GREY, linewidth=1, linestyle=DASHED)
    for ax in panels[2:]:
        ax.set_xlabel("step")
    handles = [Line2D([], [], color=colour[weights], label=label) for weights, label in names.items()]
    fig.legend(handles=handles, loc="outside lower center", ncols=4)
    return fig


def _scale(ax: Axes, values: pd.Series) -> None:
    """The axis cut where a few values are so large that the others could not be told apart."""
    size = values[np.isfinite(values)].abs()
    if len(size) and size.max() > WIDEST * (usual := size.median()) > 0:
        low, high = values[size.index][size <= WIDEST * usual].agg(["min", "max"])
        ax.set_ylim(low, high)


def _caption_training(tables: Tables) -> str:
    runs = tables.weight_runs
    cross = " A cross ends those that did not finish." if len(runs) and (runs["outcome"] != "finished").any() else ""
    return (
        "Learning the weights, a line a run: the mean of the weights, which is drawn to one (dashed), the share of "
        "draws that latentRS would accept, the effective sample size, which is one where all weights are equal, and "
        f"the critic's estimate of the Wasserstein distance that weights and critic play for.{cross}"
    )


RANKED = Figure(
    name="acceptance_ranked",
    caption=_caption_ranked,
    draw=_draw_ranked,
    possible=lambda tables: len(ranked_runs(tables)) > 0,
)
REMOVED = Figure(
    name="removed", caption=_caption_removed, draw=_draw_removed, possible=lambda tables: len(ranked_runs(tables)) > 0
)
WEIGHT_TRAINING = Figure(
    name="weight_training",
    caption=_caption_training,
    draw=_draw_training,
    possible=lambda tables: len(tables.weight_history) > 0,
)
