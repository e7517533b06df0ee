"""Euclidean distances between sets of points, in blocks: what the neighbour and memorisation metrics share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from divergan.lazy import lazy

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

BLOCK = 1024  # rows at a time: 80 MB of float64 against 10,000 points
SAME = 1e-12  # squared distance, relative to the squared norms, below which two points are one


def distance_blocks(x: torch.Tensor, y: torch.Tensor) -> Iterator[torch.Tensor]:
    """The L2 distances of x (N, D) from y (M, D), float32, as blocks of rows (at most BLOCK, M).

    The products are summed in float64 and the result is rounded to float32, so that one distance computed twice, in
    another place or the other way round, is one number: the neighbour metrics compare a distance with itself, and
    `<` differs from `<=` exactly there. torch.cdist is as fast in float32 but loses those ties, and keeps them only
    in its direct mode, which is several times slower.
    """
    x, y = x.double(), y.double()
    y_norms = y.square().sum(dim=1)
    for rows in x.split(BLOCK):
        scale = rows.square().sum(dim=1, keepdim=True) + y_norms
        squared = torch.addmm(scale, rows, y.T, alpha=-2)
        yield squared.masked_fill_(squared <= SAME * scale, 0).sqrt_().float()


def distances(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The L2 distances of x (N, D) from y (M, D) as one matrix (N, M) float32."""
    matrix = torch.empty(len(x), len(y))
    for rows, block in zip(matrix.split(BLOCK), distance_blocks(x, y), strict=True):
        rows.copy_(block)
    return matrix


def neighbour_distances(x: torch.Tensor, k: int) -> torch.Tensor:
    """Distances of each point of x (N, D) from its k nearest others, nearest first, (N, k) float32."""
    nearest = []
    for number, block in enumerate(distance_blocks(x, x)):
        block.diagonal(number * BLOCK).fill_(torch.inf)  # a point is no neighbour of itself; its copies are
        nearest.append(block.topk(k, dim=1, largest=False).values)
    return torch.cat(nearest)


def nearest_distance(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The distance of each point of x (N, D) from the nearest point of y (M, D), (N,) float32.

    The nearest is found with float32 products, twice as fast as float64, and its distance is computed from the
    difference: so a copy is at distance 0, and a near tie costs no more than a rounding error.
    """
    x, y = x.float(), y.float()
    y_norms = y.square().sum(dim=1)
    found = []
    for rows in x.split(BLOCK):
        nearest = torch.addmm(y_norms, rows, y.T, alpha=-2).argmin(dim=1)  # the norm of x shifts all alike
        found.append((rows - y[nearest]).square().sum(dim=1).sqrt())
    return torch.cat(found)
