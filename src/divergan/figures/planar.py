"""Ground truth in the plane: the latent plane with the right weights and the learned, and the distances they reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as Canvas

from divergan.figures.declaration import Figure, Tables
from divergan.figures.style import PALETTE, WIDTH, logarithmic

COLOURS = colormaps["cividis"]  # grows in lightness alone for all eyes: pale is a high weight
MOST_WEIGHTS, MOST_TARGETS = 3, 2  # that a page holds
LARGEST_DOT = 6.0  # square points, of the latent vectors of the highest density
Map = Mapping[str, np.ndarray]


def shown(tables: Tables) -> tuple[dict[str, str], dict[str, str]]:
    """Targets and weights of the figure, each name with its label."""
    targets = tables.planar[["target", "target_label"]].drop_duplicates().to_numpy()
    weights = tables.planar[["weights", "weights_label"]].drop_duplicates().to_numpy()
    return dict(targets[:MOST_TARGETS]), dict(weights[:MOST_WEIGHTS])


def _draw(tables: Tables) -> Canvas:
    targets, weights = shown(tables)
    fig = Canvas(figsize=(WIDTH, (6.2 / (2 + len(weights))) * len(targets) + 1.8))
    heights = [fig.get_figheight() - 1.7, 1.7]
    above, below = fig.subfigures(2, 1, height_ratios=heights, squeeze=False)[:, 0]
    grid = above.subplots(len(targets), 2 + len(weights), squeeze=False)
    norm = Normalize(0, max(float(own["ratio"].max()) for own in tables.planar_maps.values()))
    for row, (target, label) in zip(grid, targets.items(), strict=True):
        _draw_target(row, label, {name: tables.planar_maps.get(f"{target}.{name}") for name in weights}, norm)
    for ax, title in zip(grid[0], ["generated", "right weight", *weights.values()], strict=True):
        ax.set_title(title)
    bar: dict[str, Any] = {"pad": 0.01, "aspect": 25, "extend": "max", "label": "weight"}
    above.colorbar(ScalarMappable(norm, COLOURS), ax=grid, **bar)
    _draw_distances(below, tables.planar, targets, weights)
    return fig


def _draw_target(row: np.ndarray, label: str, maps: Mapping[str, Map | None], norm: Normalize) -> None:
    """The generated points, the latent plane coloured by the right weight, and by the weights of each set."""
    some = next((own for own in maps.values() if own is not None), None)
    for ax in row:
        ax.set(xticks=[], yticks=[], aspect="equal")
    row[0].set_ylabel(label)
    if some is None:
        return
    _draw_generated(row[0], some, norm)
    _draw_plane(row[1], some["axis"], some["ratio"], norm)
    for ax, own in zip(row[2:], maps.values(), strict=True):
        if own is not None:
            _draw_plane(ax, own["axis"], own["w"], norm)


def _draw_generated(ax: Axes, own: Map, norm: Normalize) -> None:
    """G at a grid of latent vectors, by their density in size and by their right weight in colour."""
    a, b = np.meshgrid(own["axis"], own["axis"])
    density = np.exp(-(a**2 + b**2) / 2).ravel()
    seen = density > 0.02  # a dot for less would be too small to see
    x, colour = own["x"].reshape(-1, 2)[seen], COLOURS(norm(own["ratio"].ravel()[seen]))
    ax.scatter(x[:, 0], x[:, 1], s=LARGEST_DOT * density[seen], color=colour, linewidths=0, rasterized=True)
    ax.set_aspect("equal", "datalim")
    ax.set_box_aspect(1)


def _draw_plane(ax: Axes, axis: np.ndarray, values: np.ndarray, norm: Normalize) -> None:
    ends = (axis[0], axis[-1])
    ax.imshow(values, origin="lower", extent=(*ends, *ends), cmap=COLOURS, norm=norm, interpolation="none")


def _draw_distances(below: Any, planar: pd.DataFrame, targets: dict[str, str], weights: dict[str, str]) -> None:
    """A panel a target: the distance of the prior, of each set of weights, of the oracle and of fresh data, by seed."""
    panels = below.subplots(1, len(targets), squeeze=False, sharey=True)[0]
    names = ["prior", *weights.values(), "oracle", "fresh data"]
    for ax, (target, label) in zip(panels, targets.items(), strict=True):
        own = planar[planar["target"] == target]
        one = own[own["weights"] == own["weights"].iloc[0]]
        after = [own.loc[own["weights"] == name, "w1_after"] for name in weights]
        rows = [one["w1_before"], *after, one["w1_oracle"], one["w1_floor"]]
        for y, values in enumerate(rows):
            finite = values[np.isfinite(values)]
            ax.plot(finite, [y] * len(finite), "o", color=PALETTE[2], markersize=3.5, alpha=0.6, markeredgewidth=0)
            ax.plot([finite.mean()], [y], "|", color="black", markersize=9, markeredgewidth=1.4)
        everything = pd.concat(rows)
        positive = everything[np.isfinite(everything) & (everything > 0)]
        logarithmic(ax.xaxis, 0.8 * positive.min(), 1.25 * positive.max())
        ax.set(title=label, xlabel="$W_1$ to fresh data", ylim=(len(rows) - 0.5, -0.5))
        ax.set_yticks(range(len(rows)), names)
        ax.grid(axis="y", color="#eeeeee", linewidth=0.6)
        ax.tick_params(axis="y", length=0)


def _caption(tables: Tables) -> str:
    targets, _ = shown(tables)
    rest = tables.planar["target"].nunique() - len(targets)
    more = f" {rest} more in the table." if rest else ""
    return (
        "Targets in the plane. Above: what the generator makes of a grid of latent vectors, dots by their density "
        "under the prior; then the latent plane, coloured by the right weight, which is p/q cut at m, and by the "
        "weights that were learned with one seed. Below: the Wasserstein distance to fresh data of as many points, a "
        f"dot a seed and a bar for their mean.{more}"
    )


def _possible(tables: Tables) -> bool:
    return len(tables.planar) > 0 and len(tables.planar_maps) > 0


PLANAR = Figure(name="planar", caption=_caption, draw=_draw, possible=_possible)
