"""Exact minimisers: the normal that each divergence calls nearest to a known mixture, on a line or in the plane.

Q = N(m, diag(s²)). Divergences are integrals over a grid in float64, energy distances over a line in any dimension; all
are minimised over m and log s along exact gradients. With instance noise of standard deviation ν both P and Q are
blurred: the minimiser is that of D(P * N(0, ν²) || Q * N(0, ν²)), which is another normal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf, isfinite, log, pi
from typing import TYPE_CHECKING, Any

from divergan.chapters.gaussian import ENDS, LARGEST_LOG_RATIO, MEANS, POINTS, SHARES, VARIANCES, printed
from divergan.lazy import lazy
from divergan.objectives import Objective, objective

if TYPE_CHECKING:
    import numpy as np
    import scipy
    import torch
else:
    np, scipy, torch = lazy("numpy"), lazy("scipy"), lazy("torch")

Elementwise = Callable[["torch.Tensor"], "torch.Tensor"]
WIDEST = 5.0  # |log s| beyond which no minimiser is looked for


@dataclass(frozen=True, kw_only=True)
class Target:
    """A mixture of normals with diagonal covariances, and the grid of its integrals."""

    name: str
    label: str
    shares: tuple[float, ...]
    means: tuple[tuple[float, ...], ...]
    variances: tuple[tuple[float, ...], ...]
    ends: tuple[tuple[float, float], ...]  # of each axis
    points: tuple[int, ...]  # of each axis
    kinked_points: tuple[
        int, ...
    ]  # where the integrand has kinks: more along all but the last axis, which is exact then

    @property
    def dimension(self) -> int:
        return len(self.ends)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each coordinate."""
        shares, means = np.array(self.shares)[:, None], np.array(self.means)
        mean = (shares * means).sum(0)
        return mean, np.sqrt((shares * (np.array(self.variances) + means**2)).sum(0) - mean**2)


LINE = Target(
    name="line",
    label="On a line",
    shares=SHARES,
    means=tuple((mean,) for mean in MEANS),
    variances=tuple((variance,) for variance in VARIANCES),
    ends=(ENDS,),
    points=(POINTS,),
    kinked_points=(4001,),
)
PLANE = Target(
    name="plane",
    label="In the plane",
    shares=(0.35, 0.65),
    means=((-1.4, -0.5), (1.2, 0.5)),
    variances=((0.15, 0.8), (1.0, 0.25)),
    ends=((-9.0, 9.0), (-9.0, 9.0)),
    points=(301, 301),
    kinked_points=(2401, 101),
)
MIXTURES = {target.name: target for target in (LINE, PLANE)}


@dataclass(frozen=True)
class Grid:
    """Points x (M, d) of a target, each for a volume, and the blurred log density there (M,), float64."""

    target: Target
    noise: float
    x: torch.Tensor
    last: int  # points along the last axis, which vary fastest
    volume: float
    log_p: torch.Tensor


def grid_of(target: Target, noise: float, points: tuple[int, ...]) -> Grid:
    axes = [torch.linspace(*ends, n, dtype=torch.float64) for ends, n in zip(target.ends, points, strict=True)]
    x = torch.cartesian_prod(*axes).view(-1, target.dimension)
    volume = float(torch.stack([axis[1] - axis[0] for axis in axes]).prod())
    return Grid(target, noise, x, points[-1], volume, log_mixture(target, noise, x))


def log_mixture(target: Target, noise: float, x: torch.Tensor) -> torch.Tensor:
    """log density (M,) of the blurred mixture at x (M, d)."""
    means, variances = components(target, noise)
    normals = zip(target.shares, means, variances, strict=True)
    return torch.logsumexp(torch.stack([log(share) + log_normal(x, m, v.sqrt()) for share, m, v in normals]), dim=0)


def components(target: Target, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Means and blurred variances (k, d) of the mixture's normals."""
    means, variances = (torch.tensor(own, dtype=torch.float64) for own in (target.means, target.variances))
    return means, variances + noise**2


def log_normal(x: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """log density (M,) at x (M, d)."""
    return (-(((x - mean) / std) ** 2) / 2 - std.log() - log(2 * pi) / 2).sum(1)


# --- what can be minimised: (grid, mean (d,), standard deviation (d,) of the blurred Q) -> a scalar

Cost = Callable[[Grid, "torch.Tensor", "torch.Tensor"], "torch.Tensor"]


def f_divergence(f: Elementwise) -> Cost:
    """E_Q[f(p/q)] - f(1), as E_P[f(p/q) q/p] where p is the larger: a clipped ratio then loses no mass."""

    def cost(grid: Grid, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
        log_q = log_normal(grid.x, mean, std)
        log_u = (grid.log_p - log_q).clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)
        larger = torch.maximum(grid.log_p, log_q).exp()
        terms = larger * f(log_u.exp()) * (-log_u.clamp(min=0)).exp()
        return terms.sum() * grid.volume - f(torch.ones((), dtype=torch.float64))

    return cost


def total_variation(grid: Grid, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Half of ∫|p - q|: exact along the last axis, between the places where p = q; a sum would step over the kinks."""
    x, before = grid.x.view(-1, grid.last, grid.target.dimension), passed(grid, grid.x, mean, std).view(-1, grid.last)
    low, high = x[:, :-1], x[:, 1:]
    excess = (grid.log_p - log_normal(grid.x, mean, std)).detach().view(-1, grid.last)
    crossed = excess[:, :-1] * excess[:, 1:] < 0
    total = (before[:, 1:] - before[:, :-1]).abs()[~crossed].sum()
    if crossed.any():
        root = equal_density(grid, low[crossed], high[crossed], mean.detach(), std.detach())
        at_root = passed(grid, root, mean, std)
        sides = (at_root - before[:, :-1][crossed]).abs() + (before[:, 1:][crossed] - at_root).abs()
        total = total + sides.sum()
    return total * grid.volume / (grid.x[1, -1] - grid.x[0, -1]) / 2


def equal_density(
    grid: Grid, low: torch.Tensor, high: torch.Tensor, mean: torch.Tensor, std: torch.Tensor
) -> torch.Tensor:
    """Between each low and high (n, d), where the sign of log p - log q changes: a root, by false position."""

    def excess(x: torch.Tensor) -> torch.Tensor:
        return (log_mixture(grid.target, grid.noise, x) - log_normal(x, mean, std))[:, None]

    a, b = excess(low), excess(high)
    for _ in range(4):
        root = (low * b - high * a) / (b - a)
        at_root = excess(root)
        above = at_root * a > 0
        low, a = torch.where(above, root, low), torch.where(above, at_root, a)
        high, b = torch.where(above, high, root), torch.where(above, b, at_root)
    return root


def passed(
    grid: Grid, x: torch.Tensor, mean: torch.Tensor, std: torch.Tensor, side: torch.Tensor | float = 1.0
) -> torch.Tensor:
    """∫(p - q) (M,) over all that lies before x (M, d) along the last axis, or at side -1 after it."""

    def part(m: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        return log_normal(x[:, :-1], m[:-1], s[:-1]).exp() * torch.special.ndtr(side * (x[:, -1] - m[-1]) / s[-1])

    means, variances = components(grid.target, grid.noise)
    shares = grid.target.shares
    of_p = torch.stack([share * part(m, v.sqrt()) for share, m, v in zip(shares, means, variances, strict=True)])
    return of_p.sum(0) - part(mean, std)


def absolute_sum(values: torch.Tensor) -> torch.Tensor:
    """Sum over cells of the mean of |v|, v (M,) linear in each: it is smooth where v changes its sign."""
    a, b = values[:-1], values[1:]
    both = a.abs() + b.abs()
    crossing = (a * a + b * b) / (2 * both.clamp(min=1e-300))
    return torch.where(a * b < 0, crossing, both / 2).sum()


def wasserstein(grid: Grid, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """W1 = ∫|F_P - F_Q|, on a line."""
    return absolute_sum(passed(grid, grid.x, mean, std)) * grid.volume


def sobolev(grid: Grid, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """∫(F_P - F_Q)²/p, on a line: sup of E_P v - E_Q v - γ/2 E_P v'² is this over 2γ (Mroueh et al. 2018).

    F_P - F_Q comes from whichever tail is nearer, for its digits: p is as small there.
    """
    side = torch.where(grid.x[:, 0] < float(grid.target.moments()[0][0]), 1.0, -1.0).double()
    squares = passed(grid, grid.x, mean, std, side).abs().clamp(min=1e-300).log() * 2
    return (squares - grid.log_p).clamp(max=LARGEST_LOG_RATIO).exp().sum() * grid.volume


def energy(grid: Grid, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'|, X from P and Y from Q (Sejdinovic et al. 2013)."""
    means, variances = components(grid.target, grid.noise)
    shares = torch.tensor(grid.target.shares, dtype=torch.float64)
    across = shares @ mean_norm(means - mean, variances + std**2)
    pairs = mean_norm((means[:, None] - means).flatten(0, 1), (variances[:, None] + variances).flatten(0, 1))
    within = torch.outer(shares, shares).flatten() @ pairs
    return 2 * across - within - mean_norm(torch.zeros_like(mean)[None], 2 * std[None] ** 2)[0]


def mean_norm(means: torch.Tensor, variances: torch.Tensor) -> torch.Tensor:
    """E|Z| (k,) of Z from N(m, diag(v)), both (k, d).

    |z| = π^-½ ∫ (1 - exp(-t²z²)) t⁻² dt over t > 0, and the mean of the exponential is known; t = e^y, where the
    integrand falls off exponentially to both sides.
    """
    y = torch.linspace(-36, 36, 1441, dtype=torch.float64)
    t = (2 * y).exp()[:, None, None]
    log_mean = -(t * means**2 / (1 + 2 * t * variances) + torch.log1p(2 * t * variances) / 2).sum(2)
    return (-torch.expm1(log_mean) * (-y).exp()[:, None]).sum(0) * float(y[1] - y[0]) / pi**0.5


# --- the candidates


@dataclass(frozen=True)
class Candidate:
    """`members` are all (objective, generator loss) whose best critic leaves the generator this to minimise."""

    label: str
    cost: Cost
    f: Elementwise | None
    members: list[tuple[str, str]]


def candidates(names: list[str], dimension: int) -> list[Candidate]:
    """What the named objectives minimise, by both losses and each divergence once, and distances that need no f.

    Bounds come first, so that a divergence bears its own name and not that of a loss that also leads to it.
    """
    found: list[Candidate] = []
    for loss in ("bound", "alternative"):
        for own in map(objective, names):
            if own.f is None:
                continue
            f = own.f if loss == "bound" else printed(own.alternative_formula)
            same = next((c for c in found if c.f is not None and same_divergence(c.f, f)), None)
            if same is None:
                label = own.label if loss == "bound" else alternative_label(own)
                cost = f_divergence(f) if own.log_ratio is not None else total_variation
                found.append(same := Candidate(label, cost, f, []))
            same.members.append((own.name, loss))
    both = ("bound", "alternative")
    found.append(Candidate("Energy distance", energy, None, [("mmd_energy", loss) for loss in both]))
    if dimension == 1:
        found.append(Candidate("W1", wasserstein, None, [("wasserstein", loss) for loss in both]))
        found.append(Candidate("Sobolev", sobolev, None, [("wasserstein+r1", loss) for loss in both]))
    return found


def alternative_label(own: Objective) -> str:
    """Of what its alternative loss minimises, without the factor that no minimiser depends on."""
    return own.alternative_label.removeprefix("2 ").removeprefix("½ ") or f"{own.label}, alternative"


def same_divergence(f: Elementwise, g: Elementwise) -> bool:
    """Whether g = a f + b u + c with a > 0: then both have one minimiser, for E_Q[b u + c] depends on nothing."""
    u = torch.logspace(-1, 1, 41, dtype=torch.float64)
    basis = torch.stack((f(u), u, torch.ones_like(u)), dim=1)
    solution = torch.linalg.lstsq(basis, g(u)[:, None], driver="gelsd").solution[:, 0]
    return bool(solution[0] > 0 and (basis @ solution - g(u)).abs().max() < 1e-9)


# --- the minimum


def minimum(cost: Cost, grid: Grid) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean (d,) and standard deviation (d,) of the nearest normal before noise, and the least value."""
    d = grid.target.dimension

    def with_gradient(place: np.ndarray) -> tuple[float, np.ndarray]:
        if np.abs(place[d:]).max() > WIDEST:
            return inf, np.zeros(2 * d)
        at = torch.tensor(place, requires_grad=True)
        value = cost(grid, at[:d], ((2 * at[d:]).exp() + grid.noise**2).sqrt())
        (gradient,) = torch.autograd.grad(value, at)
        return float(value.detach()), gradient.numpy()

    found = [
        scipy.optimize.minimize(with_gradient, start, jac=True, method="BFGS", options={"gtol": 1e-7})
        for start in starts(grid.target)
    ]
    best = min((result for result in found if isfinite(result.fun)), key=lambda result: result.fun)
    return best.x[:d], np.exp(best.x[d:]), float(best.fun)


def starts(target: Target) -> Iterator[np.ndarray]:
    """The mixture's own moments, and each of its modes, all as (m, log s)."""
    mean, std = target.moments()
    yield np.concatenate((mean, np.log(std)))
    for own, variance in zip(target.means, target.variances, strict=True):
        yield np.concatenate((own, np.log(variance) / 2))


def landmarks(target: Target, noise: float, names: list[str], looked: Callable[[int], None]) -> list[dict[str, Any]]:
    """A row each candidate: its label, members, minimiser and least value; `looked` is told how many are done."""
    smooth, kinked = (grid_of(target, noise, points) for points in (target.points, target.kinked_points))
    rows = []
    for candidate in candidates(names, target.dimension):
        mean, std, value = minimum(candidate.cost, kinked if candidate.cost is total_variation else smooth)
        rows.append(
            {
                "landmark": candidate.label, "members": ["/".join(member) for member in candidate.members],
                "mean": mean.tolist(), "std": std.tolist(), "value": value,
            }
        )  # fmt: skip
        looked(len(rows))
    return rows
