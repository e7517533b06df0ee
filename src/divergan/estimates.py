"""About how long a step takes on one CPU core: the arithmetic of its networks at a typical rate, plus its start."""

from __future__ import annotations

from divergan import flops
from divergan.chapters import CHAPTERS
from divergan.params import Training, Weights
from divergan.plan import Step

FLOPS_PER_SECOND = 60e9  # float32 matrix products of one core of a 2024 server CPU; see benchmarks/
START_SECONDS = 5.0  # Python, torch and MLflow come up
OTHER_SECONDS = {
    "data": 3.0,
    "features": 20.0,
    "oracle": 60.0,
    "sample": 3.0,
    "evaluate": 8.0,
    "compare": 3.0,
    "figures": 12.0,
    "report": 4.0,
}


def core_seconds(step: Step) -> float:
    """An estimate, to be read as an order of magnitude."""
    if step.verb == "chapter":
        return START_SECONDS + CHAPTERS[step.settings["chapter"]].seconds(step.settings["part"])
    if step.verb in ("train", "reweight"):
        return START_SECONDS + training_flops(step) / FLOPS_PER_SECOND
    return START_SECONDS + OTHER_SECONDS[step.verb] * max(1, len(step.settings.get("samplers", ())) / 4)


def training_flops(step: Step) -> float:
    """Floating-point operations of a training, or of a re-weighting."""
    run = step.input("train") if step.inputs_of("train") else step  # the run that is re-weighted, or trained on
    training = Training.model_validate(run.settings["training"])
    channels, height, width = run.input("data").settings["declared"]["shape"]
    shape = channels, height, width
    if step.verb == "reweight":
        weights = Weights.model_validate(step.settings["weights"])
        return weights.steps * flops.reweighting_step(weights, training, shape)
    before = training.steps if run is not step else 0
    return (step.settings["training"]["steps"] - before) * flops.training_step(training, shape)
