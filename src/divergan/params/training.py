"""Parameters of a training run: networks, objective, optimiser, regularisers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from divergan.data import TRAINING_ARMS
from divergan.networks import CRITICS, GENERATORS
from divergan.objectives import OBJECTIVES
from divergan.params.values import Positive
from divergan.strict import Strict, known, misfit

if TYPE_CHECKING:
    from divergan.params.study import Study


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
        study: Study | None = info.context
        if study is not None:
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
