"""Where the divergence would fail: data and generated points that share no place, and a critic between them.

P is uniform on [0, 1] and G(z) = θ + z with z uniform on [0, 1]. The densities are equal where they overlap, so that
D_f(P || Q) = min(|θ|, 1) (f(0) + f'(oo) - f(1)): flat beyond 1 and, for KL, infinite at every θ but 0; W1 is |θ|.
The generator's gradient is dL/dθ = E[dL/dv v'(G(z))]: with D = sigmoid(v), -log D has dL/dv = D - 1, which goes to -1
as the critic wins, and the saturating log(1 - D) has -D, which goes to 0. Whether dL/dθ vanishes is asked of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import product
from math import inf, isfinite, nan
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, field_validator, model_validator

from divergan.chapters.critics import Critics
from divergan.chapters.declaration import Chapter, Part, Progress, Rows, file_name
from divergan.chapters.summaries import with_intervals
from divergan.kinds import Positive, Seeds, named_objective
from divergan.lazy import lazy
from divergan.objectives import GENERATOR_LOSSES, KernelDistance, Objective, objective
from divergan.randomness import generator
from divergan.strict import Strict, misfit

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
else:
    np, pd, torch = lazy("numpy"), lazy("pandas"), lazy("torch")

NODES = 200  # midpoints of [0, 1]: means over P and Q without chance
LINE, BESIDE = 121, 1.0  # points of the learned ratio's picture, and how far it goes beyond the supports
NEAR = 0.2  # of θ to 0, in the mean over the last tenth of the steps
KEPT = 100  # points of a path
STARTS = ("fresh", "trained")  # of the generator's start: untrained, or after all looks
RULES = ("adam", "descent")  # by which the generator steps


class Supports(Strict):
    objectives: list[str] = Field(min_length=1)
    slope_at_most_one: list[str]  # those of them whose critic is penalised where its slope exceeds 1
    seeds: Seeds
    start: float = Field(gt=1)  # θ, beyond the data
    hidden: Positive
    batch: Positive
    looks: Annotated[list[Positive], Field(min_length=1)]  # critic steps with θ frozen, the last is their number
    critic_learning_rate: float = Field(gt=0)
    steps: Positive  # of the generator, each after one of the critic
    adam_rate: float = Field(gt=0)
    descent_rate: float = Field(gt=0)
    penalty: float = Field(gt=0)

    @field_validator("objectives")
    @classmethod
    def _score_points_one_by_one(cls, names: list[str]) -> list[str]:
        for name in names:
            chosen = named_objective(name)
            if chosen.untrainable or chosen.needs_real or isinstance(chosen, KernelDistance):
                raise ValueError(f"{name}: expected an objective whose generator sees its own scores alone")
        return names

    @field_validator("looks")
    @classmethod
    def _rise(cls, looks: list[int]) -> list[int]:
        if looks != sorted(set(looks)):
            raise ValueError("expected rising numbers of steps")
        return looks

    @model_validator(mode="after")
    def _penalises_what_there_is(self) -> Supports:
        if unknown := set(self.slope_at_most_one) - set(self.objectives):
            raise misfit(f"{', '.join(sorted(unknown))}: expected some of the objectives", "slope_at_most_one")
        return self


def parts(settings: Supports) -> Iterator[Part]:
    shared = settings.model_dump(exclude={"objectives", "slope_at_most_one"})
    for name in settings.objectives:
        yield Part(
            key=file_name(name),
            settings=shared | {"objective": name, "slope_at_most_one": name in settings.slope_at_most_one},
            objectives=(name,),
            steps=settings.looks[-1] + len(ARMS) * settings.steps,
        )


ARMS = tuple(product(GENERATOR_LOSSES, STARTS, RULES))


def compute(settings: dict[str, Any], progress: Progress) -> Rows:
    """Rows of two kinds: "look" for each look, loss and seed, "learning" for each loss, critic, rule and seed."""
    own = objective(settings["objective"])
    fresh = Critics(settings["seeds"], "supports critic", 1, settings["hidden"], torch.tanh)
    trained, rows = fitted(own, deepcopy(fresh), settings, progress)
    done = settings["looks"][-1]
    for loss, start, rule in ARMS:
        critics = deepcopy({"fresh": fresh, "trained": trained}[start])
        paths = learned(own, critics, loss, rule, settings)
        rows += [
            {"kind": "learning", "generator_loss": loss, "critic": start, "rule": rule, "seed": seed} | told
            for seed, told in zip(settings["seeds"], map(ending, paths), strict=True)
        ]
        done += settings["steps"]
        progress.update(done)
    return [{"objective": own.name, "label": own.label, "start": settings["start"]} | row for row in rows]


def seconds(settings: dict[str, Any]) -> float:
    """Small matrices: what a step costs is mostly its calls."""
    points = settings["batch"] * len(settings["seeds"]) * settings["hidden"]
    penalised = 1.6 if settings["slope_at_most_one"] else 1.0
    return penalised * (settings["looks"][-1] + 1.4 * len(ARMS) * settings["steps"]) * (1.1e-3 + 3e-8 * points)


# --- exact


def farthest(own: Objective) -> float:
    """f(0) + f'(oo) - f(1): the divergence of all that share no place; W1 has none (NaN), for it grows on."""
    f = own.f
    if f is None:
        return nan

    def steepness(u: torch.Tensor) -> torch.Tensor:
        u = u.clone().requires_grad_()
        return torch.autograd.grad(f(u), u)[0]

    return limit(f, 1e-60, 1e-120) + limit(steepness, 1e60, 1e120) - own.at_equality


def limit(g: Callable[[torch.Tensor], torch.Tensor], near: float, far: float) -> float:
    """Where g goes, told from two places on the way; a logarithm counts as infinite."""
    here, there = (float(g(torch.tensor(u, dtype=torch.float64))) for u in (near, far))
    return there if abs(there - here) < 1 else inf


# --- learned


def critic_step(
    own: Objective,
    critics: Critics,
    player: torch.optim.Optimizer,
    fake: torch.Tensor,
    rngs: list[torch.Generator],
    settings: dict[str, Any],
) -> None:
    """One step on fresh data and these generated points, each (S, batch); losses are summed over seeds."""
    seeds, batch = len(rngs), settings["batch"]
    real = uniform(rngs, batch)
    loss = own.critic_loss(*critics(torch.cat((real, fake), dim=1)[..., None]).split(batch, dim=1))
    if settings["slope_at_most_one"]:
        share = uniform(rngs, batch)
        loss = loss + settings["penalty"] * steepness_above_one(critics, share * real + (1 - share) * fake)
    player.zero_grad(set_to_none=True)
    (seeds * loss).backward()
    player.step()


def steepness_above_one(critics: Critics, x: torch.Tensor) -> torch.Tensor:
    """mean max(0, |v'(x)| - 1)²; the two-sided form would keep a slope of the wrong sign there, for 0 lies between."""
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(critics(x[..., None]).sum(), x, create_graph=True)
    return (slope.abs() - 1).relu().square().mean()


def uniform(rngs: list[torch.Generator], count: int) -> torch.Tensor:
    """(S, count) on [0, 1), each seed from its own generator."""
    return torch.stack([torch.rand(count, generator=rng) for rng in rngs])


def adam(parameters: list[torch.Tensor], rate: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=rate, betas=(0.5, 0.999))


def fitted(own: Objective, critics: Critics, settings: dict[str, Any], progress: Progress) -> tuple[Critics, Rows]:
    """The critics trained with θ at its start, and what they said at every look."""
    rngs = [generator(seed, "supports frozen") for seed in settings["seeds"]]
    player, rows = adam(critics.parameters, settings["critic_learning_rate"]), []
    for step in range(1, settings["looks"][-1] + 1):
        fake = settings["start"] + uniform(rngs, settings["batch"])
        critic_step(own, critics, player, fake, rngs, settings)
        if step in settings["looks"]:
            rows += [{"kind": "look", "step": step} | row for row in looked(own, critics, settings)]
            progress.update(step)
    return critics, rows


def looked(own: Objective, critics: Critics, settings: dict[str, Any]) -> Rows:
    """Of each seed and loss: the bound, dL/dv in the mean over generated points, dL/dθ, the ratio along a line."""
    z = ((torch.arange(NODES) + 0.5) / NODES).expand(len(settings["seeds"]), -1)
    fake = (z + settings["start"]).requires_grad_()
    v = critics(fake[..., None])
    v_real = critics(z[..., None]).detach()
    lines = ratio_along(own, critics, settings)
    rows = []
    for loss in GENERATOR_LOSSES:
        pulls, pushes = slopes(own, loss, v, v_real, fake)
        for i, seed in enumerate(settings["seeds"]):
            bound = float(own.divergence(v_real[i], v[i].detach()))
            found = {"bound": bound, "pull": float(pulls[i]), "gradient": float(pushes[i])}
            outcome = "finished" if all(map(isfinite, found.values())) else "diverged"
            rows.append({"generator_loss": loss, "seed": seed, "outcome": outcome, "line": lines[i], **found})
    return rows


def slopes(
    own: Objective, loss: str, v: torch.Tensor, v_real: torch.Tensor, fake: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """(mean dL/dv, dL/dθ) of each seed: G moves every point as much as θ, so that dL/dθ is dL/dx summed."""
    scores = v.detach().requires_grad_()
    of = own.generator_loss(loss)
    (pull,) = torch.autograd.grad(len(v) * of(scores, v_real), scores)
    (push,) = torch.autograd.grad(len(v) * of(v, v_real), fake, retain_graph=True)
    return pull.sum(1), push.sum(1)


def places(start: float) -> torch.Tensor:
    """(LINE,) from before the data to beyond the generated points."""
    return torch.linspace(-BESIDE, start + 1 + BESIDE, LINE)


def ratio_along(own: Objective, critics: Critics, settings: dict[str, Any]) -> list[list[float]]:
    """(S, LINE): the learned log ratio, or the score where it tells no ratio."""
    with torch.no_grad():
        v = critics(places(settings["start"]).expand(len(settings["seeds"]), -1)[..., None])
        return (own.log_ratio(v) if own.log_ratio else v).nan_to_num().tolist()


def learned(own: Objective, critics: Critics, loss: str, rule: str, settings: dict[str, Any]) -> list[list[float]]:
    """θ of each seed after every step, (S, steps + 1): the critic and θ in turn, θ by Adam or plain descent."""
    rngs = [generator(seed, "supports learned") for seed in settings["seeds"]]
    theta = torch.full((len(rngs), 1), settings["start"], requires_grad=True)
    player = adam(critics.parameters, settings["critic_learning_rate"])
    mover = adam([theta], settings["adam_rate"])
    if rule == "descent":
        mover = torch.optim.SGD([theta], lr=settings["descent_rate"])
    of, path = own.generator_loss(loss), [theta.detach().clone()]
    for _ in range(settings["steps"]):
        critic_step(own, critics, player, theta.detach() + uniform(rngs, settings["batch"]), rngs, settings)
        v = critics((theta + uniform(rngs, settings["batch"]))[..., None])
        (theta.grad,) = torch.autograd.grad(len(rngs) * of(v, v), theta)
        mover.step()
        path.append(theta.detach().clone())
    return torch.cat(path, dim=1).tolist()


def ending(path: list[float]) -> dict[str, Any]:
    """Whether θ came to overlap the data, and how far from 0 it is over the last tenth."""
    if not all(map(isfinite, path)):
        return {"outcome": "diverged"}
    last = path[-max(1, len(path) // 10) :]
    distance = sum(map(abs, last)) / len(last)
    return {
        "outcome": "finished", "overlaps": any(abs(theta) < 1 for theta in path), "near": distance < NEAR,
        "distance": distance, "every": max(1, len(path) // KEPT), "path": path[:: max(1, len(path) // KEPT)],
    }  # fmt: skip


# --- tables

WHO = ["objective", "label", "generator_loss"]


def tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """supports: a row an arm and seed; supports_learning: an arm; supports_looks: a look and loss, means over seeds;
    supports_paths: medians of θ over seeds; supports_lines: the first seed's ratio along the line."""
    looks = rows[rows["kind"] == "look"].astype({"step": int})
    runs = rows[rows["kind"] == "learning"].reindex(columns=[*RUN, "path", "every"])
    by_arm = runs.groupby([*WHO, "critic", "rule"], sort=False)
    return {
        "supports": runs[RUN],
        "supports_learning": pd.DataFrame([learning(own) for _, own in by_arm]),
        "supports_looks": pd.DataFrame([summary(own) for _, own in looks.groupby([*WHO, "step"], sort=False)]),
        "supports_paths": pd.DataFrame([row for _, own in by_arm for row in median_path(own)]),
        "supports_lines": pd.DataFrame([row for _, own in looks.groupby(["objective", "step"], sort=False)
                                        for row in line(own)]),
    }  # fmt: skip


RUN = [*WHO, "start", "critic", "rule", "seed", "outcome", "overlaps", "near", "distance"]


def learning(own: pd.DataFrame) -> dict[str, Any]:
    done = own[own["outcome"] == "finished"]
    counts = {name: int(done[name].astype(bool).sum()) for name in ("overlaps", "near")}
    row = {name: own[name].iloc[0] for name in (*WHO, "critic", "rule")} | counts
    return row | {"n": len(done), "n_runs": len(own)} | with_intervals({"distance": done["distance"]})


def summary(own: pd.DataFrame) -> dict[str, Any]:
    """Of |dL/dθ|, dL/dv and the bound; `exact` is the divergence at the start, W1 where there is no f."""
    done = own[own["outcome"] == "finished"]
    most = farthest(objective(own["objective"].iloc[0]))
    row = {name: own[name].iloc[0] for name in (*WHO, "step")} | {"n": len(done), "n_runs": len(own)}
    row["exact"] = own["start"].iloc[0] if np.isnan(most) else most
    measured = {"gradient": done["gradient"].abs(), "pull": done["pull"], "bound": done["bound"]}
    return row | with_intervals(measured)


def median_path(own: pd.DataFrame) -> Rows:
    done = own[own["outcome"] == "finished"]
    if done.empty:
        return []
    who = {name: own[name].iloc[0] for name in (*WHO, "critic", "rule")}
    medians = np.median(np.array(done["path"].to_list()), axis=0)
    every = int(done["every"].iloc[0])
    return [who | {"step": i * every, "theta": theta} for i, theta in enumerate(medians)]


def line(own: pd.DataFrame) -> Rows:
    first = own.iloc[0]
    who = {name: first[name] for name in ("objective", "label", "step", "start")}
    along = zip(places(float(first["start"])).tolist(), first["line"], strict=True)
    return [who | {"x": x, "log_ratio": value} for x, value in along]


SUPPORTS = Chapter(
    name="supports",
    label="Where the divergence would fail",
    settings=Supports,
    parts=parts,
    compute=compute,
    tables=tables,
    seconds=seconds,
)
