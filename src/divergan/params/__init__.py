"""Typed parameters: unknown or impossible values are refused with the file, the line and what would be accepted."""

from __future__ import annotations

from divergan.kinds import merged
from divergan.params.sampling import Oracle, Reweighting, Weights
from divergan.params.study import Study, leaves, read
from divergan.params.theory import Theory
from divergan.params.training import Training
from divergan.strict_yaml import ParameterError

__all__ = [
    "Oracle",
    "ParameterError",
    "Reweighting",
    "Study",
    "Theory",
    "Training",
    "Weights",
    "leaves",
    "merged",
    "read",
]
