from __future__ import annotations

import pytest
import torch

from divergan.samplers.resampling import pool, resampled
from sampler_toys import SURE, categories, draw, fit, identity, network, random

Q = [0.1, 0.2, 0.3, 0.25, 0.15]
P = [0.35, 0.25, 0.3, 0.1, 0.0]
# From 50 proposals an image the pool's own chance adds 2 % of the variance (times E[r^2] < 4) to that of n independent
# draws from p, which the test's threshold has room for.
FEW = 0.02


def test_sir_on_the_ratio_draws_from_the_data():
    model = categories(Q, P)
    assert fit(draw("sir_ratio", model, 5000, 1, acceptance=FEW).images, P) > SURE
    assert model.cost.draws == 250_000 and model.cost.acceptance == FEW


def test_sir_on_weights_draws_in_proportion_to_them():
    ratios = torch.tensor(P) / torch.tensor(Q)
    toy = categories(Q, P)
    model = categories(Q, P, weight=lambda z: 7 * ratios[toy.generator(z)[:, 0].long()])  # any scale does
    assert fit(draw("sir", model, 5000, 2, acceptance=FEW).images, P) > SURE


def test_ratios_too_large_for_a_float_are_no_trouble():
    model = identity(log_ratio=lambda x: 1000 * x[:, 0])
    assert draw("sir_ratio", model, 10, 3, acceptance=0.01).images[:, 0].min() > 2.5  # the largest of 1000


def test_resampling_is_multinomial():
    weights = torch.tensor([0.0, 1.0, 2.0, 0.0, 3.0, 4.0])
    rows = resampled(weights, 20_000, network(), random(4), "SIR")
    assert fit(rows[:, None].float(), weights.tolist()) > SURE


def test_a_weight_of_0_is_not_drawn_by_the_smallest_uniform(monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda count, **_: torch.zeros(count, dtype=torch.float64))
    assert resampled(torch.tensor([0.0, 1.0]), 1, network(), random(5), "SIR").tolist() == [1]


@pytest.mark.parametrize(("acceptance", "proposals"), [(1.0, 1000), (1 / 3, 3000), (0.3, 3334), (0.07, 14286)])
def test_the_pool_is_rounded_up(acceptance, proposals):
    assert pool(1000, acceptance) == proposals
