"""About how long a step takes on one CPU core: the arithmetic of its networks at a typical rate, plus its start."""

from __future__ import annotations

from itertools import pairwise
from math import prod

from divergan.plan import Step

FLOPS_PER_SECOND = 60e9  # float32 matrix products of one core of a 2024 server CPU; see benchmarks/
START_SECONDS = 5.0  # Python, torch and MLflow come up
OTHER_SECONDS = {
    "data": 3.0,
    "features": 20.0,
    "sample": 3.0,
    "evaluate": 8.0,
    "compare": 3.0,
    "figures": 12.0,
    "report": 4.0,
}


def core_seconds(step: Step) -> float:
    """An estimate, to be read as an order of magnitude."""
    if step.verb != "train":
        return START_SECONDS + OTHER_SECONDS[step.verb]
    return START_SECONDS + training_flops(step) / FLOPS_PER_SECOND


def training_flops(step: Step) -> float:
    """Floating-point operations of a training run's matrix products.

    A forward pass costs 2 operations a weight and image, as does each of its two gradients (weights, inputs). The
    critic step runs the critic forward and backward on two batches and the generator forward on one; the generator
    step runs both forward and backward on one, without the critic's weight gradients.
    """
    t = step.settings["training"]
    pixels = prod(step.input("data").settings["declared"]["shape"])
    g = weights([t["latent"], *t["generator"]["hidden"], pixels])
    d = weights([pixels, *t["critic"]["hidden"], 1])
    critic_step, generator_step = 2 * 3 * d + g, 3 * g + 2 * d
    return 2 * t["batch"] * t["steps"] * (t["n_critic"] * critic_step + generator_step)


def weights(sizes: list[int]) -> int:
    return sum(a * b for a, b in pairwise(sizes))
