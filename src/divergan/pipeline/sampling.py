"""Images from trained generators, by every sampler that a variant asks for: the verb sample."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from divergan.data import load_splits, to_network
from divergan.lazy import lazy
from divergan.networks import CRITICS
from divergan.networks.conditioning import labels_in_turn, one_hot
from divergan.objectives import Objective, objective
from divergan.params import Training, Weights
from divergan.pipeline.files import CRITIC, SPLITS, WEIGHTS, samples_file, save_grid, save_tensors
from divergan.pipeline.job import Job
from divergan.pipeline.models import classes_of, generator_of
from divergan.plan import PRIOR, Step
from divergan.progress import shown
from divergan.randomness import generator
from divergan.reweighting import weight_network
from divergan.samplers import SAMPLERS, Drawn, Model, Random, Stuck, calibrate
from divergan.store import place, read_json, sha256, write_json
from divergan.training import build_critic

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

EVALUATION_LATENTS = "evaluation samples"  # the purpose of the generator that owns them
SCORED = 1024  # real images a critic's forward pass


def sample(job: Job) -> dict[str, Any]:
    """Draw every sample set of one trained generator; all start from the same latents, as do runs of equal seed."""
    facts = {}
    with shown(job.step.key, len(entries(job.step)), "sample sets") as bar:
        for name in entries(job.step):
            facts[name] = sample_set(job, name)
            bar.update(len(facts))
    seconds = {name: read_json(job.out / f"timing.{name}.json") for name in facts}
    write_json(job.out / "timing.samplers.json", seconds)
    return {"sets": facts}


def entries(step: Step) -> dict[str, dict[str, Any]]:
    """The samplers of a sample step with their settings."""
    return step.settings.get("samplers", {PRIOR: {"sampler": PRIOR}})


def sample_set(job: Job, name: str) -> dict[str, Any]:
    """Draw one sample set into its file, unless a job that was killed had; what it took and how it ended."""
    told = job.out / f".{name}.json"  # written last, gone when the step is complete
    if (drawn_before := drawn_set(told)) is not None:
        return drawn_before
    settings, facts = job.step.settings, {"outcome": "drawn", "reason": ""}
    model = model_of(job.root, job.step, name, job.device)
    labels = labels_of(job.step.input("train"), settings["samples"])
    started = time.perf_counter()  # of drawing: networks are loaded and the ratio is calibrated once a generator
    try:
        drawn = draw(model, job.step, name, settings["samples"], settings["seed"], EVALUATION_LATENTS, labels)
    except Stuck as error:
        facts = {"outcome": "stuck", "reason": str(error)}
    seconds = {"seconds": time.perf_counter() - started, "pilot_seconds": model.pilot_seconds}
    write_json(job.out / f"timing.{name}.json", seconds)
    if facts["outcome"] == "drawn":
        positions = {} if drawn.proposals is None else {"proposals": drawn.proposals.cpu()}
        made_as = {} if labels is None else {"labels": labels}
        save_tensors(samples_file(job.out, name), {"images": drawn.images, **positions, **made_as})
        columns = classes_of(job.step.input("train")) or 8  # a class a column
        save_grid(job.out / f"{name}.png", drawn.images[: 8 * columns], columns)
    facts |= {"images": settings["samples"]} | asdict(model.cost)
    files = [path for path in (samples_file(job.out, name), job.out / f"{name}.png") if path.is_file()]
    write_json(told, {"facts": facts, "files": {path.name: sha256(path) for path in files}})
    return facts


def drawn_set(told: Path) -> dict[str, Any] | None:
    """What a killed job told of a sample set, if its files are those that it wrote."""
    try:
        found = read_json(told)
        whole = all(sha256(told.with_name(name)) == value for name, value in found["files"].items())
        return found["facts"] if whole else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def labels_of(run: Step, count: int) -> torch.Tensor | None:
    """The classes (count,) that the images of a conditional run's sample set are made as; None for other runs."""
    return labels_in_turn(count, classes) if (classes := classes_of(run)) else None


def draw(
    model: Model, step: Step, name: str, count: int, seed: int, purpose: str, labels: torch.Tensor | None = None
) -> Drawn:
    """`count` images by the entry `name` of a sample step; raises Stuck where a proposal would never be accepted.

    A conditional generator makes image i as the class labels[i].
    """
    sampler, settings = declared(step, name)
    device = model.device
    model.labels = None if labels is None else one_hot(labels, classes_of(step.input("train"))).to(device)
    random = Random(latents=generator(seed, purpose, device=device), choices=generator(seed, "choices", device=device))
    return sampler.draw(model, count, settings, random)


def declared(step: Step, name: str) -> tuple[Any, Any]:
    """The sampler of an entry and its settings."""
    entry = entries(step)[name]
    sampler = SAMPLERS[entry["sampler"]]
    return sampler, sampler.settings.model_validate({key: value for key, value in entry.items() if key != "sampler"})


def model_of(root: Path, step: Step, name: str, device: str) -> Model:
    """The trained generator of a sample step, and what the sampler of the entry `name` needs to know of it."""
    sampler, settings = declared(step, name)
    run, folder = step.input("train"), place(root, step.input("train"))
    training = Training.model_validate(run.settings["training"])
    limits = {limit: step.settings[limit] for limit in ("pilot", "most_draws") if limit in step.settings}
    model = Model(generator=generator_of(folder, run, device), latent=training.latent, device=device, **limits)
    if "trained_on" in sampler.needs:
        onward = find(step, "train", f"{run.key}.as_long_as.{settings.weights}")
        model.generator = generator_of(place(root, onward), run, device)
    if "weights" in sampler.needs:
        add_weights(model, root, find(step, "reweight", f"{run.key}.{settings.weights}"), run)
    if sampler.needs & {"score", "ratio"}:
        model.score = critic_of(folder, run, device)
    if "ratio" in sampler.needs:
        add_ratio(model, root, step, objective(training.objective))
    return model


def find(step: Step, verb: str, key: str) -> Step:
    return next(needed for needed in step.inputs_of(verb) if needed.key == key)


def add_weights(model: Model, root: Path, weighted: Step, run: Step) -> None:
    """w, and the generator that w was learned for where it was not the run's own (the released design)."""
    from safetensors.torch import load_file

    settings, folder = Weights.model_validate(weighted.settings["weights"]), place(root, weighted)
    network = weight_network(model.latent, settings.hidden, settings.output)
    network.load_state_dict(load_file(folder / WEIGHTS))
    model.weight, model.m = network.to(model.device).requires_grad_(False), settings.m
    if settings.joint:
        model.generator = generator_of(folder, run, str(model.device))


def critic_of(folder: Path, run: Step, device: str) -> torch.nn.Module:
    from safetensors.torch import load_file

    settings = Training.model_validate(run.settings["training"])
    shape = tuple(run.input("data").settings["declared"]["shape"])
    trained_by, network = objective(settings.objective), CRITICS[settings.critic.name]
    critic = build_critic(settings, trained_by, network, shape, classes_of(run))
    critic.load_state_dict(load_file(folder / CRITIC))
    return critic.to(device).eval().requires_grad_(False)


def add_ratio(model: Model, root: Path, step: Step, trained_by: Objective) -> None:
    """log p/q of an image, calibrated on the tuning split and as many generated images, which no training saw.

    The critic is made for the last generator of its training, on images that both have seen; the generator that is
    sampled may be an average, and real images are unseen: so every sampler that rests on the ratio shares this one.
    """
    score, log_ratio = model.score, trained_by.log_ratio
    assert score is not None and log_ratio is not None
    real = load_splits(place(root, step.input("data")) / SPLITS)["tuning.images"].to(model.device)
    rng = generator(step.settings["seed"], "calibration", device=model.device)
    with torch.inference_mode():
        of_real = torch.cat([log_ratio(score(to_network(part))) for part in real.split(SCORED)])
        z = torch.randn(len(real), model.latent, generator=rng, device=model.device)
        of_fake = torch.cat([log_ratio(score(model.generator(part))) for part in z.split(SCORED)])
    calibrated = calibrate(step.settings["calibration"], of_real, of_fake)
    model.log_ratio = lambda images: calibrated(log_ratio(score(images)))
    model.real_log_ratios = calibrated(of_real)
