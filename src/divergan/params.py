"""Typed parameters: unknown or impossible values are refused with the file, the line and what would be accepted."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from divergan.data import DATASETS
from divergan.errors import DivergaNError
from divergan.features import FEATURE_SETS
from divergan.networks import CRITICS, GENERATORS
from divergan.objectives import OBJECTIVES
from divergan.samplers import SAMPLERS

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]{0,63}$")]  # safe in a path, a URL and a shell
Positive = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class ParameterError(DivergaNError):
    """Names the file, the line, the key, the value and what would be accepted."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Splits(Strict):
    gan: Positive
    classifier: Positive
    tuning: Positive
    evaluation: Positive


class Data(Strict):
    name: str
    splits: Splits
    seed: Seed

    @field_validator("name")
    @classmethod
    def _exists(cls, name: str) -> str:
        return known(name, DATASETS)

    @model_validator(mode="after")
    def _enough_images(self) -> Data:
        data_set, s = DATASETS[self.name], self.splits
        training = s.gan + s.classifier + s.tuning + (0 if data_set.test_images else s.evaluation)
        if training > data_set.training_images:
            raise ValueError(f"the splits ask for {training} images of {data_set.training_images} in {self.name}")
        if data_set.test_images and s.evaluation > data_set.test_images:
            raise ValueError(f"splits.evaluation asks for {s.evaluation} of {data_set.test_images} test images")
        return self


class Features(Strict):
    name: str
    weights: str | None = None
    epochs: Positive
    batch: Positive
    learning_rate: Annotated[float, Field(gt=0)]
    seed: Seed

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
    images: Literal["gan", "all"]
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

    @model_validator(mode="after")
    def _checkpoints_differ(self) -> Training:
        if self.checkpoints > self.steps:
            raise ValueError(f"checkpoints = {self.checkpoints} do not fit into steps = {self.steps}")
        return self

    @property
    def regulariser(self) -> str:
        """The regularisers in words, as tables print them."""
        r1 = f"R1 γ={self.r1_gamma:g} every {self.r1_every}" if self.r1_gamma else ""
        return ", ".join(filter(None, (r1, "spectral norm" if self.critic.spectral_norm else ""))) or "none"


class Arm(Strict):
    label: str
    training: dict[str, Any] = {}
    variants: dict[Name, dict[str, Any] | None]


class Evaluation(Strict):
    samples: Annotated[int, Field(ge=2)]
    sampler: str

    @field_validator("sampler")
    @classmethod
    def _exists(cls, name: str) -> str:
        return known(name, SAMPLERS)


class Study(Strict):
    """A parameter file."""

    study: Name
    title: str
    question: str
    seeds: Annotated[list[Seed], Field(min_length=1)]
    device: Literal["auto", "cpu", "cuda"]
    threads: Positive
    data: Data
    features: Features
    training: dict[str, Any]
    arms: Annotated[dict[Name, Arm], Field(min_length=1)]
    evaluation: Evaluation

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: list[int]) -> list[int]:
        if twice := sorted({s for s in seeds if seeds.count(s) > 1}):
            raise ValueError(f"seeds must be distinct, {', '.join(map(str, twice))} stands there twice")
        return seeds

    @model_validator(mode="after")
    def _fits_together(self) -> Study:
        n, splits = self.evaluation.samples, self.data.splits
        for split, size in (("evaluation", splits.evaluation), ("gan", splits.gan)):
            if n > size:
                raise ValueError(
                    f"evaluation.samples = {n} is more than data.splits.{split} = {size}: metrics compare equal numbers"
                )
        return self

    def variants(self) -> dict[str, Training]:
        """The runs' settings by variant key, `<variant>.<arm>`: training <- arm's training <- variant's own."""
        return {
            f"{variant}.{name}": Training.model_validate(merged(self.training, arm.training, own or {}))
            for name, arm in self.arms.items()
            for variant, own in arm.variants.items()
        }


def known(name: str, registry: Iterable[str]) -> str:
    """`name` if the registry has it; a ValueError that lists what it has, the nearest first."""
    names = list(registry)
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"there is no {name!r}; {hint}known are {', '.join(names)}")


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
    """The parameters in a YAML 1.2 file, validated."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        document = YAML(typ="rt").load(path)
    except FileNotFoundError:
        raise ParameterError(f"there is no parameter file {path}; `ls params.yaml params/` shows those there are") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path} is no YAML 1.2: {error}") from None
    except OSError as error:
        raise ParameterError(f"{path} cannot be read: {error.strerror}") from None
    if not isinstance(document, dict):
        raise ParameterError(f"{path} holds {type(document).__name__}, expected a mapping of parameters")
    try:
        study = Study.model_validate(plain(document))
    except ValidationError as error:
        raise ParameterError(message(path, document, error, ())) from None
    for key, arm in study.arms.items():
        for variant, own in arm.variants.items():
            try:
                Training.model_validate(merged(study.training, arm.training, own or {}))
            except ValidationError as error:
                layers = (("arms", key, "variants", variant), ("arms", key, "training"), ("training",))
                raise ParameterError(message(path, document, error, *layers)) from None
    return study


def plain(value: Any) -> Any:
    """ruamel's annotated values as plain dicts, lists and scalars; what is no YAML core type raises."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def message(path: Path, document: Any, error: ValidationError, *layers: tuple[str, ...]) -> str:
    """One line a fault: file, line, key, value, and what would be accepted."""
    lines = []
    for fault in error.errors():
        place = tuple(part for part in fault["loc"] if part != "[key]")
        full = next((layer + place for layer in layers if line_of(document, layer + place, exact=True)), layers[0] + place)
        line = line_of(document, full)
        value = "" if fault["type"] in ("missing", "value_error") and isinstance(fault["input"], dict) else fault["input"]
        shown = f" = {value!r}" if value != "" else ""
        text = {
            "missing": "is missing",
            "extra_forbidden": "is not a parameter" + suggestion(fault["loc"]),
        }.get(fault["type"], fault["msg"].removeprefix("Value error, "))
        key = ".".join(map(str, full)) or "the file as a whole"
        lines.append(f"{path}, line {line}: {key}{shown}: {text}")
    return "\n".join(lines)


def suggestion(place: tuple[int | str, ...]) -> str:
    """The nearest parameter there is, for a key that there is not."""
    names = {name for model in Strict.__subclasses__() for name in model.model_fields}
    near = difflib.get_close_matches(str(place[-1]), names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def line_of(document: Any, place: tuple[int | str, ...], exact: bool = False) -> int:
    """The line of a key, or of the nearest mapping around it; 0 where `exact` and the key is not there."""
    line = 1
    for part in place:
        if isinstance(document, dict) and part in document:
            line = document.lc.key(part)[0] + 1
        elif isinstance(document, list) and isinstance(part, int) and part < len(document):
            line = document.lc.item(part)[0] + 1
        else:
            return 0 if exact else line
        document = document[part]
    return line
