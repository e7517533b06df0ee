"""Importance weights on the latent space, and the plane where the right ones are known: reweight and oracle."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from divergan import checkpoints, planar
from divergan.data import load_splits, training_images
from divergan.lazy import lazy
from divergan.networks import CRITICS, CriticForm
from divergan.objectives import objective
from divergan.params import Training, Weights
from divergan.pipeline.files import (
    CRITIC,
    FIRST_WEIGHTS,
    GENERATOR,
    HISTORY,
    PLAYERS,
    SPLITS,
    STATE,
    VERDICTS,
    WEIGHTS,
    finite,
    save_arrays,
    save_history,
    save_tensors,
)
from divergan.pipeline.job import Job
from divergan.pipeline.models import begun, generator_of, image_shape, without_damage
from divergan.pipeline.sampling import EVALUATION_LATENTS
from divergan.progress import Bar, Lines, shown
from divergan.randomness import derived_seed, generator
from divergan.reweighting import Reweighting, WeightRecord, start
from divergan.reweighting import reweight as learn_weights
from divergan.samplers import BLOCK, latents
from divergan.store import write_json
from divergan.training import DataOrder, Players, training_step

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

WEIGHT_COLUMNS = ("step", "w_mean", "w_max", "w_min", "acceptance", "ess", "emd", "critic_loss", "weight_loss")
MAP_BINS = 120  # of the pictures of the latent plane, a side


def reweight(job: Job) -> dict[str, Any]:
    """Learn importance weights for a trained generator, from the last checkpoint where there is one."""
    settings, seed = Weights.model_validate(job.step.settings["weights"]), job.step.settings["seed"]
    without_damage(job)
    run, splits = job.step.input("train"), load_splits(job.input("data") / SPLITS)
    training = Training.model_validate(run.settings["training"])
    images = training_images(splits, training.images).to(job.device)
    shape = image_shape(images)

    players = begun(job, training, shape, job.input("train") / PLAYERS)[0] if settings.joint else None
    network = players.average if players else generator_of(job.input("train"), run, job.device)
    state = start(settings, critic_of(job, settings, training, shape), training.latent, seed, job.device)
    record = restored(job, state, players)
    move = None if players is None else trained_on(training, players, images, seed)
    with shown(job.step.key, settings.steps, "steps") as bar:
        bar.start(state.step)
        observer = FileObserver(job, bar, players)
        learn_weights(settings, in_evaluation(network), state, record, images, seed, observer, move)

    with torch.inference_mode():
        first = latents(BLOCK, training.latent, generator(seed, EVALUATION_LATENTS, device=job.device))
        save_tensors(job.out / FIRST_WEIGHTS, {"w": state.weight(first).cpu()})
    save_tensors(job.out / WEIGHTS, checkpoints.weights(state.weight))
    save_tensors(job.out / CRITIC, checkpoints.weights(state.critic))
    if players is not None:
        save_tensors(job.out / GENERATOR, checkpoints.weights(players.average))
    save_history(job.out / HISTORY, record.history, WEIGHT_COLUMNS)
    return {
        "outcome": record.outcome,
        "at_step": record.ended_at,
        "steps": state.step,
        "stopped_early": record.stopped_early,
    }


def critic_of(job: Job, settings: Weights, training: Training, shape: tuple[int, int, int]) -> torch.nn.Module:
    """The critic of the EMD, of the trained critic's architecture: from its weights, or afresh and without its norm."""
    from safetensors.torch import load_file

    trained = settings.critic == "trained"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(job.step.settings["seed"], "critic of the weights"))
        form = CriticForm(spectral_norm=trained and "spectral_norm" in training.regularisers.stated)
        critic = CRITICS[training.critic.name].build(shape, training.critic.hidden, form)
    if trained:
        critic.load_state_dict(load_file(job.input("train") / CRITIC))
    if settings.critic_output == "sigmoid":
        critic = torch.nn.Sequential(critic, torch.nn.Sigmoid())
    return critic.to(job.device)


def in_evaluation(network: torch.nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """The network as a function in evaluation mode, whatever mode its training needs in between."""

    def generate(z: torch.Tensor) -> torch.Tensor:
        was_training = network.training
        network.eval()
        images = network(z)
        network.train(was_training)
        return images

    return generate


def trained_on(training: Training, players: Players, images: torch.Tensor, seed: int) -> Callable[[], None]:
    """One further step of the generator's own training: the released design did not let it stand still."""
    trained_by = objective(training.objective)
    order = DataOrder(len(images), training.batch, seed, images.device)
    return lambda: training_step(training, trained_by, players, images, order) and None


def saved_state(state: Reweighting, players: Players | None) -> checkpoints.State:
    """All that changes, the generator's players among it where they train on."""
    others = checkpoints.state_of(players) if players else checkpoints.State()
    return checkpoints.State(
        networks={"weight": state.weight, "weight_critic": state.critic, **others.networks},
        optimisers={
            "weight_optimiser": state.weight_optimiser,
            "weight_critic_optimiser": state.critic_optimiser,
            **others.optimisers,
        },
        generators={"weight_latents": state.latents, **others.generators},
    )


def restored(job: Job, state: Reweighting, players: Players | None) -> WeightRecord:
    """Put a fresh state where a killed job's last checkpoint was, if there is one; returns the record so far."""
    if not (job.out / STATE).is_file():
        return WeightRecord()
    facts = checkpoints.restore_state(job.out / STATE, saved_state(state, players))
    state.step, state.drawn = facts["step"], facts["drawn"]
    if players is not None:
        players.step, players.drawn = facts["players"]
    return WeightRecord(history=facts["history"])


class FileObserver:
    """Puts a re-weighting's checkpoints into its folder, and tells the bar and MLflow."""

    def __init__(self, job: Job, bar: Bar | Lines, players: Players | None):
        self.job, self.bar, self.players = job, bar, players

    def row(self, row: dict[str, float]) -> None:
        step = int(row["step"])
        self.bar.update(step)
        self.job.live.metrics(step, {name: value for name, value in row.items() if name != "step"})

    def checkpoint(self, state: Reweighting, record: WeightRecord) -> None:
        facts = {
            "step": state.step,
            "drawn": state.drawn,
            "history": record.history,
            "players": (self.players.step, self.players.drawn) if self.players else None,
        }
        checkpoints.save_state(self.job.out / STATE, saved_state(state, self.players), facts)


def oracle(job: Job) -> dict[str, Any]:
    """Re-weight a target of the plane with each of the named weights and seeds, beside the weights that are right."""
    settings, target = job.step.settings, planar.TARGETS[job.step.key]
    rows = []
    with shown(job.step.key, len(settings["weights"]) * len(settings["seeds"]), "weights") as bar:
        for name, given in settings["weights"].items():
            chosen = Weights.model_validate(given)
            for seed in settings["seeds"]:
                weight, record = planar.learn(target, chosen, seed)
                row = {"target": target.name, "target_label": target.label, "seed": seed, "weights": name}
                judged = planar.judge(target, weight, chosen.m, seed, settings["samples"])
                rows.append(row | {"outcome": record.outcome} | judged)
                if seed == settings["seeds"][0]:
                    save_arrays(job.out / f"{name}.map.safetensors", planar.map_of(target, weight, MAP_BINS, chosen.m))
                bar.update(len(rows))
    write_json(job.out / VERDICTS, [finite(row) for row in rows])
    return {"runs": len(rows)}
