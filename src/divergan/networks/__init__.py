"""Generators and critics by name.

Every builder returns a torch.nn.Module: a generator maps latents (N, latent) to images (N, C, H, W) in [-1, 1], a
critic maps such images to raw scores (N,). Sizes come from params.yaml.
"""

from __future__ import annotations

from divergan.networks.declaration import Critic, Generator
from divergan.networks.mlp import MLP_BATCHNORM_GENERATOR, MLP_CRITIC, MLP_GENERATOR

__all__ = ["CRITICS", "GENERATORS", "Critic", "Generator"]

GENERATORS: dict[str, Generator] = {g.name: g for g in (MLP_GENERATOR, MLP_BATCHNORM_GENERATOR)}
CRITICS: dict[str, Critic] = {c.name: c for c in (MLP_CRITIC,)}
