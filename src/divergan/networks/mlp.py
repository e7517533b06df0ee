"""Fully connected networks: the published pair, and the generator with batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

from divergan.lazy import lazy
from divergan.networks.declaration import Critic, CriticForm, Generator, Shape
from divergan.networks.dropout import dropout

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

SLOPE = 0.2  # of every LeakyReLU, as in the released code of the report


def mlp_generator(latent: int, hidden: Sequence[int], shape: Shape) -> torch.nn.Module:
    """latent -> hidden ... -> C*H*W, LeakyReLU between, tanh at the end."""
    nn = torch.nn
    sizes = (latent, *hidden)
    layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.LeakyReLU(SLOPE, inplace=True))]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], prod(shape)), nn.Tanh(), nn.Unflatten(1, shape))


def mlp_batchnorm_generator(latent: int, hidden: Sequence[int], shape: Shape) -> torch.nn.Module:
    """`mlp_generator` with batch normalisation before every LeakyReLU (the linear bias would be cancelled by it)."""
    nn = torch.nn
    sizes = (latent, *hidden)
    layers = [
        layer
        for a, b in pairwise(sizes)
        for layer in (nn.Linear(a, b, bias=False), nn.BatchNorm1d(b), nn.LeakyReLU(SLOPE, inplace=True))
    ]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], prod(shape)), nn.Tanh(), nn.Unflatten(1, shape))


def mlp_critic(shape: Shape, hidden: Sequence[int], form: CriticForm) -> torch.nn.Module:
    """C*H*W -> hidden ... -> outputs, LeakyReLU between, no sigmoid: the raw score v (N,), or features (N, k)."""
    nn = torch.nn
    normed = nn.utils.parametrizations.spectral_norm if form.spectral_norm else lambda layer: layer
    sizes = (prod(shape), *hidden)

    def active() -> torch.nn.Module:
        relu = nn.LeakyReLU(SLOPE, inplace=True)
        return nn.Sequential(relu, dropout(form.dropout)) if form.dropout else relu  # one place among the layers' names

    layers = [layer for a, b in pairwise(sizes) for layer in (normed(nn.Linear(a, b)), active())]
    last = normed(nn.Linear(sizes[-1], form.outputs))
    return nn.Sequential(nn.Flatten(), *layers, last, *([nn.Flatten(0)] if form.outputs == 1 else []))


def identity_critic(shape: Shape, hidden: Sequence[int], form: CriticForm) -> torch.nn.Module:
    """The pixels themselves, (N, C*H*W): for kernels on images, where only the generator learns."""
    return torch.nn.Flatten()


def generator_products(latent: int, hidden: Sequence[int], shape: Shape) -> int:
    return matrix_weights(latent, *hidden, prod(shape))


def critic_products(shape: Shape, hidden: Sequence[int]) -> int:
    return matrix_weights(prod(shape), *hidden, 1)


def no_products(shape: Shape, hidden: Sequence[int]) -> int:
    return 0


def matrix_weights(*sizes: int) -> int:
    """Of a chain of fully connected layers."""
    return sum(a * b for a, b in pairwise(sizes))


MLP_GENERATOR = Generator(
    name="mlp",
    label="MLP",
    source="benatti2024fdivergences, released code",
    build=mlp_generator,
    products=generator_products,
)
MLP_BATCHNORM_GENERATOR = Generator(
    name="mlp_batchnorm",
    label="MLP with batch normalisation",
    source="radford2016dcgan, section 3",
    build=mlp_batchnorm_generator,
    products=generator_products,
)
IDENTITY_CRITIC = Critic(
    name="identity",
    label="none, pixels",
    source="li2015moment, section 3",
    build=identity_critic,
    products=no_products,
)
MLP_CRITIC = Critic(
    name="mlp",
    label="MLP",
    source="benatti2024fdivergences, released code",
    build=mlp_critic,
    products=critic_products,
)
