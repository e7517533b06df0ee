"""The arithmetic of a step against multiplications counted one matrix at a time."""

from __future__ import annotations

from divergan import flops
from divergan.params import Training, Weights
from tiny_training import SETTINGS

# z of 3 -> 8 -> 16 pixels; 16 -> 8 -> 1; w: 3 -> 5 -> 1; a weight costs 2 operations a row.
SHAPE = (1, 4, 4)
G, D, W = 3 * 8 + 8 * 16, 16 * 8 + 8 * 1, 3 * 5 + 5 * 1
WEIGHTS = Weights(
    sign="derived", delta="none", m=3.0, lambda_norm=10.0, lambda_clip=3.0, gradient_penalty=10.0, hidden=[5],
    output="softplus", critic="trained", critic_output="linear", batch=4, steps=7, patience=0, n_critic=2,
    critic_learning_rate=1e-3, learning_rate=1e-3, betas=[0.5, 0.5], joint=False, history_every=1,
)  # fmt: skip


def training(**changes) -> Training:
    return Training.model_validate(SETTINGS | changes)


def test_a_training_step_is_its_forward_and_backward_products():
    critic = 2 * (D + D + D) + G  # two batches: forward, gradients by weights and by inputs; fakes are made once
    generator = G + G + G + D + D  # through the critic by inputs alone
    assert flops.training_step(training(), SHAPE) == 2 * 8 * (critic + generator)
    assert flops.training_step(training(n_critic=3), SHAPE) == 2 * 8 * (3 * critic + generator)


def test_a_re_weighting_step_has_its_penalty_and_its_weights():
    critic = 2 * (D + D + D) + 6 * D + G + W
    step = 2 * critic + G + D + (W + W + W)
    assert flops.reweighting_step(WEIGHTS, training(), SHAPE) == 2 * 4 * step
    joint = WEIGHTS.model_copy(update={"joint": True})
    assert flops.reweighting_step(joint, training(), SHAPE) == 2 * 4 * step + flops.training_step(training(), SHAPE)


def test_equal_steps_cost_at_least_as_much_and_one_less_would_not():
    steps = flops.equal_steps(WEIGHTS, training(), SHAPE)
    cost = WEIGHTS.steps * flops.reweighting_step(WEIGHTS, training(), SHAPE)
    assert (steps - 1) * flops.training_step(training(), SHAPE) < cost <= steps * flops.training_step(training(), SHAPE)
