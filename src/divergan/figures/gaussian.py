"""A normal fitted to a mixture: the exact fits of every divergence, and where training comes to, by either loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from divergan.chapters.gaussian import log_p
from divergan.figures.declaration import Figure
from divergan.figures.style import PALETTE, WIDTH

Tables = Mapping[str, pd.DataFrame]
TITLES = {"bound": "the bound's loss", "alternative": "the alternative loss"}


def _draw(tables: Tables) -> Canvas:
    fits, rows = tables["gaussian_fit"], tables["gaussian"]
    names = list(dict.fromkeys(fits["objective"]))
    colour = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(names)}
    losses = list(dict.fromkeys(fits["generator_loss"]))
    fig = Canvas(figsize=(WIDTH, 5.3))
    above, below = fig.subfigures(2, 1, height_ratios=[1.8, 3.5], squeeze=False)[:, 0]
    exact = fits.drop_duplicates("objective")
    _draw_densities(above.subplots(), exact, colour)
    planes = below.subplots(1, len(losses), squeeze=False, sharex=True, sharey=True)[0]
    for ax, loss in zip(planes, losses, strict=True):
        _draw_plane(ax, fits[fits["generator_loss"] == loss], rows[rows["generator_loss"] == loss], colour)
        ax.set(title=TITLES[loss], xlabel="mean $\\mu$")
    planes[0].set_ylabel("standard deviation $\\sigma$")
    marks = [
        Line2D([], [], color="black", marker="x", markersize=6, linestyle="none", label="exact optimum"),
        Line2D([], [], color="black", marker="o", markersize=3, linestyle="none", label="learned, a dot a seed"),
        Line2D([], [], color="black", linewidth=0.7, label="from the divergence's own optimum"),
    ]
    lines = [Line2D([], [], color=colour[row["objective"]], label=row["label"]) for row in exact.to_dict("records")]
    below.legend(handles=lines + marks, loc="outside lower center", ncols=3, columnspacing=1.0, handletextpad=0.4)
    return fig


def _draw_densities(ax: Axes, exact: pd.DataFrame, colour: dict[str, str]) -> None:
    x = np.linspace(-4, 7, 600)
    ax.fill_between(x, np.exp(log_p(x)), color="#dddddd", linewidth=0)
    for row in exact.to_dict("records"):
        mean, std = row["bound_mean"], row["bound_std"]
        q = np.exp(-(((x - mean) / std) ** 2) / 2) / (std * np.sqrt(2 * np.pi))
        ax.plot(x, q, color=colour[row["objective"]], linewidth=1.1)
    ax.set(yticks=[], xlabel="$x$", xlim=(x[0], x[-1]), ylim=(0, None))
    ax.set_title("P in grey, and the nearest normal by each divergence")
    ax.spines["left"].set_visible(False)


def _draw_plane(ax: Axes, fits: pd.DataFrame, rows: pd.DataFrame, colour: dict[str, str]) -> None:
    """Exact optima, learned places, and how far the loss's own optimum lies from the divergence's."""
    for fit in fits.to_dict("records"):
        line: dict[str, Any] = {"color": colour[fit["objective"]]}
        ax.plot([fit["bound_mean"], fit["exact_mean"]], [fit["bound_std"], fit["exact_std"]], linewidth=0.7, **line)
        own = rows[rows["objective"] == fit["objective"]]
        ax.plot(own["mean"], own["std"], "o", markersize=2.6, alpha=0.6, markeredgewidth=0, **line)
        ax.plot(fit["exact_mean"], fit["exact_std"], "x", markersize=6, markeredgewidth=1.3, **line)


def _caption(tables: Tables) -> str:
    return (
        "A normal fitted to a mixture of two. Above: the exact optimum of each divergence; those that punish missing "
        "data are wide, those that punish what is no data are narrow. Below: where training came to, by the mean and "
        "standard deviation of the generator. A cross is the exact optimum of what the loss minimises by the theory: "
        "the divergence itself under the bound's loss, another one under the alternative loss."
    )


GAUSSIAN = Figure(name="gaussian", caption=_caption, draw=_draw, possible=lambda tables: "gaussian" in tables)
