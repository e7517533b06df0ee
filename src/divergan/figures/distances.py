"""Learned distances: W1 by critics held 1-Lipschitz, the bias of estimates from samples, a restriction relaxed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D

from divergan.figures.declaration import Figure
from divergan.figures.style import DASHED, PALETTE, WIDTH, logarithmic

Tables = Mapping[str, pd.DataFrame]
HIGHEST = 1.6  # of a learned W1 over the exact one: beyond it drawn at the edge
LOWEST = -0.25  # of a bound over the divergence: the same
LINES: dict[str, Any] = {"held": "-", "relaxed": DASHED, "none": "-", "unbiased": "-", "biased": DASHED}


def _draw(tables: Tables) -> Canvas:
    fig = Canvas(figsize=(WIDTH, 6.4))
    above, middle, below = fig.subfigures(3, 1, height_ratios=[1.1, 1, 1.1], squeeze=False)[:, 0]
    _draw_learned(above, tables["distances_learned_summary"])
    _draw_sampled(middle, tables["distances_plug_in"], tables["distances_discrepancy"])
    _draw_relaxed(below, tables["distances_relaxed_summary"])
    return fig


def _draw_learned(fig: SubFigure, summary: pd.DataFrame) -> None:
    """A panel a pair of distributions: the learned W1 over the exact one as the critic learns."""
    groups = list(summary.groupby(["pair", "dimension"], sort=False))
    panels = fig.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    names = dict(summary[["way", "way_label"]].drop_duplicates().to_numpy())
    colour = {name: PALETTE[i] for i, name in enumerate(names)}
    for ax, (_, own) in zip(panels, groups, strict=True):
        ax.axhline(1, color="#bbbbbb", linewidth=0.8, zorder=0)
        for name, rows in own.groupby("way", sort=False):
            ax.plot(rows["step"], rows["ratio"].clip(upper=HIGHEST), color=colour[str(name)], linewidth=1)
        ax.set_title(f"{own['pair_label'].iloc[0]}, d = {own['dimension'].iloc[0]}", fontsize=7)
        ax.set(xlabel="critic steps", ylim=(-0.05, HIGHEST))
    panels[0].set_ylabel("learned / exact $W_1$")
    handles = [Line2D([], [], color=colour[name], label=label) for name, label in names.items()]
    fig.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=6.5)


def _draw_sampled(fig: SubFigure, plug_in: pd.DataFrame, discrepancy: pd.DataFrame) -> None:
    """Over the number of points: W1 between points over the exact one, and both estimates of each kernel's MMD²."""
    kernels = list(discrepancy.groupby("kernel", sort=False))
    panels = fig.subplots(1, 1 + len(kernels), squeeze=False, sharey=True)[0]
    dimensions = list(dict.fromkeys([*plug_in["dimension"], *discrepancy["dimension"]]))
    colour = {d: PALETTE[i] for i, d in enumerate(dimensions)}
    for d, own in plug_in.groupby("dimension", sort=False):
        _draw_points(panels[0], own, "", colour[d], LINES["unbiased"])
    panels[0].set_title("$W_1$ between points", fontsize=7)
    highest = max((plug_in["high"] / plug_in["exact"]).max(), (discrepancy["biased_high"] / discrepancy["exact"]).max())
    for ax, (_, rows) in zip(panels[1:], kernels, strict=True):
        for d, own in rows.groupby("dimension", sort=False):
            _draw_points(ax, own, "unbiased_", colour[d], LINES["unbiased"])
            _draw_points(ax, own, "biased_", colour[d], LINES["biased"])
        ax.set_title(str(rows["label"].iloc[0]).replace(", ", "\n"), fontsize=7)
    for ax in panels:
        ax.axhline(1, color="#bbbbbb", linewidth=0.8, zorder=0)
        ax.set(xscale="log", xlabel="points a side")
        logarithmic(ax.yaxis, 0.7, 1.2 * highest)
    panels[0].set_ylabel("estimate / exact")
    handles = [Line2D([], [], color=colour[d], label=f"d = {d}") for d in dimensions]
    styles = [Line2D([], [], color="black", linestyle=LINES[name], label=name) for name in ("unbiased", "biased")]
    fig.legend(handles=[*handles, *styles], loc="outside lower center", ncols=5, fontsize=6.5)


def _draw_points(ax: Axes, own: pd.DataFrame, prefix: str, colour: str, style: Any) -> None:
    mean, low, high = (own[f"{prefix}{name}"] / own["exact"] for name in ("mean", "low", "high"))
    ax.plot(own["points"], mean, color=colour, linestyle=style, linewidth=1)
    ax.fill_between(own["points"], low.clip(lower=0.1), high, color=colour, alpha=0.15, linewidth=0)


def _draw_relaxed(fig: SubFigure, summary: pd.DataFrame) -> None:
    """A panel an objective: the bound over the divergence on fresh points, by restriction and schedule."""
    groups = list(summary.groupby("objective", sort=False))
    panels = fig.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    names = dict(summary[["restriction", "restriction_label"]].drop_duplicates().to_numpy())
    colour = {name: PALETTE[i] for i, name in enumerate(names)}
    for ax, (_, own) in zip(panels, groups, strict=True):
        ax.axhline(1, color="#bbbbbb", linewidth=0.8, zorder=0)
        for (name, schedule), rows in own.groupby(["restriction", "schedule"], sort=False):
            share = rows["share"].clip(lower=LOWEST)
            ax.plot(rows["step"], share, color=colour[str(name)], linestyle=LINES[str(schedule)], linewidth=1)
        ax.set_title(own["label"].iloc[0], fontsize=7)
        ax.set(xlabel="critic steps", ylim=(LOWEST, 1.1))
    panels[0].set_ylabel("bound / divergence")
    handles = [Line2D([], [], color=colour[name], label=label) for name, label in names.items()]
    styles = [Line2D([], [], color="black", linestyle=LINES[name], label=name) for name in ("held", "relaxed")]
    fig.legend(handles=[*handles, *styles], loc="outside lower center", ncols=3, fontsize=6.5)


def _caption(tables: Tables) -> str:
    return (
        "Estimates over exact values (grey: equal), means over seeds. Above: W1 by a critic that is held 1-Lipschitz "
        "in one way or another, as it learns. Middle: W1 between points, and the two estimates of MMD², with intervals "
        "of the means. Below: the bound of an f-divergence on fresh points by a critic that learns from few, its "
        "restriction held (solid) or relaxed (dashed). A line at an edge is beyond it."
    )


DISTANCES = Figure(
    name="distances", caption=_caption, draw=_draw, possible=lambda tables: "distances_learned" in tables
)
