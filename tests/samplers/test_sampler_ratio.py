from __future__ import annotations

import math

import pytest
import torch

from divergan.samplers import CALIBRATIONS, DIFFERENTIABLE, calibrate


def gaussians(n: int, k: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """True log ratios of n draws from N(1, 1) and k from N(0, 1): l(x) = x - 1/2."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, generator=rng) + 0.5, torch.randn(k, generator=rng) - 0.5


@pytest.mark.parametrize(("n", "k"), [(4000, 4000), (2000, 20_000)])
def test_logistic_calibration_takes_back_what_is_linear(n, k):
    real, fake = gaussians(n, k)
    calibrated = calibrate("logistic", 30 * real + 700, 30 * fake + 700)
    grid = torch.linspace(-3, 3, 13)
    # The slope has a standard error of about 0.03, the intercept less.
    torch.testing.assert_close(calibrated(30 * grid + 700), grid, rtol=0.1, atol=0.1)


def test_logistic_calibration_can_be_differentiated():
    real, fake = gaussians(4000, 4000)
    x = torch.tensor([0.5, 3.0], requires_grad=True)
    calibrate("logistic", 2 * real, 2 * fake)(x).sum().backward()
    assert x.grad == pytest.approx([0.5, 0.5], abs=0.05)


def test_a_critic_that_ranks_the_wrong_way_round_knows_nothing():
    real, fake = gaussians(1000, 3000)
    calibrated = calibrate("logistic", -real, -fake)
    torch.testing.assert_close(calibrated(torch.tensor([-5.0, 0.0, 5.0])), torch.zeros(3))
    assert calibrated(torch.tensor([-math.inf])) == -math.inf


def test_what_minus_infinity_takes_from_the_generated_raises_the_rest():
    real, fake = gaussians(10_000, 10_000)
    fake[:4000] = -math.inf  # of ten generated images four are told apart for sure
    calibrated = calibrate("logistic", real, fake)
    assert float(calibrated(torch.tensor([0.0]))) == pytest.approx(-math.log(0.6), abs=0.1)
    assert calibrated(torch.tensor([-math.inf])) == -math.inf


def test_what_minus_infinity_takes_is_all_that_a_critic_of_the_wrong_way_round_knows():
    real, fake = gaussians(1000, 1000)
    fake[:400] = math.inf  # -inf below
    assert float(calibrate("logistic", -real, -fake)(torch.tensor([3.0]))) == pytest.approx(-math.log(0.6), abs=1e-5)


@pytest.mark.parametrize("kind", CALIBRATIONS)
def test_degenerate_critics_give_numbers(kind):
    constant = torch.zeros(50)
    for real, fake in ((constant, constant), (constant + 1, constant), (constant, constant - math.inf)):
        answer = calibrate(kind, real, fake)(torch.tensor([-1.0, 0.0, 1.0]))
        assert answer.isfinite().all() and (answer.diff() >= 0).all()


@pytest.mark.parametrize(("n", "k"), [(4000, 4000), (2000, 20_000)])
def test_isotonic_calibration_takes_back_what_is_monotone(n, k):
    real, fake = gaussians(n, k)
    calibrated = calibrate("isotonic", real**3, fake**3)
    grid = torch.linspace(-1.5, 1.5, 31)
    error = (calibrated(grid**3) - grid).abs()
    assert error.mean() < 0.15 and error.max() < 0.6  # steps between knots of some hundred points each


def test_isotonic_calibration_stays_finite():
    real, fake = gaussians(300, 100)
    fake[:5] = -math.inf
    calibrated = calibrate("isotonic", real + 100, fake)  # told apart without an error
    bound = math.log(2 * 400 - 1)  # log odds of 1 - 1/(2 n)
    ends = calibrated(torch.tensor([-math.inf, -1e9, 1e9, math.inf]))
    torch.testing.assert_close(ends, torch.tensor([-bound, -bound, bound, bound]))


def test_isotonic_calibration_never_falls_and_joins_by_lines():
    real, fake = gaussians(500, 500)
    calibrated = calibrate("isotonic", real, fake)
    answer = calibrated(torch.linspace(-4, 4, 2001))
    assert (answer.diff() >= -1e-6).all() and answer.unique().numel() > 50  # a step function has some ten
    assert answer.dtype == torch.float32


def test_isotonic_lines_by_hand():
    calibrated = calibrate("isotonic", torch.tensor([1.0, 3.0, 3.0]), torch.tensor([1.0, 1.0, 3.0]))
    # P(real | 1) = 1/3, P(real | 3) = 2/3, half way 1/2.
    expected = torch.tensor([-math.log(2), 0.0, math.log(2)])
    torch.testing.assert_close(calibrated(torch.tensor([1.0, 2.0, 3.0])), expected, atol=1e-6, rtol=0)


def test_none_changes_nothing():
    values = torch.tensor([-math.inf, 2.0])
    assert torch.equal(calibrate("none", values, values)(values), values)


def test_what_can_be_differentiated_is_a_calibration():
    assert set(DIFFERENTIABLE) < set(CALIBRATIONS)
    for kind in DIFFERENTIABLE:
        x = torch.tensor([0.5], requires_grad=True)
        calibrate(kind, *gaussians(100, 100))(x).backward()
        assert x.grad.item() > 0
