"""What conditional generators make of each label: a class a column."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from divergan.figures.declaration import Figure, Tables, outcome
from divergan.figures.pictures import inverted
from divergan.figures.style import GREY, WIDTH, mosaic, show

ROWS = 3  # images of each class
GAP = 2  # pixels between images
MOST_NUMBERED = 20  # columns whose numbers have room


def shown_runs(tables: Tables) -> pd.DataFrame:
    """The first seed of each conditional variant that has samples."""
    conditional = tables.runs[tables.runs["key"].isin(list(tables.sample_labels))]
    return conditional.drop_duplicates("variant")


def _draw(tables: Tables) -> Canvas:
    runs = shown_runs(tables).to_dict("records")
    fig = Canvas(figsize=(WIDTH, 0.3 + 1.25 * len(runs)))
    several = len({run["arm"] for run in runs}) > 1
    for ax, run in zip(fig.subplots(len(runs), 1, squeeze=False)[:, 0], runs, strict=True):
        _draw_run(ax, tables, str(run["key"]))
        name = f"{run['label']}\n{run['arm']}" if several else run["label"]
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
        ax.set_xlabel("" if run["outcome"] == "finished" else outcome(run), fontsize=6.5, labelpad=1, color=GREY)
    return fig


def _draw_run(ax: Axes, tables: Tables, key: str) -> None:
    """ROWS images of each class; labels come in turn, so that the order of the set is already a class a column."""
    images, classes = tables.samples[key], int(tables.sample_labels[key].max()) + 1
    show(ax, mosaic(images[: ROWS * classes], classes, GAP))
    width = images.shape[2] + GAP
    if classes <= MOST_NUMBERED:
        ax.set_xticks([width * k + images.shape[2] / 2 for k in range(classes)], list(map(str, range(classes))))
        ax.tick_params(axis="x", top=True, labeltop=True, bottom=False, labelbottom=False, length=0, pad=1)


def _caption(tables: Tables) -> str:
    return (
        "Conditional generators, the first seed of each variant, images not selected: a column is the class that was "
        f"asked for, by its number in the data.{inverted(tables)}"
    )


CLASSES = Figure(name="classes", caption=_caption, draw=_draw, possible=lambda tables: len(shown_runs(tables)) > 0)
