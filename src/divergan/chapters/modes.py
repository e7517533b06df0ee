"""Mode collapse on mixtures in the plane, by the published protocol (Lin et al. 2018, section 4.1).

Ring: 8 modes on the unit circle, σ 0.01. Grid: 25 modes at {-4, -2, 0, 2, 4}², σ 0.05. Of 2,500 samples, one is of high
quality within 3 σ of the nearest mode, and a mode is found where it has such a sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import cos, log, nan, pi, sin
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from divergan.chapters.declaration import Chapter, Part, Progress, Rows
from divergan.flops import training_step
from divergan.kinds import Name, Seeds, merged
from divergan.lazy import lazy
from divergan.networks import CRITICS, GENERATORS
from divergan.objectives import objective
from divergan.randomness import generator
from divergan.strict import Strict, known, misfit
from divergan.training import critic_step, generator_step, start

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch

    from divergan.params import Training
else:
    np, pd, torch = lazy("numpy"), lazy("pandas"), lazy("torch")

SHAPE = (1, 1, 2)  # a point, as networks for images take it
UNUSED = {"images": "gan", "checkpoints": 1, "checkpoint_samples": 2, "history_every": 1, "ema_decay": 0.0}
QUALITY = 3.0  # standard deviations
KEPT = 400  # samples of a run, for the figure
EVERY = 200  # steps between looks at whether all is finite


@dataclass(frozen=True, kw_only=True)
class Mixture:
    name: str
    label: str
    centres: tuple[tuple[float, float], ...]
    sigma: float

    def data(self, count: int, rng: torch.Generator) -> torch.Tensor:
        """float32 (count, 1, 1, 2) from equal modes."""
        centres = torch.tensor(self.centres)
        chosen = centres[torch.randint(len(centres), (count,), generator=rng)]
        return (chosen + self.sigma * torch.randn(count, 2, generator=rng)).view(count, *SHAPE)


RING = Mixture(
    name="ring",
    label="Ring of 8",
    centres=tuple((cos(2 * pi * i / 8), sin(2 * pi * i / 8)) for i in range(8)),
    sigma=0.01,
)
GRID = Mixture(
    name="grid",
    label="Grid of 25",
    centres=tuple((float(a), float(b)) for a, b in product(range(-4, 5, 2), repeat=2)),
    sigma=0.05,
)
MIXTURES = {mixture.name: mixture for mixture in (RING, GRID)}


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published row: means and standard errors over ten runs of 400,000 steps at batch 100."""

    mixture: str
    label: str
    source: str
    modes: float
    modes_error: float
    quality: float | None
    reverse_kl: float
    reverse_kl_error: float | None


PUBLISHED_STEPS, PUBLISHED_RUNS = 400_000, 10
PUBLISHED = (
    Published(
        mixture="ring", label="GAN", source="lin2018pacgan, Table 1",
        modes=6.3, modes_error=0.5, quality=0.982, reverse_kl=0.45, reverse_kl_error=0.09,
    ),
    Published(
        mixture="grid", label="GAN", source="lin2018pacgan, Table 1",
        modes=17.3, modes_error=0.8, quality=0.948, reverse_kl=0.70, reverse_kl_error=0.07,
    ),
    Published(
        mixture="ring", label="PacGAN4", source="lin2018pacgan, Table 1",
        modes=7.8, modes_error=nan, quality=None, reverse_kl=0.07, reverse_kl_error=None,
    ),
    Published(
        mixture="grid", label="PacGAN4", source="lin2018pacgan, Table 1",
        modes=24.8, modes_error=nan, quality=None, reverse_kl=0.04, reverse_kl_error=None,
    ),
)  # fmt: skip


class Modes(Strict):
    mixtures: list[str] = Field(min_length=1)
    seeds: Seeds
    samples: Annotated[int, Field(ge=100)]
    training: dict[str, Any]
    variants: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]  # name -> training over `training`

    @model_validator(mode="after")
    def _trains(self) -> Modes:
        for name in self.mixtures:
            try:
                known(name, MIXTURES)
            except ValueError as error:
                raise misfit(str(error), "mixtures") from None
        for name, own in self.variants.items():
            try:
                trained(merged(self.training, own))
            except ValueError as error:
                raise misfit(first_line(error), "variants", name) from None
        return self


def first_line(error: ValueError) -> str:
    """What is wrong with a variant's training, in one line."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    fault = errors()[0]
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"


def trained(given: Mapping[str, Any]) -> Training:
    """A part's training; what only image runs have is filled in."""
    from divergan.params import Training  # it rests on the chapters' own settings

    return Training.model_validate(UNUSED | dict(given))


def parts(settings: Modes) -> Iterator[Part]:
    for mixture in settings.mixtures:
        for variant, own in settings.variants.items():
            training = merged(settings.training, own)
            checked = trained(training)
            uses = (
                (GENERATORS[checked.generator.name], "networks"),
                (CRITICS[checked.critic.name], "networks"),
                *((regulariser, "regularisers") for regulariser, _ in checked.regularisation),
            )
            for seed in settings.seeds:
                yield Part(
                    key=f"{mixture}.{variant}-s{seed}",
                    settings={
                        "mixture": mixture,
                        "variant": variant,
                        "training": checked.model_dump(),
                        "samples": settings.samples,
                        "seed": seed,
                    },
                    objectives=(checked.objective,),
                    uses=uses,
                    steps=checked.steps,
                )


def compute(settings: dict[str, Any], progress: Progress) -> Rows:
    """The one row of a run: what it is, how it ended, what its samples are."""
    mixture, training = MIXTURES[settings["mixture"]], trained(settings["training"])
    points, diverged_at = sampled(mixture, training, settings["samples"], settings["seed"], progress)
    own = objective(training.objective)
    row = {
        "mixture": mixture.name, "mixture_label": mixture.label, "variant": settings["variant"],
        "label": own.label, "generator_loss": training.generator_loss, "regulariser": training.regulariser,
        "steps": training.steps, "batch": training.batch, "samples": settings["samples"], "seed": settings["seed"],
        "step": diverged_at,
        "outcome": "finished" if diverged_at is None else "diverged",
    }  # fmt: skip
    if diverged_at is None:
        row |= judged(mixture, points.numpy()) | {"points": points[:KEPT].tolist()}
    return [row]


def seconds(settings: dict[str, Any]) -> float:
    """Calls into torch, a millisecond a network and step, and the arithmetic at 60 GFLOP/s; penalties aside."""
    training = trained(settings["training"])
    return training.steps * (1e-3 * (1 + training.n_critic) + training_step(training, SHAPE) / 60e9)


def sampled(
    mixture: Mixture, training: Training, count: int, seed: int, progress: Progress
) -> tuple[torch.Tensor, int | None]:
    """Points (count, 2) of the trained generator, and the step at which it was seen to diverge, if it did."""
    own = objective(training.objective)
    networks = GENERATORS[training.generator.name], CRITICS[training.critic.name]
    players = start(training, own, networks, SHAPE, seed, "cpu")
    rng = generator(seed, "mixture")
    while players.step < training.steps:
        for _ in range(training.n_critic):
            real = mixture.data(training.batch, rng)
            critic_step(training, own, players, real)
        generator_step(training, own, players, real)
        players.step += 1
        if players.step % EVERY == 0 or players.step == training.steps:
            progress.update(players.step)
            networks_now = (players.generator, players.critic)
            if not all(bool(p.isfinite().all()) for network in networks_now for p in network.parameters()):
                return torch.empty(0, 2), players.step
    players.generator.eval()
    z = torch.randn(count, training.latent, generator=generator(seed, "evaluation latents"))
    with torch.no_grad():
        return players.generator(z).view(count, 2), None


def judged(mixture: Mixture, points: np.ndarray) -> dict[str, Any]:
    """The protocol's numbers of samples (n, 2), and the exact overlap of their distribution over modes with the data's.

    modes: found by at least one sample of high quality. quality: the share of such samples. reverse_kl: KL from the
    samples' distribution over nearest modes to the uniform one. overlap: the sum over modes of the smaller of the
    data's share (1/k) and that of high-quality samples: the mass that both have in common, 1 where Q is P.
    """
    centres = np.array(mixture.centres)
    distances = np.linalg.norm(points[:, None] - centres, axis=2)
    nearest = distances.argmin(axis=1)
    good = distances.min(axis=1) <= QUALITY * mixture.sigma
    k, n = len(centres), len(points)
    found = np.bincount(nearest[good], minlength=k)
    shares = np.bincount(nearest, minlength=k) / n
    return {
        "modes": int((found > 0).sum()),
        "quality": float(good.mean()),
        "reverse_kl": float(sum(share * log(share * k) for share in shares if share > 0)),
        "overlap": float(np.minimum(found / n, 1 / k).sum()),
    }


# --- tables

MEASURED = ("modes", "quality", "reverse_kl", "overlap")


def tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """modes: a row a run; modes_summary: a row a mixture and variant; modes_published; modes_points: of every run."""
    points = [
        {"mixture": row["mixture"], "variant": row["variant"], "seed": row["seed"], "x": x, "y": y}
        for row in rows.to_dict("records")
        if row["outcome"] == "finished"
        for x, y in row["points"]
    ]
    runs = rows.drop(columns="points", errors="ignore").reindex(
        columns=[*rows.columns.drop("points", errors="ignore"), *(m for m in MEASURED if m not in rows)]
    )
    groups = runs.groupby(["mixture", "variant"], sort=False)
    return {
        "modes": runs,
        "modes_summary": pd.DataFrame([summary(own) for _, own in groups]),
        "modes_published": pd.DataFrame([vars(row) for row in PUBLISHED]),
        "modes_points": pd.DataFrame(points, columns=["mixture", "variant", "seed", "x", "y"]),
    }


def summary(own: pd.DataFrame) -> dict[str, Any]:
    """Means over the runs that finished, each with its 95 % Student interval and, as published, its standard error."""
    from divergan.statistics import mean_interval  # it loads numpy, which a plan does without

    names = ("mixture", "mixture_label", "variant", "label", "generator_loss", "regulariser", "steps", "batch")
    done = own[own["outcome"] == "finished"]
    row = {name: own[name].iloc[0] for name in names} | {"n": len(done), "n_runs": len(own)}
    for name in MEASURED:
        values = np.asarray(done[name], dtype=float)
        low, high = mean_interval(values)
        error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else nan
        row |= {name: values.mean() if len(values) else nan, f"{name}_low": low, f"{name}_high": high}
        row |= {f"{name}_error": error}
    return row


MODES = Chapter(
    name="modes",
    label="Which modes are found",
    settings=Modes,
    parts=parts,
    compute=compute,
    tables=tables,
    seconds=seconds,
)
