"""Learned distances beside exact ones.

W1 by critics that are held 1-Lipschitz; W1 and MMD² from samples alone; and bounds of f-divergences by critics whose
restriction is relaxed as they learn.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite, nan
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, field_validator

from divergan.chapters import lipschitz, relaxation, sampled
from divergan.chapters.bounds import divergence, with_a_ratio
from divergan.chapters.declaration import Chapter, Part, Progress, Rows, file_name
from divergan.chapters.summaries import with_intervals
from divergan.kinds import Positive, Seeds
from divergan.lazy import lazy
from divergan.objectives import objective
from divergan.objectives.kernels import KernelDistance
from divergan.strict import Strict, known

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
else:
    np, pd = lazy("numpy"), lazy("pandas")

Dimensions = Annotated[list[Positive], Field(min_length=1)]
Points = Annotated[list[Annotated[int, Field(ge=2)]], Field(min_length=1)]
Draws = Annotated[int, Field(ge=2)]  # independent sets of points


class Learned(Strict):
    hidden: Positive  # units in each of the critic's two layers
    batch: Positive  # points a side
    steps: Positive
    looks: Positive  # evenly spaced, the last at the end
    learning_rate: float = Field(gt=0)
    clips: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]  # limits of the weights
    penalty: float = Field(gt=0)  # weight of the gradient penalties


class PlugIn(Strict):
    points: Points  # of each side
    draws: Draws


class Discrepancy(Strict):
    kernels: list[str] = Field(min_length=1)
    points: Points
    draws: Draws

    @field_validator("kernels")
    @classmethod
    def _have_an_exact_mean(cls, names: list[str]) -> list[str]:
        return [known(name, sampled.MEANS) for name in names]


class Relaxed(Strict):
    objectives: list[str] = Field(min_length=1)
    restrictions: list[str] = Field(min_length=1)
    dimension: Positive
    points: Positive  # of each side, that the critic learns from
    hidden: Positive
    batch: Positive
    steps: Positive
    looks: Positive
    learning_rate: float = Field(gt=0)
    penalty: float = Field(gt=0)  # weight of the one-sided gradient penalty, at first
    clip: float = Field(gt=0)  # limit of the weights, at first
    clip_end: float = Field(gt=0)  # ... and at the end, where it is relaxed
    noise: float = Field(gt=0)  # standard deviation of the instance noise, at first

    @field_validator("objectives")
    @classmethod
    def _identify_a_ratio(cls, names: list[str]) -> list[str]:
        return with_a_ratio(names)

    @field_validator("restrictions")
    @classmethod
    def _exist(cls, names: list[str]) -> list[str]:
        return [known(name, relaxation.RESTRICTIONS) for name in names]


class Distances(Strict):
    seeds: Seeds
    distance: float = Field(gt=0)  # between the means of two unit normals
    dimensions: Dimensions
    learned: Learned
    plug_in: PlugIn
    discrepancy: Discrepancy
    relaxed: Relaxed


def parts(settings: Distances) -> Iterator[Part]:
    """A part a pair of distributions, a kernel, or an objective and restriction."""
    shared = settings.model_dump(include={"seeds", "distance"})
    learned, plug_in = settings.learned.model_dump(), settings.plug_in.model_dump()
    count = (len(settings.learned.clips) + 3) * settings.learned.looks
    for pair, d in [*(("shift", d) for d in settings.dimensions), *((name, 1) for name in lipschitz.ON_A_LINE)]:
        own = shared | {"kind": "learned", "pair": pair, "dimension": d}
        yield Part(key=f"w1.{pair}.d{d}", settings=own | learned, objectives=("wasserstein",), steps=count)
    for d in settings.dimensions:
        own = shared | {"kind": "plug_in", "pair": "shift", "dimension": d}
        yield Part(key=f"plug_in.d{d}", settings=own | plug_in, steps=len(settings.plug_in.points))
    for name in settings.discrepancy.kernels:
        own = shared | settings.discrepancy.model_dump(exclude={"kernels"}) | {"dimensions": settings.dimensions}
        count = len(settings.dimensions) * len(settings.discrepancy.points)
        yield Part(key=name, settings=own | {"kind": "discrepancy", "kernel": name}, objectives=(name,), steps=count)
    relaxed = settings.relaxed.model_dump(exclude={"objectives", "restrictions"})
    for name in settings.relaxed.objectives:
        for restriction in [relaxation.FREE, *settings.relaxed.restrictions]:
            schedules = 1 if restriction == relaxation.FREE else len(relaxation.SCHEDULES)
            yield Part(
                key=f"{file_name(name)}.{restriction}",
                settings=shared | relaxed | {"kind": "relaxed", "objective": name, "restriction": restriction},
                objectives=(name,),
                steps=schedules * settings.relaxed.looks,
            )


def compute(settings: dict[str, Any], progress: Progress) -> Rows:
    rows: Rows = []
    for row in COMPUTED[settings["kind"]](settings):
        rows.append(row)
        progress.update(len(rows) // (len(settings["seeds"]) if settings["kind"] in ("learned", "relaxed") else 1))
    return rows


def learned_rows(settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each way to hold the critic, look and seed."""
    pair, own = pair_of(settings), objective("wasserstein")
    for way in lipschitz.ways(settings["clips"], settings["penalty"]):
        known_answer = expected(way, pair, settings["dimension"])
        for step, found in lipschitz.learned(way, pair, own, settings):
            for seed, judged in zip(settings["seeds"], found, strict=True):
                yield {
                    "kind": "learned", "pair": pair.name, "pair_label": pair.label, "dimension": settings["dimension"],
                    "way": way.name, "way_label": way.label, "step": step, "seed": seed, "exact": pair.distance,
                    "expected": known_answer,
                    "outcome": "finished" if isfinite(judged["estimate"]) else "diverged", **judged,
                }  # fmt: skip


def expected(way: lipschitz.Way, pair: lipschitz.Pair, d: int) -> float:
    """What the best critic held in that way says, where it is known."""
    if way.penalty:
        return lipschitz.penalised(pair, way.penalty) if d == 1 else nan
    return pair.distance if way.spectral else nan


def pair_of(settings: dict[str, Any]) -> lipschitz.Pair:
    name = settings["pair"]
    return lipschitz.shifted(settings["distance"]) if name == "shift" else lipschitz.ON_A_LINE[name]


def plug_in_rows(settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each number of points, over independent draws of them."""
    pair, d = pair_of(settings), settings["dimension"]
    for points in settings["points"]:
        values = np.array([sampled.plug_in(pair, points, d, draw) for draw in range(settings["draws"])])
        yield {
            "kind": "plug_in", "dimension": d, "points": points, "draws": settings["draws"], "exact": pair.distance,
            "outcome": "finished", **sampled.moments(values),
        }  # fmt: skip


def discrepancy_rows(settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each dimension and number of points: both estimators over independent draws."""
    kernel = objective(settings["kernel"])
    assert isinstance(kernel, KernelDistance)
    for d in settings["dimensions"]:
        exact = sampled.exact_discrepancy(kernel, d, settings["distance"])
        for points in settings["points"]:
            found = sampled.discrepancies(kernel, d, points, settings["distance"], settings["draws"])
            statistics = dict(zip(("unbiased", "biased"), map(sampled.moments, found.T), strict=True))
            yield {
                "kind": "discrepancy", "kernel": kernel.name, "label": kernel.label, "dimension": d, "points": points,
                "draws": settings["draws"], "exact": exact, "exact_bias": sampled.exact_bias(kernel, d, points),
                "negative": float((found[:, 0] < 0).mean()), "outcome": "finished",
                **{f"{name}_{key}": value for name, own in statistics.items() for key, value in own.items()},
            }  # fmt: skip


def relaxed_rows(settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each schedule, look and seed."""
    own, restriction = objective(settings["objective"]), settings["restriction"]
    exact = divergence(own, settings["distance"])
    free = restriction == relaxation.FREE
    for schedule in (relaxation.FREE,) if free else relaxation.SCHEDULES:
        for step, found in relaxation.trained(own, restriction, schedule, settings):
            for seed, judged in zip(settings["seeds"], found, strict=True):
                yield {
                    "kind": "relaxed", "objective": own.name, "label": own.label, "restriction": restriction,
                    "restriction_label": relaxation.RESTRICTIONS.get(restriction, "none"), "schedule": schedule,
                    "step": step, "seed": seed, "dimension": settings["dimension"], "points": settings["points"],
                    "exact": exact, "outcome": "finished" if isfinite(judged["bound"]) else "diverged", **judged,
                }  # fmt: skip


COMPUTED = {
    "learned": learned_rows,
    "plug_in": plug_in_rows,
    "discrepancy": discrepancy_rows,
    "relaxed": relaxed_rows,
}


def seconds(settings: dict[str, Any]) -> float:
    """Milliseconds a step of a critic; nanoseconds a pair of points."""
    if settings["kind"] in ("learned", "relaxed"):
        return critics_seconds(settings)
    pairs = settings["draws"] * sum(n * n for n in settings["points"])
    return pairs * (1.2e-6 if settings["dimension"] > 1 else 1e-9) if settings["kind"] == "plug_in" else pairs * 3e-7


def critics_seconds(settings: dict[str, Any]) -> float:
    """The arithmetic of all critics at 20 GFLOP/s (small matrices), and two milliseconds a step."""
    ways = len(settings["clips"]) + 3 if settings["kind"] == "learned" else 2
    width = settings["hidden"] * (settings["dimension"] + settings["hidden"])
    operations = 15 * settings["batch"] * len(settings["seeds"]) * width
    return ways * settings["steps"] * (operations / 20e9 + 2e-3)


# --- tables

LEARNED = ["pair", "pair_label", "dimension", "way", "way_label", "step"]
RELAXED = ["objective", "label", "restriction", "restriction_label", "schedule", "step"]


def tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each kind; of critics also mean and 95 % interval over seeds, and at each seed's best look."""
    kinds = {kind: own.dropna(axis=1, how="all").drop(columns="kind") for kind, own in rows.groupby("kind", sort=False)}
    learned = completed(kinds["learned"], ["estimate", "slope", "expected"])
    relaxed = completed(kinds["relaxed"], ["bound", "bound_seen"])
    return {
        "distances_learned": learned,
        "distances_learned_summary": summary(
            learned, LEARNED, {"ratio": ("estimate", True), "slope": ("slope", False), "foretold": ("expected", True)}
        ),
        "distances_plug_in": kinds["plug_in"],
        "distances_discrepancy": kinds["discrepancy"],
        "distances_relaxed": relaxed,
        "distances_relaxed_summary": summary(
            relaxed, RELAXED, {"share": ("bound", True), "share_seen": ("bound_seen", True)}
        ),
    }


def completed(rows: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """With the columns that no row has where all critics diverged."""
    return rows.reindex(columns=[*rows.columns, *(name for name in names if name not in rows)])


def summary(rows: pd.DataFrame, who: list[str], measured: dict[str, tuple[str, bool]]) -> pd.DataFrame:
    """A row each: mean and 95 % interval over seeds of columns, over the exact value where that is said."""
    return pd.DataFrame([summarised(own, who, measured) for _, own in rows.groupby(who, sort=False)])


def summarised(own: pd.DataFrame, who: list[str], measured: dict[str, tuple[str, bool]]) -> dict[str, Any]:
    done = own[own["outcome"] == "finished"]
    row = {name: own[name].iloc[0] for name in (*who, "exact")} | {"n": len(done), "n_runs": len(own)}
    values = {
        name: done[column].to_numpy(float) / (done["exact"].to_numpy(float) if over_exact else 1.0)
        for name, (column, over_exact) in measured.items()
    }
    return row | with_intervals(values)


DISTANCES = Chapter(
    name="distances",
    label="Learned distances",
    settings=Distances,
    parts=parts,
    compute=compute,
    tables=tables,
    seconds=seconds,
)
