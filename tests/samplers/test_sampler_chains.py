from __future__ import annotations

import math

import pytest
import torch

from divergan.samplers import BLOCK, Stuck, latents
from divergan.samplers.chains import begun, leave
from divergan.samplers.declaration import blocks
from sampler_toys import SURE, categories, draw, fit, identity, random

Q = [0.1, 0.2, 0.3, 0.25, 0.15]
P = [0.35, 0.25, 0.3, 0.1, 0.0]  # the largest ratio is 3.5, so a step forgets its start with 2/7


@pytest.mark.parametrize("start", [0.4, 1.25, 3.5])
def test_the_chain_comes_to_the_data_from_any_start(start):
    # After 48 steps (1 - 2/7)^48 = 1e-7 of the start is left.
    model = categories(Q, P, real_log_ratios=torch.tensor([start]).log())
    assert fit(draw("mh", model, 10_000, 1, chain=48).images, P) > SURE


def test_a_single_step_is_what_the_formula_says():
    """From ratio 3.5 the first move goes to x' with probability q(x') r(x')/3.5: it is p again, at acceptance 2/7."""
    model = categories(Q, P, real_log_ratios=torch.tensor([3.5]).log())
    drawn = draw("mh", model, 10_000, 2, chain=1)
    assert fit(drawn.images, P) > SURE
    assert model.cost.acceptance == pytest.approx(2 / 7, abs=0.02)


def test_chains_take_their_proposals_from_the_blocks_and_hold_what_they_moved_to():
    model = identity(log_ratio=lambda x: x[:, 0], real_log_ratios=torch.zeros(1))
    drawn = draw("mh", model, 40, 3, chain=5)
    assert torch.equal(drawn.images, drawn.latents)
    stream = latents(5 * BLOCK, 2, random(3).latents).view(5, BLOCK, 2)[:, :40]
    offered = {(j, *z) for t in range(5) for j, z in enumerate(stream[t].tolist())}
    at_home = sum((j, *z) in offered for j, z in enumerate(drawn.latents.tolist()))
    assert at_home >= 38  # all but the few that had to go on


def test_chains_that_never_moved_run_on_to_their_first_move():
    model = categories(Q, P, real_log_ratios=torch.tensor([100.0]).log(), most_draws=10_000)  # 1 in 100 moves
    drawn = draw("mh", model, 3000, 4, chain=2)
    assert fit(drawn.images, P) > SURE
    assert model.cost.draws > 3000 * 50
    assert model.cost.draws == model.cost.generator_evaluations == model.cost.critic_evaluations


def test_chains_that_run_on_share_a_block_and_take_their_first_move():
    model = identity(log_ratio=lambda x: x[:, 0] * 0, real_log_ratios=torch.zeros(1))  # every proposal is moved to
    chains = begun(model, 2, random(7))
    leave(model, chains, 0, blocks(2, random(7).latents), random(7))
    assert torch.equal(chains.latents, latents(BLOCK, 2, random(7).latents)[[0, BLOCK // 2]])


def test_chains_that_run_on_are_judged_from_where_each_stands():
    model = identity(log_ratio=lambda x: x[:, 0] * 0, real_log_ratios=torch.zeros(1), most_draws=600)
    chains = begun(model, 2, random(8))
    chains.log_ratios[1] = 1000.0
    with pytest.raises(Stuck, match="accepted 1 of"):
        leave(model, chains, 0, blocks(2, random(8).latents), random(8))
    assert chains.moves.tolist() == [1, 0]


def test_a_start_of_ratio_0_is_left_for_anything():
    model = categories(Q, P, real_log_ratios=torch.tensor([-math.inf]))
    assert (draw("mh", model, 100, 5, chain=16).images[:, 0] < 4).all()


def test_a_start_that_cannot_be_left_ends_in_an_error():
    model = identity(log_ratio=lambda x: x[:, 0] * 0, real_log_ratios=torch.tensor([50.0]), most_draws=1000)
    with pytest.raises(Stuck, match=r"MH-GAN accepted 0 of 2000 draws.*1\.9e-22"):
        draw("mh", model, 2, 6, chain=10)
    assert model.cost.draws == 2 * 1000
