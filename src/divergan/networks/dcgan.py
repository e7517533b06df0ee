"""Convolutional networks: the generator and critic of DCGAN (Radford et al. 2016), at the sizes of the images at hand.

`hidden` are channels, from the smallest map to the largest in the generator and the other way in the critic; each step
doubles or halves the side. The critic has no batch normalisation, unlike the paper's: it sees real and generated images
in one batch, and a penalty on the gradient at one image wants scores that no other image moves.
"""

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

KERNEL = 4  # with stride 2 and padding 1 it halves or doubles a side exactly, and every pixel is touched equally often
SLOPE = 0.2  # of the critic's LeakyReLU; section 3
WEIGHT_STD = 0.02  # of the initial weights; section 4


def dcgan_generator(latent: int, hidden: Sequence[int], shape: Shape) -> torch.nn.Module:
    """latent -> (hidden[0], H/2^k, W/2^k) -> ... -> (C, H, W); batch normalisation and ReLU between, tanh last."""
    nn = torch.nn
    first = smallest(hidden, shape)
    up = [
        layer
        for a, b in pairwise(hidden)
        for layer in (nn.ConvTranspose2d(a, b, KERNEL, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True))
    ]
    network = nn.Sequential(
        nn.Linear(latent, prod(first), bias=False),
        nn.Unflatten(1, first),
        nn.BatchNorm2d(first[0]),
        nn.ReLU(inplace=True),
        *up,
        nn.ConvTranspose2d(hidden[-1], shape[0], KERNEL, 2, 1),
        nn.Tanh(),
    )
    return small_weights(network)


def dcgan_critic(shape: Shape, hidden: Sequence[int], form: CriticForm) -> torch.nn.Module:
    """(C, H, W) -> (hidden[0], H/2, W/2) -> ... -> outputs, LeakyReLU between, no sigmoid."""
    nn = torch.nn
    normed = nn.utils.parametrizations.spectral_norm if form.spectral_norm else lambda layer: layer
    sizes = (shape[0], *hidden)

    def halved(a: int, b: int) -> list[torch.nn.Module]:
        layers = [small_weights(nn.Conv2d(a, b, KERNEL, 2, 1)), nn.LeakyReLU(SLOPE, inplace=True)]
        return [normed(layers[0]), layers[1], *([dropout(form.dropout)] if form.dropout else [])]

    cells = prod(smallest([hidden[-1], *hidden[:-1]], shape))
    last = normed(small_weights(nn.Linear(cells, form.outputs)))
    layers = [layer for a, b in pairwise(sizes) for layer in halved(a, b)]
    return nn.Sequential(*layers, nn.Flatten(), last, *([nn.Flatten(0)] if form.outputs == 1 else []))


def small_weights(network: torch.nn.Module) -> torch.nn.Module:
    """The network with the weights of its products drawn anew from N(0, WEIGHT_STD²)."""
    nn = torch.nn
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, std=WEIGHT_STD)
    return network


def smallest(hidden: Sequence[int], shape: Shape) -> tuple[int, int, int]:
    """The smallest map: channels hidden[0], sides halved once for each of `hidden`."""
    return hidden[0], shape[1] >> len(hidden), shape[2] >> len(hidden)


def refusal(hidden: Sequence[int], shape: Shape) -> str | None:
    """Why such images cannot be halved so often."""
    if not hidden:
        return "dcgan needs at least one number of channels"
    if any(side % 2 ** len(hidden) for side in shape[1:]):
        return (
            f"{len(hidden)} numbers of channels halve the side {len(hidden)} times, and {2 ** len(hidden)} does not "
            f"divide {shape[1]}x{shape[2]} pixels: expected fewer"
        )
    return None


def generator_products(latent: int, hidden: Sequence[int], shape: Shape) -> int:
    """Each input place of an upsampling meets KERNEL² weights for every pair of channels."""
    return latent * prod(smallest(hidden, shape)) + convolutions([*hidden, shape[0]], shape)


def critic_products(shape: Shape, hidden: Sequence[int]) -> int:
    backwards = [*reversed(hidden), shape[0]]
    return convolutions(backwards, shape) + prod(smallest(backwards[:-1], shape))


def convolutions(channels: Sequence[int], shape: Shape) -> int:
    """Of channels from the smallest map to the largest."""
    cells = (shape[1] >> (len(channels) - 1)) * (shape[2] >> (len(channels) - 1))
    return sum(a * b * KERNEL**2 * cells * 4**i for i, (a, b) in enumerate(pairwise(channels)))


DCGAN_GENERATOR = Generator(
    name="dcgan",
    label="DCGAN",
    source="radford2016dcgan, section 3",
    build=dcgan_generator,
    products=generator_products,
    refusal=refusal,
)
DCGAN_CRITIC = Critic(
    name="dcgan",
    label="DCGAN without batch normalisation",
    source="radford2016dcgan, section 3",
    build=dcgan_critic,
    products=critic_products,
    refusal=refusal,
)
