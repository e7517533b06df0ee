"""Parameters of a training run: networks, objective, optimiser, regularisers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from divergan.data import TRAINING_ARMS
from divergan.kinds import Positive, named_objective, named_settings
from divergan.networks import CRITICS, GENERATORS
from divergan.objectives import KernelDistance, objective
from divergan.regularisers import REGULARISERS, Regulariser
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

    @field_validator("name")
    @classmethod
    def _exists(cls, name: str) -> str:
        return known(name, CRITICS)


LATER = {"conditional": False, "precision": "float32"}  # the settings that came later, and what asks for nothing
Regularisers: Any = named_settings("Regularisers", REGULARISERS)


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
    regularisers: Regularisers
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    checkpoints: Positive
    checkpoint_samples: Annotated[int, Field(ge=2)]
    history_every: Positive
    conditional: bool = False  # whether both players get the labels
    precision: Literal["float32", "bfloat16"] = "float32"  # of the networks' products while they train

    @field_validator("objective")
    @classmethod
    def _exists(cls, name: str) -> str:
        chosen = named_objective(name)
        if chosen.untrainable:
            raise ValueError(f"nothing can be trained with {name}: {chosen.untrainable}")
        return chosen.name  # so that alpha(0.5) and alpha(.50) are one

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
        self._critic_fits()
        if self.checkpoints > self.steps:
            raise misfit(
                f"{self.checkpoints} do not fit into steps = {self.steps}: expected at most one a step", "checkpoints"
            )
        study: Study | None = info.context
        if study is not None:
            study.fits(self)
        return self

    @model_serializer(mode="wrap")
    def _dumped(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what came later and is not asked for: it was in no recipe before, and changes none."""
        return {name: value for name, value in dump(self).items() if name not in LATER or value != LATER[name]}

    def _critic_fits(self) -> None:
        trained_by = objective(self.objective)
        if self.conditional and trained_by.outputs > 1:
            text = f"the score of an image with a label is the critic's output for the label, and with {self.objective}"
            raise misfit(f"{text} the critic gives features, which belong to no label", "conditional")
        if self.critic.name == "identity" and not isinstance(trained_by, KernelDistance):
            text = f"'identity' gives pixels, which kernels compare, and {self.objective} needs scores"
            raise misfit(text, "critic", "name")
        for regulariser, _ in self.regularisation:
            if reason := regulariser.refusal(self, trained_by):
                raise misfit(f"{self.objective} with {regulariser.name}: {reason}", "regularisers", regulariser.name)

    @property
    def regularisation(self) -> list[tuple[Regulariser, Any]]:
        """The regularisers with their settings."""
        return [(REGULARISERS[name], own) for name, own in self.regularisers.stated.items()]

    @property
    def regulariser(self) -> str:
        """The regularisers in words, as tables print them."""
        return ", ".join(regulariser.described(own) for regulariser, own in self.regularisation) or "none"

    @property
    def regulariser_kind(self) -> str:
        """The regularisers without their strength: the factor of an ablation."""
        return ", ".join(regulariser.kind for regulariser, _ in self.regularisation) or "none"
