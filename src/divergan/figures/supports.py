"""Disjoint supports: the learned ratio along the line, the generator's gradient, and where θ goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from divergan.figures.declaration import Figure
from divergan.figures.style import DASHED, GREY, PALETTE, WIDTH

Tables = Mapping[str, pd.DataFrame]
LEAST, MOST = 1e-5, 1e3  # of |dL/dθ|: what lies beyond is drawn at the edge
LOWEST, HIGHEST = -0.7, 4.7  # of θ, in the same way
ARMS = {
    ("fresh", "adam"): "fresh critic, Adam", ("fresh", "descent"): "fresh, descent",
    ("trained", "adam"): "trained critic, Adam", ("trained", "descent"): "trained, descent",
}  # fmt: skip
DASHES: dict[str, Any] = {"alternative": "solid", "bound": DASHED}


def _draw(tables: Tables) -> Canvas:
    looks = tables["supports_looks"]
    labels = dict(looks[["objective", "label"]].drop_duplicates().to_numpy())
    colour = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(labels)}
    fig = Canvas(figsize=(WIDTH, 5.0))
    above, below = fig.subfigures(2, 1, height_ratios=[2.5, 2.5], squeeze=False)[:, 0]
    left, right = above.subplots(1, 2)
    _draw_ratio(left, tables["supports_lines"])
    _draw_gradients(right, looks, colour)
    panels = below.subplots(1, len(ARMS), sharex=True, sharey=True)
    for ax, (arm, title) in zip(panels, ARMS.items(), strict=True):
        _draw_paths(ax, tables["supports_paths"], arm, colour)
        ax.set_title(title, fontsize=7)
        ax.set_xlabel("generator steps")
    panels[0].set_ylabel("$\\theta$")
    lines = [Line2D([], [], color=colour[name], label=label) for name, label in labels.items()]
    losses = [Line2D([], [], color=GREY, linestyle=dash, label=f"{loss} loss") for loss, dash in DASHES.items()]
    below.legend(handles=lines + losses, loc="outside lower center", ncols=4, columnspacing=1.0, handletextpad=0.4)
    return fig


def _draw_ratio(ax: Axes, lines: pd.DataFrame) -> None:
    """Of the first objective: the darker, the later the look; bars at the edges are the true log ratio, ±oo."""
    own = lines[lines["objective"] == lines["objective"].iloc[0]]
    start, steps = float(own["start"].iloc[0]), list(dict.fromkeys(own["step"]))
    reach = 1.15 * float(own["log_ratio"].abs().max())
    for low, edge, name in ((0.0, reach, "P"), (start, -reach, "Q")):
        ax.axvspan(low, low + 1, color="#eeeeee", linewidth=0)
        ax.plot([low, low + 1], [edge, edge], color=PALETTE[4], linewidth=3, solid_capstyle="butt", clip_on=False)
        ax.text(low + 0.5, -0.1 * edge, name, ha="center", va="center")
    for i, step in enumerate(steps):
        at = own[own["step"] == step]
        alpha = (i + 1) / len(steps)
        ax.plot(at["x"], at["log_ratio"], color=PALETTE[2], alpha=alpha, linewidth=1.1, label=f"{step:,}")
    ax.set(xlabel="$x$", ylabel="learned $\\log p/q$", ylim=(-reach, reach), xlim=(own["x"].min(), own["x"].max()))
    ax.legend(title="critic steps", title_fontsize=6, fontsize=6, loc="lower left", handlelength=1.0)
    ax.set_title(f"{own['label'].iloc[0]}, $\\theta$ frozen")


def _draw_gradients(ax: Axes, looks: pd.DataFrame, colour: dict[str, str]) -> None:
    for (name, loss), own in looks.groupby(["objective", "generator_loss"], sort=False):
        size = own["gradient"].clip(LEAST, MOST)
        ax.plot(own["step"], size, color=colour[str(name)], linestyle=DASHES[str(loss)], linewidth=1.1)
    ax.set(xscale="log", yscale="log", ylim=(LEAST, MOST), xlabel="critic steps")
    ax.set_title("$|\\partial L/\\partial\\theta|$, $\\theta$ frozen")


def _draw_paths(ax: Axes, paths: pd.DataFrame, arm: tuple[str, str], colour: dict[str, str]) -> None:
    ax.axhspan(-1, 1, color="#eeeeee", linewidth=0)
    ax.axhline(0, color="#bbbbbb", linewidth=0.8)
    own = paths[(paths["critic"] == arm[0]) & (paths["rule"] == arm[1])]
    for (name, loss), path in own.groupby(["objective", "generator_loss"], sort=False):
        theta = np.clip(path["theta"], LOWEST, HIGHEST)
        ax.plot(path["step"], theta, color=colour[str(name)], linestyle=DASHES[str(loss)], linewidth=1)
    ax.set_ylim(LOWEST, HIGHEST)


def _caption(tables: Tables) -> str:
    label = tables["supports_lines"]["label"].iloc[0]
    return (
        f"Data P and generated points Q (grey) that share no place. Above left: the log ratio that a {label} critic "
        "learns (one seed), and the true one, infinite on both (bars at the edges). Above right: the size of the "
        "generator's gradient while the critic is trained and θ stays, means over seeds. Below: θ when it learns "
        "(medians over seeds), against a critic that starts with it or has been trained before, by Adam or plain "
        "descent; grey is where P and Q overlap. What lies beyond an axis is drawn at its edge; what did not stay "
        "finite has no line."
    )


SUPPORTS = Figure(name="supports", caption=_caption, draw=_draw, possible=lambda tables: "supports" in tables)
