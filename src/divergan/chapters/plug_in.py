"""The lecture's loop: fit the ratio r by a classifier, put it into E_Q[F(r)], and step G on that with r held fixed.

With F = f the estimate is right, for E_Q[f(p/q)] is D_f(P || Q); its gradient is another matter, because the ratio
moves with G and the step leaves that out. With the ideal ratio the step descends E_Q[h(p/q)] with

    h(u) - u h'(u) = F(u) + constant,   h''(u) = -F'(u)/u,

for the envelope theorem gives the gradient of E_Q[h(p/q)] as that of E_Q[(h - u h')(r)] with r held fixed. So h is
convex, and E_Q[h] a divergence, only where F falls. Adding c (u - 1) to f leaves D_f what it is and adds -c u log u to
h. `FORMS` are four functions F for one f:

    written     f: a divergence where f falls everywhere, as for reverse KL (h = f)
    normalised  f - f'(1)(u - 1): rises beyond u = 1 for every f, so never a divergence
    falling     f - f'(oo)(u - 1), where f'(oo) is finite: always a divergence, not always D_f
    corrected   f - u f'(u) = -f*(f'(u)): h = f for every f; it is f-GAN's own generator loss
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import exp, inf, isfinite, isinf, log, nan
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from divergan.chapters.declaration import Chapter, Part, Progress, Rows, file_name
from divergan.chapters.gaussian import (
    ENDS,
    LARGEST_LOG_RATIO,
    POINTS,
    log_p,
    minimum,
    train,
    value,
    with_an_exact_optimum,
)
from divergan.chapters.summaries import with_intervals
from divergan.kinds import Positive, Seeds
from divergan.lazy import lazy
from divergan.objectives import FDivergence, Scores, objective
from divergan.objectives.scores import BCE
from divergan.strict import Strict

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
else:
    np, pd, torch = lazy("numpy"), lazy("pandas"), lazy("torch")

Function = Callable[["torch.Tensor"], "torch.Tensor"]

FORMS = ("written", "normalised", "falling", "corrected")
START = (0.0, 1.0)  # μ and σ, as the chapter gaussian's training starts
PLANE = ((-3.0, 5.0), (0.25, 5.0))  # of μ and σ: whoever leaves it has lost the data
LONGEST, SHORTEST, MOST = 0.05, 1e-7, 4000  # of the ideal path: steps in (μ, log σ), and their number
KEPT = 60  # points of it, for the figure
EQUAL = 1e-9  # relative, of what quadrature or autograd gives twice


class PlugIn(Strict):
    objectives: list[str] = Field(min_length=1)
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
    def _are_f_divergences(cls, names: list[str]) -> list[str]:
        return with_an_exact_optimum(names)


def parts(settings: PlugIn) -> Iterator[Part]:
    shared = settings.model_dump(exclude={"objectives"})
    for name in settings.objectives:
        yield Part(
            key=file_name(name),
            settings=shared | {"objective": name},
            objectives=(name,),
            uses=((BCE, "objectives"),),
            steps=len(FORMS) * (settings.steps + settings.last_critic_steps),
        )


def compute(settings: dict[str, Any], progress: Progress) -> Rows:
    """A row for each distinct form and seed: where the loop ends, beside the ideal ratio's end and D_f's optimum."""
    own, rows = objective(settings["objective"]), []
    assert isinstance(own, FDivergence)
    optimum = minimum(own.f)
    shared = {
        "objective": own.name, "label": own.label, "exact": value(own.f, *optimum),
        "exact_mean": optimum[0], "exact_std": optimum[1],
    }  # fmt: skip
    each = settings["steps"] + settings["last_critic_steps"]
    for i, (names, plugged) in enumerate(distinct_forms(own).items()):
        told = shared | {"form": names[0], "also": ", ".join(names[1:])} | foretold(own, plugged)
        ends = train(classifier(own, plugged), settings | {"generator_loss": "alternative"}, After(progress, i * each))
        for seed, end in zip(settings["seeds"], ends, strict=True):
            rows.append(told | {"seed": seed} | ended(own, *end))
    return rows


@dataclass(frozen=True)
class After:
    """The progress of one form, after the steps of those before it."""

    progress: Progress
    before: int

    def update(self, done: int) -> None:
        self.progress.update(self.before + done)


def seconds(settings: dict[str, Any]) -> float:
    """The chapter gaussian's cost of a training, for three forms in the mean."""
    steps = settings["steps"] * (2 * settings["n_critic"] + 1) + 2 * settings["last_critic_steps"]
    return 3 * 1.4e-8 * steps * settings["batch"] * len(settings["seeds"]) * settings["hidden"]


# --- the functions put in


def slope(f: Function, u: torch.Tensor) -> torch.Tensor:
    """f'(u), itself differentiable."""
    with torch.enable_grad():
        u = u if u.requires_grad else u.detach().requires_grad_()
        return torch.autograd.grad(f(u).sum(), u, create_graph=True)[0]


def forms(own: FDivergence) -> dict[str, Function]:
    """Those of FORMS that there are: falling needs a finite f'(oo), which is where the conjugate's domain ends."""

    def shifted(by: float) -> Function:
        return lambda u: own.f(u) - by * (u - 1)

    made = {"written": own.f, "normalised": shifted(own.threshold)}
    if not isinf(own.domain[1]):
        made["falling"] = shifted(own.domain[1])
    return made | {"corrected": lambda u: own.f(u) - u * slope(own.f, u)}


def distinct_forms(own: FDivergence) -> dict[tuple[str, ...], Function]:
    """Forms by their names; those with the same gradient, up to a constant factor, are one."""
    found: dict[tuple[str, ...], Function] = {}
    for name, plugged in forms(own).items():
        same = next((names for names in found if constant_ratio(found[names], plugged)), ())
        kept = found.pop(same, plugged)
        found[*same, name] = kept
    return found


def ratios() -> torch.Tensor:
    return torch.logspace(-4, 4, 401, dtype=torch.float64)


def constant_ratio(one: Function, other: Function) -> bool:
    """Whether other' is a positive multiple of one': Adam then takes the same steps but for rounding."""
    a, b = (slope(g, ratios()).detach() for g in (one, other))
    factor = float((a * b).sum() / (a * a).sum())
    return factor > 0 and torch.allclose(factor * a, b, rtol=1e-6, atol=EQUAL)


def turning_point(plugged: Function) -> float:
    """The u from which F rises, so that h is no longer convex; infinite where F falls everywhere."""
    u = ratios()
    rising = (slope(plugged, u).detach() > EQUAL).nonzero()
    if not len(rising):
        return inf
    low, high = u[max(0, int(rising[0]) - 1)], u[rising[0]][0]
    for _ in range(50):
        middle = (low * high).sqrt()
        low, high = (low, middle) if bool(slope(plugged, middle) > EQUAL) else (middle, high)
    return float(high)


def multiple(own: FDivergence, plugged: Function) -> float:
    """k where h'' = k f'', so that the loop descends k D_f; NaN where it descends something else."""
    u = ratios()
    of = -slope(plugged, u).detach() / u / slope(lambda x: slope(own.f, x), u).detach()
    return float(of.mean()) if bool((of - of.mean()).abs().max() < 1e-6 * of.mean().abs()) else nan


# --- the ideal ratio


def field(plugged: Function, mean: float, log_std: float) -> np.ndarray:
    """The gradient (2,) of E_z[F(r(μ + σ z))] in (μ, log σ) with r = p/q held fixed at this place, by quadrature.

    It is the integral of q F'(u) du/dx dx/d(μ, log σ), where q u = p and dx/d(μ, log σ) is (1, x - μ).
    """
    x = np.linspace(*ENDS, POINTS)
    own_log_p, std = log_p(x), exp(log_std)
    log_u = own_log_p + ((x - mean) / std) ** 2 / 2 + log_std + log(2 * np.pi) / 2
    log_u = np.clip(log_u, -LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)
    rise = slope(plugged, torch.from_numpy(np.exp(log_u))).detach().numpy()
    weight = np.exp(own_log_p) * rise * np.gradient(log_u, x)
    return np.array([np.trapezoid(weight, x), np.trapezoid(weight * (x - mean), x)])


def ideal_path(plugged: Function) -> list[tuple[float, float]]:
    """(μ, σ) along the descent of the field from the start, until it rests or leaves the plane.

    Steps have a length of their own, halved where the direction turns: the field itself can be infinite.
    """
    place, step, before = np.array([START[0], log(START[1])]), LONGEST, None
    path = [START]
    while step > SHORTEST and len(path) < MOST and inside(*path[-1]):
        gradient = field(plugged, *place)
        direction = gradient / max(float(np.linalg.norm(gradient)), 1e-300)
        if before is not None:
            agreement = float(direction @ before)
            step = step / 2 if agreement < 0 else min(LONGEST, 1.2 * step) if agreement > 0.9 else step
        place, before = place - step * direction, direction
        path.append((float(place[0]), exp(float(place[1]))))
    return path


def inside(mean: float, std: float) -> bool:
    return all(low < at < high for at, (low, high) in zip((mean, std), PLANE, strict=True))


def foretold(own: FDivergence, plugged: Function) -> dict[str, Any]:
    """What theory says of a form: where h stops being convex, k if it descends k D_f, and the ideal path's end."""
    path = ideal_path(plugged)
    rests = inside(*path[-1])
    mean, std = path[-1] if rests else (nan, nan)
    return {
        "turn": turning_point(plugged), "multiple": multiple(own, plugged), "rests": rests,
        "ideal_mean": mean, "ideal_std": std, "path": [*path[:: max(1, len(path) // KEPT)], path[-1]],
    }  # fmt: skip


# --- the loop


@dataclass(frozen=True, kw_only=True)
class PluggedIn(Scores):
    """A classifier's two losses, and the generator's: E_Q[F(r)] at the ratio that the classifier found."""

    plugged: Function
    estimated: Function  # f, whose divergence the lecture's Monte Carlo estimate is

    def alternative_loss(self, v_fake: torch.Tensor, v_real: torch.Tensor | None = None) -> torch.Tensor:
        return self.plugged(v_fake.exp()).mean()

    def divergence(self, v_real: torch.Tensor, v_fake: torch.Tensor) -> torch.Tensor:
        """E_Q[f(r)] - f(1)."""
        return (self.estimated(v_fake.exp()) - self.estimated(torch.ones(()))).mean()


def classifier(own: FDivergence, plugged: Function) -> PluggedIn:
    return PluggedIn(
        name=own.name, label=own.label, source=BCE.source, formula=BCE.formula, f=BCE.f, real=BCE.real, fake=BCE.fake,
        log_ratio=BCE.log_ratio, plugged=plugged, estimated=own.f,
    )  # fmt: skip


def ended(own: FDivergence, mean: float, std: float, estimate: float) -> dict[str, Any]:
    """Where a seed's loop is at the end: in the plane, with the divergence there, or out of it, or nowhere."""
    if not all(map(isfinite, (mean, std))):
        return {"outcome": "diverged"}
    if not inside(mean, std):
        return {"outcome": "left", "mean": mean, "std": std}
    measured = {"estimate": estimate, "divergence": value(own.f, mean, std)}
    return {"outcome": "finished", "mean": mean, "std": std} | measured


# --- tables

WHO = ["objective", "label", "form", "also"]
TOLD = ["exact", "exact_mean", "exact_std", "turn", "multiple", "rests", "ideal_mean", "ideal_std"]
MEASURED = ["mean", "std", "estimate", "divergence"]


def tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """plug_in: a row a seed; plug_in_summary: a form, means over the seeds that stayed; plug_in_paths: the ideal's."""
    rows = rows.assign(turn=rows["turn"].fillna(inf))  # JSON has no infinity
    groups = rows.groupby(["objective", "form"], sort=False)
    paths = [
        {"objective": objective_, "form": form, "mean": mean, "std": std}
        for (objective_, form), own in groups
        for mean, std in own["path"].iloc[0]
    ]
    runs = rows.reindex(columns=[*WHO, *TOLD, "seed", "outcome", *MEASURED])
    return {
        "plug_in": runs,
        "plug_in_summary": pd.DataFrame([summary(own) for _, own in runs.groupby(["objective", "form"], sort=False)]),
        "plug_in_paths": pd.DataFrame(paths),
    }


def summary(own: pd.DataFrame) -> dict[str, Any]:
    """`distance` is to D_f's optimum, `distance_to_ideal` to where the ideal ratio leads."""
    done = own[own["outcome"] == "finished"].astype(dict.fromkeys([*MEASURED, "ideal_mean", "ideal_std"], float))
    row = {name: own[name].iloc[0] for name in (*WHO, *TOLD)} | {"n": len(done), "n_runs": len(own)}
    row["left"] = int((own["outcome"] == "left").sum())
    measured = {name: done[name] for name in MEASURED} | {
        "distance": np.hypot(done["mean"] - done["exact_mean"], done["std"] - done["exact_std"]),
        "distance_to_ideal": np.hypot(done["mean"] - done["ideal_mean"], done["std"] - done["ideal_std"]),
    }
    return row | with_intervals(measured)


PLUG_IN = Chapter(
    name="plug_in",
    label="The ratio put into the divergence",
    settings=PlugIn,
    parts=parts,
    compute=compute,
    tables=tables,
    seconds=seconds,
)
