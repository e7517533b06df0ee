"""The Wasserstein distance learned by a critic that is held 1-Lipschitz in one way or another, beside the exact one."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from math import pi
from typing import TYPE_CHECKING, Any

from divergan.chapters.critics import Critics
from divergan.lazy import lazy
from divergan.objectives import Objective
from divergan.randomness import generator

if TYPE_CHECKING:
    import numpy as np
    import torch
else:
    np, torch = lazy("numpy"), lazy("torch")

JUDGED = 20_000  # fresh points a side that an estimate is taken on
STEEPEST_OF = 2_000  # points a side that the steepest slope is taken of
SMALLEST_DENSITY = 1e-200
SMALLEST = 1e-12  # added to a squared slope before the root


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Normals on a line; in more dimensions the means lie on the diagonal and every direction has the same width."""

    shares: tuple[float, ...]
    means: tuple[float, ...]
    std: float

    def sample(self, count: int, d: int, rng: torch.Generator) -> torch.Tensor:
        """(count, d) points."""
        chosen = torch.multinomial(torch.tensor(self.shares), count, replacement=True, generator=rng)
        return torch.tensor(self.means)[chosen, None] / d**0.5 + self.std * torch.randn(count, d, generator=rng)

    def below(self, x: np.ndarray) -> np.ndarray:
        """The distribution function on the line."""
        from scipy.special import ndtr

        return sum(share * ndtr((x - m) / self.std) for share, m in zip(self.shares, self.means, strict=True))


@dataclass(frozen=True, kw_only=True)
class Pair:
    name: str
    label: str
    p: Mixture
    q: Mixture

    @property
    def ends(self) -> tuple[float, float]:
        """Of the quadratures: what lies outside has no weight in float64."""
        means, reach = (*self.p.means, *self.q.means), 12 * max(self.p.std, self.q.std)
        return min(means) - reach, max(means) + reach

    @property
    def distance(self) -> float:
        """W1 = ∫ |F - G| on the line; in more dimensions where one is the other, moved (Villani 2009, Remark 2.19)."""
        x = np.linspace(*self.ends, 200_001)
        return float(np.trapezoid(np.abs(self.p.below(x) - self.q.below(x)), x))


def penalised(pair: Pair, weight: float) -> float:
    """What the best critic under a gradient penalty says of W1, on the line: the penalty lets it overstate.

    E_P v - E_Q v - weight E(|v'| - 1)² is largest at |v'| = 1 + |F - G|/(2 weight r), r the density of the points
    between P and Q that the penalty is taken at; the one-sided penalty has the same optimum.
    """
    x = np.linspace(*pair.ends, 8_001)
    gap, between = np.abs(pair.p.below(x) - pair.q.below(x)), density_between(pair, x)
    slope = 1 + np.divide(gap, 2 * weight * between, out=np.zeros_like(x), where=between > SMALLEST_DENSITY)
    return float(np.trapezoid(gap * slope, x))


def density_between(pair: Pair, x: np.ndarray) -> np.ndarray:
    """Of (1 - t) X + t Y, with X from P, Y from Q and t uniform: a normal for each two components and t."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    t, total = (nodes[:, None] + 1) / 2, np.zeros_like(x)
    std = np.hypot((1 - t) * pair.p.std, t * pair.q.std)
    for share, a in zip(pair.p.shares, pair.p.means, strict=True):
        for other, b in zip(pair.q.shares, pair.q.means, strict=True):
            heights = np.exp(-(((x - (1 - t) * a - t * b) / std) ** 2) / 2) / std
            total += share * other * (weights / 2 @ heights) / (2 * pi) ** 0.5
    return total


def shifted(distance: float) -> Pair:
    unit = Mixture(shares=(1.0,), means=(0.0,), std=1.0)
    return Pair(name="shift", label="shifted", p=unit, q=Mixture(shares=(1.0,), means=(distance,), std=1.0))


ON_A_LINE = {
    pair.name: pair
    for pair in (
        Pair(
            name="scale",
            label="other width",
            p=Mixture(shares=(1.0,), means=(0.0,), std=1.0),
            q=Mixture(shares=(1.0,), means=(0.5,), std=2.0),
        ),
        Pair(  # the best critic goes up and down: the sign of F - G changes three times
            name="zigzag",
            label="modes in turn",
            p=Mixture(shares=(1 / 3, 1 / 3, 1 / 3), means=(-2.0, 0.0, 2.0), std=0.2),
            q=Mixture(shares=(0.5, 0.5), means=(-1.0, 1.0), std=0.2),
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to hold the critic 1-Lipschitz."""

    name: str
    label: str
    clip: float | None = None  # limit of every weight
    penalty: float = 0.0  # weight of the gradient penalty
    sides: str = "two"  # of the slope 1 that it acts on
    spectral: bool = False


def ways(clips: list[float], penalty: float) -> list[Way]:
    return [
        *(Way(name=f"clip_{clip:g}", label=f"weights clipped to {clip:g}", clip=clip) for clip in clips),
        Way(name="two_sided", label="gradient penalty, two-sided", penalty=penalty),
        Way(name="one_sided", label="gradient penalty, one-sided", penalty=penalty, sides="one"),
        Way(name="spectral_norm", label="spectral norm", spectral=True),
    ]


def learned(
    way: Way, pair: Pair, own: Objective, settings: dict[str, Any]
) -> Iterator[tuple[int, list[dict[str, float]]]]:
    """(step, of each seed its estimate of W1 and its steepest slope, on fresh points) at every look."""
    seeds, d, batch = settings["seeds"], settings["dimension"], settings["batch"]
    critics = Critics(seeds, "distances critic", d, settings["hidden"], torch.relu)
    optimiser = torch.optim.Adam(critics.parameters, lr=settings["learning_rate"], betas=(0.5, 0.9))
    rngs = [generator(seed, "distances", pair.name, d) for seed in seeds]
    fresh = drawn(pair, [generator(seed, "distances judged", pair.name, d) for seed in seeds], JUDGED, d)
    vectors = directions(critics, seeds)
    looks = {round(settings["steps"] * k / settings["looks"]) for k in range(1, settings["looks"] + 1)}
    for step in range(1, settings["steps"] + 1):
        x = drawn(pair, rngs, batch, d)
        held = normalised(critics, vectors) if way.spectral else critics
        v_real, v_fake = held(x).split(batch, dim=1)
        loss = own.critic_loss(v_real, v_fake)
        if way.penalty:
            loss = loss + way.penalty * excess(held, x, rngs, way.sides).square().mean()
        optimiser.zero_grad(set_to_none=True)
        (len(seeds) * loss).backward()
        optimiser.step()
        if way.clip is not None:
            clip(critics, way.clip)
        if step in looks:
            yield step, judged(normalised(critics, vectors) if way.spectral else critics, own, fresh)


def drawn(pair: Pair, rngs: list[torch.Generator], count: int, d: int) -> torch.Tensor:
    """(S, 2 count, d): points of P, then as many of Q."""
    return torch.stack([torch.cat((pair.p.sample(count, d, rng), pair.q.sample(count, d, rng))) for rng in rngs])


def clip(critics: Critics, limit: float) -> None:
    with torch.no_grad():
        for weight in critics.parameters:
            weight.clamp_(-limit, limit)


def slopes(critics: Critics, x: torch.Tensor, graph: bool) -> torch.Tensor:
    """|∇v| (S, N) at points (S, N, d), with a graph to the weights or without one."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critics(x).sum(), x, create_graph=graph)
    return (gradient.square().sum(2) + SMALLEST).sqrt()


def excess(critics: Critics, x: torch.Tensor, rngs: list[torch.Generator], sides: str) -> torch.Tensor:
    """|∇v| - 1 (S, N) between points of P and of Q (Gulrajani et al. 2017, Eq. 3), or what of it is positive."""
    real, fake = x.chunk(2, dim=1)
    share = torch.stack([torch.rand(real.shape[1], 1, generator=rng) for rng in rngs])
    above = slopes(critics, real + share * (fake - real), graph=True) - 1
    return above.relu() if sides == "one" else above


def directions(critics: Critics, seeds: list[int]) -> list[torch.Tensor]:
    """Where the power iterations start: a unit vector (S, 1, inputs) a layer."""
    rngs = [generator(seed, "distances spectral norm") for seed in seeds]
    return [
        torch.nn.functional.normalize(torch.stack([torch.randn(1, w.shape[1], generator=rng) for rng in rngs]), dim=2)
        for w in critics.weights
    ]


def normalised(critics: Critics, vectors: list[torch.Tensor]) -> Critics:
    """The critics with every weight over its spectral norm, by one step of power iteration, which moves `vectors`."""
    own = copy(critics)
    own.weights = [weight / norm(weight, vector) for weight, vector in zip(critics.weights, vectors, strict=True)]
    return own


def norm(weight: torch.Tensor, left: torch.Tensor) -> torch.Tensor:
    """(S, 1, 1), with a graph to the weights (S, inputs, outputs) alone (Miyato et al. 2018, Algorithm 1)."""
    with torch.no_grad():
        right = torch.nn.functional.normalize(left @ weight, dim=2)
        left.copy_(torch.nn.functional.normalize(right @ weight.mT, dim=2))
    return left.clone() @ weight @ right.mT


def judged(critics: Critics, own: Objective, fresh: torch.Tensor) -> list[dict[str, float]]:
    some = torch.cat([side[:, :STEEPEST_OF] for side in fresh.chunk(2, dim=1)], dim=1)
    steepest = slopes(critics, some, graph=False).amax(1)
    with torch.no_grad():
        v = critics(fresh)
    return [{"estimate": -float(own.critic_loss(*v[i].chunk(2))), "slope": float(steepest[i])} for i in range(len(v))]
