"""The figures of the chapters on known densities, by chapter."""

from __future__ import annotations

from typing import Any

from divergan.figures.atlas import ATLAS
from divergan.figures.bilinear import BILINEAR
from divergan.figures.bounds import BOUNDS
from divergan.figures.distances import DISTANCES
from divergan.figures.dynamics import DYNAMICS
from divergan.figures.gaussian import GAUSSIAN
from divergan.figures.likelihood import LIKELIHOOD
from divergan.figures.modes import MODES
from divergan.figures.plug_in import PLUG_IN
from divergan.figures.supports import SUPPORTS

FIGURES: dict[str, tuple[Any, ...]] = {
    "gaussian": (GAUSSIAN,),
    "modes": (MODES,),
    "bounds": (BOUNDS,),
    "supports": (SUPPORTS,),
    "plug_in": (PLUG_IN,),
    "distances": (DISTANCES,),
    "likelihood": (LIKELIHOOD,),
    "dynamics": (DYNAMICS,),
    "atlas": (ATLAS,),
    "bilinear": (BILINEAR,),
}
