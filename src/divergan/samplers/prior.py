"""Latents as they come, or cut off: no network but the generator is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from divergan.data import to_uint8
from divergan.lazy import lazy
from divergan.networks.conditioning import conditioned
from divergan.samplers.declaration import BLOCK, Drawn, Model, Random, Sampler, decoded, latents
from divergan.strict import Strict

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


class PriorSettings(Strict):
    pass


class TrainedOnSettings(Strict):
    weights: str  # the compute that learning these took is what the generator was trained on for


class TruncationSettings(Strict):
    threshold: float = Field(gt=0)  # largest |z_i|


def decode(network: torch.nn.Module, z: torch.Tensor) -> torch.Tensor:
    """Images uint8 (count, C, H, W) on the CPU from latents (count, latent), the network in evaluation mode."""
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        images = torch.cat([to_uint8(network(part)).cpu() for part in z.split(BLOCK)])
    network.train(was_training)
    return images


def prior(model: Model, count: int, settings: Strict, random: Random) -> Drawn:
    """z ~ N(0, I)."""
    return made(model, proposed(model, count, random))


def truncation(model: Model, count: int, settings: TruncationSettings, random: Random) -> Drawn:
    """z ~ N(0, I) given that every |z_i| <= threshold (Marchesi 2017, Brock et al. 2019, who redraw what is outside).

    Here each prior latent is moved by a monotone map and none is redrawn, so that the latents stay paired.
    """
    return made(model, truncated(proposed(model, count, random), settings.threshold))


def proposed(model: Model, count: int, random: Random) -> torch.Tensor:
    """The first `count` proposals, on the model's device, counted as draws."""
    model.cost.draws += count
    return latents(count, model.latent, random.latents).to(model.device)


def made(model: Model, z: torch.Tensor) -> Drawn:
    return Drawn(images=decoded(model, conditioned(z, model.labels)), latents=z.cpu())


def truncated(z: torch.Tensor, threshold: float) -> torch.Tensor:
    """Standard normal values mapped to the truncated normal on [-threshold, threshold] by its inverse CDF.

    In float64, for in float32 the CDF has no digits left above z = 5; by the lower tail, where it has all of them.
    """
    outside = float(torch.special.ndtr(torch.tensor(-threshold, dtype=torch.float64)))
    lower = torch.special.ndtr(-z.double().abs())
    magnitude = -torch.special.ndtri(outside + lower * (1 - 2 * outside))
    return torch.copysign(magnitude.clamp(max=threshold), z.double()).to(z.dtype)


PRIOR = Sampler(
    name="prior",
    label="Prior",
    source="goodfellow2014gan, section 3",
    settings=PriorSettings,
    draw=prior,
    described=lambda settings: "Prior",
)

TRUNCATION = Sampler(
    name="truncation",
    label="Truncation",
    source="brock2019biggan, section 3.1",
    settings=TruncationSettings,
    draw=truncation,
    described=lambda settings: f"Truncation, |z| ≤ {settings.threshold:g}",
)

TRAINED_ON = Sampler(
    name="trained_on",
    label="Trained on",
    source="a control of this project: the prior of a generator that was trained on for the compute of re-weighting",
    needs=frozenset({"trained_on"}),
    settings=TrainedOnSettings,
    draw=prior,
    described=lambda settings: f"Trained on ({settings.weights})",
)
