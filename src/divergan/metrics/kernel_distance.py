"""The squared maximum mean discrepancy with a cubic kernel (KID, where the features are InceptionV3's)."""

from __future__ import annotations

from math import inf

from divergan.errors import DivergaNError
from divergan.metrics.pair import Metric, Pair
from divergan.metrics.pairwise import Across, Within


def kernel_distance(own: Within, theirs: Within, across: Across) -> float:
    """The unbiased estimate of MMD^2 between two sets of features (N, D) and (M, D), kernel k(a, b) = (a.b / D + 1)^3.

    Bińkowski et al. (2018), Section 4 with Gretton et al. (2012), Equation 3: within a set each pair of different
    images counts, across the sets each pair. The mean is 0 for equal distributions, so a single value may be
    negative. All pairs are used, in float64. The usual mean over 100 random subsets of 1,000 has the same expectation,
    a larger variance and a seed.
    """
    n, m = len(across.held), len(across.reached)
    if min(n, m) < 2:
        raise DivergaNError("the kernel distance needs two images or more on each side: evaluate on more images")
    return own.kernels / (n * (n - 1)) + theirs.kernels / (m * (m - 1)) - 2 * across.kernels / (n * m)


def _kid(pair: Pair) -> float:
    return kernel_distance(pair.within_generated, pair.within_reference, pair.across)


KID = Metric(
    name="kid",
    label="KID",
    unit="values of the kernel",
    source="binkowski2018mmdgan, Section 4",
    better="lower",
    at_identity=None,  # the estimate takes the two sets for independent ones; on one set twice it is slightly negative
    needs="features",
    least=-inf,
    compute=_kid,
)
