"""Typed parameters: unknown or impossible values are refused with the file, the line and what would be accepted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from divergan.data import DATASETS, TRAINING_ARMS, data_set
from divergan.data.sets import own_names
from divergan.features import FEATURE_SETS
from divergan.networks import CRITICS, GENERATORS
from divergan.objectives import OBJECTIVES
from divergan.samplers import SAMPLERS
from divergan.strict import Strict, known, message, misfit
from divergan.strict_yaml import ParameterError, load, plain

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]{0,63}$")]  # safe in a path, a URL and a shell
Positive = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


def distinct(seeds: list[int]) -> list[int]:
    if twice := sorted({s for s in seeds if seeds.count(s) > 1}):
        raise ValueError(f"seeds must be distinct, {', '.join(map(str, twice))} stands there twice")
    return seeds


Seeds = Annotated[list[Seed], Field(min_length=1), AfterValidator(distinct)]


class Splits(Strict):
    gan: Positive
    classifier: Positive
    tuning: Positive
    evaluation: Positive


class VariantSeeds(Strict):
    """The seeds that a variant may state instead of the study's."""

    seeds: Seeds


class Data(Strict):
    name: str
    splits: Splits
    seed: Seed

    @field_validator("name")
    @classmethod
    def _exists(cls, name: str) -> str:
        return known(name, [*DATASETS, *own_names()])

    @model_validator(mode="after")
    def _enough_images(self) -> Data:
        raw, s = data_set(self.name), self.splits
        training = s.gan + s.classifier + s.tuning + (0 if raw.test_images else s.evaluation)
        if training > raw.training_images:
            raise misfit(f"they ask for {training} images of the {raw.training_images} in {self.name}", "splits")
        if raw.test_images and s.evaluation > raw.test_images:
            text = f"{s.evaluation} is more than the {raw.test_images} test images of {self.name}"
            raise misfit(text, "splits", "evaluation")
        return self


class OtherFeatures(Strict):
    """A second opinion on the same samples; a classifier is trained as the reference is, from its own seed."""

    name: str
    seed: Seed

    @field_validator("name")
    @classmethod
    def _exists(cls, name: str) -> str:
        return known(name, FEATURE_SETS)


class Features(Strict):
    name: str
    weights: str | None = None
    epochs: Positive
    batch: Positive
    learning_rate: Annotated[float, Field(gt=0)]
    seed: Seed
    others: list[OtherFeatures] = Field(default_factory=list)

    @field_validator("name")
    @classmethod
    def _exists(cls, name: str) -> str:
        return known(name, FEATURE_SETS)


class GeneratorNetwork(Strict):
    name: str
    hidden: list[Positive]

    @field_validator("name")
    @classmethod
    def _exists(cls, name: str) -> str:
        return known(name, GENERATORS)


class CriticNetwork(Strict):
    name: str
    hidden: list[Positive]
    spectral_norm: bool

    @field_validator("name")
    @classmethod
    def _exists(cls, name: str) -> str:
        return known(name, CRITICS)


class Training(Strict):
    """What determines one training run, its seed and the data aside."""

    objective: str
    generator_loss: Literal["alternative", "bound"]
    images: str | int
    generator: GeneratorNetwork
    critic: CriticNetwork
    latent: Positive
    batch: Annotated[int, Field(ge=2)]
    steps: Positive
    n_critic: Positive
    learning_rate: Annotated[float, Field(gt=0)]
    betas: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)]
    r1_gamma: Annotated[float, Field(ge=0)]
    r1_every: Positive
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    checkpoints: Positive
    checkpoint_samples: Annotated[int, Field(ge=2)]
    history_every: Positive

    @field_validator("objective")
    @classmethod
    def _exists(cls, name: str) -> str:
        return known(name, OBJECTIVES)

    @field_validator("images", mode="plain")
    @classmethod
    def _names_images(cls, images: object) -> str | int:
        if isinstance(images, str) and images in TRAINING_ARMS:
            return images
        if isinstance(images, int) and not isinstance(images, bool) and images >= 2:
            return images
        raise ValueError(f"expected {' or '.join(TRAINING_ARMS)}, or a number of images of the gan split from 2 on")

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Training:
        if self.checkpoints > self.steps:
            raise misfit(
                f"{self.checkpoints} do not fit into steps = {self.steps}: expected at most one a step", "checkpoints"
            )
        if isinstance(study := info.context, Study):
            study.fits(self)
        return self

    @property
    def regulariser(self) -> str:
        """The regularisers in words, as tables print them."""
        return self.regulariser_kind.replace("R1", f"R1 γ={self.r1_gamma:g} every {self.r1_every}")

    @property
    def regulariser_kind(self) -> str:
        """The regularisers without their strength: the factor of an ablation."""
        kinds = ("R1" if self.r1_gamma else "", "spectral norm" if self.critic.spectral_norm else "")
        return ", ".join(filter(None, kinds)) or "none"


class Arm(Strict):
    label: str
    training: dict[str, Any] = Field(default_factory=dict)
    variants: Annotated[dict[Name, dict[str, Any] | None], Field(min_length=1)]

    def own(self, variant: str) -> dict[str, Any]:
        """The training parameters that stand at the variant itself."""
        return {name: value for name, value in (self.variants[variant] or {}).items() if name != "seeds"}


class Evaluation(Strict):
    samples: Annotated[int, Field(ge=2)] | None = None  # a run; null: as many as the reference has
    sampler: str
    reference: Literal["evaluation", "tuning"] = "evaluation"  # tuning: for choices, no reported number rests on them

    @field_validator("sampler")
    @classmethod
    def _exists(cls, name: str) -> str:
        return known(name, SAMPLERS)


class Study(Strict):
    """A parameter file."""

    study: Name
    title: str
    question: str
    seeds: Seeds
    device: Literal["auto", "cpu", "cuda"]
    threads: Positive
    data: Data
    features: Features
    training: dict[str, Any]
    arms: Annotated[dict[Name, Arm], Field(min_length=1)]
    evaluation: Evaluation

    @model_validator(mode="after")
    def _fits_together(self) -> Study:
        splits, reference = self.data.splits.model_dump(), self.evaluation.reference
        for split in (reference, "gan"):
            if self.samples > splits[split]:
                text = f"{self.samples} is more than data.splits.{split} = {splits[split]}"
                raise misfit(f"{text}: metrics compare equal numbers of images", "evaluation", "samples")
        return self

    def fits(self, training: Training) -> None:
        """Raise where one run's settings and the study's do not go together."""
        if isinstance(training.images, int) and training.images > self.data.splits.gan:
            raise misfit(f"{training.images} is more than data.splits.gan = {self.data.splits.gan}", "images")
        if training.batch > (images := self.training_images(training)):
            raise misfit(f"{training.batch} is more than the {images} images that it is drawn from", "batch")
        if training.checkpoint_samples > self.samples:
            text = f"{training.checkpoint_samples} is more than evaluation.samples = {self.samples}"
            raise misfit(f"{text}: metrics compare equal numbers of images", "checkpoint_samples")

    @property
    def samples(self) -> int:
        """Images a run that the metrics compare with as many of the reference."""
        return self.evaluation.samples or self.data.splits.model_dump()[self.evaluation.reference]

    def training_images(self, training: Training) -> int:
        """How many images a run is trained on."""
        splits = self.data.splits.model_dump()
        if isinstance(training.images, int):
            return training.images
        return sum(splits[name] for name in TRAINING_ARMS[training.images])

    def variants(self) -> dict[str, Training]:
        """The runs' settings by variant key, `<variant>.<arm>`: training <- arm's training <- variant's own."""
        return {
            f"{variant}.{name}": Training.model_validate(merged(self.training, arm.training, arm.own(variant)))
            for name, arm in self.arms.items()
            for variant in arm.variants
        }

    def seeds_of(self, key: str) -> list[int]:
        """The seeds of a variant key: its own where it states some, else the study's."""
        variant, arm = key.split(".")
        return (self.arms[arm].variants[variant] or {}).get("seeds", self.seeds)


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Later layers over earlier ones, mapping by mapping."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = result.get(key)
            result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
    return result


def leaves(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested parameters under their dotted names."""
    for name, item in value.items():
        if isinstance(item, dict):
            yield from leaves(item, f"{prefix}{name}.")
        else:
            yield prefix + name, item


def read(path: Path) -> Study:
    """The parameters in a YAML 1.2 file, validated; those that it lacks from the study that it is `like`."""
    document = load(path)
    try:
        study = Study.model_validate(like_another(path, document))
    except ValidationError as error:
        raise ParameterError(message(path, document, error, ())) from None
    for key, arm in study.arms.items():
        for variant in arm.variants:
            try:
                Training.model_validate(merged(study.training, arm.training, arm.own(variant)), context=study)
                VariantSeeds.model_validate({"seeds": study.seeds_of(f"{variant}.{key}")})
            except ValidationError as error:
                layers = (("arms", key, "variants", variant), ("arms", key, "training"), ("training",))
                raise ParameterError(message(path, document, error, *layers)) from None
    return study


class Like(Strict):
    """Another parameter file, whose data, features and training of one arm are taken over."""

    study: str
    arm: str


def like_another(path: Path, document: Any) -> dict[str, Any]:
    """The document's parameters, over those of the study and arm that its `like` names, if it does."""
    parameters = plain(document)
    if "like" not in parameters:
        return parameters
    try:
        like = Like.model_validate(parameters["like"])
    except ValidationError as error:
        raise ParameterError(message(path, document, error, ("like",))) from None
    if "like" in load(Path(like.study)):
        raise ParameterError(f"{path}: like.study = {like.study} is like another study itself: name that one")
    other = read(Path(like.study))
    if like.arm not in other.arms:
        raise ParameterError(f"{path}: like.arm = {like.arm}: {like.study} has the arms {', '.join(other.arms)}")
    shared = other.model_dump(include={"device", "threads", "data", "features", "training"})
    shared["training"] = merged(shared["training"], other.arms[like.arm].training)
    return merged(shared, {name: value for name, value in parameters.items() if name != "like"})
