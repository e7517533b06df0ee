"""About how long a step takes on one CPU core: its networks' arithmetic at a typical rate, and the calls to it."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from divergan import flops
from divergan.chapters import CHAPTERS
from divergan.params import Training, Weights
from divergan.plan import Step

FLOPS_PER_SECOND = 60e9  # float32 matrix products of one core of a 2024 server CPU; see benchmarks/
UPDATE_SECONDS = 2e-3  # of one core besides the arithmetic of a player's update: some hundred calls into torch
START_SECONDS = 2.0  # of a job's process, most of them torch's import
OTHER_SECONDS = {
    "data": 3.0,
    "features": 10.0,
    "oracle": 60.0,
    "sample": 1.0,
    "compare": 8.0,
    "figures": 9.0,
    "report": 4.0,
}
EVALUATION_SECONDS = 2.0  # of an evaluation besides what grows with its images
PAIR_SECONDS = 1.9e-7  # of the metrics, a pair of a generated and a real image; docs/log.md, 2026-11-23
NEIGHBOUR_SECONDS = 7e-8  # of the search for copies, a pair of a generated and a training image
GENEROUS = 4  # what a cluster is asked for over the estimate: a slower node, one that others use, an estimate too low
LEAST_MINUTES = 30
LEAST_MB = 4000  # a process of torch takes 1,000; 50,000 features beside 50,000 in the metrics take 1,300


def core_seconds(step: Step) -> float:
    """Of a step's own work, without the start of a process; an estimate, to be read as an order of magnitude."""
    if step.verb == "chapter":
        return CHAPTERS[step.settings["chapter"]].seconds(step.settings["part"])
    if step.verb in ("train", "reweight"):
        return training_seconds(step)
    if step.verb == "evaluate":
        return evaluation_seconds(step)
    return OTHER_SECONDS[step.verb] * max(1, len(step.settings.get("samplers", ())) / 2)


def evaluation_seconds(step: Step) -> float:
    """Of the metrics on all pairs of each sample set and real images, and of the prior's nearest training images."""
    count = step.settings["samples"]
    sampled = [name for sets in step.inputs_of("sample") for name in sets.settings.get("samplers", ())]
    near = 0 if sampled else count * step.input("data").settings["splits"]["gan"]
    return EVALUATION_SECONDS + max(1, len(sampled)) * count**2 * PAIR_SECONDS + near * NEIGHBOUR_SECONDS


def training_seconds(step: Step) -> float:
    """Of a training, or of a re-weighting: each step's arithmetic, and its updates of the players."""
    run = step.input("train") if step.inputs_of("train") else step  # the run that is re-weighted, or trained on
    training = Training.model_validate(run.settings["training"])
    channels, height, width = run.input("data").settings["declared"]["shape"]
    shape = channels, height, width
    if step.verb == "reweight":
        weights = Weights.model_validate(step.settings["weights"])
        operations, updates = flops.reweighting_step(weights, training, shape), weights.n_critic + 1
        return weights.steps * step_seconds(operations, updates)
    steps = step.settings["training"]["steps"] - (training.steps if run is not step else 0)
    return steps * step_seconds(flops.training_step(training, shape), training.n_critic + 1)


def step_seconds(operations: int, updates: int) -> float:
    return operations / FLOPS_PER_SECOND + updates * UPDATE_SECONDS


def requested_minutes(steps: Iterable[Step], attempt: int) -> int:
    """What a cluster is asked for, for the job that makes these steps; twice as much for each retry."""
    minutes = GENEROUS * (START_SECONDS + sum(map(core_seconds, steps))) / 60
    return ceil(max(LEAST_MINUTES, minutes)) * 2 ** (attempt - 1)


def requested_mb(attempt: int) -> int:
    return LEAST_MB * 2 ** (attempt - 1)
