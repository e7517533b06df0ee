"""What a sample set is worth, and what real images would be: the verb evaluate."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from divergan.data import TRAINING_ARMS, load_splits
from divergan.features import FEATURE_SETS, FeatureSet, extract
from divergan.lazy import lazy
from divergan.metrics import Pair, copied_share, measurable, measure_some, nearest_training_distances
from divergan.params import Training
from divergan.pipeline.files import (
    CONTROLS,
    METRICS,
    OTHER_FEATURES,
    OVER_TRAINING,
    REAL_FEATURES,
    SPLITS,
    finite,
    load_images,
    load_tensors,
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
else:
    torch = lazy("torch")


VALIDATION, VALIDATION_IMAGES = ("classifier",), 1000  # neither the GAN's nor ever the reference


def evaluate(job: Job) -> dict[str, Any]:
    """Every metric of one sample set, FID over its training, what other features and a faulty protocol would see.

    For the key `real` the same of real training images: the floors. Of a step with several samplers, every metric of
    each sample set.
    """
    count, run = job.step.settings["samples"], next(iter(job.step.inputs_of("train")), None)
    splits = load_splits(job.input("data") / SPLITS)
    reference_step = job.step.input("features")
    extracted = {
        "reference": reference(job, reference_step, splits),
        "training": real(job, reference_step, splits, *trained_images(run)),
        "validation": real(job, reference_step, splits, VALIDATION, VALIDATION_IMAGES),
    }
    network = network_of(job, reference_step)
    if run is not None and "samplers" in job.step.input("sample").settings:
        return evaluate_sets(job, network, extracted)

    generated, labels = sampled(job) if run is not None else real_sample(job, extracted["training"])
    pair = Pair(generated=replace(extract(network, generated), labels=labels), **extracted)
    write_json(job.out / METRICS, finite(metrics(job, pair)))
    write_json(job.out / OTHER_FEATURES, finite(other_features(job, generated, splits)))
    write_json(job.out / CONTROLS, finite(controls(network, pair)))
    if run is not None:
        write_json(job.out / OVER_TRAINING, over_training(job, network, run, pair.reference))
    return {"samples": count}


def sampled(job: Job) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The images of the prior's sample set, and the labels that a conditional generator made them as."""
    tensors = load_tensors(samples_file(job.input("sample"), PRIOR))
    return tensors["images"], tensors.get("labels")


def real_sample(job: Job, training: FeatureSet) -> tuple[torch.Tensor, torch.Tensor | None]:
    """As many real training images, with their labels where some run of the study is judged by its labels."""
    chosen = first(training, job.step.settings["samples"])
    return chosen.images, chosen.labels if job.step.settings.get("labelled") else None


def trained_images(run: Step | None) -> tuple[tuple[str, ...], int | None]:
    """The splits that a run (None: the gan split) was trained on, and how many of their first images (None: all)."""
    images = Training.model_validate(run.settings["training"]).images if run is not None else "gan"
    return (TRAINING_ARMS["gan"], images) if isinstance(images, int) else (TRAINING_ARMS[images], None)


def reference(job: Job, features: Step, splits: dict[str, torch.Tensor]) -> FeatureSet:
    """The real images that generated ones are compared with."""
    return real(job, features, splits, (job.step.settings["reference"],), job.step.settings["samples"])


def real(
    job: Job, features: Step, splits: dict[str, torch.Tensor], names: tuple[str, ...], count: int | None
) -> FeatureSet:
    """The first `count` real images of these splits, as the features step saw them."""
    known = load_tensors(place(job.root, features) / REAL_FEATURES)

    def joined(what: str, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.cat([tensors[f"{name}.{what}"] for name in names])[:count]

    has_classes = f"{names[0]}.probabilities" in known
    return FeatureSet(
        features=joined("features", known),
        probabilities=joined("probabilities", known) if has_classes else None,
        images=joined("images", splits),
        labels=joined("labels", splits),
    )


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
    return {"samples": job.step.settings["samples"]}


def metrics(job: Job, pair: Pair) -> dict[str, float]:
    """What the reference features can measure, and of images with labels what the labels can.

    Real training images lie at distance 0 from themselves; their distance to training is that of the held-out
    reference.
    """
    provides = FEATURE_SETS[job.step.input("features").settings["name"]].provides
    values = measure_some(pair, measurable(provides, labelled=pair.generated.labels is not None))
    if job.step.key == REAL:
        held_out = Pair(generated=pair.reference, reference=pair.reference, training=pair.training)
        values |= measure_some(held_out, ["nearest_training_distance"])
    return values


def other_features(job: Job, generated: torch.Tensor, splits: dict[str, torch.Tensor]) -> dict[str, float]:
    """FID in every feature set of the study, by the feature set's key."""
    return {
        step.key: fid(extract(network_of(job, step), generated), reference(job, step, splits))
        for step in job.step.inputs_of("features")
    }


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
        rows.append(finite({"step": step, "fid": fid(generated, first(reference, len(generated.images)))}))
    return rows


def first(images: FeatureSet, count: int) -> FeatureSet:
    """The first `count` images of a set (splits are shuffled)."""
    known = {name: tensor[:count] for name, tensor in vars(images).items() if tensor is not None}
    return replace(images, **known)


def network_of(job: Job, step: Step) -> torch.nn.Module:
    return feature_network(step, place(job.root, step)).to(job.device)
