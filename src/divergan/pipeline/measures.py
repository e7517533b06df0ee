"""What a sample set is worth, and what real images would be: the verb evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from divergan.data import load_splits, training_images
from divergan.features import FEATURE_SETS, FeatureSet, extract
from divergan.metrics import Pair, measurable, measure_some
from divergan.params import Training
from divergan.pipeline.files import CLASSIFIER, METRICS, OVER_TRAINING, SAMPLES, SPLITS, finite, load_images
from divergan.pipeline.job import Job
from divergan.plan import REAL
from divergan.store import write_json

if TYPE_CHECKING:
    import torch


def evaluate(job: Job) -> dict[str, Any]:
    """Every metric of one sample set, and FID at the run's checkpoints; or, for `real`, of real images: the floors."""
    network = feature_network(job)
    splits = load_splits(job.input("data") / SPLITS)
    count, names = job.step.settings["samples"], measurable(FEATURE_SETS[job.step.input("features").key].provides)
    reference = extract(network, splits["evaluation.images"][:count])
    if job.step.key == REAL:
        values = floors(network, splits["gan.images"], reference, names)
        write_json(job.out / METRICS, finite(values))
        return {"samples": count}
    training = Training.model_validate(job.step.input("train").settings["training"])
    train_features = extract(network, training_images(splits, training.images))
    generated = extract(network, load_images(job.input("sample") / SAMPLES))
    values = measure_some(Pair(generated=generated, reference=reference, training=train_features), names)
    write_json(job.out / METRICS, finite(values))
    rows = [
        {"step": step, "fid": measure_some(Pair(generated=g, reference=r, training=train_features), ["fid"])["fid"]}
        for step, g, r in over_training(network, job.input("train"), reference)
    ]
    write_json(job.out / OVER_TRAINING, [finite(row) for row in rows])
    job.live.metrics(training.steps, values)
    for row in rows:
        job.live.metrics(int(row["step"]), {"fid_over_training": row["fid"]})
    job.live.picture(job.input("sample") / "grid.png", "samples.png")
    return {"samples": count}


def floors(
    network: torch.nn.Module, training: torch.Tensor, reference: FeatureSet, names: list[str]
) -> dict[str, float]:
    """The metrics of real training images as if they were generated, at the reference's number of images.

    The distance to the nearest training image would be 0 for them; its floor is that of the held-out reference.
    """
    train_features = extract(network, training)
    real = first(train_features, len(reference.images))
    values = measure_some(Pair(generated=real, reference=reference, training=train_features), names)
    held_out = Pair(generated=reference, reference=reference, training=train_features)
    return values | measure_some(held_out, ["nearest_training_distance"])


def over_training(
    network: torch.nn.Module, run: Path, reference: FeatureSet
) -> list[tuple[int, FeatureSet, FeatureSet]]:
    """(step, samples, as many reference images) of every checkpoint."""
    found = []
    for path in sorted((run / "checkpoints").glob("*.safetensors")):
        generated = extract(network, load_images(path))
        found.append((int(path.stem.removeprefix("step-")), generated, first(reference, len(generated.images))))
    return found


def first(images: FeatureSet, count: int) -> FeatureSet:
    """The first `count` images of a set (splits are shuffled)."""
    probabilities = None if images.probabilities is None else images.probabilities[:count]
    return FeatureSet(features=images.features[:count], probabilities=probabilities, images=images.images[:count])


def feature_network(job: Job) -> torch.nn.Module:
    from safetensors.torch import load_file

    settings = job.step.input("features").settings
    if settings["name"] != "digits":
        return FEATURE_SETS[settings["name"]].network(settings["weights"]).to(job.device)
    return FEATURE_SETS["digits"].network(load_file(job.input("features") / CLASSIFIER)).to(job.device)
