"""What likelihood does not see: noise, a memoriser, and Parzen windows (Theis, van den Oord and Bethge 2016).

The data are P = N(0, I) in d dimensions. Every model is one whose density, or whose samples, are known:

    noisy       0.01 p + 0.99 N(0, s² I): never more than log 100 nats below p, yet 99 of 100 samples are noise
    shifted     p moved by so much in every coordinate
    scaled      p a few per cent wider
    memoriser   narrow normals at n training points: samples like data, no likelihood elsewhere
    smoothed    normals at these points as wide as validation points ask for
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf, log, log1p, nan
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from divergan.chapters import radial
from divergan.chapters.declaration import Chapter, Part, Progress, Rows
from divergan.chapters.summaries import with_intervals
from divergan.kinds import Positive, Seeds
from divergan.lazy import lazy
from divergan.metrics.parzen import choose_sigma, parzen_log_likelihood
from divergan.randomness import generator
from divergan.strict import Strict

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import scipy.stats
    import torch
else:
    np, pd, scipy, torch = lazy("numpy"), lazy("pandas"), lazy("scipy"), lazy("torch")

TYPICAL = 0.99  # of P's samples lie in the shell of norms that good samples are in
VALIDATION = 500  # points that a width is chosen on
WIDTHS = tuple(10 ** (k / 9 - 1) for k in range(14))  # 0.1 to 2.8, in the steps of the published ten
LLOYD_STEPS = 10


class Likelihood(Strict):
    dimensions: Annotated[list[Annotated[int, Field(ge=2)]], Field(min_length=1)]
    seeds: Seeds
    points: Annotated[int, Field(ge=10)]  # that are memorised; as many samples stand for a model in a Parzen window
    held_out: Annotated[int, Field(ge=100)]  # fresh points that likelihoods are measured on, and samples of a model
    noise_share: float = Field(gt=0, lt=1)
    noise: float = Field(gt=1)  # its standard deviation
    shift: float = Field(gt=0)  # of the shifted rival, a coordinate
    scale: float = Field(gt=1)  # standard deviation of the scaled rival
    narrow: float = Field(gt=0)  # standard deviation of the memoriser's normals
    shrunk: float = Field(gt=0, lt=1)  # standard deviation of the model that Parzen windows flatter
    per_centre: Positive  # training points to each centre of k-means


@dataclass(frozen=True, kw_only=True)
class Model:
    """A distribution of points (n, d), float64, whose log-density is known."""

    name: str
    label: str
    log_density: Callable[[torch.Tensor], torch.Tensor]
    samples: Callable[[int, torch.Generator], torch.Tensor]
    below: float = nan  # E_P[log p - log q], exactly, where a formula is known
    below_most: float = nan  # ... or no more than this, in the mean over training sets
    below_least: float = nan  # ... and no less than this
    good: float = nan  # share of samples in the shell, exactly (of a memoriser: in the mean over training sets)
    accuracy: float = nan  # of the best classifier between P and it, exactly


def parts(settings: Likelihood) -> Iterator[Part]:
    shared = settings.model_dump(exclude={"dimensions"})
    for d in settings.dimensions:
        yield Part(key=f"d{d}", settings=shared | {"dimension": d}, steps=len(settings.seeds))


def compute(settings: dict[str, Any], progress: Progress) -> Rows:
    """Rows of three kinds: a model each, a divergence of the noisy model each, a Parzen window each."""
    rows: Rows = []
    for done, seed in enumerate(settings["seeds"], start=1):
        training = drawn(seed, "training", settings["points"], settings)
        models = [*normals(settings), *kernel_models(training, seed, settings)]
        found = [judged(model, training, seed, settings) for model in models]
        rows += [{"kind": "model", **row} for row in found]
        rows += [{"kind": "divergence", **row} for row in divergences(models[1], seed, settings)]
        rows += [{"kind": "parzen", **row} for row in windows(training, seed, settings)]
        progress.update(done)
    return [{"dimension": settings["dimension"], "outcome": "finished", **row} for row in rows]


def drawn(seed: int, purpose: str, count: int, settings: dict[str, Any]) -> torch.Tensor:
    """float64 (count, d) of P."""
    rng = generator(seed, "likelihood", purpose, settings["dimension"])
    return torch.randn(count, settings["dimension"], generator=rng, dtype=torch.float64)


# --- models


def log_normal(x: torch.Tensor, std: float, mean: float = 0.0) -> torch.Tensor:
    """log N(x; mean in every coordinate, std² I) of points (n, d)."""
    return -((x - mean) / std).square().sum(1) / 2 - x.shape[1] * log(std * (2 * torch.pi) ** 0.5)


def normal_samples(std: float, mean: float, d: int) -> Callable[[int, torch.Generator], torch.Tensor]:
    return lambda count, rng: mean + std * torch.randn(count, d, generator=rng, dtype=torch.float64)


def normals(settings: dict[str, Any]) -> list[Model]:
    """P itself, P with noise, and its two rivals."""
    d, shift, scale = settings["dimension"], settings["shift"], settings["scale"]
    distance = shift * d**0.5
    return [
        Model(
            name="data", label="the data's own", log_density=lambda x: log_normal(x, 1.0),
            samples=normal_samples(1.0, 0.0, d), below=0.0, good=TYPICAL, accuracy=0.5,
        ),
        noisy(settings),
        Model(
            name="shifted", label=f"shifted by {shift:g} a coordinate", log_density=lambda x: log_normal(x, 1.0, shift),
            samples=normal_samples(1.0, shift, d), below=distance**2 / 2,
            good=radial.mass_in_shell(d, TYPICAL, distance=distance),
            accuracy=float(scipy.stats.norm.cdf(distance / 2)),
        ),
        Model(
            name="scaled", label=f"{100 * (scale - 1):.3g} % wider", log_density=lambda x: log_normal(x, scale),
            samples=normal_samples(scale, 0.0, d), below=scaled_below(d, scale),
            good=radial.mass_in_shell(d, TYPICAL, std=scale), accuracy=(1 + radial.total_variation(d, scale)) / 2,
        ),
    ]  # fmt: skip


def scaled_below(d: int, std: float) -> float:
    """KL(N(0, I) || N(0, std² I))."""
    return d * (log(std) + 1 / (2 * std**2) - 0.5)


def noisy(settings: dict[str, Any]) -> Model:
    d, share, std = settings["dimension"], settings["noise_share"], settings["noise"]

    def log_density(x: torch.Tensor) -> torch.Tensor:
        return torch.logaddexp(log_normal(x, 1.0) + log1p(-share), log_normal(x, std) + log(share))

    def samples(count: int, rng: torch.Generator) -> torch.Tensor:
        is_noise = torch.rand(count, 1, generator=rng) < share
        z = torch.randn(count, d, generator=rng, dtype=torch.float64)
        return torch.where(is_noise, std * z, z)

    return Model(
        name="noisy", label=f"{100 * share:g} % noise", log_density=log_density, samples=samples,
        below=-radial.expected(lambda squares: radial.noisy_log_density_above(squares, d, std, share), d),
        good=(1 - share) * TYPICAL + share * radial.mass_in_shell(d, TYPICAL, std=std),
        accuracy=(1 + share * radial.total_variation(d, std)) / 2,
    )  # fmt: skip


def kernel_models(training: torch.Tensor, seed: int, settings: dict[str, Any]) -> list[Model]:
    """Normals at the training points, narrow ones and ones whose width fits other points."""
    validation = drawn(seed, "validation", VALIDATION, settings)
    return [
        kernel_model("memoriser", f"memoriser, width {settings['narrow']:g}", training, settings["narrow"]),
        kernel_model("smoothed", "memoriser, width chosen", training, choose_sigma(training, validation, WIDTHS)),
    ]


def kernel_model(name: str, label: str, training: torch.Tensor, width: float) -> Model:
    """With Jensen's bounds of the mean of log q: above, the mean over training sets of q, N(0, (1 + width²) I), in the
    logarithm; below, the mean of one kernel's logarithm."""
    n, d = training.shape

    def samples(count: int, rng: torch.Generator) -> torch.Tensor:
        chosen = training[torch.randint(n, (count,), generator=rng)]
        return chosen + width * torch.randn(count, d, generator=rng, dtype=torch.float64)

    return Model(
        name=name, label=label, log_density=lambda x: parzen_log_likelihood(training, x, width), samples=samples,
        below_most=d * (log(width) + 1 / width**2 - 0.5), below_least=scaled_below(d, (1 + width**2) ** 0.5),
        good=radial.mass_in_shell(d, TYPICAL, std=(1 + width**2) ** 0.5),
    )  # fmt: skip


def judged(model: Model, training: torch.Tensor, seed: int, settings: dict[str, Any]) -> dict[str, Any]:
    """What is measured of a model on held-out points, on the training points, and on its own samples."""
    held_out = drawn(seed, "held out", settings["held_out"], settings)
    own = model.samples(settings["held_out"], generator(seed, "likelihood", model.name, settings["dimension"]))
    low, high = radial.shell(settings["dimension"], TYPICAL)
    squares = own.square().sum(1)
    above = model.log_density(held_out) - log_normal(held_out, 1.0)
    own_above = model.log_density(own) - log_normal(own, 1.0)
    right = ((above < 0).double() + (above == 0).double() / 2).mean() + (
        (own_above > 0).double() + (own_above == 0).double() / 2
    ).mean()
    return {
        "model": model.name, "label": model.label, "seed": seed,
        "below": -float(above.mean()), "exact_below": model.below,
        "below_least": model.below_least, "below_most": model.below_most,
        "below_seen": -float((model.log_density(training) - log_normal(training, 1.0)).mean()),
        "good": float(((squares > low) & (squares < high)).double().mean()), "exact_good": model.good,
        "accuracy": float(right) / 2, "exact_accuracy": model.accuracy,
    }  # fmt: skip


def divergences(model: Model, seed: int, settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """f-divergences of the noisy model: from its samples with the exact ratio, by quadrature, and their ceilings."""
    d, share, std = settings["dimension"], settings["noise_share"], settings["noise"]
    x = model.samples(settings["held_out"], generator(seed, "likelihood", "divergences", d))
    log_ratio = (log_normal(x, 1.0) - model.log_density(x)).numpy()
    for name, divergence in radial.DIVERGENCES.items():
        yield {
            "divergence": name, "label": divergence.label, "seed": seed,
            "measured": float(divergence.f(log_ratio).mean()),
            "exact": radial.noisy_divergence(divergence, d, std, share),
            "ceiling": divergence.ceiling(share), "most": divergence.most,
        }  # fmt: skip


# --- Parzen windows


def windows(training: torch.Tensor, seed: int, settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each model's samples as a Parzen window, beside the likelihood that the model has."""
    validation = drawn(seed, "validation", VALIDATION, settings)
    held_out = drawn(seed, "held out", settings["held_out"], settings)
    truth = float(log_normal(held_out, 1.0).mean())
    for name, label, below, samples in parzen_models(training, seed, settings):
        sigma = choose_sigma(samples, validation, WIDTHS)
        found = float(parzen_log_likelihood(samples, held_out, sigma).mean())
        yield {
            "model": name, "label": label, "seed": seed, "sigma": sigma,
            "parzen_below": truth - found, "exact_below": below,
        }  # fmt: skip


def parzen_models(
    training: torch.Tensor, seed: int, settings: dict[str, Any]
) -> Iterator[tuple[str, str, float, torch.Tensor]]:
    """(name, label, E_P[log p - log q], samples): infinite where a model makes points that have no density."""
    n, d, std = settings["points"], settings["dimension"], settings["shrunk"]
    rng = generator(seed, "likelihood", "parzen", d)
    many = drawn(seed, "for centres", n * settings["per_centre"], settings)
    with_noise = noisy(settings)
    yield "data", "the data's own", 0.0, normal_samples(1.0, 0.0, d)(n, rng)
    yield "memoriser", "training points, copied", inf, training
    yield "noisy", with_noise.label, with_noise.below, with_noise.samples(n, rng)
    yield "shrunk", f"{100 * std:g} % as wide", scaled_below(d, std), normal_samples(std, 0.0, d)(n, rng)
    yield "k_means", "k-means centres", inf, k_means(many.float(), n).double()
    yield "mean", "their mean alone", inf, many.mean(0, keepdim=True)


def k_means(points: torch.Tensor, count: int) -> torch.Tensor:
    """Centres (count, d) by Lloyd's steps from the first points; one that is nearest to none stays."""
    centres = points[:count].clone()
    for _ in range(LLOYD_STEPS):
        norms = centres.square().sum(1)
        nearest = torch.cat([torch.addmm(norms, rows, centres.T, alpha=-2).argmin(1) for rows in points.split(2048)])
        members = nearest.bincount(minlength=count)[:, None]
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        centres = torch.where(members > 0, sums / members.clamp(min=1), centres)
    return centres


def seconds(settings: dict[str, Any]) -> float:
    """Distances at 10 GFLOP/s, kernels at 20 ns a pair: densities of models and windows, widths, and k-means."""
    n, d, looked = settings["points"], settings["dimension"], 14 * settings["held_out"] + 8 * VALIDATION
    pairs = n * looked * (2 * d / 1e10 + 2e-8) + 80 * n * VALIDATION * 2e-8
    clusters = 2 * LLOYD_STEPS * settings["per_centre"] * n * n * d / 2e10
    return len(settings["seeds"]) * (pairs + clusters)


# --- tables


def tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each kind, and mean and 95 % interval over seeds; a Parzen window also less the data's own."""
    kinds = {kind: own.dropna(axis=1, how="all") for kind, own in rows.groupby("kind", sort=False)}
    parzen = against_data(kinds["parzen"])
    return {
        "likelihood": kinds["model"],
        "likelihood_divergences": kinds["divergence"],
        "likelihood_parzen": parzen,
        "likelihood_summary": summary(kinds["model"], "model", ["below", "below_seen", "good", "accuracy"]),
        "likelihood_divergences_summary": summary(kinds["divergence"], "divergence", ["measured"]),
        "likelihood_parzen_summary": summary(parzen, "model", ["parzen_below", "flattered", "sigma"]),
    }


def against_data(parzen: pd.DataFrame) -> pd.DataFrame:
    """`flattered`: nats that a model's window lies above that of as many samples of the data's own distribution."""
    own = parzen[parzen["model"] == "data"].set_index(["dimension", "seed"])["parzen_below"]
    reference = [own[place] for place in zip(parzen["dimension"], parzen["seed"], strict=True)]
    return parzen.assign(flattered=np.asarray(reference) - parzen["parzen_below"])


def summary(rows: pd.DataFrame, who: str, measured: list[str]) -> pd.DataFrame:
    """A row a dimension and `who`: mean and 95 % interval over seeds of what is measured, the exact values kept."""
    found = []
    for _, own in rows.groupby(["dimension", who], sort=False):
        kept = own.drop(columns=[*measured, "seed", "kind", "outcome"]).mean(numeric_only=True)
        row: dict[str, Any] = {who: own[who].iloc[0], "label": own["label"].iloc[0], **kept, "n": len(own)}
        found.append(row | with_intervals({name: own[name] for name in measured}))
    return pd.DataFrame(found).astype({"dimension": int})


LIKELIHOOD = Chapter(
    name="likelihood",
    label="What likelihood does not see",
    settings=Likelihood,
    parts=parts,
    compute=compute,
    tables=tables,
    seconds=seconds,
)
