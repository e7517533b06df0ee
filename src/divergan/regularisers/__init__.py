"""Regularisers by name, in the order in which they act; any of them together, with any objective, or refused."""

from __future__ import annotations

from divergan.regularisers.constraints import DROPOUT, INSTANCE_NOISE, SPECTRAL_NORM, WEIGHT_CLIPPING
from divergan.regularisers.declaration import Batch, Regulariser
from divergan.regularisers.penalties import CONSENSUS, ENTROPY, GRADIENT_PENALTY, R1, R2

__all__ = ["REGULARISERS", "Batch", "Regulariser"]

REGULARISERS: dict[str, Regulariser] = {
    r.name: r
    for r in (
        R1,
        R2,
        GRADIENT_PENALTY,
        SPECTRAL_NORM,
        DROPOUT,
        WEIGHT_CLIPPING,
        INSTANCE_NOISE,
        CONSENSUS,
        ENTROPY,
    )
}
