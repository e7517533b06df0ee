"""How far the learned bound lies below the divergence, and the learned ratio from the exact one.

P = N(0, I) and Q = N(m, I) in d dimensions with |m| fixed: log p/q = |m|²/2 - m·x, so that every f-divergence is that
of two normals on a line, whatever d is. A critic alone is trained, on a fixed number of points or on ever fresh ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isfinite, log, nan, pi
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, field_validator

from divergan.chapters.critics import Critics
from divergan.chapters.declaration import Chapter, Part, Progress, Rows, file_name
from divergan.chapters.summaries import with_intervals
from divergan.kinds import Positive, Seeds, named_objective
from divergan.lazy import lazy
from divergan.objectives import Objective, objective
from divergan.randomness import generator
from divergan.strict import Strict

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
else:
    np, pd, torch = lazy("numpy"), lazy("pandas"), lazy("torch")

JUDGED = 20_000  # fresh points a side that bound and ratio are judged on
CLIPPED = 20.0  # of a learned log ratio: beyond it an error is counted as that


class Bounds(Strict):
    objectives: list[str] = Field(min_length=1)
    dimensions: Annotated[list[Positive], Field(min_length=1)]
    points: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]  # of each side; 0: ever fresh ones
    hidden: Annotated[list[Positive], Field(min_length=1)]  # units in each of the critic's two layers
    seeds: Seeds
    distance: float = Field(gt=0)  # |m|
    batch: Positive
    steps: Positive
    looks: Positive  # evenly spaced, the last at the end
    learning_rate: float = Field(gt=0)

    @field_validator("objectives")
    @classmethod
    def _identify_a_ratio(cls, names: list[str]) -> list[str]:
        return with_a_ratio(names)


def with_a_ratio(names: list[str]) -> list[str]:
    """The names, each of an objective whose critic identifies p/q; a ValueError otherwise."""
    for name in names:
        chosen = named_objective(name)
        if chosen.log_ratio is None or chosen.f is None:
            raise ValueError(f"{name}: expected an objective whose critic identifies p/q")
    return names


def parts(settings: Bounds) -> Iterator[Part]:
    """A part an objective and dimension: every number of points and size of critic, all seeds at once."""
    shared = settings.model_dump(exclude={"objectives", "dimensions"})
    count = len(settings.points) * len(settings.hidden) * settings.looks
    for name in settings.objectives:
        for dimension in settings.dimensions:
            yield Part(
                key=f"{file_name(name)}.d{dimension}",
                settings=shared | {"objective": name, "dimension": dimension},
                objectives=(name,),
                steps=count,
            )


def compute(settings: dict[str, Any], progress: Progress) -> Rows:
    """A row for each number of points, size of critic, seed and look."""
    own, rows, looks = objective(settings["objective"]), [], 0
    exact = divergence(own, settings["distance"])
    for points in settings["points"]:
        for hidden in settings["hidden"]:
            for step, found in trained(own, settings, points, hidden):
                looks += 1
                progress.update(looks)
                rows += [
                    {
                        "objective": own.name, "label": own.label, "dimension": settings["dimension"],
                        "distance": settings["distance"], "points": points, "hidden": hidden, "seed": seed,
                        "step": step, "exact": exact,
                        "outcome": "finished" if isfinite(judged["bound"]) else "diverged", **judged,
                    }
                    for seed, judged in zip(settings["seeds"], found, strict=True)
                ]  # fmt: skip
    return rows


def divergence(own: Objective, distance: float) -> float:
    """E_Q[f(p/q)] - f(1) of two unit normals this far apart, by the trapezoidal rule."""
    assert own.f is not None
    x = torch.linspace(-14, 14 + distance, 40_001, dtype=torch.float64)
    log_q = -((x - distance) ** 2) / 2 - log(2 * pi) / 2
    u = (distance**2 / 2 - distance * x).exp()
    return float(torch.trapezoid(log_q.exp() * own.f(u), x)) - own.at_equality


def trained(
    own: Objective, settings: dict[str, Any], points: int, hidden: int
) -> Iterator[tuple[int, list[dict[str, float]]]]:
    """(step, what is found of each seed) at every look; each seed has its own critic and points."""
    seeds, d, batch = settings["seeds"], settings["dimension"], settings["batch"]
    critics = Critics(seeds, "bounds critic", d, hidden, torch.relu)
    optimiser = torch.optim.Adam(critics.parameters, lr=settings["learning_rate"])
    rngs = [generator(seed, "bounds", d, points) for seed in seeds]
    kept = None if points == 0 else drawn(rngs, points, settings)
    fresh = drawn([generator(seed, "bounds judged", d) for seed in seeds], JUDGED, settings)
    looks = {round(settings["steps"] * k / settings["looks"]) for k in range(1, settings["looks"] + 1)}
    for step in range(1, settings["steps"] + 1):
        x = drawn(rngs, batch, settings) if kept is None else picked(rngs, kept, batch)
        v_real, v_fake = critics(x).split(batch, dim=1)
        optimiser.zero_grad(set_to_none=True)
        (len(seeds) * own.critic_loss(v_real, v_fake)).backward()
        optimiser.step()
        if step in looks:
            with torch.no_grad():
                yield step, judged(own, critics, fresh, kept, settings)


def drawn(rngs: list[torch.Generator], count: int, settings: dict[str, Any]) -> torch.Tensor:
    """(S, 2 count, d): data, then as many of Q, whose mean lies on the diagonal."""
    d = settings["dimension"]
    z = torch.stack([torch.randn(2 * count, d, generator=rng) for rng in rngs])
    z[:, count:] += settings["distance"] / d**0.5
    return z


def picked(rngs: list[torch.Generator], kept: torch.Tensor, batch: int) -> torch.Tensor:
    """A batch a side of the kept points, with replacement: (S, 2 batch, d)."""
    count = kept.shape[1] // 2
    chosen = [
        torch.cat([side * count + torch.randint(count, (batch,), generator=rng) for side in (0, 1)]) for rng in rngs
    ]
    return torch.stack([own[places] for own, places in zip(kept, chosen, strict=True)])


def judged(
    own: Objective,
    scores: Callable[[torch.Tensor], torch.Tensor],
    fresh: torch.Tensor,
    kept: torch.Tensor | None,
    settings: dict[str, Any],
) -> list[dict[str, float]]:
    """Of each seed: the bound on fresh points and on those it was trained on, the error of its log ratio."""
    v = scores(fresh)
    m = settings["distance"]
    exact = m**2 / 2 - m * fresh.sum(2) / settings["dimension"] ** 0.5
    assert own.log_ratio is not None
    learned = own.log_ratio(v).nan_to_num(neginf=-CLIPPED).clamp(-CLIPPED, CLIPPED)
    errors = (learned - exact).square().mean(1).sqrt()
    own_points = None if kept is None else scores(kept)
    return [
        {
            "bound": float(own.divergence(*v[i].chunk(2))),
            "bound_seen": nan if own_points is None else float(own.divergence(*own_points[i].chunk(2))),
            "ratio_error": float(errors[i]),
        }
        for i in range(len(v))
    ]


def seconds(settings: dict[str, Any]) -> float:
    """The arithmetic of all critics at 20 GFLOP/s (small matrices), and half a millisecond a step."""
    widths = [h * (settings["dimension"] + h) for h in settings["hidden"]]
    operations = 12 * settings["batch"] * len(settings["seeds"]) * sum(widths) / len(widths)
    runs = len(settings["points"]) * len(settings["hidden"])
    return runs * settings["steps"] * (operations / 20e9 + 5e-4)


# --- tables

WHO = ["objective", "label", "dimension", "points", "hidden", "step"]


def tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """bounds: the rows; bounds_summary: mean and 95 % interval over seeds of each."""
    rows = rows.reindex(columns=[*rows.columns, *(c for c in ("bound", "bound_seen", "ratio_error") if c not in rows)])
    return {"bounds": rows, "bounds_summary": pd.DataFrame([summary(own) for _, own in rows.groupby(WHO, sort=False)])}


def summary(own: pd.DataFrame) -> dict[str, Any]:
    """`gap` is the exact divergence less the bound on fresh points, as a share of the divergence."""
    done = own[own["outcome"] == "finished"].astype({"bound": float, "bound_seen": float, "ratio_error": float})
    row = {name: own[name].iloc[0] for name in (*WHO, "exact")} | {"n": len(done), "n_runs": len(own)}
    measured = {name: done[name] for name in ("bound", "bound_seen", "ratio_error")}
    measured["gap"] = 1 - done["bound"] / done["exact"]
    return row | with_intervals(measured)


BOUNDS = Chapter(
    name="bounds",
    label="How tight the bound is",
    settings=Bounds,
    parts=parts,
    compute=compute,
    tables=tables,
    seconds=seconds,
)
