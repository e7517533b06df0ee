"""f-GAN's one-dimensional experiment: a normal fitted to a mixture of two by every divergence, learned beside exact.

P = 0.33 N(-1, 0.065) + 0.67 N(2, 2), variances in second place, and Q = N(μ, σ²) is what G(z) = μ + σ z makes
(Nowozin et al. 2016, section 4.1). The exact optimum of a divergence comes by quadrature, that of an alternative
generator loss from the g with g'' = f''/u that it minimises once the critic is the best one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import exp, inf, isfinite, log, nan
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from divergan.chapters.critics import Critics
from divergan.chapters.declaration import Chapter, Part, Progress, Rows, file_name
from divergan.chapters.summaries import with_intervals
from divergan.kinds import Positive, Seeds, named_objective
from divergan.lazy import lazy
from divergan.objectives import GENERATOR_LOSSES, FDivergence, Objective, objective
from divergan.objectives.definitions import evaluated
from divergan.randomness import generator
from divergan.strict import Strict

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import scipy
    import torch
else:
    np, pd, scipy, torch = lazy("numpy"), lazy("pandas"), lazy("scipy"), lazy("torch")

SHARES, MEANS, VARIANCES = (0.33, 0.67), (-1.0, 2.0), (0.065, 2.0)
ENDS, POINTS = (-16.0, 20.0), 36_001  # of the quadrature: 0.001 apart, and 1e-27 of P lies outside
STARTS = [(mean, std) for mean in (-1.0, 0.5, 2.0) for std in (0.4, 1.0, 2.0)]
LARGEST_LOG_RATIO = 150.0  # where q is that much below p its square is still a number
BLOCK = 32  # steps whose random numbers are drawn at a time
JUDGED = 100_000  # fresh points a side that the final bound is taken on


class Gaussian(Strict):
    objectives: list[str] = Field(min_length=1)
    generator_losses: list[str] = Field(min_length=1)
    seeds: Seeds
    hidden: Positive
    batch: Positive
    steps: Positive
    n_critic: Positive
    critic_learning_rate: float = Field(gt=0)
    learning_rate: float = Field(gt=0)
    last_critic_steps: Positive

    @field_validator("objectives")
    @classmethod
    def _have_an_exact_optimum(cls, names: list[str]) -> list[str]:
        return with_an_exact_optimum(names)

    @field_validator("generator_losses")
    @classmethod
    def _exist(cls, names: list[str]) -> list[str]:
        if unknown := set(names) - set(GENERATOR_LOSSES):
            raise ValueError(f"{', '.join(sorted(unknown))}: expected some of {', '.join(GENERATOR_LOSSES)}")
        return names


def with_an_exact_optimum(names: list[str]) -> list[str]:
    """The names, or a ValueError at one that is no f-divergence with a ratio."""
    for name in names:
        chosen = named_objective(name)
        if not isinstance(chosen, FDivergence) or chosen.log_ratio is None:
            raise ValueError(f"{name}: expected an f-divergence whose critic identifies p/q")
    return names


def parts(settings: Gaussian) -> Iterator[Part]:
    shared = settings.model_dump(exclude={"objectives", "generator_losses"})
    for name in settings.objectives:
        for loss in settings.generator_losses:
            yield Part(
                key=f"{file_name(name)}.{loss}",
                settings=shared | {"objective": name, "generator_loss": loss},
                objectives=(name,),
                steps=settings.steps + settings.last_critic_steps,
            )


def compute(settings: dict[str, Any], progress: Progress) -> Rows:
    """A row for each seed: where the generator came to, beside the optimum of what it should minimise."""
    own, loss = objective(settings["objective"]), settings["generator_loss"]
    assert own.f is not None
    target = own.f if loss == "bound" else printed(own.alternative_formula)
    optimum, of_bound = minimum(target), minimum(own.f)
    learned = train(own, settings, progress)
    rows = []
    for seed, (mean, std, bound) in zip(settings["seeds"], learned, strict=True):
        finite = all(map(isfinite, (mean, std, bound))) and std > 0
        row = {
            "objective": own.name, "label": own.label, "generator_loss": loss, "seed": seed,
            "outcome": "finished" if finite else "diverged",
            "minimises": own.label if loss == "bound" else own.alternative_label or own.alternative_formula,
            "exact": value(own.f, *of_bound), "exact_mean": optimum[0], "exact_std": optimum[1],
            "bound_mean": of_bound[0], "bound_std": of_bound[1],
        }  # fmt: skip
        if finite:
            row |= {"mean": mean, "std": std, "bound": bound, "divergence": value(own.f, mean, std)}
        rows.append(row)
    return rows


def seconds(settings: dict[str, Any]) -> float:
    """Points through the critics, 14 ns a hidden unit of each: tanh takes most of it."""
    steps = settings["steps"] * (2 * settings["n_critic"] + 1) + 2 * settings["last_critic_steps"]
    return 1.4e-8 * steps * settings["batch"] * len(settings["seeds"]) * settings["hidden"]


# --- exact


def log_p(x: np.ndarray) -> np.ndarray:
    """log of the mixture's density at x."""
    modes = zip(SHARES, MEANS, VARIANCES, strict=True)
    return np.logaddexp(*(log(share) - (x - m) ** 2 / (2 * v) - log(2 * np.pi * v) / 2 for share, m, v in modes))


def value(f: Callable[[torch.Tensor], torch.Tensor], mean: float, std: float) -> float:
    """D_f(P || N(mean, std²)) = E_Q[f(p/q)] - f(1), by the trapezoidal rule."""
    x = np.linspace(*ENDS, POINTS)
    log_q = -(((x - mean) / std) ** 2) / 2 - log(std) - log(2 * np.pi) / 2
    log_u = np.clip(log_p(x) - log_q, -LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)
    integrand = torch.from_numpy(np.exp(log_q)) * f(torch.from_numpy(np.exp(log_u)))
    at_equality = f(torch.ones((), dtype=torch.float64))
    return float(torch.trapezoid(integrand, torch.from_numpy(x)) - at_equality)


def minimum(f: Callable[[torch.Tensor], torch.Tensor]) -> tuple[float, float]:
    """The mean and standard deviation of the normal that is nearest to P, the best of several starts."""

    def cost(place: np.ndarray) -> float:
        found = value(f, float(place[0]), exp(float(place[1]))) if abs(place[1]) < 3 else inf
        return found if isfinite(found) else inf

    options = {"xatol": 1e-8, "fatol": 1e-13, "maxiter": 2000}
    found = [
        scipy.optimize.minimize(cost, (mean, log(std)), method="Nelder-Mead", options=options) for mean, std in STARTS
    ]
    best = min(found, key=lambda result: result.fun)
    return float(best.x[0]), exp(float(best.x[1]))


def printed(formula: str) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda u: evaluated(formula, u=u)


# --- learned


def train(own: Objective, settings: dict[str, Any], progress: Progress) -> list[tuple[float, float, float]]:
    """(μ, σ, bound) of each seed: alternating steps of Adam, whose rates fall to 0 in a line over the second half.

    Seeds never see each other: each has its own weights and random numbers, and losses are summed over seeds. The
    bound is taken on fresh points after further steps of the critic alone.
    """
    seeds, batch = settings["seeds"], settings["batch"]
    networks = Critics(seeds, "gaussian critic", 1, settings["hidden"], torch.tanh)
    place = torch.zeros(2, len(seeds), 1, requires_grad=True)  # μ and log σ
    players = [
        torch.optim.Adam(parameters, lr=rate, betas=(0.5, 0.999))
        for parameters, rate in (
            (networks.parameters, settings["critic_learning_rate"]),
            ([place], settings["learning_rate"]),
        )
    ]
    falling = [
        torch.optim.lr_scheduler.LambdaLR(player, lambda step: min(1.0, 2 - 2 * step / settings["steps"]))
        for player in players
    ]
    numbers = drawn(seeds, batch)
    loss = own.generator_loss(settings["generator_loss"])

    def critics(x: torch.Tensor) -> torch.Tensor:
        return networks(x[..., None])

    def generated(z: torch.Tensor) -> torch.Tensor:
        return place[0] + place[1].exp() * z

    def critic_step() -> None:
        x, z = next(numbers)
        with torch.no_grad():
            fake = generated(z)
        v_real, v_fake = critics(torch.cat((x, fake), dim=1)).split(batch, dim=1)
        players[0].zero_grad(set_to_none=True)
        (len(seeds) * own.critic_loss(v_real, v_fake)).backward()
        players[0].step()

    for step in range(settings["steps"]):
        for _ in range(settings["n_critic"]):
            critic_step()
        _, z = next(numbers)
        (gradient,) = torch.autograd.grad(len(seeds) * loss(critics(generated(z)), z), place)
        place.grad = gradient
        players[1].step()
        for schedule in falling:
            schedule.step()
        progress.update(step + 1)
    for group in players[0].param_groups:
        group["lr"] = settings["critic_learning_rate"] / 10
    for step in range(settings["last_critic_steps"]):
        critic_step()
        progress.update(settings["steps"] + step + 1)
    with torch.no_grad():
        x, z = next(drawn(seeds, JUDGED, "judged", block=1))
        bounds = [own.divergence(*pair) for pair in zip(critics(x), critics(generated(z)), strict=True)]
    return [(float(m), exp(float(s)), float(b)) for m, s, b in zip(*place.detach()[..., 0], bounds, strict=True)]


def drawn(
    seeds: list[int], batch: int, purpose: str = "training", block: int = BLOCK
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless (data, z), each (S, batch); every seed has its own stream."""
    owners = [generator(seed, f"gaussian {purpose}") for seed in seeds]
    stds = [variance**0.5 for variance in VARIANCES]
    while True:
        uniform = torch.stack([torch.rand(block, batch, generator=rng) for rng in owners], dim=1)
        normal, z = (torch.stack([torch.randn(block, batch, generator=rng) for rng in owners], dim=1) for _ in range(2))
        first = uniform < SHARES[0]
        x = torch.where(first, MEANS[0] + stds[0] * normal, MEANS[1] + stds[1] * normal)
        yield from zip(x, z, strict=True)


# --- tables


def tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """gaussian: the rows; gaussian_fit: a row an objective and loss; gaussian_cross: each divergence at each."""
    groups = rows.groupby(["objective", "generator_loss"], sort=False)
    return {
        "gaussian": rows,
        "gaussian_fit": pd.DataFrame([fit(own) for _, own in groups]),
        "gaussian_cross": pd.DataFrame([cell for _, own in groups for cell in cross(own, rows["objective"].unique())]),
    }


def fit(own: pd.DataFrame) -> dict[str, Any]:
    """Exact and learned of one objective and loss, means with 95 % Student intervals over the seeds that finished."""
    names = ("objective", "label", "generator_loss", "minimises", "exact", "exact_mean", "exact_std")
    done = own[own["outcome"] == "finished"]
    row = {name: own[name].iloc[0] for name in (*names, "bound_mean", "bound_std")} | {
        "n": len(done),
        "n_runs": len(own),
    }
    measured = {name: done[name] for name in ("bound", "divergence", "mean", "std")} | {
        "mean_error": (done["mean"] - done["exact_mean"]).abs(),
        "std_error": (done["std"] - done["exact_std"]).abs(),
        "distance": np.hypot(done["mean"] - done["exact_mean"], done["std"] - done["exact_std"]),
        "distance_to_bound": np.hypot(done["mean"] - done["bound_mean"], done["std"] - done["bound_std"]),
    }
    return row | with_intervals(measured)


def cross(own: pd.DataFrame, objectives: Iterable[str]) -> Iterator[dict[str, Any]]:
    """What each divergence says of the normals that one objective and loss led to: mean and interval over seeds."""
    from divergan.statistics import mean_interval

    places = own.loc[own["outcome"] == "finished", ["mean", "std"]].to_numpy()
    for name in objectives:
        measured = objective(name)
        assert measured.f is not None
        values = np.array([value(measured.f, *place) for place in places])
        low, high = mean_interval(values)
        yield {
            "trained": own["objective"].iloc[0], "trained_label": own["label"].iloc[0],
            "generator_loss": own["generator_loss"].iloc[0], "measured": name, "measured_label": measured.label,
            "divergence": values.mean() if len(values) else nan, "low": low, "high": high,
        }  # fmt: skip


GAUSSIAN = Chapter(
    name="gaussian",
    label="A normal fitted to a mixture, by every divergence",
    settings=Gaussian,
    parts=parts,
    compute=compute,
    tables=tables,
    seconds=seconds,
)
