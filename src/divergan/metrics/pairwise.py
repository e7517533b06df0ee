"""One pass over all pairs of points, a block at a time: what the kernel distance and the neighbour metrics share.

A block's inner products are formed once, in float64, and reduced at once: to a sum of kernels, and by way of squared
distances to each point's nearest others, or to what lies in whose ball. So memory does not grow with the number of
pairs. A block is small enough to stay in the processor's cache, and lies in the same memory as the one before: giving
4 MB back and asking for them again costs as much as the reductions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from divergan.lazy import lazy

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

BLOCK = 512  # points on either side: 2 MB of float64
SAME = 1e-12  # squared distance, relative to the squared norms, below which two points are one
MANIFOLD_K = 3  # Kynkäänniemi et al. (2019), Section 2
DENSITY_K = 5  # Naeem et al. (2020): coverage of real against real is above 0.95 then
LARGEST_K = max(MANIFOLD_K, DENSITY_K)

Blocks = Iterator[tuple[slice, slice, "torch.Tensor", "torch.Tensor"]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Within:
    """What the pairs of different points of one set of N come to."""

    neighbours: torch.Tensor  # L2 distances of each from its nearest others, nearest first, (N, LARGEST_K) float32
    kernels: float  # the sum of (a.b / D + 1)^3 over ordered pairs


@dataclass(frozen=True, kw_only=True, eq=False)
class Across:
    """What the pairs of N generated with M reference points come to.

    A point's ball reaches to its k-th nearest neighbour in its own set: k = MANIFOLD_K, and the sphere belongs to it,
    for `held` and `reached`; k = DENSITY_K, and it does not, for `balls` and `covered`.
    """

    held: torch.Tensor  # (N,) bool: lies this generated point in the ball of a reference point?
    reached: torch.Tensor  # (M,) bool: lies this reference point in the ball of a generated point?
    balls: torch.Tensor  # (N,) int64: in how many balls of reference points lies this generated point?
    covered: torch.Tensor  # (M,) bool: lies a generated point in the ball of this reference point?
    kernels: float  # the sum of (a.b / D + 1)^3 over pairs


def within(x: torch.Tensor) -> Within:
    """One pass over the pairs of points of x (N, D); where N <= LARGEST_K, a neighbour that is not there is at inf."""
    x = x.double()
    norms = x.square().sum(dim=1)
    nearest = torch.full((len(x), LARGEST_K), torch.inf, dtype=torch.float64)
    kernels = -_kernel_sum(norms, torch.empty_like(norms), x.shape[1])  # a point is no pair with itself
    for a, b, products, room in _blocks(x, x, half=True):
        kernels += (1 if a == b else 2) * _kernel_sum(products, room, x.shape[1])
        squared = _squared_distances(products, norms[a], norms[b], room)
        if a == b:
            squared.fill_diagonal_(torch.inf)  # nor its own neighbour, which its copies are
        else:
            _keep_nearest(nearest[b], products.view(squared.T.shape).copy_(squared.T))
        _keep_nearest(nearest[a], squared)
    return Within(neighbours=nearest.sqrt_().float(), kernels=kernels)


def across(generated: torch.Tensor, reference: torch.Tensor, own: Within, theirs: Within) -> Across:
    """One pass over the pairs of generated (N, D) with reference points (M, D), given the pass within either set."""
    x, y = generated.double(), reference.double()
    x_norms, y_norms = x.square().sum(dim=1), y.square().sum(dim=1)
    x_manifold, _ = _squared_edges(own.neighbours[:, MANIFOLD_K - 1, None])
    y_manifold, _ = _squared_edges(theirs.neighbours[:, MANIFOLD_K - 1])
    _, y_density = _squared_edges(theirs.neighbours[:, DENSITY_K - 1])
    held, reached, covered = (torch.zeros(n, dtype=torch.bool) for n in (len(x), len(y), len(y)))
    balls, kernels = torch.zeros(len(x), dtype=torch.int64), 0.0
    for a, b, products, room in _blocks(x, y):
        kernels += _kernel_sum(products, room, x.shape[1])
        squared = _squared_distances(products, x_norms[a], y_norms[b], room)
        held[a] |= torch.sub(squared, y_manifold[b], out=products).amin(dim=1) < 0
        reached[b] |= torch.sub(squared, x_manifold[a], out=products).amin(dim=0) < 0
        balls[a] += (squared < y_density[b]).sum(dim=1, dtype=torch.int32)
        covered[b] |= squared.amin(dim=0) < y_density[b]
    return Across(held=held, reached=reached, balls=balls, covered=covered, kernels=kernels)


def _blocks(x: torch.Tensor, y: torch.Tensor, half: bool = False) -> Blocks:
    """Rows a of x, rows b of y, their inner products, and room for as many numbers; `half`: of a, b and b, a only one.

    The next block overwrites both tensors.
    """
    products, room = torch.empty(2, min(BLOCK, len(x)) * min(BLOCK, len(y)), dtype=torch.float64)
    for rows in range(0, len(x), BLOCK):
        a = slice(rows, min(rows + BLOCK, len(x)))
        for columns in range(0, a.stop if half else len(y), BLOCK):
            b = slice(columns, min(columns + BLOCK, len(y)))
            shape = (a.stop - a.start, b.stop - b.start)
            block = products[: shape[0] * shape[1]].view(shape)
            yield a, b, torch.mm(x[a], y[b].T, out=block), room[: shape[0] * shape[1]].view(shape)


def _kernel_sum(products: torch.Tensor, room: torch.Tensor, dimension: int) -> float:
    """The sum of (p / D + 1)^3 over inner products p, by the sums of p, p^2 and p^3."""
    squares = torch.mul(products, products, out=room)
    cubes = squares.flatten().dot(products.flatten())
    sums = (float(products.sum()), float(squares.sum()), float(cubes))
    first, second, third = (total / dimension**power for power, total in enumerate(sums, 1))
    return third + 3 * second + 3 * first + products.numel()


def _squared_distances(
    products: torch.Tensor, x_norms: torch.Tensor, y_norms: torch.Tensor, room: torch.Tensor
) -> torch.Tensor:
    """|x|^2 + |y|^2 - 2 x.y (N, M) in `room`, and 0 for copies, where rounding would leave some 1e-16 of the norms."""
    squared = torch.add(y_norms, products, alpha=-2, out=room).add_(x_norms[:, None])
    if squared.amin() <= SAME * (x_norms.amax() + y_norms.amax()):  # most blocks have no copies, and one look tells
        squared.masked_fill_(squared <= SAME * (x_norms[:, None] + y_norms), 0)
    return squared


def _squared_edges(radii: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The squared distance below which a distance, rounded to float32, is at most this radius; and is less than it.

    A distance is summed in float64 and rounded to float32, so that computed twice, in another place or the other way
    round, it is one number: the neighbour metrics compare a distance with itself, and `<` differs from `<=` exactly
    there. What lies between the middles of r and the floats beside it is rounded to r, and comparing squares with the
    squares of these middles saves a root a pair. torch.cdist loses those ties in float32.
    """
    beside = (radii.nextafter(torch.tensor(torch.inf)), radii.nextafter(torch.tensor(0.0)))
    above, below = (((radii.double() + other.double()) / 2).square() for other in beside)
    return above, below


def _keep_nearest(known: torch.Tensor, squared: torch.Tensor) -> None:
    """Make known (N, LARGEST_K) the smallest of each row of itself and of squared (N, M), smallest first."""
    unchanged = squared.amin(dim=1) >= known[:, -1]  # not so where a distance is nan, which topk puts last
    rows = unchanged.logical_not().nonzero().squeeze(1)
    smallest = squared[rows].topk(min(LARGEST_K, squared.shape[1]), dim=1, largest=False).values
    known[rows] = torch.cat([known[rows], smallest], dim=1).topk(LARGEST_K, dim=1, largest=False).values
