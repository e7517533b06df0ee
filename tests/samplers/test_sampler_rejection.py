from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import kstest, norm

from divergan.samplers import Cost
from sampler_toys import SURE, categories, draw, fit, identity

Q = [0.1, 0.2, 0.3, 0.25, 0.15]
P = [0.35, 0.25, 0.3, 0.1, 0.0]  # the largest ratio is 3.5, the smallest 0
RATIOS = np.divide(P, Q)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def advantages(ratios: np.ndarray) -> np.ndarray:
    """Azadi et al.'s F before gamma, as they print it."""
    with np.errstate(divide="ignore"):
        logits = np.log(ratios) - np.log(ratios.max())
    return logits - np.log(1 - np.exp(logits - 1e-6))


def test_drs_at_a_percentile_draws_what_the_formula_says():
    # 15 % of the mass lie at ratio 0, 25 % at 0.4, 30 % at 1: the 50th percentile of F is F at ratio 1.
    accepted = sigmoid(advantages(RATIOS) - advantages(RATIOS)[2])
    model = categories(Q, P)
    drawn = draw("drs", model, 20_000, 1, percentile=50.0, acceptance=None)
    assert fit(drawn.images, list(Q * accepted)) > SURE
    assert model.cost.acceptance == pytest.approx(np.dot(Q, accepted), abs=4 * 0.5 / 40_000**0.5)


@pytest.mark.parametrize("budget", [0.2, 1 / 3, 0.6])
def test_drs_meets_an_acceptance_and_draws_what_the_formula_says(budget):
    f = advantages(RATIOS)
    gamma = brentq(lambda g: np.dot(Q, sigmoid(f - g)) - budget, -50, 50)
    model = categories(Q, P, pilot=100_000)
    drawn = draw("drs", model, 20_000, 2, acceptance=budget)
    assert fit(drawn.images, list(Q * sigmoid(f - gamma))) > SURE
    # Four standard errors of the pilot's mean and of the share among the proposals, both at most 0.5/sqrt(n).
    assert model.cost.acceptance == pytest.approx(budget, abs=4 * (0.25 / 100_000 + 0.25 * budget / 20_000) ** 0.5)


def test_drs_raises_its_ceiling_when_a_larger_ratio_comes():
    q, p = [0.05, 0.95], [0.5, 0.5]
    pilots = [categories(q, p, pilot=8) for _ in range(20)]
    # A pilot of 8 often misses the first category (0.95^8 = 66 %), every block of 512 has it.
    for seed, model in enumerate(pilots):
        accepted = sigmoid(advantages(np.divide(p, q)) - advantages(np.divide(p, q))[1])
        drawn = draw("drs", model, 5000, seed, percentile=0.0, acceptance=None)
        assert fit(drawn.images, list(np.array(q) * accepted)) > SURE


@pytest.mark.parametrize("budget", [0.1, 1 / 3, 0.8])
def test_obrs_draws_what_the_formula_says(budget):
    scale = brentq(lambda c: np.dot(Q, np.minimum(c * RATIOS / RATIOS.max(), 1)) - budget, 0, 1000)
    drawn = draw("obrs", categories(Q, P, pilot=100_000), 20_000, 3, acceptance=budget)
    assert fit(drawn.images, list(Q * np.minimum(scale * RATIOS / RATIOS.max(), 1))) > SURE


@pytest.mark.parametrize("budget", [0.05, 1 / 3, 0.8])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_obrs_accepts_its_budget_of_50_000_fresh_proposals(budget, seed):
    model = identity(log_ratio=lambda x: norm_log_ratio(x[:, 0]), pilot=100_000)
    draw("obrs", model, round(50_000 * budget), seed, acceptance=budget)
    assert model.cost.draws - model.pilot == pytest.approx(50_000, rel=0.05)
    # 0.5 percentage points are asked for; the standard error is 0.27 or less, 0.16 of it from the pilot.
    assert model.cost.acceptance == pytest.approx(budget, abs=0.005)


def norm_log_ratio(x: torch.Tensor) -> torch.Tensor:
    """log N(0.7, 0.8^2)/N(0, 1)."""
    return x.square() / 2 - ((x - 0.7) / 0.8).square() / 2 - math.log(0.8)


def test_obrs_takes_all_that_is_possible_where_the_budget_is_not():
    model = categories([0.5, 0.3, 0.2], [0.0, 0.1, 0.9])
    drawn = draw("obrs", model, 5000, 4, acceptance=0.8)
    assert fit(drawn.images, [0.0, 0.3, 0.2]) > SURE
    assert model.cost.acceptance == pytest.approx(0.5, abs=4 * 0.5 / 10_000**0.5)


def weight(z):
    """Steep in z_1, above m = 3 for z_1 > 1.1."""
    return (z[:, 0]).exp() if isinstance(z, torch.Tensor) else np.exp(z)


def expected(m: float) -> float:
    return quad(lambda z: min(weight(z), m) * norm.pdf(z), -10, 10, points=[math.log(m)])[0]


@pytest.mark.parametrize("m", [0.5, 3.0, 6.0])
def test_latent_rs_accepts_its_share_and_what_it_accepts_follows_the_clipped_weights(m):
    model = identity(weight=weight, m=m)
    drawn = draw("latent_rs", model, 20_000, 5)
    proposals = 20_000 * m / expected(m)
    assert model.cost.acceptance == pytest.approx(expected(m) / m, abs=4 * 0.5 / proposals**0.5)
    grid = np.linspace(-8, 8, 20_001)
    density = np.minimum(weight(grid), m) * norm.pdf(grid)
    cdf = np.cumsum(density) / density.sum()
    assert kstest(drawn.latents[:, 0].numpy(), lambda z: np.interp(z, grid, cdf)).pvalue > SURE
    assert kstest(drawn.latents[:, 1].numpy(), norm.cdf).pvalue > SURE


def test_random_rejection_accepts_as_often_and_knows_nothing():
    informed, blind = (identity(weight=lambda z: 3.0 * (z[:, 0] > 0.5)) for _ in range(2))
    draw("latent_rs", informed, 10_000, 6)
    drawn = draw("random_rejection", blind, 10_000, 6)
    assert blind.cost == Cost(**vars(informed.cost))  # as many of each block, so the same blocks
    assert kstest(drawn.latents[:, 0].numpy(), norm.cdf).pvalue > SURE
