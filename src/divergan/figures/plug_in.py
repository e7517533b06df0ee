"""The plug-in loop in the plane of μ and σ: the ideal ratio's path, the learned ends, and D_f's optima."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from divergan.chapters.plug_in import FORMS, START
from divergan.figures.declaration import Figure
from divergan.figures.style import PALETTE, WIDTH, logarithmic

Tables = Mapping[str, pd.DataFrame]
MEANS, STDS = (-3.0, 2.6), (0.06, 3.5)  # what is drawn; ends beyond lie at the edge
TITLES = {
    "written": "$f$ as written", "normalised": "$f - f'(1)(u - 1)$",
    "falling": "$f - f'(\\infty)(u - 1)$", "corrected": "$f - u f'$",
}  # fmt: skip


def _draw(tables: Tables) -> Canvas:
    summary = tables["plug_in_summary"].fillna({"also": ""})
    labels = dict(summary[["objective", "label"]].drop_duplicates().to_numpy())
    colour = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(labels)}
    fig = Canvas(figsize=(WIDTH, 5.2))
    grid = fig.subplots(2, 2, sharex=True, sharey=True)
    for ax, form in zip(grid.flat, FORMS, strict=True):
        for row in summary[named(summary, form)].to_dict("records"):
            _draw_form(ax, tables, row, colour[row["objective"]])
        ax.plot(*START, "s", color="black", markersize=3.5)
        ax.set_title(TITLES[form])
    logarithmic(grid[0, 0].yaxis, *STDS)
    grid[0, 0].set_xlim(*MEANS)
    for ax in grid[1]:
        ax.set_xlabel("mean $\\mu$")
    for ax in grid[:, 0]:
        ax.set_ylabel("standard deviation $\\sigma$")
    marks = [
        Line2D([], [], color="black", marker="s", markersize=3.5, linestyle="none", label="start"),
        Line2D([], [], color="black", linewidth=0.9, label="with the ideal ratio"),
        Line2D([], [], color="black", marker="o", markersize=3, linestyle="none", label="learned, a dot a seed"),
        Line2D([], [], color="black", marker="x", markersize=6, linestyle="none", label="optimum of $D_f$"),
    ]
    lines = [Line2D([], [], color=colour[name], label=label) for name, label in labels.items()]
    fig.legend(handles=lines + marks, loc="outside lower center", ncols=3, columnspacing=1.0, handletextpad=0.4)
    return fig


def named(summary: pd.DataFrame, form: str) -> pd.Series:
    """Which rows are of this form: under its own name, or that of one that takes the same steps."""
    return (summary["form"] == form) | summary["also"].str.split(", ").map(lambda others: form in others)


def _draw_form(ax: Axes, tables: Tables, row: Mapping[Any, Any], colour: str) -> None:
    runs, paths = tables["plug_in"], tables["plug_in_paths"]
    path = paths[(paths["objective"] == row["objective"]) & (paths["form"] == row["form"])]
    own = runs[(runs["objective"] == row["objective"]) & (runs["form"] == row["form"])]
    ax.plot(path["mean"], path["std"], color=colour, linewidth=0.9)
    ends = own["mean"].clip(*MEANS), own["std"].clip(*STDS)
    ax.plot(*ends, "o", color=colour, markersize=3, alpha=0.6, markeredgewidth=0, clip_on=False)
    ax.plot(row["exact_mean"], row["exact_std"], "x", color=colour, markersize=6, markeredgewidth=1.3)


def _caption(tables: Tables) -> str:
    return (
        "A normal fitted to the mixture by the plug-in loop, with four functions F of the ratio u for one f, all from "
        "one start: paths of the loop with the ideal ratio (lines, until they rest or leave), where it ends with a "
        "learned one (dots), and the optimum of the divergence itself (crosses). Where f'(∞) is infinite there is no "
        "third form."
    )


PLUG_IN = Figure(name="plug_in", caption=_caption, draw=_draw, possible=lambda tables: "plug_in" in tables)
