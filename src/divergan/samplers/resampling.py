"""Sampling-importance-resampling: many proposals, of which images are drawn in proportion to what they weigh."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from divergan.lazy import lazy
from divergan.samplers.declaration import BLOCK, Drawn, Model, Random, Sampler, decoded, stored, stuck
from divergan.samplers.prior import proposed
from divergan.samplers.rejection import share
from divergan.strict import Strict

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


class SirSettings(Strict):
    weights: str
    acceptance: float = Field(gt=0, le=1)  # images drawn over proposals


class SirRatioSettings(Strict):
    acceptance: float = Field(gt=0, le=1)


def sir(model: Model, count: int, settings: SirSettings, random: Random) -> Drawn:
    """Draw from count/acceptance proposals in proportion to w(z); one proposal may be drawn more than once."""
    z = proposed(model, pool(count, settings.acceptance), random)
    chosen = z[resampled(torch.cat([model.w(part) for part in z.split(BLOCK)]), count, model, random, "SIR")]
    return Drawn(images=decoded(model, chosen), latents=chosen.cpu())


def sir_ratio(model: Model, count: int, settings: SirRatioSettings, random: Random) -> Drawn:
    """The same in proportion to the density ratio p/q of the images."""
    z = proposed(model, pool(count, settings.acceptance), random)
    images, log_ratios = [], []
    for part in z.split(BLOCK):
        made = model.images(part)
        log_ratios.append(model.r(made).double())
        images.append(stored(made))
    every = torch.cat(log_ratios)
    rows = resampled((every - every.max()).exp(), count, model, random, "SIR").cpu()
    return Drawn(images=torch.cat(images)[rows], latents=z.cpu()[rows])


def pool(count: int, acceptance: float) -> int:
    """Proposals for `count` images, rounded up, but not for the last digit of 1/3."""
    return math.ceil(count / acceptance - 1e-9)


def resampled(weights: torch.Tensor, count: int, model: Model, random: Random, label: str) -> torch.Tensor:
    """Indices (count,) drawn with replacement in proportion to weights (n,) >= 0; Stuck where they come to nothing.

    By the inverse of the cumulative sum, in float64 on the CPU, where the sum has one order and so one result.
    """
    cumulative = weights.double().cpu().cumsum(0)
    if not 0 < float(cumulative[-1]) < math.inf:
        raise stuck(model, label, 0, len(weights), 0.0)
    model.cost.acceptance = count / len(weights)
    u = torch.rand(count, generator=random.choices, device=random.choices.device, dtype=torch.float64).cpu()
    return torch.searchsorted(cumulative, u * cumulative[-1], right=True).to(weights.device)


SIR = Sampler(
    name="sir",
    label="SIR on w",
    source="rubin1988sir",
    needs=frozenset({"weights"}),
    settings=SirSettings,
    draw=sir,
    described=lambda settings: f"SIR on w ({settings.weights}), acceptance {share(settings.acceptance)}",
)

SIR_RATIO = Sampler(
    name="sir_ratio",
    label="SIR on p/q",
    source="rubin1988sir",
    needs=frozenset({"ratio"}),
    settings=SirRatioSettings,
    draw=sir_ratio,
    described=lambda settings: f"SIR on p/q, acceptance {share(settings.acceptance)}",
)
