"""The figures of the chapters on known densities, by chapter."""

from __future__ import annotations

from typing import Any

from divergan.figures.bounds import BOUNDS
from divergan.figures.dynamics import DYNAMICS
from divergan.figures.gaussian import GAUSSIAN
from divergan.figures.modes import MODES

FIGURES: dict[str, tuple[Any, ...]] = {
    "gaussian": (GAUSSIAN,),
    "modes": (MODES,),
    "bounds": (BOUNDS,),
    "dynamics": (DYNAMICS,),
}
