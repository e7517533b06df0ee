"""What a sample set is worth, and what real images would be: the verb evaluate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from divergan.data import load_splits, training_images
from divergan.features import FEATURE_SETS, FeatureSet, extract
from divergan.metrics import Pair, copied_share, measurable, measure_some, nearest_training_distances
from divergan.params import Training, leaves
from divergan.pipeline.files import (
    CONTROLS,
    METRICS,
    OTHER_FEATURES,
    OVER_TRAINING,
    SPLITS,
    finite,
    load_images,
    samples_file,
)
from divergan.pipeline.job import Job
from divergan.pipeline.models import feature_network
from divergan.plan import PRIOR, REAL
from divergan.progress import shown
from divergan.store import RUN, place, read_json, write_json

if TYPE_CHECKING:
    import torch

    from divergan.plan import Step


def evaluate(job: Job) -> dict[str, Any]:
    """Every metric of one sample set, FID over its training, what other features and a faulty protocol would see.

    For the key `real` the same of real training images: the floors. Of a step with several samplers, every metric of
    each sample set.
    """
    count, run = job.step.settings["samples"], next(iter(job.step.inputs_of("train")), None)
    training, reference = compared_images(job, run)
    network = network_of(job, job.step.input("features"))
    extracted = {"reference": extract(network, reference), "training": extract(network, training)}
    if run is not None and "samplers" in job.step.input("sample").settings:
        return evaluate_sets(job, network, extracted)

    folder = job.input("sample") if run is not None else None
    generated = load_images(samples_file(folder, PRIOR)) if folder else training[:count]
    pair = Pair(generated=extract(network, generated), **extracted)
    values = metrics(job, pair)
    write_json(job.out / METRICS, finite(values))
    write_json(job.out / OTHER_FEATURES, finite(other_features(job, generated, reference)))
    write_json(job.out / CONTROLS, finite(controls(network, pair)))
    if run is not None:
        tell(job, run, values, over_training(job, network, run, pair.reference))
    return {"samples": count}


def compared_images(job: Job, run: Step | None) -> tuple[torch.Tensor, torch.Tensor]:
    """The images that a run (None: the gan split) was trained on, and the reference that it is compared with."""
    splits = load_splits(job.input("data") / SPLITS)
    reference = splits[f"{job.step.settings['reference']}.images"][: job.step.settings["samples"]]
    if run is None:
        return splits["gan.images"], reference
    return training_images(splits, Training.model_validate(run.settings["training"]).images), reference


def evaluate_sets(job: Job, network: torch.nn.Module, extracted: dict[str, FeatureSet]) -> dict[str, Any]:
    """Every metric of each sample set that was drawn, by the sampler's entry."""
    sets = read_json(job.input("sample") / RUN)["sets"]
    names = measurable(FEATURE_SETS[job.step.input("features").settings["name"]].provides)
    values: dict[str, dict[str, Any]] = {}
    with shown(job.step.key, len(sets), "sample sets") as bar:
        for done, (name, facts) in enumerate(sets.items(), 1):
            if facts["outcome"] == "drawn":
                generated = extract(network, load_images(samples_file(job.input("sample"), name)))
                values[name] = finite(measure_some(Pair(generated=generated, **extracted), names))
            bar.update(done)
    write_json(job.out / METRICS, values)
    job.live.metrics(0, {name: value for name, value in leaves(values) if value is not None})
    return {"samples": job.step.settings["samples"]}


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
    job.live.picture(place(job.root, job.step.input("sample")) / f"{PRIOR}.png", "samples.png")


def first(images: FeatureSet, count: int) -> FeatureSet:
    """The first `count` images of a set (splits are shuffled)."""
    probabilities = None if images.probabilities is None else images.probabilities[:count]
    return FeatureSet(features=images.features[:count], probabilities=probabilities, images=images.images[:count])


def network_of(job: Job, step: Step) -> torch.nn.Module:
    return feature_network(step, place(job.root, step)).to(job.device)
