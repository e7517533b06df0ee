"""Generators and critics by name.

Every builder returns a torch.nn.Module: a generator maps latents (N, latent) to images (N, C, H, W) in [-1, 1], a
critic maps such images to raw scores (N,), or to features (N, outputs) where its objective wants several. Sizes come
from params.yaml.
"""

from __future__ import annotations

from divergan.networks.dcgan import DCGAN_CRITIC, DCGAN_GENERATOR
from divergan.networks.declaration import Critic, CriticForm, Generator
from divergan.networks.dropout import own_randomness
from divergan.networks.mlp import IDENTITY_CRITIC, MLP_BATCHNORM_GENERATOR, MLP_CRITIC, MLP_GENERATOR
from divergan.networks.planar import LINEAR_GENERATOR, MAXOUT_CRITIC

__all__ = ["CRITICS", "GENERATORS", "Critic", "CriticForm", "Generator", "own_randomness"]

GENERATORS: dict[str, Generator] = {
    g.name: g for g in (MLP_GENERATOR, MLP_BATCHNORM_GENERATOR, DCGAN_GENERATOR, LINEAR_GENERATOR)
}
CRITICS: dict[str, Critic] = {c.name: c for c in (MLP_CRITIC, DCGAN_CRITIC, MAXOUT_CRITIC, IDENTITY_CRITIC)}
