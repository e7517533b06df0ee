"""What bounds the critic itself, or blurs what it sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from divergan.lazy import lazy
from divergan.regularisers.declaration import CRITIC, FREE_WEIGHTS, Regulariser
from divergan.strict import Strict

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


class NoSettings(Strict):
    pass


class ClippingSettings(Strict):
    limit: float = Field(gt=0)  # of |weight|


class DropoutSettings(Strict):
    rate: float = Field(gt=0, lt=1)  # share of a hidden layer's outputs that are set to 0


class NoiseSettings(Strict):
    std: float = Field(gt=0)  # at the first step, in units of a network's images, [-1, 1]
    steps: int = Field(ge=1)  # until it is 0, falling in a line; from then on there is none


def clip(critic: torch.nn.Module, settings: ClippingSettings) -> None:
    with torch.no_grad():
        for weight in critic.parameters():
            weight.clamp_(-settings.limit, settings.limit)


SPECTRAL_NORM = Regulariser(
    name="spectral_norm",
    kind="spectral norm",
    source="miyato2018spectral, section 2.1",
    settings=NoSettings,  # the critic is built with it
)
DROPOUT = Regulariser(
    name="dropout",
    kind="dropout",
    source="srivastava2014dropout, section 4",
    settings=DropoutSettings,  # the critic is built with it
    numbers=lambda own: f"{own.rate:g}",
)
WEIGHT_CLIPPING = Regulariser(
    name="weight_clipping",
    kind="weight clipping",
    source="arjovsky2017wgan, Algorithm 1",
    settings=ClippingSettings,
    numbers=lambda own: f"{own.limit:g}",
    needs=frozenset({CRITIC, FREE_WEIGHTS}),
    constrain=clip,
)
INSTANCE_NOISE = Regulariser(
    name="instance_noise",
    kind="instance noise",
    source="sonderby2017amortised, section 3.2",
    settings=NoiseSettings,
    numbers=lambda own: f"{own.std:g} for {own.steps} steps",
    needs=frozenset(),
    noise=lambda own, step: own.std * max(0.0, 1 - step / own.steps),
)
