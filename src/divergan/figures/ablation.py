"""The ablation: the FID of every objective under every generator loss and regulariser, on the tuning split."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, StrMethodFormatter

from divergan.figures.declaration import Figure, Tables
from divergan.figures.style import GREY, WIDTH

COLOURS = colormaps["cividis"]  # grows in lightness alone for all eyes: pale is a high FID
NO_VALUE = "#f0f0f0"
DARKEST_FOR_BLACK = 0.55  # of the map: above it black letters are read better than white ones


def columns(ablation: pd.DataFrame) -> list[tuple[str, str]]:
    """The settings (generator loss, regulariser) that were tried, all regularisers of a loss together."""
    losses, regularisers = (list(ablation[name].unique()) for name in ("generator_loss", "regulariser"))
    tried = set(zip(ablation["generator_loss"], ablation["regulariser"], strict=True))
    return [(loss, regulariser) for loss in losses for regulariser in regularisers if (loss, regulariser) in tried]


def failed(cell: Any) -> str:
    """How many runs of a cell did not finish: "1/2 failed", or nothing."""
    return f"{int(cell['n_failed'])}/{int(cell['n_runs'])} failed" if cell["n_failed"] else ""


def _draw(tables: Tables) -> Canvas:
    ablation, settings = tables.ablation, columns(tables.ablation)
    rows = dict(ablation.drop_duplicates("objective")[["objective", "label"]].to_numpy())
    fig = Canvas(figsize=(WIDTH, 0.95 + 0.36 * len(rows)))
    ax = fig.subplots()
    norm = _norm(ablation["fid"])
    places = {setting: place for place, setting in enumerate(settings)}
    for cell in ablation.to_dict("records"):
        x, y = places[cell["generator_loss"], cell["regulariser"]], list(rows).index(cell["objective"])
        _draw_cell(ax, x, y, cell, norm)
    ax.set(xlim=(-0.5, len(settings) - 0.5), ylim=(len(rows) - 0.45, -0.55))
    ax.set_xticks(range(len(settings)), [regulariser for _, regulariser in settings])
    ax.set_yticks(range(len(rows)), list(rows.values()))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    _write_losses(ax, settings)
    plain: dict[str, Any] = {"ticks": LogLocator(subs=(1, 2, 5)), "format": StrMethodFormatter("{x:g}")}
    bar = fig.colorbar(ScalarMappable(norm, COLOURS), ax=ax, pad=0.02, aspect=30, label="FID, tuning split", **plain)
    bar.minorticks_off()
    return fig


def _draw_cell(ax: Axes, x: int, y: int, cell: dict, norm: LogNorm) -> None:
    """The cell's colour, its number, its failures, and a frame where it was picked."""
    has_value = np.isfinite(cell["fid"])
    shade = float(norm(cell["fid"])) if has_value else 1.0
    box: dict[str, Any] = {"xy": (x - 0.48, y - 0.46), "width": 0.96, "height": 0.92}
    ax.add_patch(Rectangle(**box, facecolor=COLOURS(shade) if has_value else NO_VALUE, linewidth=0))
    ink = "white" if shade < DARKEST_FOR_BLACK else "black"
    number = f"{cell['fid']:#.3g}".rstrip(".") if cell["fid"] < 1000 else f"{cell['fid']:.0f}"
    lines = [text for text in (number if has_value else "", failed(cell)) if text]
    weight = "bold" if cell["picked"] else "normal"
    ax.text(x, y, "\n".join(lines), ha="center", va="center", fontsize=7, color=ink, fontweight=weight)
    if cell["picked"]:
        ax.add_patch(Rectangle(**box, fill=False, edgecolor="#D55E00", linewidth=2, zorder=3))


def _write_losses(ax: Axes, settings: list[tuple[str, str]]) -> None:
    """The generator losses above their columns, a white gap between them."""
    for loss in dict.fromkeys(loss for loss, _ in settings):
        own = [place for place, (other, _) in enumerate(settings) if other == loss]
        title: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "ha": "center", "va": "bottom", "fontsize": 8}
        ax.text(float(np.mean(own)), 1.01, f"generator loss: {loss}", **title)
        if own[0]:
            ax.axvline(own[0] - 0.5, color=GREY, linewidth=0.8)


def _norm(fid: pd.Series) -> LogNorm:
    values = fid[np.isfinite(fid) & (fid > 0)]
    low, high = (values.min(), values.max()) if len(values) else (1.0, 10.0)
    return LogNorm(low, high if high > low else 1.1 * low)


def _caption(tables: Tables) -> str:
    failures = " Runs that did not finish are counted in their cell." if tables.ablation["n_failed"].any() else ""
    return (
        "FID of each objective under each generator loss and regulariser, measured on the tuning split: the geometric "
        f"mean over seeds, colours on a logarithmic scale. The picked cell is framed.{failures}"
    )


ABLATION = Figure(name="ablation", caption=_caption, draw=_draw, possible=lambda tables: len(tables.ablation) > 0)
