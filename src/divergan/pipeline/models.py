"""From raw images to trained generators: the verbs data, features and train."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from divergan import checkpoints
from divergan.data import (
    data_set,
    fetch,
    load_splits,
    raw_images,
    save_splits,
    split,
    stacked,
    training_images,
    training_labels,
    unstacked,
)
from divergan.features import FEATURE_SETS, classifier_accuracy, compare_weights, extract, train_classifier
from divergan.networks import CRITICS, GENERATORS
from divergan.networks.conditioning import one_hot
from divergan.objectives import objective
from divergan.params import Training
from divergan.pipeline.files import (
    CLASSIFIER,
    CRITIC,
    GENERATOR,
    HISTORY,
    HISTORY_COLUMNS,
    PLAYERS,
    REAL_FEATURES,
    SPLITS,
    STATE,
    kept_weights,
    save_grid,
    save_history,
    save_tensors,
)
from divergan.pipeline.job import Job
from divergan.plan import Step
from divergan.progress import Bar, Lines, Pace, shown
from divergan.store import place, quarantine
from divergan.training import Players, Record, start
from divergan.training import train as train_players

if TYPE_CHECKING:
    import torch

CLASSIFIERS = ("digits", "stacked_digits")  # the feature sets that this pipeline trains
JUDGED = ("classifier", "tuning", "evaluation")  # the splits on which their accuracy is told


def data(job: Job) -> dict[str, Any]:
    """Fetch, verify and split a data set."""
    settings, raw = job.step.settings, job.root / "data" / "raw"
    declared = data_set(settings["name"])
    fetch(declared.name, raw, print)
    cut = stacked if declared.stacks else split
    splits = cut(raw_images(declared.stacks or declared.name, raw), settings["splits"], settings["seed"])
    save_splits(job.out / SPLITS, splits)
    return {"images": {name: len(images) for name, (images, _) in splits.items()}}


def features(job: Job) -> dict[str, Any]:
    """The weights of a feature network, and its features of all real images, which no evaluation computes again."""
    splits, settings = load_splits(job.input("data") / SPLITS), job.step.settings
    facts = classifier(job, splits) if settings["name"] in CLASSIFIERS else {"weights": settings["weights"]}
    network = feature_network(job.step, job.out).to(
        job.device
    )  # InceptionV3 is fetched here, before any GAN is trained
    tensors = {}
    for name in (key.removesuffix(".images") for key in splits if key.endswith(".images")):
        seen = extract(network, splits[f"{name}.images"])
        tensors[f"{name}.features"] = seen.features
        if seen.probabilities is not None:
            tensors[f"{name}.probabilities"] = seen.probabilities
    save_tensors(job.out / REAL_FEATURES, tensors)
    return facts


def classifier(job: Job, splits: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Train the feature classifier from its seed; where reference weights are kept, compare with them and use those."""
    settings = job.step.settings
    options = {name: settings[name] for name in ("seed", "epochs", "batch", "learning_rate")}
    single, data_settings = settings["name"] == "stacked_digits", job.step.input("data").settings
    options["classes"] = data_settings["declared"]["classes"]
    labelled = {name: (splits[f"{name}.images"], splits[f"{name}.labels"]) for name in JUDGED}
    if single:
        options["classes"] = data_set(data_set(data_settings["name"]).stacks or "").classes
        labelled = {name: unstacked(*own) for name, own in labelled.items()}
    kept = kept_weights(job.root / settings["weights"], settings["kept"]) if settings["kept"] else None
    state = train_classifier(*labelled["classifier"], **options)
    facts: dict[str, Any] = {}
    if kept:
        facts["retrained"] = compare_weights(state, kept, labelled["tuning"][0])
        state = kept
    save_tensors(job.out / CLASSIFIER, state)
    network = FEATURE_SETS["digits"].network(state)
    return facts | {f"{name}_accuracy": classifier_accuracy(network, *own) for name, own in labelled.items()}


def feature_network(step: Step, folder: Path) -> torch.nn.Module:
    """The network of a feature set; `folder` is where its step left weights, if it trained some."""
    from safetensors.torch import load_file

    settings, build = step.settings, FEATURE_SETS[step.settings["name"]].network
    if settings["name"] in CLASSIFIERS:
        return build(load_file(folder / CLASSIFIER))
    if settings["name"] == "random_convolutions":
        return build(step.input("data").settings["declared"]["shape"][0], settings["seed"])
    return build(settings["weights"])


def train(job: Job) -> dict[str, Any]:
    """One training run, from its last checkpoint where there is one."""
    settings, seed = Training.model_validate(job.step.settings["training"]), job.step.settings["seed"]
    without_damage(job)
    splits, count = load_splits(job.input("data") / SPLITS), classes_of(job.step)
    images = training_images(splits, settings.images).to(job.device)
    classes = one_hot(training_labels(splits, settings.images), count).to(job.device) if count else None
    trained_by = objective(settings.objective)
    players, record = begun(job, settings, image_shape(images), *earlier(job))
    with shown(job.step.key, settings.steps, "steps") as bar:
        bar.start(players.step)
        pace = Pace(job.out / "timing.csv", settings.batch, players.step)
        train_players(settings, trained_by, players, record, images, seed, FileObserver(job, bar, pace), classes)
    if record.outcome == "diverged":
        players, _ = begun(job, settings, image_shape(images), *earlier(job))
    save_tensors(job.out / GENERATOR, checkpoints.weights(players.average))
    save_tensors(job.out / CRITIC, checkpoints.weights(players.critic))
    checkpoints.save(job.out / PLAYERS, players, record)
    save_history(job.out / HISTORY, record.history, HISTORY_COLUMNS)
    return {"outcome": record.outcome, "at_step": record.ended_at, "images_seen": players.drawn}


def classes_of(run: Step) -> int:
    """How many classes the generator of a training run is told of: those of its data, 0 where it is not conditional."""
    return told_classes(Training.model_validate(run.settings["training"]), run)


def told_classes(settings: Training, step: Step) -> int:
    """The same of these settings, on the data that a step has among its inputs."""
    return step.input("data").settings["declared"]["classes"] if settings.conditional else 0


def image_shape(images: torch.Tensor) -> tuple[int, int, int]:
    _, channels, height, width = images.shape
    return channels, height, width


def without_damage(job: Job) -> None:
    """Take a checkpoint that is not what a killed job wrote out of the way, with all that lies beside it."""
    path = job.out / STATE
    try:
        if path.is_file():
            checkpoints.read(path)
    except checkpoints.Damaged as error:
        kept = quarantine(job.root, job.out)
        print(f"warning: {error}. What was half made is now {kept}; {job.step.key} starts anew", file=sys.stderr)
        job.out.mkdir()


def earlier(job: Job) -> list[Path]:
    """The checkpoints that a training may go on from: its own, then the end of the run that it trains on."""
    return [job.out / STATE, *(place(job.root, run) / PLAYERS for run in job.step.inputs_of("train"))]


def begun(job: Job, settings: Training, shape: tuple[int, int, int], *checkpoint_files: Path) -> tuple[Players, Record]:
    """Fresh players, put where the first of the checkpoints that exists was."""
    networks = GENERATORS[settings.generator.name], CRITICS[settings.critic.name]
    trained_by, seed = objective(settings.objective), job.step.settings["seed"]
    players = start(settings, trained_by, networks, shape, seed, job.device, told_classes(settings, job.step))
    found = next((path for path in checkpoint_files if path.is_file()), None)
    return players, checkpoints.restore(found, players) if found else Record()


def generator_of(folder: Path, run: Step, device: str) -> torch.nn.Module:
    """The generator that `folder` holds, of the architecture that the training run `run` has."""
    from safetensors.torch import load_file

    settings = Training.model_validate(run.settings["training"])
    shape = tuple(run.input("data").settings["declared"]["shape"])
    inputs = settings.latent + classes_of(run)
    network = GENERATORS[settings.generator.name].build(inputs, settings.generator.hidden, shape)
    network.load_state_dict(load_file(folder / GENERATOR))
    return network.to(device).eval().requires_grad_(False)


class FileObserver:
    """Puts a training's checkpoints and samples into its folder, and tells the bar and MLflow."""

    def __init__(self, job: Job, bar: Bar | Lines, pace: Pace):
        self.job, self.bar, self.pace = job, bar, pace

    def row(self, row: dict[str, float]) -> None:
        step, values = int(row["step"]), {name: value for name, value in row.items() if name != "step"}
        self.bar.update(step)
        self.job.live.metrics(step, values | {"images_per_second": self.pace.at(step)})

    def checkpoint(self, players: Players, record: Record, samples: torch.Tensor) -> None:
        folder = self.job.out / "checkpoints"
        save_tensors(folder / f"step-{players.step:08d}.safetensors", {"images": samples})
        picture = folder / f"step-{players.step:08d}.png"
        columns = classes_of(self.job.step) or 8  # a class a column
        save_grid(picture, samples[: 8 * columns], columns)
        self.job.live.picture(picture, picture.name)
        checkpoints.save(self.job.out / STATE, players, record, folder.glob("step-*"))
