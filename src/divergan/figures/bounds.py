"""How tight the bound is: over the critic's steps, by dimension, on ever fresh points and on few."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from divergan.figures.declaration import Figure
from divergan.figures.style import PALETTE, WIDTH

Tables = Mapping[str, pd.DataFrame]
LOWEST = -0.6  # share of the divergence below which a bound is drawn at the edge


def _draw(tables: Tables) -> Canvas:
    """A column a dimension; above ever fresh points, below the fewest. Shares of the exact divergence, means."""
    summary = tables["bounds_summary"]
    summary = summary[summary["hidden"] == summary["hidden"].max()]
    dimensions, points = (list(dict.fromkeys(summary[name])) for name in ("dimension", "points"))
    rows = [0, min(count for count in points if count)] if 0 in points and len(points) > 1 else points[:1]
    names = dict(summary[["objective", "label"]].drop_duplicates().to_numpy())
    colour = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(names)}
    fig = Canvas(figsize=(WIDTH, 1.75 * len(rows) + 0.7))
    grid = fig.subplots(len(rows), len(dimensions), squeeze=False, sharex=True, sharey=True)
    for line, count in zip(grid, rows, strict=True):
        for ax, dimension in zip(line, dimensions, strict=True):
            own = summary[(summary["points"] == count) & (summary["dimension"] == dimension)]
            _draw_bounds(ax, own, colour)
        line[0].set_ylabel(f"{'fresh points' if count == 0 else f'{count:,} points'}\nbound / divergence")
    for ax, dimension in zip(grid[0], dimensions, strict=True):
        ax.set_title(f"{dimension} dimension{'s' if dimension > 1 else ''}")
    for ax in grid[-1]:
        ax.set_xlabel("critic steps")
    handles = [Line2D([], [], color=colour[name], label=label) for name, label in names.items()]
    fig.legend(handles=handles, loc="outside lower center", ncols=4, columnspacing=1.0, handletextpad=0.4)
    return fig


def _draw_bounds(ax: Axes, own: pd.DataFrame, colour: dict[str, str]) -> None:
    ax.axhline(1, color="#bbbbbb", linewidth=0.8, zorder=0)
    for name, rows in own.groupby("objective", sort=False):
        share = (rows["bound"] / rows["exact"]).clip(lower=LOWEST)
        ax.plot(rows["step"], share, color=colour[str(name)], linewidth=1)
    ax.set_ylim(LOWEST, 1.25)


def _caption(tables: Tables) -> str:
    return (
        "The learned bound on fresh points, as a share of the exact divergence (grey: all of it), while a critic "
        "learns: above from ever fresh points, below from few that it can learn by heart. Means over seeds; a line at "
        "the lower edge is below it."
    )


BOUNDS = Figure(name="bounds", caption=_caption, draw=_draw, possible=lambda tables: "bounds" in tables)
