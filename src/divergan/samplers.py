"""Ways to draw images from a trained generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from divergan.data import to_uint8
from divergan.lazy import lazy

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

BATCH = 512  # images a forward pass


@dataclass(frozen=True, kw_only=True)
class Sampler:
    name: str  # key in params.yaml
    label: str  # as the report prints it
    source: str  # BibTeX key, then the place in it
    draw: Callable[[torch.nn.Module, int, int, torch.Generator], torch.Tensor]


def prior(network: torch.nn.Module, count: int, latent: int, rng: torch.Generator) -> torch.Tensor:
    """Images uint8 (count, C, H, W) on the CPU from z ~ N(0, I_latent), the network in evaluation mode.

    Latents come in the order of `rng`, whatever the batch: the first n of a larger draw are the smaller draw.
    """
    z = torch.randn(count, latent, generator=rng, device=rng.device)
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        images = torch.cat([to_uint8(network(part)).cpu() for part in z.split(BATCH)])
    network.train(was_training)
    return images


PRIOR = Sampler(name="prior", label="Prior", source="goodfellow2014gan, section 3", draw=prior)

SAMPLERS: dict[str, Sampler] = {s.name: s for s in (PRIOR,)}
