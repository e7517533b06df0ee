"""Parameters of the chapter `reweighting`: importance weights, and the ways to sample a trained generator."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from divergan.kinds import Name, Positive, Seeds, merged
from divergan.planar import TARGETS
from divergan.samplers import CALIBRATIONS, DIFFERENTIABLE, SAMPLERS, Sampler
from divergan.strict import Strict, known, misfit

PRIOR = "prior"  # as divergan.plan, which rests on this module, calls every run's first sample set
NotNegative = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(gt=0)]


class Weights(Strict):
    """What determines one set of importance weights; the generator, its data and the seed aside."""

    label: str = ""  # as the report prints it; no part of a recipe
    sign: Literal["derived", "as_printed"]
    delta: Literal["none", "min", "min_abs"]
    m: Annotated[float, Field(ge=1)]  # weights of mean 1 cannot stay below a lower ceiling
    lambda_norm: NotNegative
    lambda_clip: NotNegative
    gradient_penalty: NotNegative
    hidden: list[Positive]
    output: Literal["softplus", "relu", "exp", "sigmoid"]
    critic: Literal["trained", "fresh"]
    critic_output: Literal["linear", "sigmoid"]
    batch: Annotated[int, Field(ge=2)]
    steps: Positive
    patience: Annotated[int, Field(ge=0)]
    n_critic: Positive
    critic_learning_rate: Rate
    learning_rate: Rate
    betas: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)]
    joint: bool
    history_every: Positive

    @model_validator(mode="after")
    def _windows_hold_rows(self) -> Weights:
        if 0 < self.patience < 2 * self.history_every:
            text = f"{self.patience} steps hold fewer than two rows of the history, one each {self.history_every} steps"
            raise misfit(f"{text}: expected 0 (never stop early) or at least {2 * self.history_every}", "patience")
        return self


class Oracle(Strict):
    """Two-dimensional targets on which the right weights are known."""

    targets: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]  # name -> training over `training`
    weights: Annotated[list[str], Field(min_length=1)]
    seeds: Seeds
    samples: Annotated[int, Field(ge=100)]
    training: dict[str, Any] = Field(default_factory=dict)  # over the weights' own

    @field_validator("targets")
    @classmethod
    def _exist(cls, targets: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {known(name, TARGETS): own for name, own in targets.items()}


class Reweighting(Strict):
    training: dict[str, Any]
    weights: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]
    calibration: str
    pilot: Annotated[int, Field(ge=100)]
    most_draws: Positive
    samplers: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]
    oracle: Oracle | None = None

    @field_validator("calibration")
    @classmethod
    def _exists(cls, name: str) -> str:
        return known(name, CALIBRATIONS)

    @field_validator("samplers")
    @classmethod
    def _leave_the_prior_alone(cls, samplers: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        if PRIOR in samplers:
            raise ValueError(f"every run is sampled by the {PRIOR} as it is: choose another name for that entry")
        return samplers

    @model_validator(mode="after")
    def _oracle_weighs(self) -> Reweighting:
        for place, name in enumerate(self.oracle.weights if self.oracle else ()):
            if name not in self.weights:
                text = f"there are no weights {name!r}; known are {', '.join(self.weights)}"
                raise misfit(text, "oracle", "weights", place)  # type: ignore[arg-type]
        return self

    def weights_of(self, name: str) -> Weights:
        return Weights.model_validate(merged(self.training, self.weights[name]))

    def oracle_weights_of(self, name: str, target: str) -> Weights:
        return Weights.model_validate(self.oracle_training(name, target))

    def oracle_training(self, name: str, target: str) -> dict[str, Any]:
        assert self.oracle is not None
        return merged(self.training, self.weights[name], self.oracle.training, self.oracle.targets[target])

    def sampler_of(self, name: str) -> tuple[Sampler, Any]:
        """The sampler of an entry, and its settings."""
        entry = Entry.model_validate(self.samplers[name], context=self)
        return SAMPLERS[entry.sampler], entry.settings


class Entry(Strict):
    """One entry of `samplers`: the sampler's name, and beside it the settings that it declares."""

    sampler: str
    settings: Any

    @model_validator(mode="before")
    @classmethod
    def _declared(cls, given: Any, info: ValidationInfo) -> Any:
        if not isinstance(given, dict) or str(given.get("sampler")) not in SAMPLERS:
            return given if not isinstance(given, dict) else {"settings": None, **given}
        sampler, own = SAMPLERS[given["sampler"]], {k: v for k, v in given.items() if k != "sampler"}
        return {"sampler": sampler.name, "settings": sampler.settings.model_validate(own)}

    @field_validator("sampler")
    @classmethod
    def _exists(cls, name: str) -> str:
        return known(name, SAMPLERS)

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Entry:
        assert isinstance(info.context, Reweighting)
        chapter = info.context
        weights = getattr(self.settings, "weights", None)
        if weights is not None and weights not in chapter.weights:
            raise misfit(f"there are no weights {weights!r}; known are {', '.join(chapter.weights)}", "weights")
        if "gradients" in SAMPLERS[self.sampler].needs and chapter.calibration not in DIFFERENTIABLE:
            text = f"{self.sampler} follows gradients of the ratio, which {chapter.calibration} calibration has not"
            raise misfit(f"{text}: set reweighting.calibration to {' or '.join(DIFFERENTIABLE)}", "sampler")
        return self
