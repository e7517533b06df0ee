"""Proposals accepted or refused one by one: on importance weights in the latent space, or on the density ratio."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from divergan.lazy import lazy
from divergan.samplers.declaration import (
    Drawn,
    Model,
    Random,
    Sampler,
    blocks,
    decoded,
    stored,
    stuck,
    uniforms,
)
from divergan.strict import Strict, misfit

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

EPSILON = 1e-6  # keeps DRS's score finite at the largest ratio, as published
HALVINGS = 100  # of a bracket: more than float64 has digits for

# Latents (n, latent) -> acceptance probabilities (n,), and the images where they were made on the way.
Judge = Callable[["torch.Tensor"], tuple["torch.Tensor", "torch.Tensor | None"]]


class LatentRsSettings(Strict):
    weights: str


class RandomRejectionSettings(Strict):
    weights: str


class DrsSettings(Strict):
    """Exactly one of the two is a number, the other is null."""

    percentile: float | None = Field(ge=0, le=100)  # of the pilot's F, which becomes gamma: as published
    acceptance: float | None = Field(gt=0, le=1)  # mean on the pilot, to which gamma is set

    @model_validator(mode="after")
    def _one_of_two(self) -> DrsSettings:
        if (self.percentile is None) == (self.acceptance is None):
            raise misfit("give either percentile or acceptance, and null for the other", "percentile")
        return self


class ObrsSettings(Strict):
    acceptance: float = Field(gt=0, le=1)  # the budget: images kept over images made


@dataclass(kw_only=True)
class Accepted:
    latents: torch.Tensor  # (count, latent) on the model's device
    proposals: torch.Tensor  # int64 (count,)
    images: torch.Tensor | None  # as stored, where the judge has made them


def latent_rs(model: Model, count: int, settings: LatentRsSettings, random: Random) -> Drawn:
    """Accept z with probability min(1, w(z)/m): what is accepted follows min(w, m) times the prior."""
    return decoded_drawn(model, reject(model, count, random, "LatentRS", by_weight(model)))


def random_rejection(model: Model, count: int, settings: RandomRejectionSettings, random: Random) -> Drawn:
    """The control of LatentRS: z meets the acceptance probability of another z of its block.

    The acceptance is the same and the choice knows nothing of z. The block is walked in a random circle, so that no
    latent meets its own.
    """
    judge = by_weight(model)

    def blind(z: torch.Tensor) -> tuple[torch.Tensor, None]:
        circle = torch.randperm(len(z), generator=random.choices, device=random.choices.device).to(z.device)
        own, _ = judge(z)
        others = torch.empty_like(own)
        others[circle] = own[circle.roll(1)]
        return others, None

    return decoded_drawn(model, reject(model, count, random, "Random rejection", blind))


def drs(model: Model, count: int, settings: DrsSettings, random: Random) -> Drawn:
    """Discriminator rejection sampling: accept with sigmoid(F), F = l - log(1 - e^(l - eps)) - gamma, l = log r/M.

    M is the pilot's largest ratio until a larger one comes. gamma is set on the pilot, anew with every M: its
    percentile of F + gamma as published, or what makes the mean acceptance there the wished one.
    """
    pilot = finite_pilot(model, random, "DRS")
    ceiling = float(pilot.max())
    gamma = threshold(advantage(pilot, ceiling), settings)

    def judge(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal ceiling, gamma
        images = model.images(z)
        log_ratios = model.r(images)
        if (largest := float(log_ratios.max())) > ceiling:
            ceiling = largest
            gamma = threshold(advantage(pilot, ceiling), settings)
        return torch.sigmoid(advantage(log_ratios, ceiling) - gamma), images

    return drawn(reject(model, count, random, "DRS", judge))


def obrs(model: Model, count: int, settings: ObrsSettings, random: Random) -> Drawn:
    """Optimal budgeted rejection sampling: accept with min(1, c r/M), c such that E of it is the budget.

    Only c/M matters, so M need not be known. Where so many ratios are 0 that the budget cannot be met, all others are
    accepted.
    """
    log_scale = budget_scale(finite_pilot(model, random, "OBRS"), settings.acceptance)

    def judge(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        images = model.images(z)
        return (model.r(images) + log_scale).clamp(max=0).exp(), images

    return drawn(reject(model, count, random, "OBRS", judge))


def reject(model: Model, count: int, random: Random, label: str, judge: Judge) -> Accepted:
    """The first `count` accepted proposals of the stream.

    Stuck is raised at the end of the block in which the mean number of draws for one more image passes
    `model.most_draws`. A probability of NaN refuses.
    """
    parts: list[Accepted] = []
    accepted, seen, hoped = 0, 0, 0.0
    for block in blocks(model.latent, random.latents):
        z = block.to(model.device)
        probabilities, images = judge(z)
        probabilities = probabilities.nan_to_num(nan=0.0)
        taken = (uniforms(probabilities.shape, random, z.device) < probabilities).nonzero().flatten()
        kept = None if images is None else stored(images[taken])
        parts.append(Accepted(latents=z[taken], proposals=seen + taken, images=kept))
        accepted, seen, hoped = accepted + len(taken), seen + len(z), hoped + float(probabilities.sum())
        model.cost.draws += len(z)
        model.cost.acceptance = accepted / seen
        if accepted >= count:
            return joined(parts, count)
        if seen >= model.most_draws * (accepted + 1):
            raise stuck(model, label, accepted, seen, hoped / seen)
    raise AssertionError("the stream of proposals has no end")


def joined(parts: list[Accepted], count: int) -> Accepted:
    images = [part.images for part in parts if part.images is not None]
    return Accepted(
        latents=torch.cat([part.latents for part in parts])[:count],
        proposals=torch.cat([part.proposals for part in parts])[:count],
        images=torch.cat(images)[:count] if images else None,
    )


def by_weight(model: Model) -> Judge:
    return lambda z: ((model.w(z) / model.m).clamp(max=1), None)


def decoded_drawn(model: Model, accepted: Accepted) -> Drawn:
    accepted.images = decoded(model, accepted.latents)
    return drawn(accepted)


def drawn(accepted: Accepted) -> Drawn:
    assert accepted.images is not None
    return Drawn(images=accepted.images, latents=accepted.latents.cpu(), proposals=accepted.proposals.cpu())


def finite_pilot(model: Model, random: Random, label: str) -> torch.Tensor:
    """The pilot's log ratios (pilot,), float64; Stuck where every one of them is -inf or NaN."""
    pilot = model.pilot_log_ratios(random).nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf)
    if not pilot.isfinite().any():
        raise stuck(model, label, 0, len(pilot), 0.0)
    return pilot


def advantage(log_ratios: torch.Tensor, ceiling: float) -> torch.Tensor:
    """DRS's F before gamma: -inf where the ratio is 0, -log(eps) = 13.8 at the largest ratio."""
    below = log_ratios - ceiling
    return below - torch.log(-torch.expm1(below - EPSILON))


def threshold(advantages: torch.Tensor, settings: DrsSettings) -> float:
    """gamma for the pilot's advantages (pilot,), at a percentile one of them: -inf has no in-between."""
    if settings.percentile is not None:
        return float(torch.quantile(advantages, settings.percentile / 100, interpolation="higher"))
    assert settings.acceptance is not None
    finite = advantages[advantages.isfinite()]
    low, high = -float(finite.max()) - 40, -float(finite.min()) + 40  # sigmoid(40) is 1 in float64
    return -root(lambda shift: float(torch.sigmoid(advantages + shift).mean()), settings.acceptance, low, high)


def budget_scale(log_ratios: torch.Tensor, acceptance: float) -> float:
    """log k such that the mean of min(1, k r) is `acceptance`; at the upper end every ratio above 0 is accepted."""
    finite = log_ratios[log_ratios.isfinite()]
    low, high = math.log(acceptance) - float(finite.max()), -float(finite.min())
    return root(lambda shift: float((log_ratios + shift).clamp(max=0).exp().mean()), acceptance, low, high)


def root(increasing: Callable[[float], float], value: float, low: float, high: float) -> float:
    """Where a function that does not fall reaches `value`, by bisection; the nearer end where it does not."""
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if increasing(middle) < value else (low, middle)
    return high


def share(value: float) -> str:
    """A share as people write it: 1/3 for 0.3333, 0.37 for 0.37."""
    fraction = Fraction(value).limit_denominator(20)
    return str(fraction) if abs(fraction - value) < 5e-4 else f"{value:g}"


def drs_described(settings: DrsSettings) -> str:
    if settings.acceptance is not None:
        return f"DRS, acceptance {share(settings.acceptance)}"
    return f"DRS, percentile {settings.percentile:g}"


LATENT_RS = Sampler(
    name="latent_rs",
    label="LatentRS",
    source="issenhuth2022latent",
    needs=frozenset({"weights"}),
    settings=LatentRsSettings,
    draw=latent_rs,
    described=lambda settings: f"LatentRS ({settings.weights})",
)

RANDOM_REJECTION = Sampler(
    name="random_rejection",
    label="Random rejection",
    source="a control of this project: the acceptance of LatentRS without what it knows",
    needs=frozenset({"weights"}),
    settings=RandomRejectionSettings,
    draw=random_rejection,
    described=lambda settings: f"Random rejection ({settings.weights})",
)

DRS = Sampler(
    name="drs",
    label="DRS",
    source="azadi2019drs",
    needs=frozenset({"ratio"}),
    settings=DrsSettings,
    draw=drs,
    described=drs_described,
)

OBRS = Sampler(
    name="obrs",
    label="OBRS",
    source="verine2024obrs",
    needs=frozenset({"ratio"}),
    settings=ObrsSettings,
    draw=obrs,
    described=lambda settings: f"OBRS, acceptance {share(settings.acceptance)}",
)
