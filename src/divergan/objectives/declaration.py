"""What training, tests, figures and report need to know of an objective.

Notation, as in Nowozin et al. (2016): P is the data, Q the generator's output, u = p/q, v the critic's raw score
(any real number) and T = activation(v):

    D_f(P || Q) = E_Q[f(u)]  >=  E_P[T] - E_Q[f*(T)],   with equality at T = f'(u).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from divergan.lazy import lazy

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

Elementwise = Callable[["torch.Tensor"], "torch.Tensor"]

GENERATOR_LOSSES = ("alternative", "bound")


@dataclass(frozen=True, kw_only=True)
class Objective(ABC):
    """A two-player game on raw critic scores.

    The losses take scores of any shape and return a scalar to minimise. `bound_loss` is the generator's side of the
    critic's own game; `alternative_loss` is the one that Goodfellow et al. (2014, section 3) and Nowozin et al. (2016,
    section 3.2) put in its place, because its gradient does not vanish while the critic wins.
    """

    name: str  # key in params.yaml, in file names and in result tables
    label: str  # as the report prints it
    source: str  # BibTeX key, then the place in it
    log_ratio: Elementwise | None  # log p/q that a score stands for, float32-safe; None where it identifies no ratio
    flaw: str = ""  # what is wrong in a formula that is kept as published; empty where the definitions hold

    @abstractmethod
    def critic_loss(self, v_real: torch.Tensor, v_fake: torch.Tensor) -> torch.Tensor:
        """Scalar, lower is better for the critic."""

    @abstractmethod
    def bound_loss(self, v_fake: torch.Tensor) -> torch.Tensor:
        """Scalar, the generator's share of minus `critic_loss`."""

    @abstractmethod
    def alternative_loss(self, v_fake: torch.Tensor) -> torch.Tensor:
        """Scalar, the heuristic loss with the strong gradient where the critic wins."""

    def generator_loss(self, name: str) -> Elementwise:
        """The generator's loss by its name in params.yaml, one of GENERATOR_LOSSES."""
        return {"bound": self.bound_loss, "alternative": self.alternative_loss}[name]

    def divergence(self, v_real: torch.Tensor, v_fake: torch.Tensor) -> torch.Tensor:
        """What the critic estimates, shifted so that it is 0 when P = Q."""
        return -self.critic_loss(v_real, v_fake)


@dataclass(frozen=True, kw_only=True)
class FDivergence(Objective):
    """An f-divergence, trained through its variational lower bound; everything else follows from the fields."""

    formula: str  # f(u) in Python syntax, as are the next two: printed in the report, checked against the functions
    conjugate_formula: str  # f*(t)
    activation_formula: str  # g_f(v)
    f: Elementwise  # convex on u > 0
    conjugate: Elementwise  # f*(t) = sup over u > 0 of u t - f(u)
    domain: tuple[float, float]  # the open interval of t on which f* is finite
    activation: Elementwise  # g_f: increasing, from all real v into `domain`
    fake_score: Elementwise  # conjugate(activation(v)), in a form that does not overflow early

    def critic_loss(self, v_real: torch.Tensor, v_fake: torch.Tensor) -> torch.Tensor:
        return self.fake_score(v_fake).mean() - self.activation(v_real).mean()

    def bound_loss(self, v_fake: torch.Tensor) -> torch.Tensor:
        return -self.fake_score(v_fake).mean()

    def alternative_loss(self, v_fake: torch.Tensor) -> torch.Tensor:
        return -self.activation(v_fake).mean()

    def divergence(self, v_real: torch.Tensor, v_fake: torch.Tensor) -> torch.Tensor:
        return -self.critic_loss(v_real, v_fake) - self._f_at_one()[0]

    @property
    def threshold(self) -> float:
        """f'(1): a critic output T above it says "more likely real than generated"."""
        return self._f_at_one()[1]

    def _f_at_one(self) -> tuple[float, float]:
        u = torch.ones((), dtype=torch.float64, requires_grad=True)
        value = self.f(u)
        return float(value.detach()), float(torch.autograd.grad(value, u)[0])


@dataclass(frozen=True, kw_only=True)
class Scores(Objective):
    """An objective written directly on the scores: a proper scoring rule or an integral probability metric."""

    real: Elementwise  # critic's cost of a real sample
    fake: Elementwise  # critic's cost of a generated sample
    alternative: Elementwise  # generator's cost of a generated sample
    cost_when_equal: float  # the critic's least expected cost when P = Q

    def critic_loss(self, v_real: torch.Tensor, v_fake: torch.Tensor) -> torch.Tensor:
        return self.real(v_real).mean() + self.fake(v_fake).mean()

    def bound_loss(self, v_fake: torch.Tensor) -> torch.Tensor:
        return -self.fake(v_fake).mean()

    def alternative_loss(self, v_fake: torch.Tensor) -> torch.Tensor:
        return self.alternative(v_fake).mean()

    def divergence(self, v_real: torch.Tensor, v_fake: torch.Tensor) -> torch.Tensor:
        return self.cost_when_equal - self.critic_loss(v_real, v_fake)
