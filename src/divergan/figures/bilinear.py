"""Bilinear games: the eigenvalues of one update by rule, and the distance to the equilibrium along paths."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from divergan.chapters.bilinear import LOST
from divergan.figures.declaration import Figure
from divergan.figures.style import PALETTE, WIDTH

Tables = Mapping[str, pd.DataFrame]


def _draw(tables: Tables) -> Canvas:
    summary, eigen, paths = (tables[f"bilinear_{name}"] for name in ("summary", "eigenvalues", "paths"))
    rules, sizes = (list(dict.fromkeys(summary[name])) for name in ("rule", "step_size"))
    condition, dimension = summary["condition"].max(), drawn_dimension(eigen)
    fig = Canvas(figsize=(WIDTH, 4.6))
    above, below = fig.subfigures(2, 1, height_ratios=[2.2, 2.4], squeeze=False)[:, 0]
    planes = above.subplots(1, len(sizes), squeeze=False, sharex=True, sharey=True)[0]
    lines = below.subplots(1, len(sizes), squeeze=False, sharey=True)[0]
    colour = {rule: PALETTE[i % len(PALETTE)] for i, rule in enumerate(rules)}
    for ax, line, size in zip(planes, lines, sizes, strict=True):
        one = (eigen["step_size"] == size) & (eigen["dimension"] == dimension) & (eigen["condition"] == condition)
        _draw_eigenvalues(ax, eigen[one], colour)
        ax.set(title=f"$\\eta$ = {size:g}", xlabel="real part")
        path = (paths["step_size"] == size) & (paths["dimension"] == dimension) & (paths["condition"] == condition)
        _draw_distances(line, paths[path], colour)
    planes[0].set_ylabel("imaginary part")
    lines[0].set_ylabel("distance to the equilibrium")
    handles = [Line2D([], [], color=colour[rule], marker="o", markersize=3, label=rule) for rule in rules]
    below.legend(handles=handles, loc="outside lower center", ncols=len(rules), columnspacing=0.9, handletextpad=0.4)
    return fig


def drawn_dimension(eigen: pd.DataFrame) -> int:
    return int(eigen["dimension"].max())


def _draw_eigenvalues(ax: Axes, eigen: pd.DataFrame, colour: dict[str, str]) -> None:
    """The unit circle, and a dot an eigenvalue; what lies within the circle shrinks."""
    angle = np.linspace(0, 2 * np.pi, 200)
    ax.plot(np.cos(angle), np.sin(angle), color="#bbbbbb", linewidth=0.8, zorder=0)
    for i, (rule, own) in enumerate(eigen.groupby("rule", sort=False)):
        size = 5.5 - 0.6 * i  # rules that agree show as rings
        ax.plot(own["real"], own["imaginary"], "o", color=colour[str(rule)], markersize=size, markeredgewidth=0)
    ax.set(aspect="equal", xlim=(-2.6, 2.1), ylim=(-1.75, 1.75))


def _draw_distances(ax: Axes, paths: pd.DataFrame, colour: dict[str, str]) -> None:
    """A line a seed."""
    for i, (rule, of_rule) in enumerate(paths.groupby("rule", sort=False)):
        for _, path in of_rule.groupby("seed"):
            ax.plot(path["step"], path["distance"].clip(lower=1e-6), color=colour[str(rule)], linewidth=2.2 - 0.3 * i)
    ax.set(xlabel="step", yscale="log", ylim=(5e-7, 1.6 * LOST))


def _caption(tables: Tables) -> str:
    summary = tables["bilinear_summary"]
    return (
        f"Bilinear games in {drawn_dimension(tables['bilinear_eigenvalues'])} dimensions a player, singular values "
        f"from 1 down to 1/{summary['condition'].max():g}. Above: the eigenvalues of one update of both players at "
        "each step size and the unit circle (grey), within which a direction shrinks. Below: the distance to the "
        "equilibrium, a line a seed, drawn between the edges of the panel. Small dots and thin lines lie on large ones."
    )


BILINEAR = Figure(name="bilinear", caption=_caption, draw=_draw, possible=lambda tables: "bilinear" in tables)
