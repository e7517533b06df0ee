"""Ways to draw images from a trained generator, by name."""

from __future__ import annotations

from divergan.samplers.chains import MH
from divergan.samplers.declaration import (
    BLOCK,
    NEEDS,
    Cost,
    Drawn,
    Model,
    Random,
    Sampler,
    Stuck,
    latents,
)
from divergan.samplers.gradients import DDLS, DOT, LATENT_RS_GA
from divergan.samplers.prior import PRIOR, TRAINED_ON, TRUNCATION, decode
from divergan.samplers.ratio import CALIBRATIONS, DIFFERENTIABLE, calibrate
from divergan.samplers.rejection import DRS, LATENT_RS, OBRS, RANDOM_REJECTION
from divergan.samplers.resampling import SIR, SIR_RATIO

__all__ = [
    "BLOCK",
    "CALIBRATIONS",
    "DIFFERENTIABLE",
    "NEEDS",
    "SAMPLERS",
    "Cost",
    "Drawn",
    "Model",
    "Random",
    "Sampler",
    "Stuck",
    "calibrate",
    "decode",
    "latents",
]

SAMPLERS: dict[str, Sampler] = {
    s.name: s
    for s in (
        PRIOR,
        TRUNCATION,
        LATENT_RS,
        RANDOM_REJECTION,
        LATENT_RS_GA,
        SIR,
        SIR_RATIO,
        DRS,
        OBRS,
        MH,
        DDLS,
        DOT,
        TRAINED_ON,
    )
}
