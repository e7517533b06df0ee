"""Maximum mean discrepancies: the critic's answers, or the pixels themselves, compared through a kernel.

    MMD²(P, Q) = E k(x, x') + E k(y, y') - 2 E k(x, y),   x, x' from P and y, y' from Q   (Gretton et al. 2012, Lemma 6)

The critic maps images to features (N, outputs) and makes the discrepancy large, the generator makes it small (Li et al.
2017). With the critic `identity` the kernel looks at pixels and only the generator learns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from divergan.lazy import lazy
from divergan.objectives.declaration import Elementwise, Objective

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

SCALES = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0)  # sigma of the Gaussians: Bińkowski et al. (2018), appendix
SHAPES = (0.2, 0.5, 1.0, 2.0, 5.0)  # alpha of the rational quadratics: the same
SMALLEST = 1e-12  # added to squared distances before a root, whose slope at 0 is infinite


@dataclass(frozen=True, kw_only=True)
class KernelDistance(Objective):
    needs_real: ClassVar[bool] = True

    kernel: Callable[[torch.Tensor], torch.Tensor]  # of squared distances, elementwise
    formula: str = ""
    f: Elementwise | None = None
    log_ratio: Elementwise | None = None
    identifies: str = "the witness of the largest mean discrepancy"
    outputs: int = 16

    def critic_loss(self, v_real: torch.Tensor, v_fake: torch.Tensor) -> torch.Tensor:
        return -self.discrepancy(v_real, v_fake)

    def bound_loss(self, v_fake: torch.Tensor, v_real: torch.Tensor) -> torch.Tensor:
        return self.discrepancy(v_real, v_fake)

    def alternative_loss(self, v_fake: torch.Tensor, v_real: torch.Tensor) -> torch.Tensor:
        return self.discrepancy(v_real, v_fake)

    def discrepancy(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The unbiased estimate of MMD² from features (N, k) and (M, k), N and M of at least 2: it may be negative."""
        own = [(k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1)) for k in (self.gram(x, x), self.gram(y, y))]
        return own[0] + own[1] - 2 * self.gram(x, y).mean()

    def witness(self, v: torch.Tensor, v_real: torch.Tensor, v_fake: torch.Tensor) -> torch.Tensor:
        return self.gram(v, v_real).mean(dim=1) - self.gram(v, v_fake).mean(dim=1)

    def gram(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """k (n, m) between the rows of x (n, k) and y (m, k)."""
        x, y = (a[:, None] if a.ndim == 1 else a for a in (x, y))
        squares = x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.T
        return self.kernel(squares.clamp(min=0))


MMD_GAUSSIAN = KernelDistance(
    name="mmd_gaussian",
    label="MMD, Gaussian kernels",
    source="li2017mmdgan, Eq. 3",
    kernel=lambda squares: torch.stack([(-squares / (2 * s**2)).exp() for s in SCALES]).sum(0),
)
MMD_RATIONAL_QUADRATIC = KernelDistance(
    name="mmd_rational_quadratic",
    label="MMD, rational quadratic kernels",
    source="binkowski2018mmdgan, section 2.1",
    kernel=lambda squares: torch.stack([(1 + squares / (2 * a)) ** -a for a in SHAPES]).sum(0),
)
MMD_ENERGY = KernelDistance(
    name="mmd_energy",
    label="Energy distance",
    source="sejdinovic2013equivalence, section 3",
    kernel=lambda squares: -(squares + SMALLEST).sqrt(),
)
