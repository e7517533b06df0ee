"""The map: exact minimisers as landmarks, trained normals as dots, by their mean and standard deviation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from divergan.figures.declaration import Figure
from divergan.figures.style import GREY, PALETTE, WIDTH

Tables = Mapping[str, pd.DataFrame]
MARKERS = {"none": "o", "r1": "s", "gradient_penalty": "^", "instance_noise": "D"}
SHORT = {
    "Kullback-Leibler": "KL",
    "Reverse KL": "reverse KL",
    "Pearson χ²": "Pearson",
    "Neyman χ²": "Neyman",
    "Squared Hellinger": "Hellinger",
    "Jensen-Shannon": "JS",
    "Total variation": "TV",
    "Least squares": "LS",
    "α-divergence, α = -2": "α = −2",
    "α-divergence, α = -½": "α = −½",
    "reverse KL - 2 JSD": "rKL − 2 JSD",
    "reverse KL + ½ Neyman χ²": "rKL + ½ Neyman",
    "Least squares, alternative": "LS, alternative",
    "Energy distance": "energy",
}
EDGE = 0.25  # of the landmarks' range, beyond them, that a panel shows


def short(landmark: str) -> str:
    return SHORT.get(landmark, landmark)


def _draw(tables: Tables) -> Canvas:
    runs, exact = tables["atlas"], tables["atlas_landmarks"]
    targets, noises = list(dict.fromkeys(exact["target"])), sorted(set(exact["noise"]))
    names = dict(runs[["objective", "label"]].drop_duplicates().to_numpy())
    colour = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(names)}
    fig = Canvas(figsize=(WIDTH, 2.75 * len(targets) + 1.0))
    grid = fig.subplots(len(targets), len(noises), squeeze=False)
    for line, target in zip(grid, targets, strict=True):
        for ax, noise in zip(line, noises, strict=True):
            own, of_runs = (rows[(rows["target"] == target) & (rows["noise"] == noise)] for rows in (exact, runs))
            _draw_map(ax, own, of_runs, colour)
            blurred = f"noise of {noise:g} on both sides" if noise else "no noise"
            ax.set_title(f"{own['target_label'].iloc[0]}, {blurred}")
    fig.legend(handles=handles(runs, names, colour), loc="outside lower center", ncols=4, columnspacing=1.0)
    return fig


def handles(runs: pd.DataFrame, names: dict[str, str], colour: dict[str, str]) -> list[Line2D]:
    trained = set(runs["regulariser"])
    dot: dict[str, Any] = {"linestyle": "none", "markersize": 4.5}
    return [
        *(Line2D([], [], color=colour[name], linewidth=3, label=label) for name, label in names.items()),
        *(Line2D([], [], color=GREY, marker=mark, label=name.replace("_", " "), **dot)
          for name, mark in MARKERS.items() if name in trained),
        Line2D([], [], color=GREY, marker="o", label="the bound's loss", **dot),
        Line2D([], [], color=GREY, marker="o", markerfacecolor="none", label="alternative loss", **dot),
        Line2D([], [], color="black", marker="x", label="exact minimiser", **dot),
    ]  # fmt: skip


def _draw_map(ax: Axes, exact: pd.DataFrame, runs: pd.DataFrame, colour: dict[str, str]) -> None:
    x, y = exact["mean_1"].to_numpy(), exact["std_1"].to_numpy()
    ends = [(v.min() - EDGE * np.ptp(v), v.max() + EDGE * np.ptp(v)) for v in (x, y)]
    for (name, loss, regulariser), own in runs.groupby(["objective", "generator_loss", "regulariser"], sort=False):
        if own["mean_1"].isna().all():
            continue
        at = [float(np.clip(own[column].mean(), *end)) for column, end in zip(("mean_1", "std_1"), ends, strict=True)]
        look: dict[str, Any] = {"color": colour[str(name)], "clip_on": False}
        ax.plot(own["mean_1"].clip(*ends[0]), own["std_1"].clip(*ends[1]), ".", markersize=1.8, alpha=0.5, **look)
        face: dict[str, Any] = {"markerfacecolor": "white"} if loss == "alternative" else {}
        ax.plot(*at, MARKERS[str(regulariser)], markersize=4.2, markeredgewidth=1, **look, **face)
    ax.plot(x, y, "x", color="black", markersize=5, markeredgewidth=1.1, zorder=4)
    ax.set(xlim=ends[0], ylim=ends[1], xlabel="mean, first axis", ylabel="standard deviation, first axis")
    _label(ax, [short(name) for name in exact["landmark"]], x, y, ends)


def _label(ax: Axes, names: list[str], x: np.ndarray, y: np.ndarray, ends: list[tuple[float, float]]) -> None:
    """Each landmark's name at the right edge, at the height nearest to its own that leaves room for all."""
    low, high = ends[1]
    order = np.argsort(y)
    heights = spread((y[order] - low) / (high - low), 1 / 17)
    for i, height in zip(order, heights, strict=True):
        ax.annotate(
            names[i], (x[i], y[i]), xytext=(1.03, height), textcoords="axes fraction", fontsize=6, va="center",
            arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.35, "shrinkA": 0, "shrinkB": 2},
        )  # fmt: skip


def spread(heights: np.ndarray, gap: float) -> np.ndarray:
    """Rising heights at least a gap apart, as near to the given ones as neighbours that touch can be."""
    groups: list[list[float]] = []
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and ends_at(groups[-2], gap) + gap > starts_at(groups[-1], gap):
            groups[-2:] = [groups[-2] + groups[-1]]
    return np.concatenate([starts_at(group, gap) + gap * np.arange(len(group)) for group in groups])


def starts_at(group: list[float], gap: float) -> float:
    return sum(group) / len(group) - gap * (len(group) - 1) / 2


def ends_at(group: list[float], gap: float) -> float:
    return starts_at(group, gap) + gap * (len(group) - 1)


def _caption(tables: Tables) -> str:
    return (
        "The map of what losses minimise. A cross is the normal that a divergence or distance calls nearest to the "
        "mixture, by quadrature; under instance noise that of the blurred mixture and normal, each drawn before its "
        "noise. A large mark is where training came to (the mean over seeds, themselves small dots), its colour the "
        "nominal objective. What lies outside of a panel is drawn at its edge. In the plane only the first axis is "
        "drawn; distances in the tables use all."
    )


ATLAS = Figure(name="atlas", caption=_caption, draw=_draw, possible=lambda tables: "atlas" in tables)
