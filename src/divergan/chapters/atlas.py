"""What a GAN loss really minimises: of all exact minimisers, the one that the trained generator is nearest to.

A nominal divergence, a generator loss and a regulariser are trained on a known mixture; the landmarks are the normals
that each divergence, each alternative loss and each distance calls nearest to it. Two normals with diagonal covariances
lie as far apart as their means and standard deviations do: that distance is their W2.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite, nan
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator

from divergan.chapters.declaration import Chapter, Part, Progress, Rows, file_name
from divergan.chapters.fitting import fitted
from divergan.chapters.landmarks import MIXTURES, landmarks
from divergan.chapters.summaries import with_intervals
from divergan.kinds import Positive, Seeds, named_objective
from divergan.lazy import lazy
from divergan.objectives import KernelDistance, objective
from divergan.strict import Strict, known

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
else:
    np, pd = lazy("numpy"), lazy("pandas")

Regularisation = Literal["none", "r1", "gradient_penalty", "instance_noise"]
PENALTIES = ("r1", "gradient_penalty")  # that bound the critic's slope
ONE_LOSS = "wasserstein"  # bound and alternative are one loss, up to what the generator cannot change


class Atlas(Strict):
    targets: list[str] = Field(min_length=1)
    objectives: Annotated[dict[str, Annotated[list[Regularisation], Field(min_length=1)]], Field(min_length=1)]
    generator_losses: list[Literal["bound", "alternative"]] = Field(min_length=1)
    landmarks: list[str]  # objectives whose minimisers are shown, beside those of the trained ones
    seeds: Seeds
    hidden: Positive
    batch: Positive
    steps: Positive
    n_critic: Positive
    critic_learning_rate: float = Field(gt=0)
    learning_rate: float = Field(gt=0)
    gamma: float = Field(gt=0)  # of R1
    penalty: float = Field(gt=0)  # weight of the gradient penalty, two-sided
    noise: float = Field(gt=0)  # standard deviation of instance noise, constant

    @field_validator("targets")
    @classmethod
    def _are_targets(cls, names: list[str]) -> list[str]:
        return [known(name, MIXTURES) for name in names]

    @field_validator("objectives")
    @classmethod
    def _can_be_trained(cls, chosen: dict[str, list[str]]) -> dict[str, list[str]]:
        for name, regularisers in chosen.items():
            own = named_objective(name)
            if own.untrainable or (own.outputs > 1 and not isinstance(own, KernelDistance)):
                raise ValueError(f"{name}: expected an objective that a critic of one score can be trained by")
            if isinstance(own, KernelDistance) and set(regularisers) & set(PENALTIES):
                raise ValueError(f"{name}: its kernel looks at the points, there is no critic to regularise")
            if name == ONE_LOSS and set(regularisers) - set(PENALTIES):
                raise ValueError(f"{name}: without a bound on the critic's slope there is no best critic")
        return chosen

    @field_validator("landmarks")
    @classmethod
    def _have_a_minimiser(cls, names: list[str]) -> list[str]:
        for name in names:
            own = named_objective(name)
            if own.f is None or own.untrainable or name.startswith("precision_recall"):
                raise ValueError(f"{name}: expected an objective with an f that is smooth, or the total variation's")
        return names


def parts(settings: Atlas) -> Iterator[Part]:
    """For each target the exact minimisers, with and without noise, and a part an objective."""
    shared = settings.model_dump(exclude={"targets", "objectives", "landmarks", "generator_losses"})
    for target in settings.targets:
        for noise in noises(settings):
            names = list(dict.fromkeys([*settings.landmarks, *settings.objectives]))
            yield Part(
                key=f"{target}.landmarks{'.noise' if noise else ''}",
                settings={"target": target, "noise": noise, "landmarks": names},
                objectives=tuple(names),
                steps=2 * len(names) + 3,
            )
        for name, regularisers in settings.objectives.items():
            one_loss = name == ONE_LOSS or isinstance(named_objective(name), KernelDistance)
            losses = settings.generator_losses[:1] if one_loss else settings.generator_losses
            yield Part(
                key=f"{target}.{file_name(name)}",
                settings=shared
                | {"target": target, "objective": name, "regularisers": regularisers, "generator_losses": losses},
                objectives=(name,),
                steps=len(regularisers) * len(losses) * settings.steps,
            )


def noises(settings: Atlas) -> list[float]:
    noisy = any("instance_noise" in regularisers for regularisers in settings.objectives.values())
    return [0.0, settings.noise] if noisy else [0.0]


def compute(settings: dict[str, Any], progress: Progress) -> Rows:
    """A row a landmark, or a row for each loss, regulariser and seed."""
    target = MIXTURES[settings["target"]]
    who = {"target": target.name, "target_label": target.label}
    if "landmarks" in settings:
        found = landmarks(target, settings["noise"], settings["landmarks"], progress.update)
        return [who | {"noise": settings["noise"], "outcome": "finished"} | row for row in found]
    own, rows = objective(settings["objective"]), []
    done = 0
    for loss in settings["generator_losses"]:
        for regulariser in settings["regularisers"]:
            places = fitted(own, loss, regulariser, target, settings, lambda step: progress.update(done + step))  # noqa: B023
            done += settings["steps"]
            noise = settings["noise"] if regulariser == "instance_noise" else 0.0
            for seed, (mean, std) in zip(settings["seeds"], places, strict=True):
                finite = all(map(isfinite, (*mean, *std))) and min(std) > 0
                row = who | {
                    "noise": noise, "objective": own.name, "label": own.label, "generator_loss": loss,
                    "regulariser": regulariser, "seed": seed, "outcome": "finished" if finite else "diverged",
                }  # fmt: skip
                rows.append(row | ({"mean": mean, "std": std} if finite else {}))
    return rows


def seconds(settings: dict[str, Any]) -> float:
    """Points through the critics, 35 ns a hidden unit of each, small calls and penalties among them.

    A landmark on a line takes a fifth of a second, in the plane two.
    """
    if "landmarks" in settings:
        return 0.2 * 10.0 ** (MIXTURES[settings["target"]].dimension - 1) * len(settings["landmarks"])
    steps = settings["steps"] * (2 * settings["n_critic"] + 1) * len(settings["regularisers"])
    points = steps * settings["batch"] * len(settings["seeds"]) * len(settings["generator_losses"])
    return 3.5e-8 * points * settings["hidden"]


# --- tables

WHO = ["target", "objective", "generator_loss", "regulariser"]


def tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """atlas: a row a run, with the nearest landmark; atlas_landmarks: every exact minimiser; atlas_summary: over seeds.

    `place` columns are the means and then the standard deviations of the normal, a column a number.
    """
    exact = rows[rows["objective"].isna()]
    runs = rows[rows["objective"].notna()]
    found = [nearest(own, landmarks_of(exact, own.iloc[0])) for _, own in runs.groupby(WHO, sort=False)]
    return {
        "atlas": pd.concat([own for own, _ in found], ignore_index=True),
        "atlas_landmarks": placed(exact).drop(columns=[*WHO[1:], "label", "seed", "outcome"]),
        "atlas_summary": pd.DataFrame([summary for _, summary in found]),
    }


def places(rows: pd.DataFrame) -> np.ndarray:
    """(n, 2d): means, then standard deviations."""
    return np.array([[*mean, *std] for mean, std in zip(rows["mean"], rows["std"], strict=True)])


def placed(rows: pd.DataFrame) -> pd.DataFrame:
    """The lists of a place as columns mean_1, mean_2, std_1, std_2; empty beyond a target's dimension."""
    numbers = {
        f"{name}_{i + 1}": [own[i] if isinstance(own, list) and i < len(own) else nan for own in rows[name]]
        for name in ("mean", "std")
        for i in range(2)
    }
    return rows.drop(columns=["mean", "std"]).assign(**numbers)


def landmarks_of(exact: pd.DataFrame, run: pd.Series) -> pd.DataFrame:
    """The exact minimisers of a run's target, under the noise that it was trained with."""
    return exact[(exact["target"] == run["target"]) & (exact["noise"] == run["noise"])].reset_index(drop=True)


def theory(run: pd.Series, exact: pd.DataFrame) -> int | None:
    """Which landmark the best critic would lead to: with the regulariser where that is known, else without it."""
    for member in (f"{run['objective']}+{run['regulariser']}", run["objective"]):
        for i, members in enumerate(exact["members"]):
            if f"{member}/{run['generator_loss']}" in members:
                return i
    return None


def nominal(run: pd.Series, exact: pd.DataFrame) -> int | None:
    """The landmark of the divergence that the loss is named after."""
    wanted = (i for i, members in enumerate(exact["members"]) if f"{run['objective']}/bound" in members)
    return next(wanted, None)


def nearest(own: pd.DataFrame, exact: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The runs of one loss and regulariser with what each is nearest to, and what they are together.

    `distance` is the mean over seeds of the distance to the landmark for which that is least, `margin` how much farther
    the second is: certain where its interval is above zero. `share` of the seeds are nearest to it too.
    """
    done, run = own[own["outcome"] == "finished"], own.iloc[0]
    row = {name: run[name] for name in (*WHO, "target_label", "label", "noise")}
    row |= {"n": len(done), "n_runs": len(own)}
    expected, named = theory(run, exact), nominal(run, exact)
    row |= {"theory": label_of(exact, expected), "nominal": label_of(exact, named)}
    if not len(done):
        return placed(own.drop(columns=["landmark", "members", "value"])), row
    apart = np.linalg.norm(places(done)[:, None] - places(exact), axis=2)  # (seeds, landmarks)
    first, second = np.argsort(apart.mean(0))[:2]
    mine = own.drop(columns=["landmark", "members", "value"]).assign(nearest=None)
    mine.loc[done.index, "nearest"] = exact["landmark"].to_numpy()[apart.argmin(1)]
    row |= {
        "nearest": exact["landmark"][first], "second": exact["landmark"][second],
        "share": float((apart.argmin(1) == first).mean()),
        "agrees": None if expected is None else bool(first == expected),
        "is_nominal": None if named is None else bool(first == named),
    }  # fmt: skip
    measured = {
        "distance": apart[:, first], "margin": apart[:, second] - apart[:, first],
        "to_theory": apart[:, expected] if expected is not None else np.full(len(done), nan),
        "to_nominal": apart[:, named] if named is not None else np.full(len(done), nan),
    }  # fmt: skip
    row |= with_intervals(measured)
    return placed(mine), row | {"certain": bool(row["margin_low"] > 0)}


def label_of(exact: pd.DataFrame, index: int | None) -> str:
    return "" if index is None else str(exact["landmark"][index])


ATLAS = Chapter(
    name="atlas",
    label="What each loss really minimises",
    settings=Atlas,
    parts=parts,
    compute=compute,
    tables=tables,
    seconds=seconds,
)
