"""What happened over training: FID, the critic's accuracy, the range of its scores."""

from __future__ import annotations

from math import inf

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, NullLocator

from divergan.figures.declaration import Figure, Tables, floor_of
from divergan.figures.style import DASHED, GREY, MOST_ARMS, WIDTH, colours, logarithmic

DOTTED = (0, (1, 1.2))
DECADES_FROM = 100  # scores beyond it are drawn on an axis logarithmic on both sides of zero


def _draw_panels(tables: Tables, frame: pd.DataFrame, column: str) -> tuple[Canvas, np.ndarray]:
    """A panel per arm with the runs of all objectives, three side by side at most, and one legend below."""
    arms = list(tables.runs["arm"].unique())
    across = min(len(arms), 3)
    down = -(-len(arms) // across)
    fig = Canvas(figsize=(WIDTH, 0.7 + 1.65 * down))
    grid = fig.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    colour, handles = colours(tables.objectives), {}
    for ax, arm in zip(grid.flat, arms, strict=False):
        own = tables.runs[tables.runs["arm"] == arm]
        for (objective, label), runs in own.groupby(["objective", "label"], sort=False):
            _draw_seeds(ax, frame, runs, column, colour[objective])
            handles[label] = Line2D([], [], color=colour[objective], label=label)
        ax.set(title=arm)
        ax.xaxis.set_major_locator(MaxNLocator(5 if across < 3 else 3))
    for ax in grid.flat[len(arms) :]:
        ax.set_visible(False)
    for ax in grid[-1]:
        ax.set_xlabel("step")
    fig.legend(handles=handles.values(), loc="outside lower center", ncols=4)
    return fig, grid


def _draw_seeds(ax: Axes, frame: pd.DataFrame, runs: pd.DataFrame, column: str, colour: str) -> None:
    """Seeds thin, the mean over the runs that finished thick, a cross at the last value of a run that did not."""
    for run in runs.to_dict("records"):
        own = frame[(frame["key"] == run["key"]) & np.isfinite(frame[column])]
        ax.plot(own["step"], own[column], color=colour, alpha=0.35, linewidth=0.6)
        if run["outcome"] != "finished":
            ax.plot(own["step"].tail(1), own[column].tail(1), "x", color=colour, markersize=4)
    finished = frame[frame["key"].isin(runs.loc[runs["outcome"] == "finished", "key"])]
    ax.plot(finished.groupby("step")[column].mean(), color=colour)


def _draw_fid(tables: Tables) -> Canvas:
    fig, grid = _draw_panels(tables, tables.over_training, "fid")
    floor = floor_of(tables, "fid")
    values = tables.over_training["fid"].replace([inf, 0], np.nan).dropna()
    for ax in grid[:, 0]:
        ax.set_ylabel("FID")
    for ax in grid.flat:
        logarithmic(ax.yaxis, 0.85 * min(values.min(), floor or inf), 1.2 * values.max())
        if floor is not None:
            ax.axhline(floor, color=GREY, linewidth=1, linestyle=DASHED)
            ax.text(0.99, floor, "floor", transform=ax.get_yaxis_transform(), ha="right", va="bottom", color=GREY)
    return fig


def _draw_accuracy(tables: Tables) -> Canvas:
    fig, grid = _draw_panels(tables, tables.history, "accuracy")
    for ax in grid[:, 0]:
        ax.set(ylabel="critic's accuracy", ylim=(-0.02, 1.02))
    for ax in grid.flat:
        ax.axhline(0.5, color=GREY, linewidth=1, linestyle=DASHED)
    return fig


def _draw_scores(tables: Tables) -> Canvas:
    arms = list(tables.runs["arm"].unique())
    runs, labels = tables.runs, list(tables.runs["label"].unique())
    fig = Canvas(figsize=(WIDTH, 0.6 + 0.48 * len(labels)))
    grid = fig.subplots(len(labels), len(arms), squeeze=False, sharex=True, sharey="row")
    for label, row in zip(labels, grid, strict=True):
        for ax, arm in zip(row, arms, strict=True):
            _draw_range(ax, tables, runs[(runs["arm"] == arm) & (runs["label"] == label)])
        scale(row[0])
        row[0].set_title(label, pad=2)
    for top, bottom, arm in zip(grid[0], grid[-1], arms, strict=True):
        top.set_title(arm, loc="right", color=GREY, pad=2)
        bottom.set_xlabel("step")
    fig.supylabel("critic score $v$", fontsize=8)
    fig.legend(handles=_scores_legend(), loc="outside lower center", ncols=3)
    return fig


def _draw_range(ax: Axes, tables: Tables, runs: pd.DataFrame) -> None:
    frame = tables.history[tables.history["key"].isin(runs["key"])]
    if len(frame):
        draw_range(ax, frame, colours(tables.objectives)[runs["objective"].iloc[0]])


def draw_range(ax: Axes, history: pd.DataFrame, colour: str) -> None:
    """The critic's scores of all runs of a history together: a band from the least to the greatest, and the means."""
    steps = history.replace([inf, -inf], np.nan).groupby("step")
    low, high = steps["v_min"].min(), steps["v_max"].max()
    ax.fill_between(low.index, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.plot(steps["v_real_mean"].mean(), color=colour, linewidth=1)
    ax.plot(steps["v_fake_mean"].mean(), color=colour, linewidth=1, linestyle=DOTTED)


def scale(ax: Axes) -> None:
    """An axis of scores: logarithmic on both sides of zero where they span decades."""
    reach = np.abs(ax.get_ylim()).max()
    if reach < DECADES_FROM:
        ax.yaxis.set_major_locator(MaxNLocator(2))
        return
    ax.set_yscale("symlog", linthresh=1)
    decade = 10.0 ** np.floor(np.log10(reach))
    ax.set_yticks([-decade, 0, decade])
    ax.yaxis.set_minor_locator(NullLocator())


def _scores_legend() -> list[Line2D | Patch]:
    return [
        Line2D([], [], color="black", linewidth=1, label="mean on real"),
        Line2D([], [], color="black", linewidth=1, linestyle=DOTTED, label="mean on generated"),
        Patch(color=GREY, alpha=0.25, linewidth=0, label="least to greatest"),
    ]


def _caption_fid(tables: Tables) -> str:
    floor = ", the floor dashed" if floor_of(tables, "fid") is not None else ""
    return f"FID over training: seeds thin, the mean over the runs that finished thick{floor}. {_cross(tables)}"


def _cross(tables: Tables) -> str:
    failed = (tables.runs["outcome"] != "finished").any()
    return "A cross is the last value of a run that did not finish." if failed else "All runs finished."


def _caption_accuracy(tables: Tables) -> str:
    return (
        "Share of real and generated images on the right side of the critic's threshold, seeds thin and their mean "
        "thick: at one half (dashed) the critic cannot tell them apart, at one it always can; below one half the "
        "generator is ahead of it."
    )


def _caption_scores(tables: Tables) -> str:
    return (
        "The critic's raw scores over training, all seeds together: the band runs from the least to the greatest "
        "score, the lines are means on real and on generated images. The arms of a row share their axis, which is "
        "logarithmic on both sides of zero where scores span decades."
    )


def _has_history(tables: Tables) -> bool:
    return len(tables.history) > 0


OVER_TRAINING = Figure(
    name="over_training", caption=_caption_fid, draw=_draw_fid, possible=lambda tables: len(tables.over_training) > 0
)
ACCURACY = Figure(name="accuracy", caption=_caption_accuracy, draw=_draw_accuracy, possible=_has_history)
SCORES = Figure(
    name="scores",
    caption=_caption_scores,
    draw=_draw_scores,
    possible=lambda tables: _has_history(tables) and tables.runs["arm"].nunique() <= MOST_ARMS,
)
