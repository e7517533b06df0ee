"""Parzen windows against densities in closed form, and against the sum written out."""

from __future__ import annotations

from math import log, pi

import pytest
import torch

from divergan.errors import DivergaNError
from divergan.features import FeatureSet
from divergan.metrics import Pair, parzen
from divergan.metrics.parzen import PARZEN, SIGMAS, choose_sigma, parzen_log_likelihood


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("d", [1, 3, 784])
def test_one_sample_is_a_normal(d):
    sample, points, sigma = draw(1, d), draw(5, d, seed=1), 0.3
    exact = torch.distributions.Normal(sample[0], sigma).log_prob(points).sum(1)
    found = parzen_log_likelihood(sample, points, sigma)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, exact, rtol=1e-12, atol=1e-9)


def test_it_is_the_mean_of_the_kernels():
    """Written out in the plane, where no kernel underflows."""
    samples, points, sigma = draw(7, 2), draw(4, 2, seed=1), 0.8
    kernels = (-(points[:, None] - samples).square().sum(2) / (2 * sigma**2)).exp() / (2 * pi * sigma**2)
    torch.testing.assert_close(parzen_log_likelihood(samples, points, sigma), kernels.mean(1).log())


def test_many_dimensions_neither_underflow_nor_lose_digits():
    """In 784 dimensions every kernel is below the smallest float64; far from the origin norms cancel."""
    samples, points, sigma = draw(20, 784), draw(3, 784, seed=1), 0.05
    squares = (points[:, None] - samples).square().sum(2)
    exact = (-squares / (2 * sigma**2)).logsumexp(1) - log(20) - 392 * log(2 * pi * sigma**2)
    assert exact.max() < -100_000
    torch.testing.assert_close(parzen_log_likelihood(samples, points, sigma), exact, rtol=1e-12, atol=0)
    far = parzen_log_likelihood(samples + 1e4, points + 1e4, sigma)
    torch.testing.assert_close(far, exact, rtol=1e-9, atol=0)  # 1e4 + x itself is rounded to 1e-12


def test_float32_samples_are_taken_in_float64():
    samples, points = draw(50, 784).float(), draw(4, 784, seed=1).float()
    found = parzen_log_likelihood(samples, points, 0.1)
    torch.testing.assert_close(found, parzen_log_likelihood(samples.double(), points.double(), 0.1), rtol=0, atol=0)


def test_blocks_make_no_difference(monkeypatch):
    samples, points = draw(30, 5), draw(17, 5, seed=1)
    whole = parzen_log_likelihood(samples, points, 0.4)
    chosen = choose_sigma(samples, points)
    monkeypatch.setattr(parzen, "LARGEST", 4 * 30)
    assert [len(block) for block in parzen.squares(samples, points)] == [4, 4, 4, 4, 1]
    torch.testing.assert_close(parzen_log_likelihood(samples, points, 0.4), whole, rtol=1e-12, atol=1e-12)
    assert choose_sigma(samples, points) == chosen


def test_the_mean_is_that_of_a_wider_normal():
    """Over samples of N(0, 1) the mean density is N(0, 1 + sigma²): 4,000 samples on a line leave it to 5 %."""
    points, sigma = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None], 0.5
    found = parzen_log_likelihood(draw(4000, 1), points, sigma).exp()
    exact = torch.distributions.Normal(0.0, (1 + sigma**2) ** 0.5).log_prob(points[:, 0]).exp()
    assert ((found / exact - 1).abs() < 0.05).all()


def test_the_widths_are_those_of_the_published_protocol():
    assert torch.tensor(SIGMAS).tolist() == pytest.approx(torch.logspace(-1, 0, 10).tolist())


def test_the_chosen_width_has_the_highest_likelihood():
    samples, points = draw(200, 3), draw(100, 3, seed=1)
    means = [float(parzen_log_likelihood(samples, points, sigma).mean()) for sigma in SIGMAS]
    best = choose_sigma(samples, points)
    assert means[SIGMAS.index(best)] == max(means)
    assert 0 < SIGMAS.index(best) < len(SIGMAS) - 1
    assert choose_sigma(samples, points, (0.01, 50.0)) == 50.0


def test_the_metric_is_the_published_protocol_on_images_in_the_unit_range():
    """Written out: sigma by validation, then the mean over the reference; grey levels over 255."""
    owner = torch.Generator().manual_seed(0)
    images = [torch.randint(0, 256, (n, 1, 3, 3), generator=owner, dtype=torch.uint8) for n in (30, 40, 20)]
    sets = [FeatureSet(features=torch.zeros(len(own), 1), probabilities=None, images=own) for own in images]
    pair = Pair(generated=sets[0], reference=sets[1], training=sets[1], validation=sets[2])
    samples, points, validation = (own.reshape(len(own), 9).double() / 255 for own in images)

    def density(at, sigma):
        squares = (at[:, None] - samples).square().sum(2)
        return ((-squares / (2 * sigma**2)).exp().mean(1) / (2 * pi * sigma**2) ** 4.5).log().mean()

    chosen = max(SIGMAS, key=lambda sigma: density(validation, sigma))
    assert chosen not in (SIGMAS[0], SIGMAS[-1])
    assert PARZEN.compute(pair) == pytest.approx(float(density(points, chosen)), rel=1e-12)


def test_the_metric_wants_validation_images():
    one = FeatureSet(features=torch.zeros(2, 1), probabilities=None, images=torch.zeros(2, 1, 2, 2, dtype=torch.uint8))
    with pytest.raises(DivergaNError, match="got none"):
        PARZEN.compute(Pair(generated=one, reference=one, training=one))
