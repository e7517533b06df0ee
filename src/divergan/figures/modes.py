"""Mode collapse on mixtures in the plane: what each objective's generator makes."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from divergan.chapters.modes import MIXTURES
from divergan.figures.declaration import Figure
from divergan.figures.style import PALETTE, WIDTH

Tables = Mapping[str, pd.DataFrame]
MOST = 6  # variants that a page holds


def shown(tables: Tables) -> tuple[list[str], list[str]]:
    """The mixtures and the variants of the figure."""
    summary = tables["modes_summary"]
    return list(dict.fromkeys(summary["mixture"])), list(dict.fromkeys(summary["variant"]))[:MOST]


def _draw(tables: Tables) -> Canvas:
    mixtures, variants = shown(tables)
    side = WIDTH / len(variants)
    fig = Canvas(figsize=(WIDTH, (side + 0.3) * len(mixtures) + 0.2))
    grid = fig.subplots(len(mixtures), len(variants), squeeze=False)
    first = tables["modes_summary"].drop_duplicates("variant").fillna({"regulariser": "none"}).set_index("variant")
    for row, mixture in zip(grid, mixtures, strict=True):
        for ax, variant in zip(row, variants, strict=True):
            _draw_samples(ax, tables, mixture, variant)
        row[0].set_ylabel(MIXTURES[mixture].label)
    for ax, variant in zip(grid[0], variants, strict=True):
        own = first.loc[variant]
        regulariser = "" if own["regulariser"] == "none" else str(own["regulariser"])
        ax.set_title(f"{own['label']}\n{regulariser}", fontsize=6)
    return fig


def _draw_samples(ax: Axes, tables: Tables, mixture: str, variant: str) -> None:
    """Samples of the first run that finished, over the modes' centres, with the mean number of modes found."""
    points, summary = tables["modes_points"], tables["modes_summary"]
    centres = MIXTURES[mixture].centres
    reach = 1.25 * max(abs(c) for centre in centres for c in centre)
    ax.plot(*zip(*centres, strict=True), "o", color="#cccccc", markersize=5, markeredgewidth=0)
    own = points[(points["mixture"] == mixture) & (points["variant"] == variant)]
    own = own[own["seed"] == own["seed"].min()]
    ax.plot(own["x"], own["y"], ".", color=PALETTE[2], markersize=2, alpha=0.5, markeredgewidth=0)
    ax.set(xticks=[], yticks=[], aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach))
    row = summary[(summary["mixture"] == mixture) & (summary["variant"] == variant)].iloc[0]
    told = f"{row['modes']:.1f} of {len(centres)} modes" if row["n"] else "no run finished"
    ax.set_xlabel(told, fontsize=7)


def _caption(tables: Tables) -> str:
    _, variants = shown(tables)
    rest = tables["modes_summary"]["variant"].nunique() - len(variants)
    more = f" {rest} more in the table." if rest else ""
    return (
        "Samples of one run of each objective (blue) over the centres of the modes (grey), and how many modes are "
        f"found in the mean over seeds.{more}"
    )


MODES = Figure(name="modes", caption=_caption, draw=_draw, possible=lambda tables: "modes" in tables)
