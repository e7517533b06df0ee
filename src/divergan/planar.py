"""Re-weighting where the right answer is known: targets in the plane, and generators with a known density.

Data are equal Gaussian modes. The generator is a staircase of z, coordinate by coordinate: its steps are the bridges
between the modes, which no data lie on, and its treads are of unequal mass. So the right w is low on the bridges and
restores the balance of the modes; a w that is low on the bridges and loses a mode is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from math import ceil
from typing import TYPE_CHECKING

from divergan.lazy import lazy
from divergan.networks import CriticForm
from divergan.networks.mlp import mlp_critic
from divergan.randomness import derived_seed, generator
from divergan.reweighting import Reweighting, WeightRecord, reweight, start
from divergan.samplers import SAMPLERS, Model, Random, Sampler, Stuck

if TYPE_CHECKING:
    import numpy as np
    import ot
    import scipy.special
    import scipy.stats
    import torch

    from divergan.params import Weights
else:
    np, ot, torch = lazy("numpy"), lazy("ot"), lazy("torch")
    scipy = lazy("scipy")

Weight = Callable[["torch.Tensor"], "torch.Tensor"]  # z (n, 2) -> w (n,)

POINTS = 10_000  # data that w is learned from
CRITIC = (128, 128, 128)  # hidden sizes; started fresh, for there is no trained critic here
OFF_MANIFOLD = 4  # standard deviations from every mode: 0.03 % of the data are farther
PROPOSALS = 50_000  # that the shares before, and what latentRS is expected to do, are counted on
ACCEPTED = 5_000  # that the shares after are counted on
BINS = 20  # of the test of distribution
TAIL = 6  # standard deviations beyond the outer modes where the staircase ends: 1e-9 of z lie there
NODES = 50  # of the staircase's table, a standard deviation
ORACLES = (
    10  # data sets that the oracle is averaged over: one alone prefers, within a mode, what is near its own points
)
REACH = 3.0  # of the picture of the latent plane, standard deviations


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One coordinate: data from equal modes, generated points from modes of these masses and the bridges between."""

    centres: tuple[float, ...]
    masses: tuple[float, ...]  # of the generator's modes; what is left to 1 is spread evenly over the bridges
    sigma: float

    def log_p(self, x: np.ndarray) -> np.ndarray:
        """Log density of the data's coordinate at x (n,)."""
        density = sum(scipy.stats.norm.pdf(x, c, self.sigma) for c in self.centres)
        return np.log(density / len(self.centres))

    def log_q(self, x: np.ndarray) -> np.ndarray:
        """Log density of the generated coordinate at x (n,): the derivative of `cumulative`."""
        modes = sum(mass * scipy.stats.norm.pdf(x, c, self.sigma) for mass, c in self.treads)
        steps = sum(mass / (b - a) * (self._normal_cdf(x, a) - self._normal_cdf(x, b)) for mass, a, b in self.bridges)
        return np.log(modes + steps)

    def cumulative(self, x: np.ndarray) -> np.ndarray:
        """P(generated coordinate <= x); a bridge is uniform between two centres, blurred like a mode."""
        modes = sum(mass * self._normal_cdf(x, c) for mass, c in self.treads)
        steps = sum(mass / (b - a) * (self._integral(x, a) - self._integral(x, b)) for mass, a, b in self.bridges)
        return modes + steps

    @property
    def treads(self) -> list[tuple[float, float]]:
        return list(zip(self.masses, self.centres, strict=True))

    @property
    def bridges(self) -> list[tuple[float, float, float]]:
        """(mass, from, to) of each; none where there is one mode."""
        mass = (1 - sum(self.masses)) / max(1, len(self.centres) - 1)
        return [(mass, a, b) for a, b in pairwise(self.centres)]

    @cached_property
    def table(self) -> tuple[torch.Tensor, torch.Tensor]:
        """z and x float32 of the staircase, ascending: x(z) = F^-1(Phi(z)) with F = `cumulative`."""
        low, high = self.centres[0] - TAIL * self.sigma, self.centres[-1] + TAIL * self.sigma
        x = np.linspace(low, high, ceil((high - low) / self.sigma * NODES))
        z = scipy.special.ndtri(self.cumulative(x))
        return torch.from_numpy(z).float(), torch.from_numpy(x).float()

    def generated(self, z: torch.Tensor) -> torch.Tensor:
        """The staircase at z (n,), linear between the nodes of its table."""
        nodes, values = self.table
        z = z.clamp(nodes[0], nodes[-1]).contiguous()
        right = torch.searchsorted(nodes, z).clamp(1, len(nodes) - 1)
        share = (z - nodes[right - 1]) / (nodes[right] - nodes[right - 1])
        return torch.lerp(values[right - 1], values[right], share)

    def _normal_cdf(self, x: np.ndarray, centre: float) -> np.ndarray:
        return scipy.special.ndtr((x - centre) / self.sigma)

    def _integral(self, x: np.ndarray, centre: float) -> np.ndarray:
        """Of the normal distribution's cumulative function, up to x."""
        u = (x - centre) / self.sigma
        return self.sigma * (u * scipy.special.ndtr(u) + scipy.stats.norm.pdf(u))


@dataclass(frozen=True, kw_only=True)
class Target:
    """A product of two axes: the modes are at every pair of their centres."""

    name: str
    label: str  # as figures print it
    axes: tuple[Axis, Axis]

    @property
    def centres(self) -> np.ndarray:
        """(modes, 2)."""
        return np.array(list(product(*(axis.centres for axis in self.axes))))

    @property
    def sigma(self) -> float:
        return self.axes[0].sigma

    def data(self, count: int, rng: torch.Generator) -> torch.Tensor:
        """Fresh data, float32 (count, 2)."""
        return self._around(torch.randint(len(self.centres), (count,), generator=rng), rng)

    def reference(self, count: int, rng: torch.Generator) -> torch.Tensor:
        """Fresh data with equally many (to one) in every mode: a distance to them owes nothing to their chance."""
        return self._around(torch.arange(count) % len(self.centres), rng)

    def _around(self, modes: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return torch.from_numpy(self.centres).float()[modes] + self.sigma * torch.randn(len(modes), 2, generator=rng)

    def generate(self, z: torch.Tensor) -> torch.Tensor:
        """G: z (n, 2) -> x (n, 2)."""
        return torch.stack([axis.generated(z[:, i]) for i, axis in enumerate(self.axes)], dim=1)

    def log_p(self, x: np.ndarray) -> np.ndarray:
        """Exact log density of the data at x (n, 2)."""
        return self.axes[0].log_p(x[:, 0]) + self.axes[1].log_p(x[:, 1])

    def log_q(self, x: np.ndarray) -> np.ndarray:
        """Exact log density of the generated points at x (n, 2)."""
        return self.axes[0].log_q(x[:, 0]) + self.axes[1].log_q(x[:, 1])

    def ratio(self, x: np.ndarray) -> np.ndarray:
        """Exact p/q at x (n, 2)."""
        return np.exp(self.log_p(x) - self.log_q(x))

    def modes(self, x: np.ndarray) -> np.ndarray:
        """The nearest mode of each point (n, 2), -1 where it is more than OFF_MANIFOLD sigma from all."""
        distances = np.linalg.norm(x[:, None] - self.centres, axis=2)
        return np.where(distances.min(axis=1) > OFF_MANIFOLD * self.sigma, -1, distances.argmin(axis=1))


TWO_MODES = Target(
    name="two_modes",
    label="Two modes",
    axes=(
        Axis(centres=(-2.0, 2.0), masses=(0.25, 0.55), sigma=0.1),
        Axis(centres=(0.0,), masses=(1.0,), sigma=0.1),
    ),
)
# The modes of PacGAN's grid, with its sigma; the masses lean to one corner, so that there is a distance to win.
GRID = Target(
    name="grid",
    label="Grid of 25 modes",
    axes=(
        Axis(centres=(-4.0, -2.0, 0.0, 2.0, 4.0), masses=(0.24, 0.20, 0.17, 0.14, 0.12), sigma=0.05),
        Axis(centres=(-4.0, -2.0, 0.0, 2.0, 4.0), masses=(0.12, 0.14, 0.17, 0.20, 0.24), sigma=0.05),
    ),
)

LATENT_RS = SAMPLERS["latent_rs"]

TARGETS: dict[str, Target] = {target.name: target for target in (TWO_MODES, GRID)}


def learn(target: Target, settings: Weights, seed: int) -> tuple[torch.nn.Module, WeightRecord]:
    """Algorithm 1 on the target with a fresh critic; returns w and the record. `settings.critic` is not looked at."""
    data = target.data(POINTS, generator(seed, "planar data"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "planar critic"))
        critic = mlp_critic((1, 1, 2), CRITIC, CriticForm())
    state, record = start(settings, critic, 2, seed, "cpu"), WeightRecord()
    reweight(settings, target.generate, state, record, data, seed, Silent())
    return state.weight, record


class Silent:
    """An observer that keeps nothing: the record has the history."""

    def row(self, row: dict[str, float]) -> None:
        pass

    def checkpoint(self, state: Reweighting, record: WeightRecord) -> None:
        pass


def oracle_weights(generated: np.ndarray, data: np.ndarray, m: float) -> np.ndarray:
    """The w (N,) with 0 <= w <= m and mean 1 that minimises W1 between generated (N, 2) and data (M, 2) exactly.

    Every generated point may give up to m/N to the data; a further place of mass m - 1, at no distance from any, takes
    what is not wanted. The plan between the two is then one of optimal transport (POT's network simplex).
    """
    count, points = len(generated), len(data)
    distances = np.column_stack([ot.dist(generated, data, metric="euclidean"), np.zeros(count)])
    wanted = np.append(np.full(points, 1 / points), m - 1)
    plan = ot.emd(np.full(count, m / count), wanted, distances, numItermax=10_000_000)
    return count * plan[:, :points].sum(axis=1)


def wasserstein(a: np.ndarray, b: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Exact Wasserstein-1 distance, Euclidean, of points a (N, 2), with these weights (N,) or equal, from b (M, 2)."""
    mass = np.ones(len(a)) if weights is None else weights
    distances = ot.dist(a, b, metric="euclidean")
    return float(ot.emd2(mass / mass.sum(), np.full(len(b), 1 / len(b)), distances, numItermax=10_000_000))


def judge(
    target: Target, weight: Weight, m: float, seed: int, count: int, sampler: Sampler = LATENT_RS
) -> dict[str, float]:
    """What latentRS with `weight` makes of the target's generator, beside the exact answers.

    W1 is to `count` fresh data, of `count` points each: generated (before), drawn by `sampler` (after), generated and
    weighted by an oracle that saw other data, and other data (floor). Shares are of PROPOSALS generated points and of
    ACCEPTED drawn ones. balance: the smallest share of a mode among points on the manifold, times the number of modes,
    so 1 is balanced and 0 a lost mode. `expected_acceptance` is E min(w, m) / m on proposals of its own.
    `distribution_p`: chi-square test that the drawn latents follow min(w, m) times the prior.
    Rank correlations are Spearman's: of w with the mean of ORACLES oracles' weights, which within a mode are chance, so
    that the exact p/q reaches no more than `rank_ceiling`; and of w with the exact p/q.
    A sampler that is stuck has drawn nothing: W1 is then infinite, and no mode is left.
    """
    rng = generator(seed, "planar judge")
    fresh, other = (draw(count, rng).numpy() for draw in (target.reference, target.data))
    z = torch.randn(PROPOSALS, 2, generator=rng)
    x, w = evaluated(target, weight, z)
    model = Model(generator=target.generate, latent=2, device="cpu", weight=weight, m=m)
    points, latents = drawn(model, sampler, seed, count)
    oracles = [oracle_weights(x[:count], other, m)]
    oracles += [oracle_weights(x[:count], target.data(count, rng).numpy(), m) for _ in range(ORACLES - 1)]
    oracle, ratio = np.mean(oracles, axis=0), target.ratio(x)
    return {
        "w1_before": wasserstein(x[:count], fresh),
        "w1_after": wasserstein(points[:count], fresh) if len(points) else float("inf"),
        "w1_oracle": wasserstein(x[:count], fresh, oracles[0]),
        "w1_floor": wasserstein(other, fresh),
        "rank_correlation": rank_correlation(w[:count], oracle),
        "rank_ceiling": rank_correlation(ratio[:count], oracle),
        "ratio_correlation": rank_correlation(w, ratio),
        "off_oracle": float(np.average(target.modes(x[:count]) < 0, weights=oracles[0])),
        **shares(target, x, "before"),
        **shares(target, points, "after"),
        "acceptance": model.cost.acceptance,
        "expected_acceptance": float(np.minimum(w, m).mean()) / m,
        "distribution_p": distribution_p(evaluated(target, weight, latents)[1], w, m) if len(latents) else 0.0,
    }


def evaluated(target: Target, weight: Weight, z: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Generated points (n, 2) and w (n,) of latents (n, 2)."""
    with torch.no_grad():
        return target.generate(z).numpy().astype(float), weight(z).numpy().astype(float)


def drawn(model: Model, sampler: Sampler, seed: int, count: int) -> tuple[np.ndarray, torch.Tensor]:
    """Points (n, 2) and latents (n, 2) of the sampler, ACCEPTED or at least `count`; none where it is stuck."""
    random = Random(latents=generator(seed, "planar latents"), choices=generator(seed, "planar choices"))
    try:
        found = sampler.draw(model, max(count, ACCEPTED), None, random)
    except Stuck:
        return np.empty((0, 2)), torch.empty(0, 2)
    return found.images.numpy().astype(float), found.latents


def distribution_p(accepted: np.ndarray, proposed: np.ndarray, m: float) -> float:
    """p that w of what was accepted (n,) is distributed as w of proposals (N,), n << N, in proportion to min(w, m).

    In BINS bins of equally many proposals. What is accepted differs from what is proposed by a function of w alone, so
    the distribution of w tells all; a constant w is one bin, and tells nothing.
    """
    edges = np.unique(np.quantile(proposed, np.linspace(0, 1, BINS + 1)[1:-1]))
    expected = np.bincount(np.digitize(proposed, edges), weights=np.minimum(proposed, m), minlength=len(edges) + 1)
    observed = np.bincount(np.digitize(accepted, edges), minlength=len(edges) + 1)
    possible = expected > 0
    if observed[~possible].any():
        return 0.0
    wanted = expected[possible] / expected.sum() * observed.sum()
    return float(scipy.stats.chisquare(observed[possible], wanted).pvalue) if possible.sum() > 1 else 1.0


def shares(target: Target, x: np.ndarray, when: str) -> dict[str, float]:
    """Share off the manifold, balance and number of modes of points (n, 2), under names that end in `when`."""
    modes = target.modes(x)
    counts = np.bincount(modes[modes >= 0], minlength=len(target.centres))
    return {
        f"off_{when}": float((modes < 0).sum() / len(modes)) if len(modes) else float("nan"),
        f"balance_{when}": float(counts.min() / max(1, counts.sum()) * len(counts)),
        f"modes_{when}": int((counts > 0).sum()),
    }


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's, 0 where one of the two is constant."""
    return 0.0 if np.ptp(a) == 0 or np.ptp(b) == 0 else float(scipy.stats.spearmanr(a, b).statistic)


def map_of(target: Target, weight: Weight, bins: int, m: float) -> dict[str, np.ndarray]:
    """For a picture of the latent plane: z on a grid of [-REACH, REACH]^2, and w, x = G(z) and min(p/q, m) there.

    `axis` (bins,) are the values of both coordinates; `w` and `ratio` are (bins, bins), `x` is (bins, bins, 2), the
    first index being z_2, as images are drawn.
    """
    axis = torch.linspace(-REACH, REACH, bins)
    z = torch.cartesian_prod(axis, axis).flip(1)
    x, w = evaluated(target, weight, z)
    return {
        "axis": axis.numpy(),
        "w": w.reshape(bins, bins),
        "x": x.reshape(bins, bins, 2),
        "ratio": np.minimum(target.ratio(x), m).reshape(bins, bins),
    }
