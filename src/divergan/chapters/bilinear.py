"""Bilinear games of many dimensions: min over θ, max over ψ of θᵀAψ, both in Rⁿ, with A of stated singular values.

Every rule by which both players move is linear, so that its eigenvalues follow from the singular values of A alone: a
step size η and a singular value σ enter as ησ (and γσ). What an update does is compared with that, and followed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil, inf, log
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, field_validator

from divergan.chapters.declaration import Chapter, Part, Progress, Rows
from divergan.chapters.summaries import with_intervals
from divergan.kinds import Positive, Seeds
from divergan.lazy import lazy
from divergan.randomness import generator
from divergan.strict import Strict, known

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import scipy
    import torch
else:
    np, pd, scipy, torch = lazy("numpy"), lazy("pandas"), lazy("scipy"), lazy("torch")

Matrix = Any  # a tensor (..., m, m)
KEPT = 200  # points of a path, for the figure
EDGE = 1e-9  # of the spectral radius: nearer to 1 it is 1
LOST = 10.0  # distance to the equilibrium, from a start at 1
SHRUNK = 0.9  # of the farthest in the first quarter of a path: below it in the last, it shrinks


class Bilinear(Strict):
    rules: list[str] = Field(min_length=1)
    dimensions: Annotated[list[Positive], Field(min_length=1)]  # of each player
    conditions: Annotated[list[Annotated[float, Field(ge=1)]], Field(min_length=1)]  # largest over smallest σ; it is 1
    step_sizes: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]
    seeds: Seeds
    steps: Positive
    tolerance: float = Field(gt=0, lt=1)  # of the distance to the equilibrium, from a start at 1
    gamma: float = Field(gt=0)  # of consensus optimisation and the symplectic adjustment

    @field_validator("rules")
    @classmethod
    def _are_rules(cls, names: list[str]) -> list[str]:
        return [known(name, UPDATES) for name in names]


def parts(settings: Bilinear) -> Iterator[Part]:
    shared = settings.model_dump(exclude={"rules"})
    for rule in settings.rules:
        yield Part(key=rule, settings=shared | {"rule": rule}, steps=games(shared))


def games(settings: dict[str, Any]) -> int:
    return len(settings["dimensions"]) * len(settings["conditions"]) * len(settings["step_sizes"])


def compute(settings: dict[str, Any], progress: Progress) -> Rows:
    """A row for each dimension, condition, step size and seed."""
    rows: Rows = []
    done = 0
    for dimension in settings["dimensions"]:
        for condition in settings["conditions"]:
            for step_size in settings["step_sizes"]:
                rows += judged(settings, dimension, condition, step_size)
                done += 1
                progress.update(done)
    return rows


def seconds(settings: dict[str, Any]) -> float:
    """Matrix-vector products of 3 GFLOP/s and 60 µs a step."""
    products = sum((4 * n) ** 2 * 2 for n in settings["dimensions"]) * len(settings["seeds"])
    count = len(settings["conditions"]) * len(settings["step_sizes"]) * settings["steps"]
    return count * (products / 3e9 + 6e-5 * len(settings["dimensions"]))


# --- the game


def singular_values(dimension: int, condition: float) -> torch.Tensor:
    """(n,) evenly spaced in their logarithm, from 1 down to 1/condition; one dimension has the largest alone."""
    return torch.logspace(0, -log(condition) / log(10), dimension, dtype=torch.float64)


def game(dimension: int, condition: float, seed: int) -> torch.Tensor:
    """A = U diag(σ) Vᵀ (n, n), U and V orthogonal with no preferred direction (Haar)."""
    rng = generator(seed, "bilinear game", dimension)
    left, right = (haar(torch.randn(dimension, dimension, generator=rng, dtype=torch.float64)) for _ in range(2))
    return left * singular_values(dimension, condition) @ right.T


def haar(normal: torch.Tensor) -> torch.Tensor:
    """The orthogonal factor of a normal matrix, with the signs that make it unique."""
    q, r = torch.linalg.qr(normal)
    return q * r.diagonal().sign()


def slopes(a: Matrix) -> Matrix:
    """J (..., 2n, 2n) of ξ = Jz, z = (θ, ψ): each player's gradient of its own loss, that descends along -ξ."""
    zero = torch.zeros_like(a)
    return torch.cat((torch.cat((zero, a), dim=-1), torch.cat((-a.mT, zero), dim=-1)), dim=-2)


# --- the rules: J and the step size -> the matrix of one update of both players


def simultaneous(j: Matrix, step: float, gamma: float) -> Matrix:
    return identity(j) - step * j


def alternating(j: Matrix, step: float, gamma: float) -> Matrix:
    """The critic ψ first, then the generator θ against the new critic, as images are trained."""
    n = j.shape[-1] // 2
    critic, player = (identity(j).clone() for _ in range(2))
    critic[..., n:, :] -= step * j[..., n:, :]
    player[..., :n, :] -= step * j[..., :n, :]
    return player @ critic


def extragradient(j: Matrix, step: float, gamma: float) -> Matrix:
    """A step with the gradient that a step ahead would have (Korpelevich 1976)."""
    return identity(j) - step * j @ (identity(j) - step * j)


def optimistic(j: Matrix, step: float, gamma: float) -> Matrix:
    """z - 2ηξ + ηξ of the step before (Daskalakis et al. 2018), on z and the z before it: (..., 4n, 4n)."""
    one = identity(j)
    return torch.cat(
        (torch.cat((one - 2 * step * j, step * j), dim=-1), torch.cat((one, torch.zeros_like(j)), dim=-1)), dim=-2
    )


def consensus(j: Matrix, step: float, gamma: float) -> Matrix:
    """Along ξ + γJᵀξ, which adds γ/2 |ξ|² to either loss (Mescheder et al. 2017)."""
    return identity(j) - step * (j + gamma * j.mT @ j)


def symplectic(j: Matrix, step: float, gamma: float) -> Matrix:
    """Along ξ + γSᵀξ, S the antisymmetric part of J (Balduzzi et al. 2018): here all of J, so the same as consensus."""
    return identity(j) - step * (j + gamma * (j - j.mT).mT / 2 @ j)


def identity(j: Matrix) -> Matrix:
    return torch.eye(j.shape[-1], dtype=j.dtype).expand_as(j)


UPDATES: dict[str, Callable[[Any, float, float], Any]] = {
    "simultaneous": simultaneous,
    "alternating": alternating,
    "extragradient": extragradient,
    "optimistic": optimistic,
    "consensus": consensus,
    "symplectic": symplectic,
}


def eigenvalues(rule: str, sigma: torch.Tensor, step: float, gamma: float) -> torch.Tensor:
    """Of one update, in closed form from the singular values (n,): complex (2n,), of the optimistic gradient (4n,)."""
    x = (step * sigma).to(torch.complex128)
    s = 1j * torch.cat((x, -x))  # eigenvalues of ηJ
    if rule == "alternating":
        return (2 + s**2) / 2 + s * (1 + s**2 / 4).sqrt()  # of λ² - (2 - x²)λ + 1
    if rule == "optimistic":
        root = (1 + 4 * s**2).sqrt()  # of λ² - (1 - 2s)λ - s
        return torch.cat((1 - 2 * s + root, 1 - 2 * s - root)) / 2
    pulled = {"simultaneous": 0 * s, "extragradient": s**2}.get(rule, gamma / step * s**2)
    return 1 - s + pulled


# --- what becomes of it


def judged(settings: dict[str, Any], dimension: int, condition: float, step_size: float) -> Rows:
    """A row a seed: eigenvalues in closed form beside computed, and what following the rule comes to."""
    rule, gamma, seeds = settings["rule"], settings["gamma"], settings["seeds"]
    a = torch.stack([game(dimension, condition, seed) for seed in seeds])
    j = slopes(a)
    update = UPDATES[rule](j, step_size, gamma)
    foretold = eigenvalues(rule, singular_values(dimension, condition), step_size, gamma)
    radius = float(foretold.abs().max())
    path = followed(update, start(seeds, dimension), settings["steps"])  # (steps + 1, S, 2n)
    distances = path.norm(dim=2)
    gradients = (j @ path[..., None])[..., 0].norm(dim=2)
    payoffs = (path[..., :dimension, None] * (a @ path[..., dimension:, None])).sum((2, 3)).abs()
    tolerance, every = settings["tolerance"], max(1, settings["steps"] // KEPT)
    rows = []
    for i, seed in enumerate(seeds):
        computed = torch.linalg.eigvals(update[i])
        reached = first_below(distances[:, i], tolerance)
        rows.append({
            "rule": rule, "dimension": dimension, "condition": condition, "step_size": step_size, "seed": seed,
            "tolerance": tolerance, "radius": radius, "radius_computed": float(computed.abs().max()),
            "eigenvalue_error": hausdorff(foretold, computed),
            "outcome": outcome(distances[:, i], tolerance),
            "foretold": foretold_outcome(radius),
            "reached": reached,
            "reached_foretold": steps_foretold(radius, tolerance),
            "distance": bounded(distances[-1, i]),
            **stopped("gradient", gradients[:, i], distances[:, i], tolerance),
            **stopped("payoff", payoffs[:, i], distances[:, i], tolerance**2),
            **lyapunov(rule, update[i], a[i], step_size, path[:, i]),
            "eigenvalues": torch.view_as_real(computed).tolist() if i == 0 and dimension <= LARGEST_DRAWN else None,
            "path_every": every,
            "path": distances[::every, i].nan_to_num(LOST).clamp(max=LOST).tolist(),
        })  # fmt: skip
    return rows


LARGEST_DRAWN = 20  # dimensions whose eigenvalues the figure has


def start(seeds: list[int], dimension: int) -> torch.Tensor:
    """(S, 2n) in a random direction, at distance 1."""
    z = torch.stack(
        [
            torch.randn(2 * dimension, generator=generator(seed, "bilinear start", dimension), dtype=torch.float64)
            for seed in seeds
        ]
    )
    return z / z.norm(dim=1, keepdim=True)


def followed(update: Matrix, z: torch.Tensor, steps: int) -> torch.Tensor:
    """Places (steps + 1, S, 2n); what an update remembers besides starts as the place itself."""
    size = z.shape[1]
    state, path = torch.cat([z] * (update.shape[-1] // size), dim=1), [z]
    for _ in range(steps):
        state = torch.bmm(update, state[..., None])[..., 0]
        path.append(state[:, :size])
    return torch.stack(path)


def hausdorff(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest distance from an eigenvalue of either list to the nearest of the other."""
    apart = (a[:, None] - b).abs()
    return float(torch.maximum(apart.amin(1).max(), apart.amin(0).max()))


def foretold_outcome(radius: float) -> str:
    if abs(radius - 1) < EDGE:
        return "circles"
    return "converges" if radius < 1 else "diverges"


def outcome(distances: torch.Tensor, tolerance: float) -> str:
    """ "converges": within the tolerance at the end; "diverges": far; "shrinks": not there yet; else "circles"."""
    last = float(distances[-1])
    if not last < LOST:
        return "diverges"
    if last < tolerance:
        return "converges"
    quarter = max(1, len(distances) // 4)
    return "shrinks" if distances[-quarter:].max() < SHRUNK * distances[:quarter].max() else "circles"


def steps_foretold(radius: float, tolerance: float) -> int | None:
    """Until the slowest direction has shrunk from 1 to the tolerance."""
    return ceil(log(tolerance) / log(radius)) if radius < 1 - EDGE else None


def first_below(values: torch.Tensor, limit: float) -> int | None:
    below = (values < limit).nonzero()
    return int(below[0]) if len(below) else None


def stopped(name: str, watched: torch.Tensor, distances: torch.Tensor, limit: float) -> dict[str, Any]:
    """Where one would stop who watches this number until it falls below the limit, and how far from the equilibrium."""
    step = first_below(watched, limit)
    return {f"{name}_stop": step, f"{name}_distance": None if step is None else float(distances[step])}


def bounded(distance: torch.Tensor) -> float:
    return float(distance.nan_to_num(inf).clamp(max=1e300))


# --- a function that never rises along a path


def lyapunov(rule: str, update: Matrix, a: torch.Tensor, step: float, path: torch.Tensor) -> dict[str, Any]:
    """Which quadratic form falls, or stays, at every step: by the update's matrix, and whether the path agrees.

    "energy": |θ|² + |ψ|². "bent energy": |θ|² + |ψ|² + η θᵀAψ, which alternating steps conserve (positive for ησ < 2).
    "solved": the form P of UᵀPU - P = -I, which exists where the spectral radius is below 1 (Lyapunov 1892).
    """
    n = a.shape[0]
    norm = float(torch.linalg.matrix_norm(update, 2))
    if norm <= 1 + EDGE:
        form, name = torch.eye(2 * n, dtype=a.dtype), "energy"
    elif rule == "alternating" and step * float(torch.linalg.matrix_norm(a, 2)) < 2:
        form, name = bent(a, step), "bent energy"
    elif float(torch.linalg.eigvals(update).abs().max()) < 1 - EDGE:
        return {"lyapunov": "solved", "norm": norm, "lyapunov_condition": solved_condition(update), "rises": None}
    else:
        return {"lyapunov": "none", "norm": norm, "lyapunov_condition": None, "rises": None}
    values = ((path @ form) * path).sum(1)
    rises = float((values[1:] / values[:-1].clamp(min=1e-290) - 1).max())
    return {"lyapunov": name, "norm": norm, "lyapunov_condition": None, "rises": rises}


def bent(a: torch.Tensor, step: float) -> torch.Tensor:
    """The matrix of |θ|² + |ψ|² + η θᵀAψ."""
    n = a.shape[0]
    form = torch.eye(2 * n, dtype=a.dtype)
    form[:n, n:], form[n:, :n] = step * a / 2, step * a.T / 2
    return form


def solved_condition(update: torch.Tensor) -> float:
    """Largest over smallest eigenvalue of the form: how much the plain distance may rise while the form falls."""
    form = scipy.linalg.solve_discrete_lyapunov(update.T.numpy(), np.eye(len(update)))
    ends = np.linalg.eigvalsh((form + form.T) / 2)
    return float(ends[-1] / ends[0])


# --- tables

WHO = ["rule", "dimension", "condition", "step_size"]


def tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """bilinear: a row a game and seed; bilinear_summary: over seeds; _eigenvalues of one seed; _paths: distances."""
    records = rows.to_dict("records")
    eigen = [
        {**{name: row[name] for name in WHO}, "real": real, "imaginary": imaginary}
        for row in records
        if isinstance(row["eigenvalues"], list)
        for real, imaginary in row["eigenvalues"]
    ]
    paths = [
        {**{name: row[name] for name in (*WHO, "seed")}, "step": i * row["path_every"], "distance": distance}
        for row in records
        for i, distance in enumerate(row["path"])
    ]
    runs = rows.drop(columns=["eigenvalues", "path", "path_every"])
    return {
        "bilinear": runs,
        "bilinear_summary": pd.DataFrame([summary(own) for _, own in runs.groupby(WHO, sort=False)]),
        "bilinear_eigenvalues": pd.DataFrame(eigen, columns=[*WHO, "real", "imaginary"]),
        "bilinear_paths": pd.DataFrame(paths),
    }


def summary(own: pd.DataFrame) -> dict[str, Any]:
    """Over seeds: how many end as foretold, and means with 95 % intervals where every seed has a number."""
    row = {name: own[name].iloc[0] for name in (*WHO, "radius", "foretold", "reached_foretold", "lyapunov")}
    ended = own["outcome"].replace("shrinks", "converges")
    row |= {"n_runs": len(own), "as_foretold": int((ended == own["foretold"]).sum())}
    row |= {"outcome": ", ".join(dict.fromkeys(own["outcome"]))}
    row |= {"eigenvalue_error": own["eigenvalue_error"].max(), "norm": own["norm"].max(), "rises": own["rises"].max()}
    ratio = {
        name: pd.to_numeric(own[f"{name}_distance"]) / own["tolerance"] for name in ("gradient", "payoff")
    }  # how much too far one stops
    for name, values in {"reached": pd.to_numeric(own["reached"]), **ratio}.items():
        row |= with_intervals({name: values}) | {f"{name}_n": int(values.notna().sum())}
    return row


BILINEAR = Chapter(
    name="bilinear",
    label="Bilinear games of many dimensions",
    settings=Bilinear,
    parts=parts,
    compute=compute,
    tables=tables,
    seconds=seconds,
)
