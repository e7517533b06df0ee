"""What a sample set is worth, and what real images would be: the verb evaluate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from divergan.data import load_splits, training_images
from divergan.features import FEATURE_SETS, FeatureSet, extract
from divergan.metrics import Pair, copied_share, measurable, measure_some, nearest_training_distances
from divergan.params import Training
from divergan.pipeline.files import (
    CONTROLS,
    METRICS,
    OTHER_FEATURES,
    OVER_TRAINING,
    SAMPLES,
    SPLITS,
    finite,
    load_images,
)
from divergan.pipeline.job import Job
from divergan.pipeline.models import feature_network
from divergan.plan import REAL
from divergan.store import place, write_json

if TYPE_CHECKING:
    import torch

    from divergan.plan import Step


def evaluate(job: Job) -> dict[str, Any]:
    """Every metric of one sample set, FID over its training, what other features and a faulty protocol would see.

    For the key `real` the same of real training images: the floors.
    """
    splits, count = load_splits(job.input("data") / SPLITS), job.step.settings["samples"]
    reference = splits[f"{job.step.settings['reference']}.images"][:count]
    run = next(iter(job.step.inputs_of("train")), None)
    if run is None:
        training, generated = splits["gan.images"], splits["gan.images"][:count]
    else:
        training = training_images(splits, Training.model_validate(run.settings["training"]).images)
        generated = load_images(job.input("sample") / SAMPLES)

    network = network_of(job, job.step.input("features"))
    pair = Pair(
        generated=extract(network, generated),
        reference=extract(network, reference),
        training=extract(network, training),
    )
    values = metrics(job, pair)
    write_json(job.out / METRICS, finite(values))
    write_json(job.out / OTHER_FEATURES, finite(other_features(job, generated, reference)))
    write_json(job.out / CONTROLS, finite(controls(network, pair)))
    if run is not None:
        tell(job, run, values, over_training(job, network, run, pair.reference))
    return {"samples": count}


def metrics(job: Job, pair: Pair) -> dict[str, float]:
    """What the reference features can measure.

    Real training images lie at distance 0 from themselves; their distance to training is that of the held-out
    reference.
    """
    names = measurable(FEATURE_SETS[job.step.input("features").settings["name"]].provides)
    values = measure_some(pair, names)
    if job.step.key == REAL:
        held_out = Pair(generated=pair.reference, reference=pair.reference, training=pair.training)
        values |= measure_some(held_out, ["nearest_training_distance"])
    return values


def other_features(job: Job, generated: torch.Tensor, reference: torch.Tensor) -> dict[str, float]:
    """FID in every feature set of the study, by the feature set's key."""
    found = {}
    for step in job.step.inputs_of("features"):
        network = network_of(job, step)
        found[step.key] = fid(extract(network, generated), extract(network, reference))
    return found


def controls(network: torch.nn.Module, pair: Pair) -> dict[str, float]:
    """What the defects of the released evaluation do to these images, and whether they are copies of training images.

    The released code saved samples in [-1, 1] without rescaling, so that negative values became black, and compared
    them with the first training images instead of unseen ones.
    """
    dark = extract(network, unrescaled(pair.generated.images))
    seen = first(pair.training, len(pair.reference.images))
    held_out = nearest_training_distances(pair.reference, pair.training)
    return {
        "fid_unrescaled": fid(dark, pair.reference),
        "fid_training_reference": fid(pair.generated, seen),
        "fid_as_released": fid(dark, seen),
        "held_out_distance": float(held_out.median()),
        "copied_share": copied_share(nearest_training_distances(pair.generated, pair.training), held_out),
    }


def unrescaled(images: torch.Tensor) -> torch.Tensor:
    """uint8 images as they are when values in [-1, 1] are saved as if they were in [0, 1]: max(0, 2x - 1)."""
    return (2 * images.int() - 255).clamp(min=0).to(images.dtype)


def fid(generated: FeatureSet, reference: FeatureSet) -> float:
    return measure_some(Pair(generated=generated, reference=reference, training=reference), ["fid"])["fid"]


def over_training(
    job: Job, network: torch.nn.Module, run: Step, reference: FeatureSet
) -> list[dict[str, float]]:  # fmt: skip
    """FID at every checkpoint, against as many reference images as the checkpoint has samples."""
    rows = []
    for path in sorted((place(job.root, run) / "checkpoints").glob("*.safetensors")):
        generated = extract(network, load_images(path))
        step = int(path.stem.removeprefix("step-"))
        rows.append({"step": step, "fid": fid(generated, first(reference, len(generated.images)))})
    return rows


def tell(job: Job, run: Step, values: dict[str, float], rows: list[dict[str, float]]) -> None:
    """Keep FID over training, and show MLflow what was measured."""
    write_json(job.out / OVER_TRAINING, [finite(row) for row in rows])
    job.live.metrics(run.settings["training"]["steps"], values)
    for row in rows:
        job.live.metrics(int(row["step"]), {"fid_over_training": row["fid"]})
    job.live.picture(place(job.root, job.step.input("sample")) / "grid.png", "samples.png")


def first(images: FeatureSet, count: int) -> FeatureSet:
    """The first `count` images of a set (splits are shuffled)."""
    probabilities = None if images.probabilities is None else images.probabilities[:count]
    return FeatureSet(features=images.features[:count], probabilities=probabilities, images=images.images[:count])


def network_of(job: Job, step: Step) -> torch.nn.Module:
    return feature_network(step, place(job.root, step)).to(job.device)
