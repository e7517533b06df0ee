"""The Fréchet distance between two sets of features (FID, where the features are InceptionV3's)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from divergan.errors import DivergaNError
from divergan.lazy import lazy
from divergan.metrics.pair import Metric, Pair

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


def frechet_distance(x: torch.Tensor, y: torch.Tensor) -> float:
    """|m_x - m_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^(1/2)) of features x (N, D) and y (M, D), in squared feature units.

    m and S are sample mean and covariance (divided by N - 1): Heusel et al. (2017), Equation 6. Biased upwards, the
    more the smaller N and M are: compare at equal numbers only.

    With x - m_x = Q_x R_x, the trace of the root is the sum of the singular values of R_x R_y^T over
    sqrt((N-1)(M-1)). So no covariance is formed, nothing is squared and then rooted, and a singular covariance (a unit
    that is always zero, or N <= D) is no special case. Cholesky with eigvalsh needs one there, and the usual eigvals
    of S_x S_y is slower and returns complex numbers.
    """
    if min(len(x), len(y)) < 2:
        raise DivergaNError("the Fréchet distance needs two images or more on each side: evaluate on more images")
    x, y = x.double(), y.double()
    (x_mean, x_root), (y_mean, y_root) = _mean_and_root(x), _mean_and_root(y)
    trace_of_root = torch.linalg.svdvals(x_root @ y_root.T).sum()
    traces = x_root.square().sum() + y_root.square().sum()
    return float((x_mean - y_mean).square().sum() + traces - 2 * trace_of_root)


def _mean_and_root(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean (D,) of x (N, D), and a matrix R (min(N, D), D) with R^T R = covariance of x."""
    mean = x.mean(dim=0)
    return mean, torch.linalg.qr(x - mean, mode="r").R / (len(x) - 1) ** 0.5


def _fid(pair: Pair) -> float:
    return frechet_distance(pair.generated.features, pair.reference.features)


FID = Metric(
    name="fid",
    label="FID",
    unit="squared feature units",
    source="heusel2017ttur, Equation 6",
    better="lower",
    at_identity=0.0,
    needs="features",
    compute=_fid,
)
