"""The Inception Score, on the probabilities of whichever classifier made the features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from divergan.errors import DivergaNError
from divergan.lazy import lazy
from divergan.metrics.pair import Metric, Pair

if TYPE_CHECKING:
    import numpy as np
    import torch
else:
    np, torch = lazy("numpy"), lazy("torch")

SPLITS = 10


def inception_score(probabilities: torch.Tensor, splits: int = SPLITS) -> float:
    """The mean over `splits` parts of exp(mean KL(p(y|x) || p(y))), of class probabilities (N, K); in [1, K].

    Salimans et al. (2016), Section 4, with torch-fidelity's parts: in the order of NumPy's RandomState(2020), so that
    images sorted by class do not each meet their own class alone. Raises DivergaNError where N < splits, for an empty
    part would make the mean NaN.
    """
    count = len(probabilities)
    if count < splits:
        raise DivergaNError(f"the Inception Score got {count} images and needs {splits}: evaluate on more images")
    order = torch.from_numpy(np.random.RandomState(2020).permutation(count))
    shuffled = probabilities.double()[order]
    scores = [_score(shuffled[i * count // splits : (i + 1) * count // splits]) for i in range(splits)]
    return sum(scores) / splits


def _score(p: torch.Tensor) -> float:
    marginal = p.mean(dim=0, keepdim=True)
    divergences = (torch.special.xlogy(p, p) - torch.special.xlogy(p, marginal)).sum(dim=1)  # 0 log 0 = 0
    return float(divergences.mean().exp())


def _inception_score(pair: Pair) -> float:
    return inception_score(pair.generated.class_probabilities)


INCEPTION_SCORE = Metric(
    name="inception_score",
    label="Inception Score",
    unit="1",
    source="salimans2016improved, Section 4",
    better="higher",
    at_identity=None,
    needs="probabilities",
    least=1.0,
    compute=_inception_score,
)
