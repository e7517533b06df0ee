"""The divergences themselves: output activations and conjugates."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from divergan.figures.declaration import Figure, Tables, trained
from divergan.figures.style import WIDTH, colours
from divergan.lazy import lazy

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


def drawn(tables: Tables) -> list[Any]:
    """The f-divergences that the study trained, in the order of the registry."""
    return [o for o in trained(tables).values() if hasattr(o, "activation")]


def curve(function: Callable, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Points x (601,) from low to high and function(x), in float64."""
    x = torch.linspace(low, high, 601, dtype=torch.float64)
    return x.numpy(), function(x).numpy()


def _plot(ax: Axes, x: np.ndarray, y: np.ndarray, point: tuple[float, float], **line: Any) -> None:
    """A curve with a dot; dashed where it lies on a curve that is there already, so that both are seen."""
    hidden = any(np.array_equal(x, other.get_xdata()) and np.allclose(y, other.get_ydata()) for other in ax.lines)
    ax.plot(x, y, linestyle=(0, (3, 3)) if hidden else "solid", **line)
    ax.scatter(*point, s=16, color=line["color"], zorder=3)


def _draw(tables: Tables) -> Canvas:
    colour = colours(tables.objectives)
    fig = Canvas(figsize=(WIDTH, 2.7))
    left, right = fig.subplots(1, 2)
    for o in drawn(tables):
        line, threshold = {"color": colour[o.name], "label": o.label}, o.threshold
        v, output = curve(o.activation, -6, 6)
        _plot(left, v, output, (float(np.interp(threshold, output, v)), threshold), **line)
        t, conjugate = curve(o.conjugate, max(o.domain[0], -6), min(o.domain[1] - 1e-6, 3))
        _plot(right, t, conjugate, (threshold, float(np.interp(threshold, t, conjugate))), **line)
    left.set(ylim=(-6, 3.5), xlabel="critic score $v$", ylabel="output $T = g_f(v)$")
    right.set(ylim=(-3.5, 6), xlim=(-6, 3.2), xlabel="output $t$", ylabel="conjugate $f^*(t)$")
    fig.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


def _caption(tables: Tables) -> str:
    return (
        "Left: the output activation of each divergence. Right: its conjugate, on its domain. "
        "The dot is the threshold T = f'(1): above it the critic calls an image more likely real than generated. "
        "A dashed line lies on another line."
    )


DIVERGENCES = Figure(name="divergences", caption=_caption, draw=_draw, possible=lambda tables: bool(drawn(tables)))
