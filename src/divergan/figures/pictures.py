"""Generated images: beside real ones and the losses, and all variants on the same latent vectors."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from divergan.figures.declaration import Figure, Tables, outcome
from divergan.figures.style import GREY, WIDTH, colours, heading, mosaic, show

IMAGES_ACROSS = 16


def shown_run(tables: Tables) -> pd.Series:
    """The run whose losses are shown: the first of the table that has samples, one that finished where there is one."""
    runs = tables.runs[tables.runs["key"].isin(list(tables.samples))]
    finished = runs[runs["outcome"] == "finished"]
    return (finished if len(finished) else runs).iloc[0]


def _draw_losses(tables: Tables) -> Canvas:
    run = shown_run(tables)
    history = tables.history[tables.history["key"] == run["key"]]
    fig = Canvas(figsize=(WIDTH, 2.1))
    losses, real, generated = fig.subplots(1, 3, width_ratios=[1.35, 1, 1])
    lines = {"critic": colours(tables.objectives)[run["objective"]], "generator": GREY}
    for player, colour in lines.items():
        losses.plot(history["step"], history[f"{player}_loss"], color=colour, label=player, linewidth=0.9)
    losses.set(xlabel="step", ylabel="loss")
    losses.xaxis.set_major_locator(MaxNLocator(4))
    losses.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0, handlelength=1.4)
    for ax, key, title in ((real, "real", "real"), (generated, run["key"], "generated")):
        show(ax, mosaic(tables.samples[key][:36], 6))
        ax.set_title(title)
    return fig


def _caption_losses(tables: Tables) -> str:
    run = shown_run(tables)
    return (
        f"One training: {run['label']}, {run['arm']}, seed {run['seed']}. Losses of critic and generator, "
        f"real images, and generated images, not selected.{inverted(tables)}"
    )


def _draw_samples(tables: Tables) -> Canvas:
    arms = list(tables.runs["arm"].unique())
    runs, labels = tables.runs, list(tables.runs["label"].unique())
    across = min(IMAGES_ACROSS // len(arms), *(len(images) for images in tables.samples.values()))
    fig = Canvas(figsize=(WIDTH, 0.2 + 0.36 * (len(labels) + 1)))
    grid = fig.subplots(len(labels) + 1, len(arms), squeeze=False)
    for column, arm in zip(grid.T, arms, strict=True):
        show(column[0], mosaic(tables.samples["real"][:across], across))
        column[0].set_title(heading(arm, len(arms)))
        for ax, label in zip(column[1:], labels, strict=True):
            _draw_strip(ax, tables, runs[(runs["arm"] == arm) & (runs["label"] == label)], across)
    for ax, text in zip(grid[:, 0], ["real images", *labels], strict=True):
        ax.set_ylabel(text, rotation=0, ha="right", va="center")
    return fig


def _draw_strip(ax: Axes, tables: Tables, runs: pd.DataFrame, across: int) -> None:
    """The samples of the first seed that has some; words where that run failed, or where there is none."""
    with_samples = runs[runs["key"].isin(list(tables.samples))]
    if len(with_samples):
        run = with_samples.iloc[0]
        show(ax, mosaic(tables.samples[run["key"]][:across], across))
        ax.set_xlabel("" if run["outcome"] == "finished" else outcome(run), fontsize=6.5, labelpad=1, color=GREY)
        return
    show(ax, mosaic(0 * tables.samples["real"][:across], across))
    words = "not run" if runs.empty else outcome(runs.iloc[0])
    ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center", fontsize=7, color=GREY)


def _caption_samples(tables: Tables) -> str:
    return (
        "Generated images of the first seed of each variant that has samples, not selected: every row starts from the "
        f"same latent vectors, a column a vector. The first row is real.{inverted(tables)}"
    )


def inverted(tables: Tables) -> str:
    """What a reader must know of grey pictures: `style.mosaic` inverts them."""
    return " Grey images are printed dark on white." if tables.samples["real"].ndim == 3 else ""


def has_samples(tables: Tables) -> bool:
    """Whether there are real images and those of at least one run."""
    return "real" in tables.samples and bool(tables.runs["key"].isin(list(tables.samples)).any())


def _has_losses(tables: Tables) -> bool:
    return has_samples(tables) and len(tables.history) > 0


LOSSES = Figure(name="losses", caption=_caption_losses, draw=_draw_losses, possible=_has_losses)
SAMPLES = Figure(name="samples", caption=_caption_samples, draw=_draw_samples, possible=has_samples)
