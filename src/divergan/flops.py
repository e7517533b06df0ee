"""The arithmetic of a training step: floating-point operations of its matrix products.

A forward pass costs 2 operations a product and image, as does each of its two gradients (by weights, by inputs).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from divergan.networks import CRITICS, GENERATORS
from divergan.networks.mlp import matrix_weights

if TYPE_CHECKING:
    from divergan.networks.declaration import Shape
    from divergan.params import Training, Weights

PENALTY = 6  # forward, gradient by the input, and both again backwards: in forward passes of the critic on one batch


def generator_products(training: Training, shape: Shape) -> int:
    own = training.generator
    return GENERATORS[own.name].products(training.latent, own.hidden, shape)


def critic_products(training: Training, shape: Shape) -> int:
    return CRITICS[training.critic.name].products(shape, training.critic.hidden)


def training_step(training: Training, shape: Shape) -> int:
    """One generator step with its critic steps, regularisers aside.

    The critic step runs the critic forward and backward on two batches and the generator forward on one; the generator
    step runs both forward and backward on one, without the critic's weight gradients.
    """
    g, d = generator_products(training, shape), critic_products(training, shape)
    critic_step, generator_step = 2 * 3 * d + g, 3 * g + 2 * d
    return 2 * training.batch * (training.n_critic * critic_step + generator_step)


def reweighting_step(weights: Weights, training: Training, shape: Shape) -> int:
    """One step of the weights with its critic steps and their gradient penalty (Algorithm 1)."""
    g, d = generator_products(training, shape), critic_products(training, shape)
    w = matrix_weights(training.latent, *weights.hidden, 1)
    critic_step = 2 * 3 * d + PENALTY * d + g + w
    step = 2 * weights.batch * (weights.n_critic * critic_step + g + d + 3 * w)
    return step + (training_step(training, shape) if weights.joint else 0)


def equal_steps(weights: Weights, training: Training, shape: Shape) -> int:
    """So many further training steps cost what all of a re-weighting's steps do, rounded up."""
    return -(-weights.steps * reweighting_step(weights, training, shape) // training_step(training, shape))
