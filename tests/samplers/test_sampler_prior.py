from __future__ import annotations

import pytest
import torch
from scipy.stats import kstest, truncnorm

from divergan.samplers import decode, latents
from divergan.samplers.prior import truncated
from sampler_toys import SURE, draw, identity, random


def test_a_smaller_draw_is_the_beginning_of_a_larger_one():
    few, many = (latents(count, 3, random(1).latents) for count in (100, 1031))
    assert torch.equal(many[:100], few) and len(many) == 1031


def test_the_stream_is_made_of_blocks_of_512():
    """Written out, for another size of block would change every sample set."""
    rng = random(1).latents
    expected = torch.cat([torch.randn(512, 3, generator=rng) for _ in range(3)])
    assert torch.equal(latents(1031, 3, random(1).latents), expected[:1031])


@pytest.mark.parametrize("threshold", [0.3, 1.0, 2.5])
def test_truncation_gives_the_truncated_normal_in_the_order_of_the_prior(threshold):
    z = latents(20_000, 1, random(1).latents)
    cut = truncated(z, threshold)
    assert cut.abs().max() <= threshold
    assert (cut[z.flatten().argsort()].flatten().diff() >= 0).all()
    assert kstest(cut.flatten().numpy(), truncnorm(-threshold, threshold).cdf).pvalue > SURE


def test_truncation_keeps_its_digits_in_the_tails():
    z = torch.tensor([-30.0, -6.0, 0.0, 5.9, 6.0, 30.0])
    cut = truncated(z, 8.0)  # so wide that nothing to speak of is cut off
    torch.testing.assert_close(cut[1:-1], z[1:-1], rtol=1e-5, atol=1e-6)
    assert cut[0] == -8 and cut[-1] == 8


def test_truncation_decodes_what_it_has_cut():
    drawn = draw("truncation", identity(), 600, 1, threshold=0.5)
    assert torch.equal(drawn.images, drawn.latents) and drawn.latents.abs().max() <= 0.5


def test_decoding_is_done_in_evaluation_mode_and_leaves_the_mode_as_it_was():
    network = torch.nn.Sequential(torch.nn.BatchNorm1d(4), torch.nn.Unflatten(1, (1, 2, 2)), torch.nn.Tanh())
    z = latents(600, 4, random(1).latents)
    assert network.training
    images = decode(network, z)
    assert network.training and int(network[0].num_batches_tracked) == 0
    assert images.shape == (600, 1, 2, 2) and images.dtype == torch.uint8
    expected = (torch.tanh(z / (1 + 1e-5) ** 0.5) + 1) * 127.5
    assert (images.flatten(1) - expected).abs().max() <= 0.5 + 1e-3
