"""What all figures share: one colour per objective, one look, one way to show images and axes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from divergan.comparison import family

WIDTH = 6.3  # inches: the text of an A4 page with margins of 2.5 cm
TALLEST = 8.0  # inches of panels: what a page holds beside legend and caption
MOST_ARMS = 4  # panels side by side whose words do not run into each other; the tables of the report have every arm
GREY = "#6e6e6e"
DASHED = (0, (2, 2))
# Okabe and Ito's colours, which colour-blind readers tell apart; their yellow, too pale for a line, is darkened
PALETTE = ("#000000", "#E69F00", "#0072B2", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#B3A100", "#8C510A", "#7F7F7F")
STYLE = {
    "font.family": "DejaVu Sans",  # matplotlib carries it: the same on every machine
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.titlelocation": "left",
    "lines.linewidth": 1.4,
    "figure.constrained_layout.use": True,
    "svg.fonttype": "path",
    "svg.hashsalt": "divergan",
}


def colours(objectives: Iterable[str]) -> dict[str, str]:
    """A colour for each objective, by its place in the registry, so that an added one changes no other.

    The as-published form of an objective has the colour of its family.
    """
    names = list(objectives)
    by_family = dict(zip(dict.fromkeys(map(family, names)), cycle(PALETTE), strict=False))
    return {name: by_family[family(name)] for name in names}


def heading(arm: str, across: int) -> str:
    """An arm's name above its panel, one of `across` side by side; broken at its underscores where it has no room."""
    return arm if len(arm) * across < 80 else arm.replace("_", "_\n")


def logarithmic(axis: XAxis | YAxis, low: float, high: float) -> None:
    """A logarithmic axis with plain numbers at 1, 2 and 5; at 1 alone where it spans more than three decades."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log", f"{axis.axis_name}lim": (low, high)})
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1e3 * low else (1,)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def mosaic(images: np.ndarray, columns: int, gap: int = 2) -> np.ndarray:
    """Images (n, H, W[, C]) as one picture, row by row, with `gap` empty pixels between them.

    Grey images are inverted (dark digits on white paper), in every figure; colours stay as they are.
    """
    images = images[..., 0] if images.ndim == 4 and images.shape[-1] == 1 else images
    images = 255 - images if images.ndim == 3 else images
    n, height, width, *channels = images.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, *channels), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def show(ax: Axes, picture: np.ndarray) -> None:
    """A picture without axes, pixel by pixel."""
    ax.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="none")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
