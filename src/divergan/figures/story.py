"""The figure of the first page: the FID of each variant, with its seeds, its interval, the floor and the failures."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from divergan.comparison import CONFIDENCE, SEEDS_TO_JUDGE, ranking, summarise
from divergan.figures.declaration import Figure, Tables, floor_of
from divergan.figures.style import DASHED, GREY, TALLEST, WIDTH, colours, logarithmic


def _draw(tables: Tables) -> Canvas:
    order = ranking(summarise(tables.runs, ["fid"]))
    arms = list(tables.runs["arm"].unique())
    rows = [int((order["arm"] == arm).sum()) for arm in arms]
    # where runs failed, room at the right for their crosses and words
    across = 0.75 if (tables.runs["outcome"] != "finished").any() else 1.0
    layout = ConstrainedLayoutEngine(rect=(0, 0, across, 1))
    line = 0.22 if len(order) < 10 else 0.17  # inches: with the findings above, on the first page
    fig = Canvas(figsize=(WIDTH, 0.85 + min(TALLEST, sum(line * n + 0.3 for n in rows))), layout=layout)
    panels = fig.subplots(len(arms), 1, sharex=True, squeeze=False, height_ratios=rows)[:, 0]
    for ax, arm in zip(panels, arms, strict=True):
        _draw_arm(ax, tables, order[order["arm"] == arm])
        ax.set_title(_title(tables.runs, arm))
    panels[-1].set_xlabel("FID, lower is better")
    fig.legend(handles=_legend(tables), loc="outside lower left", ncols=3)
    return fig


def _draw_arm(ax: Axes, tables: Tables, order: pd.DataFrame) -> None:
    colour, limits = colours(tables.objectives), _limits(tables)
    ax.set(ylim=(len(order) - 0.4, -0.6), yticks=range(len(order)), yticklabels=order["label"])
    logarithmic(ax.xaxis, *limits)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", color="#e6e6e6", linewidth=0.6)
    ax.set_axisbelow(True)
    if (floor := floor_of(tables, "fid")) is not None:
        ax.axvline(floor, color=GREY, linewidth=1, linestyle=DASHED)
    for y, row in enumerate(order.to_dict("records")):
        runs = tables.runs[tables.runs["variant"] == row["variant"]]
        _draw_seeds(ax, y - 0.16, runs[runs["outcome"] == "finished"], colour[row["objective"]])
        _draw_interval(ax, y + 0.16, row, colour[row["objective"]], limits)
        _draw_failures(ax, y, runs[runs["outcome"] != "finished"], colour[row["objective"]])


def _draw_seeds(ax: Axes, y: float, runs: pd.DataFrame, colour: str) -> None:
    face = "none" if runs["overlapping"].any() else colour
    ax.scatter(runs["fid"], [y] * len(runs), s=11, facecolors=face, edgecolors=colour, linewidths=0.8)


def _draw_interval(ax: Axes, y: float, row: dict, colour: str, limits: tuple[float, float]) -> None:
    """Mean and interval; an arrow where the interval leaves the axis, pale where there are too few seeds to judge."""
    if isfinite(row["low"]):
        ends = np.clip([row["low"], row["high"]], *limits)
        ax.plot(ends, [y, y], color=colour, alpha=1 if row["judged"] else 0.5)
        for end, wanted, arrow in zip(ends, (row["low"], row["high"]), "<>", strict=True):
            if end != wanted:
                ax.plot(end, y, arrow, color=colour, markersize=3.5, clip_on=False)
    if isfinite(row["mean"]):
        ax.plot(row["mean"], y, "|", color=colour, markersize=7, markeredgewidth=1.6)


def _draw_failures(ax: Axes, y: float, failed: pd.DataFrame, colour: str) -> None:
    """A cross for each run that did not finish, beyond the right end of the axis, and how many did what."""
    if not len(failed):
        return
    edge: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "clip_on": False, "in_layout": False}
    at = 1.02 + min(0.017, 0.1 / len(failed)) * np.arange(len(failed))
    ax.plot(at, [y] * len(at), "x", color=colour, markersize=4, **edge)
    words = ", ".join(f"{n} {word}" for word, n in failed["outcome"].value_counts(sort=False).items())
    ax.text(at[-1] + 0.015, y, words, va="center", fontsize=6.5, **edge)


def _limits(tables: Tables) -> tuple[float, float]:
    """From the seeds and the floor alone: the interval of two seeds would squeeze all else into a corner."""
    finished = tables.runs.loc[tables.runs["outcome"] == "finished", "fid"]
    values = [v for v in [*finished, floor_of(tables, "fid") or 0] if isfinite(v) and v > 0] or [1.0, 100.0]
    return 0.8 * min(values), 1.25 * max(values)


def _title(runs: pd.DataFrame, arm: str) -> str:
    """The arm, with its settings where all of its runs share them."""
    own = runs[runs["arm"] == arm]
    settings = [
        own["regulariser"].replace("none", "no regulariser").unique(),
        own["generator_loss"].map("{} generator loss".format).unique(),
    ]
    shared = [values[0] for values in settings if len(values) == 1 and values[0]]
    return f"{arm} ({', '.join(shared)})" if shared else arm


def _legend(tables: Tables) -> list[Line2D]:
    dot: dict[str, Any] = {"color": GREY, "marker": "o", "linestyle": "none", "markersize": 3.5}
    overlapping, failed = tables.runs["overlapping"], tables.runs["outcome"] != "finished"
    handles = [Line2D([], [], **dot, label="one seed")] if not overlapping.all() else []
    if overlapping.any():
        handles.append(Line2D([], [], **dot, fillstyle="none", label="one seed, images shared with the classifier"))
    handles.append(Line2D([], [], color=GREY, marker="|", markersize=7, label=f"mean, {100 * CONFIDENCE:g} % interval"))
    if floor_of(tables, "fid") is not None:
        handles.append(Line2D([], [], color=GREY, linewidth=1, linestyle=DASHED, label="floor: real images"))
    if failed.any():
        handles.append(Line2D([], [], **dot | {"marker": "x", "markersize": 4}, label="did not finish"))
    return handles


def _caption(tables: Tables) -> str:
    summary = summarise(tables.runs, ["fid"])
    parts = [
        "FID of each variant, best first within its arm: dots are seeds, the bar is their mean with its "
        f"{100 * CONFIDENCE:g} % Student interval, with an arrow where it leaves the figure."
    ]
    if floor_of(tables, "fid") is not None:
        parts.append("Dashed: the floor, the same distance for real training images in place of generated ones.")
    if summary["survivors_only"].any():
        parts.append("Crosses are runs that did not finish; a variant with such runs ranks behind those without.")
    if not summary["judged"].all():
        parts.append(f"Pale intervals rest on fewer than {SEEDS_TO_JUDGE} seeds: shown, not judged.")
    return " ".join(parts)


STORY = Figure(name="story", caption=_caption, draw=_draw, possible=lambda tables: "fid" in tables.runs)
