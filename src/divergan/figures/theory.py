"""The figures of the chapters on known densities, by chapter."""

from __future__ import annotations

from typing import Any

from divergan.figures.dynamics import DYNAMICS
from divergan.figures.gaussian import GAUSSIAN

FIGURES: dict[str, tuple[Any, ...]] = {"gaussian": (GAUSSIAN,), "dynamics": (DYNAMICS,)}
