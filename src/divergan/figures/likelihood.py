"""What likelihood does not see: models by likelihood, by samples and by Parzen windows, over dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from divergan.figures.declaration import Figure
from divergan.figures.style import GREY, PALETTE, WIDTH

Tables = Mapping[str, pd.DataFrame]
LOWEST = 1e-2  # nats below the truth: less is drawn at the edge
MODELS = ("data", "noisy", "shifted", "scaled", "memoriser", "smoothed", "shrunk", "k_means", "mean")
LOOK: dict[str, dict[str, Any]] = {
    name: {"color": PALETTE[i], "marker": "os^Dv<PX*"[i], "markersize": 3} for i, name in enumerate(MODELS)
}


def _draw(tables: Tables) -> Canvas:
    models, windows = tables["likelihood_summary"], tables["likelihood_parzen_summary"]
    models = models[models["model"] != "data"]
    fig = Canvas(figsize=(WIDTH, 3.1))
    left, right = fig.subfigures(1, 2, width_ratios=[1.75, 1], squeeze=False)[0]
    below, good = left.subplots(1, 2)
    parzen = right.subplots()
    _draw_lines(below, models, "below")
    below.axhline(tables["likelihood_divergences"].query("divergence == 'kl'")["ceiling"].iloc[0], color=GREY, lw=0.6)
    _draw_lines(good, models, "good")
    _draw_lines(parzen, windows, "parzen_below")
    below.set(title="likelihood", ylabel="nats below the data's own", yscale="log", ylim=(LOWEST, None))
    good.set(title="samples", ylabel="share of good samples", ylim=(-0.03, 1.03))
    parzen.set(title="Parzen windows", ylabel="nats below the data's likelihood", yscale="log", ylim=(LOWEST, None))
    for part, rows in ((left, models), (right, windows)):
        part.legend(
            handles=_handles(rows), loc="outside lower center", ncols=2, fontsize=6, columnspacing=0.8, handlelength=1.5
        )
    return fig


def _names(rows: pd.DataFrame) -> dict[str, str]:
    return dict(rows[["model", "label"]].drop_duplicates("model").to_numpy())


def _draw_lines(ax: Axes, rows: pd.DataFrame, measured: str) -> None:
    """A line a model over dimensions, means over seeds; logarithms are drawn at the edge where they are below it."""
    for name in _names(rows):
        own = rows[rows["model"] == name]
        values = own[measured] if measured == "good" else own[measured].clip(lower=LOWEST)
        ax.plot(own["dimension"], values, linewidth=1, **LOOK[name])
    ax.set(xscale="log", xlabel="dimensions")
    ticks = list(dict.fromkeys(rows["dimension"]))
    ax.set_xticks(ticks, [str(d) for d in ticks])
    ax.minorticks_off()


def _handles(rows: pd.DataFrame) -> list[Line2D]:
    return [Line2D([], [], linewidth=1, label=label, **LOOK[name]) for name, label in _names(rows).items()]


def _caption(tables: Tables) -> str:
    return (
        "Models of a unit normal over its dimensions, means over seeds. Left: how far the likelihood of held-out "
        "points lies below that of the data's own distribution; the grey line is the most that the noisy model can "
        "lose. Middle: the share of samples whose norm is typical of the data. Right: a Parzen window on as many "
        "samples of each model, below the exact likelihood of the data: the window ranks the lowest line first."
    )


LIKELIHOOD = Figure(name="likelihood", caption=_caption, draw=_draw, possible=lambda tables: "likelihood" in tables)
