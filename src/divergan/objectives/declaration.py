"""What training, tests, figures and report need to know of an objective.

Notation, as in Nowozin et al. (2016): P is the data, Q the generator's output, u = p/q, v the critic's raw score
(any real number) and T = activation(v):

    D_f(P || Q) = E_Q[f(u)]  >=  E_P[T] - E_Q[f*(T)],   with equality at T = f'(u).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from divergan.lazy import lazy

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

Elementwise = Callable[["torch.Tensor"], "torch.Tensor"]
GeneratorLoss = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]

GENERATOR_LOSSES = ("alternative", "bound")
RATIO = "p/q"  # what the best critic identifies
SIGN = "sign(p - q)"


@dataclass(frozen=True, kw_only=True)
class Objective(ABC):
    """A two-player game on raw critic scores.

    The losses take scores (N,), or (N, outputs) where the critic gives several, and return a scalar to minimise.
    `bound_loss` is the generator's side of the critic's own game; `alternative_loss` is the one that Goodfellow et al.
    (2014, section 3) and Nowozin et al. (2016, section 3.2) put in its place, because its gradient does not vanish
    while the critic wins. With the best critic they minimise E_Q[f(u)] and E_Q[g(u)], where g'' = f''/u.
    """

    needs_real: ClassVar[bool] = False  # whether the generator's losses look at scores of real images too

    name: str  # key in params.yaml, in file names and in result tables
    label: str  # as the report prints it
    source: str  # BibTeX key, then the place in it
    formula: str  # f(u) in Python syntax, printed and checked; empty where the best critic gives no f-divergence
    f: Elementwise | None  # convex on u > 0; not shifted: f(1) need not be 0
    log_ratio: Elementwise | None  # log p/q that a score stands for, float32-safe; None where it identifies no ratio
    identifies: str = RATIO  # what the best critic tells of p and q
    alternative_formula: str = ""  # g(u) of what the alternative loss minimises; empty where there is no f
    alternative_label: str = ""  # its name, where it has one
    flaw: str = ""  # what is wrong in a formula that is kept as published; empty where the definitions hold
    untrainable: str = ""  # why nothing can be trained with it; empty where it can
    outputs: int = 1  # numbers that the critic gives for an image

    @abstractmethod
    def critic_loss(self, v_real: torch.Tensor, v_fake: torch.Tensor) -> torch.Tensor:
        """Scalar, lower is better for the critic."""

    @abstractmethod
    def bound_loss(self, v_fake: torch.Tensor, v_real: torch.Tensor) -> torch.Tensor:
        """Scalar, the generator's share of minus `critic_loss`; `v_real` is looked at where `needs_real`."""

    @abstractmethod
    def alternative_loss(self, v_fake: torch.Tensor, v_real: torch.Tensor) -> torch.Tensor:
        """Scalar, the heuristic loss with the strong gradient where the critic wins."""

    def generator_loss(self, name: str) -> GeneratorLoss:
        """The generator's loss by its name in params.yaml, one of GENERATOR_LOSSES."""
        return {"bound": self.bound_loss, "alternative": self.alternative_loss}[name]

    def divergence(self, v_real: torch.Tensor, v_fake: torch.Tensor) -> torch.Tensor:
        """What the critic estimates, shifted so that it is 0 when P = Q."""
        return -self.critic_loss(v_real, v_fake) - self.at_equality

    def witness(self, v: torch.Tensor, v_real: torch.Tensor, v_fake: torch.Tensor) -> torch.Tensor:
        """The score (N,) of images with the critic's answer `v`, high where they look real: what penalties smooth."""
        return v

    @property
    def at_equality(self) -> float:
        """f(1): minus the least cost of the critic when P = Q."""
        return float(self.f(torch.ones((), dtype=torch.float64))) if self.f else 0.0


@dataclass(frozen=True, kw_only=True)
class FDivergence(Objective):
    """An f-divergence, trained through its variational lower bound; everything else follows from the fields."""

    f: Elementwise
    conjugate_formula: (
        str  # f*(t) in Python syntax, as is the next: printed in the report, checked against the functions
    )
    activation_formula: str  # g_f(v)
    conjugate: Elementwise  # f*(t) = sup over u > 0 of u t - f(u)
    domain: tuple[float, float]  # the open interval of t on which f* is finite
    activation: Elementwise  # g_f: increasing, from all real v into `domain`
    fake_score: Elementwise  # conjugate(activation(v)), in a form that does not overflow early

    def critic_loss(self, v_real: torch.Tensor, v_fake: torch.Tensor) -> torch.Tensor:
        return self.fake_score(v_fake).mean() - self.activation(v_real).mean()

    def bound_loss(self, v_fake: torch.Tensor, v_real: torch.Tensor | None = None) -> torch.Tensor:
        return -self.fake_score(v_fake).mean()

    def alternative_loss(self, v_fake: torch.Tensor, v_real: torch.Tensor | None = None) -> torch.Tensor:
        return -self.activation(v_fake).mean()

    @property
    def threshold(self) -> float:
        """f'(1): a critic output T above it says "more likely real than generated"."""
        u = torch.ones((), dtype=torch.float64, requires_grad=True)
        return float(torch.autograd.grad(self.f(u), u)[0])


@dataclass(frozen=True, kw_only=True)
class Scores(Objective):
    """An objective written directly on the scores: a proper scoring rule or an integral probability metric.

    With a scoring rule the best critic attains minus its least cost, E_Q[f(u)] with f(u) = -min over v of
    u real(v) + fake(v). The alternative loss takes generated samples for real ones, unless another is stated.
    """

    real: Elementwise  # critic's cost of a real sample
    fake: Elementwise  # critic's cost of a generated sample
    alternative: Elementwise | None = None  # generator's cost of a generated sample; None: `real`

    def critic_loss(self, v_real: torch.Tensor, v_fake: torch.Tensor) -> torch.Tensor:
        return self.real(v_real).mean() + self.fake(v_fake).mean()

    def bound_loss(self, v_fake: torch.Tensor, v_real: torch.Tensor | None = None) -> torch.Tensor:
        return -self.fake(v_fake).mean()

    def alternative_loss(self, v_fake: torch.Tensor, v_real: torch.Tensor | None = None) -> torch.Tensor:
        return (self.alternative or self.real)(v_fake).mean()
