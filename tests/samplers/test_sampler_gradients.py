from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import kstest, norm

from divergan.samplers import latents
from divergan.samplers.gradients import climbed, langevin, steepest, transport
from sampler_toys import SURE, draw, identity, random, settings


def rising(z: torch.Tensor) -> torch.Tensor:
    return (z[:, 0] - 0.5 * z[:, 1]).exp()


def test_gradient_ascent_keeps_the_norms_and_raises_every_weight():
    model = identity(weight=rising)
    z = latents(600, 2, random(1).latents)
    up = climbed(model, z, 5, 0.05)
    torch.testing.assert_close(up.norm(dim=1), z.norm(dim=1), rtol=1e-5, atol=0)
    angle = (z[:, 0] + 2 * z[:, 1]).abs() / z.norm(dim=1)  # 0 where z points up or down the slope already
    assert (model.w(up) >= model.w(z) * (1 - 1e-5)).all()
    assert (model.w(up) > model.w(z))[angle > 0.01].all()


def test_one_step_of_ascent_by_hand():
    model = identity(weight=lambda z: 5 + 2 * z[:, 1])
    # At (3, 4) the gradient (0, 2) has the tangent (0, 2) - 8/25 (3, 4) = (-0.96, 0.72).
    moved = torch.tensor([3 - 0.096, 4 + 0.072])
    torch.testing.assert_close(climbed(model, torch.tensor([[3.0, 4.0]]), 1, 0.1)[0], moved * 5 / moved.norm())


def test_latent_rs_with_ascent_begins_at_what_latent_rs_accepts():
    model = identity(weight=rising)
    plain, climbing = (draw(name, model, 600, 2) for name in ("latent_rs", "latent_rs_ga"))
    torch.testing.assert_close(climbing.latents.norm(dim=1), plain.latents.norm(dim=1), rtol=1e-5, atol=0)
    assert torch.equal(climbing.images, climbing.latents)
    assert rising(climbing.latents).mean() > rising(plain.latents).mean()


def test_langevin_dynamics_come_to_the_product_of_prior_and_ratio():
    """Prior N(0, 1) times N(2, 0.5^2) in z_1 has precision 5 and mean 1.6; z_2 stays as it is.

    Discrete steps h widen a Gaussian of precision L to the variance 1/(L (1 - h L/4)), which is exact.
    """
    step, count = 0.1, 10_000
    model = identity(log_ratio=lambda x: -((x[:, 0] - 2) / 0.5).square() / 2)
    drawn = draw("ddls", model, count, 3, steps=100, step_size=step)  # of the start 0.75^100 and 0.95^100 are left
    for column, mean, precision in ((0, 1.6, 5.0), (1, 0.0, 1.0)):
        deviation = (precision * (1 - step * precision / 4)) ** -0.5
        assert kstest(drawn.images[:, column].numpy(), norm(mean, deviation).cdf).pvalue > SURE
    assert model.cost.gradient_steps == 100 * count


def test_a_single_langevin_step_has_the_mean_and_variance_of_its_formula():
    model = identity(log_ratio=lambda x: 3 * x[:, 0])
    start = torch.tensor([[1.0, -2.0]]).expand(20_000, 2)
    images, z = langevin(model, start, settings("ddls", steps=1, step_size=0.04), random(4))
    assert torch.equal(images, z)
    # Force (3 - 1, 0 + 2), times 0.04/2; four standard errors of 0.2/sqrt(20000).
    torch.testing.assert_close(z.mean(dim=0), torch.tensor([1.04, -1.96]), atol=4 * 0.2 / 20_000**0.5, rtol=0)
    torch.testing.assert_close(z.var(dim=0), torch.full((2,), 0.04), rtol=4 * (2 / 20_000) ** 0.5, atol=0)


def test_langevin_steps_to_a_ratio_of_0_are_taken_back():
    model = identity(log_ratio=lambda x: torch.where(x[:, 0] < 0.5, 0.0, -torch.inf) + 0 * x[:, 0])
    images, z = langevin(model, torch.full((500, 2), 0.4), settings("ddls", steps=20, step_size=0.5), random(5))
    assert (z[:, 0] < 0.5).all() and torch.equal(images, z)
    assert z[:, 0].unique().numel() > 400  # they move nevertheless


def wavy(x: torch.Tensor) -> torch.Tensor:
    return torch.sin(6 * x[:, 0]) + x[:, 1]


def test_transport_lowers_its_objective():
    model = identity(score=wavy)
    drawn = draw("dot", model, 600, 6, steps=20, learning_rate=0.01)
    start = latents(600, 2, random(6).latents)
    k_eff = steepest(model, random(6))
    before, after = (transport(model, start, k_eff, z) for z in (start, drawn.latents))
    assert (after <= before + 0.01).all()  # a step of 0.01 cannot come closer to the kink at its start
    assert (after < before - 0.01).float().mean() > 0.2


def test_the_first_step_of_transport_follows_the_score_alone():
    model = identity(score=lambda x: 4 * x[:, 0])
    drawn = draw("dot", model, 5, 7, steps=1, learning_rate=0.1)
    k_eff = steepest(model, random(7))
    moved = drawn.latents - latents(5, 2, random(7).latents)
    torch.testing.assert_close(moved, torch.tensor([[0.1 * 4 / k_eff, 0.0]]).expand(5, 2), rtol=1e-4, atol=1e-6)


def test_transport_by_hand():
    model = identity(score=lambda x: x[:, 1])
    start, z = torch.tensor([[1.0, 1.0]]), torch.tensor([[4.0, 5.0]])
    assert transport(model, start, 2.0, z).tolist() == [5 - 5 / 2]


def test_k_eff_is_the_steepest_slope_between_pairs():
    assert steepest(identity(latent=1, score=lambda x: -3 * x[:, 0]), random(8)) == pytest.approx(3, rel=1e-4)
    # In two dimensions the steepest of 100 random directions is within 5 degrees of the gradient all but surely.
    flat = identity(score=lambda x: 3 * x[:, 0] + 4 * x[:, 1])
    assert 5 * math.cos(math.radians(5)) < steepest(flat, random(8)) <= 5.0001


def test_a_score_that_is_constant_moves_nothing():
    drawn = draw("dot", identity(score=lambda x: x[:, 0] * 0 + 2), 600, 9)
    assert torch.equal(drawn.latents, latents(600, 2, random(9).latents))
