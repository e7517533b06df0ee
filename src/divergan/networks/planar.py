"""Networks of the published experiments on mixtures in the plane (Lin et al. 2018, appendix)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any

from divergan.lazy import lazy
from divergan.networks.declaration import Critic, CriticForm, Generator, Shape
from divergan.networks.dropout import dropout
from divergan.networks.mlp import critic_products, generator_products

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

PIECES = 5  # linear functions of which a maxout unit takes the largest


def linear_generator(latent: int, hidden: Sequence[int], shape: Shape) -> torch.nn.Module:
    """latent -> hidden ... -> C*H*W, batch normalisation and ReLU between, no bound on the output."""
    nn = torch.nn
    sizes = (latent, *hidden)
    layers = [
        layer
        for a, b in pairwise(sizes)
        for layer in (nn.Linear(a, b, bias=False), nn.BatchNorm1d(b), nn.ReLU(inplace=True))
    ]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], prod(shape)), nn.Unflatten(1, shape))


def maxout_critic(shape: Shape, hidden: Sequence[int], form: CriticForm) -> torch.nn.Module:
    """C*H*W -> hidden ... -> outputs, a hidden unit the largest of PIECES linear functions (Goodfellow et al. 2013)."""
    nn = torch.nn
    normed = nn.utils.parametrizations.spectral_norm if form.spectral_norm else lambda layer: layer
    sizes = (prod(shape), *hidden)

    def largest(units: int) -> list[torch.nn.Module]:
        largest_piece = [nn.Unflatten(1, (PIECES, units)), _module()()]
        return [*largest_piece, dropout(form.dropout)] if form.dropout else largest_piece

    layers = [layer for a, b in pairwise(sizes) for layer in (normed(nn.Linear(a, PIECES * b)), *largest(b))]
    last = normed(nn.Linear(sizes[-1], form.outputs))
    return nn.Sequential(nn.Flatten(), *layers, last, *([nn.Flatten(0)] if form.outputs == 1 else []))


def maxout_products(shape: Shape, hidden: Sequence[int]) -> int:
    """Every layer but the last has PIECES times the weights of its sizes."""
    return PIECES * critic_products(shape, hidden) - (PIECES - 1) * hidden[-1]


@cache
def _module() -> type[Any]:  # in a function, for a class of torch's would load torch with this file
    class LargestPiece(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """(N, units) of (N, pieces, units); twice as fast on a CPU as a pool of torch's over pieces in a row."""
            return x.amax(dim=1)

    return LargestPiece


LINEAR_GENERATOR = Generator(
    name="linear_batchnorm",
    label="MLP with batch normalisation, unbounded",
    source="lin2018pacgan, appendix A",
    build=linear_generator,
    products=generator_products,
)
MAXOUT_CRITIC = Critic(
    name="maxout",
    label="Maxout MLP",
    source="lin2018pacgan, appendix A",
    build=maxout_critic,
    products=maxout_products,
)
