"""Relativistic objectives: the critic judges how much more real a real image looks than a generated one.

With the cost c(d) of a difference d = v_real - v_fake and pairs drawn independently (Jolicoeur-Martineau 2020):

    paired    critic  E c(v_real - v_fake)                                       generator  E c(v_fake - v_real)
    average   critic  E c(v_real - E v_fake) + E c(E v_real - v_fake)            generator  the same, sides exchanged
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from divergan.lazy import lazy
from divergan.objectives.declaration import Elementwise, Objective
from divergan.objectives.f_divergences import softplus

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

UP_TO_A_CONSTANT = "differences of scores"


@dataclass(frozen=True, kw_only=True)
class Relativistic(Objective):
    """Both players see scores (N,) of as many real as generated images; the i-th of each make a pair."""

    needs_real: ClassVar[bool] = True

    cost: Elementwise  # of v_real - v_fake, falling at 0 and convex
    average: bool  # against the mean score of the other side, not against one image of it
    formula: str = ""
    f: Elementwise | None = None
    log_ratio: Elementwise | None = None
    identifies: str = UP_TO_A_CONSTANT

    def critic_loss(self, v_real: torch.Tensor, v_fake: torch.Tensor) -> torch.Tensor:
        if not self.average:
            return self.cost(v_real - v_fake).mean()
        return self.cost(v_real - v_fake.mean()).mean() + self.cost(v_real.mean() - v_fake).mean()

    def bound_loss(self, v_fake: torch.Tensor, v_real: torch.Tensor) -> torch.Tensor:
        return -self.critic_loss(v_real, v_fake)

    def alternative_loss(self, v_fake: torch.Tensor, v_real: torch.Tensor) -> torch.Tensor:
        return self.critic_loss(v_fake, v_real)

    def divergence(self, v_real: torch.Tensor, v_fake: torch.Tensor) -> torch.Tensor:
        """sup of 2 (c(0) - E c(v_real - v_fake)), or of 2 c(0) minus both costs (Definitions 3.1 and 3.2)."""
        least = 2 * float(self.cost(torch.zeros(())))
        return least - (1 if self.average else 2) * self.critic_loss(v_real, v_fake)


def least_squares(d: torch.Tensor) -> torch.Tensor:
    return (d - 1) ** 2


def hinge(d: torch.Tensor) -> torch.Tensor:
    return (1 - d).relu()


RELATIVISTIC_BCE = Relativistic(
    name="relativistic_bce",
    label="Relativistic BCE",
    source="jolicoeur2019relativistic, section 4.1",
    cost=lambda d: softplus(-d),
    average=False,
)
RELATIVISTIC_LEAST_SQUARES = Relativistic(
    name="relativistic_least_squares",
    label="Relativistic least squares",
    source="jolicoeur2020relativistic, section 3",
    cost=least_squares,
    average=False,
)
RELATIVISTIC_HINGE = Relativistic(
    name="relativistic_hinge",
    label="Relativistic hinge",
    source="jolicoeur2020relativistic, section 3",
    cost=hinge,
    average=False,
)
RELATIVISTIC_AVERAGE_BCE = Relativistic(
    name="relativistic_average_bce",
    label="Relativistic average BCE",
    source="jolicoeur2019relativistic, section 4.2",
    cost=lambda d: softplus(-d),
    average=True,
)
RELATIVISTIC_AVERAGE_LEAST_SQUARES = Relativistic(
    name="relativistic_average_least_squares",
    label="Relativistic average least squares",
    source="jolicoeur2019relativistic, section 4.2",
    cost=least_squares,
    average=True,
)
RELATIVISTIC_AVERAGE_HINGE = Relativistic(
    name="relativistic_average_hinge",
    label="Relativistic average hinge",
    source="jolicoeur2019relativistic, section 4.2",
    cost=hinge,
    average=True,
)
