"""Calibration of a critic's log p/q on held-out real and generated images."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from divergan.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
    import torch
else:
    np = lazy("numpy")
    torch = lazy("torch")

CALIBRATIONS = ("logistic", "isotonic", "none")
DIFFERENTIABLE = ("logistic", "none")

Map = Callable[["torch.Tensor"], "torch.Tensor"]


def calibrate(kind: str, log_ratio_real: torch.Tensor, log_ratio_fake: torch.Tensor) -> Map:
    """A map from raw to calibrated log ratios, elementwise and never falling.

    Args:
        kind: one of CALIBRATIONS. "none" changes nothing.
        log_ratio_real: raw log p/q (n,) of real images that the critic was not trained on.
        log_ratio_fake: the same (k,) of generated images. Both classes weigh the same, whatever n and k.
    """
    real, fake = (x.detach().double().cpu().numpy() for x in (log_ratio_real, log_ratio_fake))
    return {"logistic": logistic, "isotonic": isotonic, "none": uncalibrated}[kind](real, fake)


def uncalibrated(real: np.ndarray, fake: np.ndarray) -> Map:
    return lambda log_ratio: log_ratio


def logistic(real: np.ndarray, fake: np.ndarray) -> Map:
    """a l + b with a >= 0, by logistic regression without penalty (Platt's scaling); -inf stays -inf.

    It is fitted where l is finite, each class with the weight that it has there, so that what -inf takes from one
    class shows in b. A critic that ranks the wrong way round gets a = 0: it knows nothing, and b is all there is.
    """
    from sklearn.linear_model import LogisticRegression

    x, y, weights = labelled(real, fake)
    finite = np.isfinite(x)
    slope, intercept = 0.0, 0.0
    if len(set(y[finite])) == 2:
        x, y, weights = x[finite], y[finite], weights[finite]
        intercept = math.log(weights[y == 1].sum() / weights[y == 0].sum())
        if (spread := float(x.std())) > 0:
            fit = LogisticRegression(C=np.inf).fit((x[:, None] - x.mean()) / spread, y, sample_weight=weights)
            if fit.coef_[0, 0] > 0:
                slope = float(fit.coef_[0, 0]) / spread
                intercept = float(fit.intercept_[0]) - slope * float(x.mean())
    return lambda log_ratio: torch.where(log_ratio == -torch.inf, log_ratio, slope * log_ratio + intercept)


def isotonic(real: np.ndarray, fake: np.ndarray) -> Map:
    """The log odds of the best non-decreasing probability of "real", which lines join between the fitted points.

    Probabilities stay 1/(2n) away from 0 and 1, n the points in all, so that no finite sample makes a ratio 0 or
    infinite. -inf counts as the lowest finite value, +inf as the highest.
    """
    from sklearn.isotonic import IsotonicRegression

    x, y, weights = labelled(real, fake)
    finite = x[np.isfinite(x)] if np.isfinite(x).any() else np.zeros(1)
    low, high = float(finite.min()), float(finite.max())
    fit = IsotonicRegression().fit(x.clip(low, high), y, sample_weight=weights)
    margin = 1 / (2 * len(x))
    knots = torch.from_numpy(np.asarray(fit.X_thresholds_, dtype=np.float64))
    heights = torch.from_numpy(np.asarray(fit.y_thresholds_, dtype=np.float64)).clamp(margin, 1 - margin)
    return lambda log_ratio: torch.logit(interpolated(knots, heights, log_ratio.double())).to(log_ratio.dtype)


def labelled(real: np.ndarray, fake: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log ratios, 1 for real and 0 for generated, and weights that add up to half their number in each class."""
    x, y = np.concatenate((real, fake)), np.repeat((1, 0), (len(real), len(fake)))
    return x, y, np.where(y == 1, len(x) / (2 * len(real)), len(x) / (2 * len(fake)))


def interpolated(knots: torch.Tensor, heights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Heights (k,) at increasing knots (k,), joined by lines and constant outside, at `values` of any shape."""
    if len(knots) == 1:
        return heights.to(values.device).expand(values.shape)
    knots, heights = knots.to(values.device), heights.to(values.device)
    values = values.clamp(knots[0], knots[-1])
    right = torch.searchsorted(knots, values.contiguous()).clamp(1, len(knots) - 1)
    part = (values - knots[right - 1]) / (knots[right] - knots[right - 1])
    return torch.lerp(heights[right - 1], heights[right], part)
