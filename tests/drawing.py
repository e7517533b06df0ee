"""Figures as matplotlib has them, laid out, for tests that look at what is drawn."""

from __future__ import annotations

import matplotlib

from divergan.figures import FIGURES
from divergan.figures.style import STYLE


def drawn(name: str, study):
    """The figure as matplotlib has it, laid out."""
    with matplotlib.style.context(["default", STYLE]):
        figure = FIGURES[name].draw(study)
        figure.draw_without_rendering()
    return figure


def texts(figure) -> list[str]:
    return [t.get_text() for t in figure.findobj(matplotlib.text.Text) if t.get_text() and t.get_visible()]
