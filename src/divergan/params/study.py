"""Typed parameters: unknown or impossible values are refused with the file, the line and what would be accepted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, field_validator, model_validator

from divergan.data import DATASETS, TRAINING_ARMS, data_set
from divergan.data.sets import OWN, own_names
from divergan.features import FEATURE_SETS
from divergan.kinds import Name, Positive, Seed, Seeds, Threads, inside, merged
from divergan.networks import CRITICS, GENERATORS
from divergan.objectives import objective
from divergan.params.sampling import Entry, Reweighting, Weights
from divergan.params.theory import Theory
from divergan.params.training import Training
from divergan.strict import Strict, known, message, misfit
from divergan.strict_yaml import ParameterError, load, plain


class Splits(Strict):
    gan: Positive
    classifier: Positive
    tuning: Positive
    evaluation: Positive


class OfVariant(Strict):
    """What a variant may state instead of the study's, its training aside."""

    seeds: Seeds
    sampling: list[str]

    @field_validator("sampling")
    @classmethod
    def _are_samplers(cls, names: list[str], info: ValidationInfo) -> list[str]:
        assert info.context is not None
        samplers, trained_by, conditional = info.context
        if names and not samplers:
            raise ValueError("there is no chapter `reweighting`, whose samplers it could name")
        own = objective(trained_by)
        if names and conditional:
            raise ValueError(
                f"{names[0]} draws without labels, and this variant is conditional: only the prior has them"
            )
        for name in names:
            needs = samplers[known(name, samplers)].needs
            if "ratio" in needs and own.log_ratio is None:
                raise ValueError(f"{name} needs log p/q, and the critic of {trained_by} identifies no ratio")
            if needs & {"score", "weights"} and own.outputs > 1:
                raise ValueError(f"{name} needs a critic with one score, and that of {trained_by} gives features")
        return names


class Data(Strict):
    name: str
    splits: Splits
    seed: Seed

    @field_validator("name")
    @classmethod
    def _exists(cls, name: str) -> str:
        known(name, [*DATASETS, *own_names()])
        try:
            data_set(name)
        except (RecursionError, OverflowError) as error:
            raise ValueError(f"{OWN / name}.json is not what `divergan import` writes ({error})") from None
        return name

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

    @model_validator(mode="after")
    def _kept_here(self) -> Features:
        """Inception's weights are a person's own copy, wherever it lies; the classifier's can be written too."""
        if self.weights is not None and self.name != "inception":
            try:
                inside(self.weights)
            except ValueError as error:
                raise misfit(f"{self.weights}: {error}", "weights") from None
            if not self.weights.endswith(".safetensors"):
                raise misfit(f"{self.weights}: expected a file's name that ends in .safetensors", "weights")
        return self

    @field_validator("others")
    @classmethod
    def _differ(cls, others: list[OtherFeatures]) -> list[OtherFeatures]:
        if twice := [own for number, own in enumerate(others) if own in others[:number]]:
            raise ValueError(f"{twice[0].name} with the seed {twice[0].seed} stands there twice")
        return others


class Arm(Strict):
    label: str
    training: dict[str, Any] = Field(default_factory=dict)
    variants: Annotated[dict[Name, dict[str, Any] | None], Field(min_length=1)]

    def own(self, variant: str) -> dict[str, Any]:
        """The training parameters that stand at the variant itself."""
        stated = self.variants[variant] or {}
        return {name: value for name, value in stated.items() if name not in OfVariant.model_fields}


class Evaluation(Strict):
    samples: Annotated[int, Field(ge=2)] | None = None  # a run; null: as many as the reference has
    reference: Literal["evaluation", "tuning"] = "evaluation"  # tuning: for choices, no reported number rests on them


class Study(Strict):
    """A parameter file."""

    study: Name
    title: str
    question: str
    seeds: Seeds
    device: Literal["auto", "cpu", "cuda"]
    threads: Threads
    data: Data
    features: Features
    training: dict[str, Any]
    arms: Annotated[dict[Name, Arm], Field(min_length=1)]
    evaluation: Evaluation
    reweighting: Reweighting | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Study:
        judged_by = {self.features.name, *(other.name for other in self.features.others)}
        if "stacked_digits" in judged_by and data_set(self.data.name).stacks is None:
            raise misfit(f"stacked_digits judges digits in channels, and {self.data.name} has none", "features")
        splits, reference = self.data.splits.model_dump(), self.evaluation.reference
        for split in (reference, "gan"):
            if self.samples > splits[split]:
                text = f"{self.samples} is more than data.splits.{split} = {splits[split]}"
                raise misfit(f"{text}: metrics compare equal numbers of images", "evaluation", "samples")
        return self

    def fits(self, training: Training) -> None:
        """Raise where one run's settings and the study's do not go together."""
        if training.conditional and (why := self.unlabelled):
            raise misfit(why, "conditional")
        if isinstance(training.images, int) and training.images > self.data.splits.gan:
            raise misfit(f"{training.images} is more than data.splits.gan = {self.data.splits.gan}", "images")
        if training.batch > (images := self.training_images(training)):
            raise misfit(f"{training.batch} is more than the {images} images that it is drawn from", "batch")
        shape, g, d = data_set(self.data.name).shape, training.generator, training.critic
        if reason := GENERATORS[g.name].refusal(g.hidden, shape):
            raise misfit(reason, "generator", "hidden")
        if reason := CRITICS[d.name].refusal(d.hidden, shape):
            raise misfit(reason, "critic", "hidden")
        if training.checkpoint_samples > self.samples:
            text = f"{training.checkpoint_samples} is more than evaluation.samples = {self.samples}"
            raise misfit(f"{text}: metrics compare equal numbers of images", "checkpoint_samples")

    @property
    def samples(self) -> int:
        """Images a run that the metrics compare with as many of the reference."""
        return self.evaluation.samples or self.data.splits.model_dump()[self.evaluation.reference]

    @property
    def unlabelled(self) -> str:
        """Why no conditional generator can be trained and judged on the data, empty where one can."""
        data = data_set(self.data.name)
        if data.classes < 2:
            return f"{data.name} has one class, and both players would get a label that tells nothing"
        if data.stacks:
            return f"the classifier that judges the labels knows single digits, and {data.name} has labels of three"
        if any(side % 4 for side in data.shape[1:]):
            sides = "x".join(map(str, data.shape[1:]))
            return f"the classifier that judges the labels takes sides that 4 divides, and {data.name} is of {sides}"
        return ""

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
        return self._stated(key, "seeds", self.seeds)

    def sampling_of(self, key: str) -> list[str]:
        """The entries of reweighting.samplers that draw from a variant's generators beside the prior."""
        return self._stated(key, "sampling", [])

    def _stated(self, key: str, name: str, otherwise: Any) -> Any:
        variant, arm = key.split(".")
        return (self.arms[arm].variants[variant] or {}).get(name, otherwise)


def leaves(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested parameters under their dotted names."""
    for name, item in value.items():
        if isinstance(item, dict):
            yield from leaves(item, f"{prefix}{name}.")
        else:
            yield prefix + name, item


def read(path: Path) -> Study | Theory:
    """The parameters in a YAML 1.2 file, validated; those that it lacks from the study that it is `like`."""
    document = load(path)

    def check(model: type[Strict], value: Any, context: Any, *layers: tuple[str, ...]) -> Any:
        try:
            return model.model_validate(value, context=context)
        except ValidationError as error:
            raise ParameterError(message(path, document, error, *layers)) from None

    if "chapters" in document and "arms" not in document:
        return check(Theory, plain(document), None, ())
    study = check(Study, like_another(path, document), None, ())
    chapter, samplers = study.reweighting, {}
    if chapter is not None:
        common, place = ("reweighting", "training"), ("reweighting", "weights")
        for name, own in chapter.weights.items():
            check(Weights, merged(chapter.training, own), None, (*place, name), common)
            for target in chapter.oracle.targets if chapter.oracle and name in chapter.oracle.weights else ():
                over = (("reweighting", "oracle", "targets", target), ("reweighting", "oracle", "training"))
                check(Weights, chapter.oracle_training(name, target), None, *over, (*place, name), common)
        for name, entry in chapter.samplers.items():
            check(Entry, entry, chapter, ("reweighting", "samplers", name))
            samplers[name] = chapter.sampler_of(name)[0]
    for key, arm in study.arms.items():
        for variant in arm.variants:
            own_place, arm_place = ("arms", key, "variants", variant), ("arms", key, "training")
            layers = (own_place, arm_place, ("training",))
            training = check(Training, merged(study.training, arm.training, arm.own(variant)), study, *layers)
            own = {"seeds": study.seeds_of(f"{variant}.{key}"), "sampling": study.sampling_of(f"{variant}.{key}")}
            check(OfVariant, own, (samplers, training.objective, training.conditional), own_place, ())
    return study


class Like(Strict):
    """Another parameter file, whose data, features and training of one arm are taken over."""

    study: Annotated[str, AfterValidator(inside)]
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
    if isinstance(other, Theory):
        raise ParameterError(f"{path}: like.study = {like.study} trains no generator: name a study with arms")
    if like.arm not in other.arms:
        raise ParameterError(f"{path}: like.arm = {like.arm}: {like.study} has the arms {', '.join(other.arms)}")
    shared = other.model_dump(include={"device", "threads", "data", "features", "training"})
    shared["training"] = merged(shared["training"], other.arms[like.arm].training)
    return merged(shared, {name: value for name, value in parameters.items() if name != "like"})
