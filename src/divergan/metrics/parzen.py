"""Parzen-window log-likelihood: a kernel density on a model's samples, evaluated at held-out points.

    log q(x) = log 1/n sum_i N(x; s_i, sigma² I),   s_i the model's samples

Breuleux et al. (2011) proposed it for models without a density, Goodfellow et al. (2014, section 5) judged GANs by it:
sigma by the mean log-likelihood of held-out points. It is a property of the samples and of sigma, and ranks models
wrongly in many dimensions (Theis et al. 2016): the chapter `likelihood` shows by how much.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf, log, pi
from typing import TYPE_CHECKING

from divergan.errors import DivergaNError
from divergan.lazy import lazy
from divergan.metrics.pair import Metric, Pair

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

SIGMAS = tuple(10 ** (k / 9 - 1) for k in range(10))  # logspace(-1, 0, 10): data in [0, 1] (Goodfellow et al. 2014)
LARGEST = 4_000_000  # distances at a time: 32 MB of float64


def parzen_log_likelihood(samples: torch.Tensor, points: torch.Tensor, sigma: float) -> torch.Tensor:
    """log q (m,) in nats, float64, at points (m, d), of the mean of N(s, sigma² I) over samples s (n, d).

    `sigma` is in the unit of the points; all (n, m) pairs are used, a block of points at a time.
    """
    constant = log(len(samples)) + samples.shape[1] * log(2 * pi * sigma**2) / 2
    return torch.cat([block.mul_(-1 / (2 * sigma**2)).logsumexp(1) for block in squares(samples, points)]) - constant


def choose_sigma(samples: torch.Tensor, points: torch.Tensor, sigmas: Sequence[float] = SIGMAS) -> float:
    """The sigma under which validation points (m, d) have the highest mean log-likelihood; distances are taken once."""
    d, totals = samples.shape[1], [0.0] * len(sigmas)
    for block in squares(samples, points):
        for i, sigma in enumerate(sigmas):
            kernels = (block / (-2 * sigma**2)).logsumexp(1)
            totals[i] += float(kernels.sum()) - len(block) * d * log(sigma)
    return sigmas[totals.index(max(totals))]


def squares(samples: torch.Tensor, points: torch.Tensor) -> Iterator[torch.Tensor]:
    """|x - s|² in float64, as blocks of points (rows) by all samples (columns); both are moved to the samples' mean."""
    centre = samples.double().mean(0)  # so that norms, whose difference is taken, are no larger than need be
    samples, points = samples.double() - centre, points.double() - centre
    norms = samples.square().sum(1)
    for rows in points.split(max(1, LARGEST // len(samples))):
        scale = rows.square().sum(1, keepdim=True) + norms
        yield torch.addmm(scale, rows, samples.T, alpha=-2).clamp_(min=0)


def flat(images: torch.Tensor) -> torch.Tensor:
    """uint8 (n, C, H, W) as float64 (n, C*H*W) in [0, 1]."""
    return images.flatten(1).double() / 255


def _parzen(pair: Pair) -> float:
    """Goodfellow et al. (2014): sigma by validation images, then the mean over the reference."""
    if pair.validation is None:
        raise DivergaNError("the Parzen log-likelihood chooses its sigma by validation images, and got none")
    samples = flat(pair.generated.images)
    sigma = choose_sigma(samples, flat(pair.validation.images))
    return float(parzen_log_likelihood(samples, flat(pair.reference.images), sigma).mean())


PARZEN = Metric(
    name="parzen",
    label="Parzen log-likelihood",
    unit="nats",
    source="goodfellow2014gan, section 5",
    better="higher",
    at_identity=None,
    needs="images",
    least=-inf,
    compute=_parzen,
)
