"""The figures by name: each a declaration that draws from tables; none reads a file.

`render` gives the same bytes in every process: text is drawn as paths with matplotlib's own fonts, and a file carries
neither date nor random ids.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import matplotlib.style

from divergan.figures.ablation import ABLATION
from divergan.figures.claims import CLAIMS, SAMPLER_CLAIMS
from divergan.figures.classes import CLASSES
from divergan.figures.declaration import Figure, Tables
from divergan.figures.divergences import DIVERGENCES
from divergan.figures.evidence import AGREEMENT, ONE_RUN, VARIANCE
from divergan.figures.failures import FAILURES
from divergan.figures.pictures import LOSSES, SAMPLES
from divergan.figures.planar import PLANAR
from divergan.figures.reweighting import RANKED, REMOVED, WEIGHT_TRAINING
from divergan.figures.sampling import EFFECTS, FRONTIER
from divergan.figures.story import STORY
from divergan.figures.style import STYLE
from divergan.figures.training import ACCURACY, OVER_TRAINING, SCORES

__all__ = ["FIGURES", "Figure", "Tables", "drawable", "render"]

RUNS = (STORY, DIVERGENCES, LOSSES, SAMPLES, CLASSES, OVER_TRAINING, ACCURACY, SCORES, FAILURES)
EVIDENCE = (CLAIMS, SAMPLER_CLAIMS, AGREEMENT, ONE_RUN, VARIANCE, ABLATION)
REWEIGHTING = (PLANAR, WEIGHT_TRAINING, RANKED, REMOVED, EFFECTS, FRONTIER)
FIGURES: dict[str, Figure] = {figure.name: figure for figure in RUNS + EVIDENCE + REWEIGHTING}
METADATA = {"svg": {"Date": None, "Creator": "divergan"}, "png": {"Software": "divergan"}}


def drawable(tables: Tables) -> list[Figure]:
    """The figures whose data the tables hold, in the report's order."""
    return [figure for figure in FIGURES.values() if figure.possible(tables)]


def render(figure: Figure, tables: Any, file_format: str = "svg") -> bytes:
    """The bytes of the figure's file, "svg" (for the report) or "png" (for the tracking UI); equal for equal tables."""
    buffer = BytesIO()
    with matplotlib.style.context(["default", STYLE]):  # whatever a person's own matplotlibrc says
        figure.draw(tables).savefig(buffer, format=file_format, dpi=200, metadata=METADATA[file_format])
    return buffer.getvalue()
