"""What the training loop, parameters and tests need to know of a regulariser: where it acts, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from divergan.lazy import lazy
from divergan.networks.conditioning import scores_of
from divergan.objectives import Objective
from divergan.strict import Strict

if TYPE_CHECKING:
    import torch

    from divergan.params import Training
else:
    torch = lazy("torch")


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One step's images, scores and players, as a penalty sees them.

    Images are floats (N, C, H, W) as the critic gets them, noise included; scores (N,) or (N, outputs). Which of them
    carry a graph is what the due regularisers' `follows` ask for. In a conditional GAN the real and the generated image
    of a row have one label, and the scores are those of the images with it.
    """

    objective: Objective
    generator: torch.nn.Module
    critic: torch.nn.Module
    real: torch.Tensor
    fake: torch.Tensor
    v_real: torch.Tensor
    v_fake: torch.Tensor
    generator_loss: str  # one of GENERATOR_LOSSES
    random: torch.Generator
    labels: torch.Tensor | None = None  # one-hot (N, K)

    def score(self, v: torch.Tensor) -> torch.Tensor:
        return self.objective.witness(v, self.v_real, self.v_fake)

    def score_of(self, images: torch.Tensor) -> torch.Tensor:
        """The score (N,) of other images, each with the label of its row."""
        return self.score(scores_of(self.critic(images), self.labels))


Penalty = Callable[[Batch, Any], "torch.Tensor"]

CRITIC = "critic"  # `needs` of what acts on the critic's weights or slopes
FREE_WEIGHTS = "free weights"  # ... and sets its weights itself


@dataclass(frozen=True, kw_only=True)
class Regulariser:
    """`settings` holds every number a person may change; all other fields take them as their last argument."""

    name: str  # key in params.yaml
    kind: str  # as tables print it, without its numbers
    source: str  # BibTeX key, then the place in it
    settings: type[Strict]
    numbers: Callable[[Any], str] = lambda settings: ""  # as tables print them after the kind
    needs: frozenset[str] = frozenset({CRITIC})
    follows: frozenset[str] = frozenset()  # of "real", "fake" (images with a graph) and "players" (both networks')
    critic_penalty: Penalty | None = None  # scalar, added to the critic's loss
    generator_penalty: Penalty | None = None  # scalar, added to the generator's loss
    noise: Callable[[Any, int], float] | None = None  # (settings, step) -> std of noise on all that the critic sees
    constrain: Callable[[torch.nn.Module, Any], None] | None = None  # the critic's weights, after each of its steps

    def is_due(self, settings: Any, step: int) -> bool:
        return step % getattr(settings, "every", 1) == 0

    def described(self, settings: Any) -> str:
        return f"{self.kind} {self.numbers(settings)}".strip()

    def refusal(self, training: Training, objective: Objective) -> str:
        """Why it cannot go with this critic and the other regularisers, empty where it can."""
        if CRITIC in self.needs and training.critic.name == "identity":
            return "the critic 'identity' has no weights and no slope to regularise"
        if FREE_WEIGHTS in self.needs and "spectral_norm" in training.regularisers.stated:
            return "spectral_norm divides the critic's weights by their norm, so that what is set here has no effect"
        return ""
