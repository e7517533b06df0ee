"""Latents moved along a gradient: of w on the sphere, of log p/q with noise, of the critic's score at a price."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from divergan.lazy import lazy
from divergan.samplers.declaration import BLOCK, Drawn, Model, Random, Sampler, decoded, normals, slope, stored
from divergan.samplers.prior import proposed
from divergan.samplers.rejection import by_weight, reject
from divergan.strict import Strict

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

PAIRS = 100  # of latents whose steepest slope is k_eff, as published


class LatentRsGaSettings(Strict):
    weights: str
    steps: int = Field(ge=1)
    step_size: float = Field(gt=0)


class DdlsSettings(Strict):
    steps: int = Field(ge=1)
    step_size: float = Field(gt=0)


class DotSettings(Strict):
    steps: int = Field(ge=1)
    learning_rate: float = Field(gt=0)


def latent_rs_ga(model: Model, count: int, settings: LatentRsGaSettings, random: Random) -> Drawn:
    """LatentRS, then a few steps up w at constant norm of z."""
    accepted = reject(model, count, random, "LatentRS + GA", by_weight(model)).latents
    z = torch.cat([climbed(model, part, settings.steps, settings.step_size) for part in accepted.split(BLOCK)])
    return Drawn(images=decoded(model, z), latents=z.cpu())


def climbed(model: Model, z: torch.Tensor, steps: int, step_size: float) -> torch.Tensor:
    """Latents (n, latent) after ascent on w along the sphere's tangent, put back to their norms after each step."""
    norms = z.norm(dim=1, keepdim=True)
    for _ in range(steps):
        _, gradient = slope(model.w, z)
        model.cost.gradient_steps += len(z)
        tangent = gradient - (z * gradient).sum(dim=1, keepdim=True) * z / norms.square()
        z = z + step_size * tangent
        z = z * (norms / z.norm(dim=1, keepdim=True))
    return z


def ddls(model: Model, count: int, settings: DdlsSettings, random: Random) -> Drawn:
    """Discriminator-driven latent sampling: Langevin dynamics in z towards prior(z) r(G(z)), unadjusted.

    Chains start at the first proposals whose ratio is not 0, and do not move to where it is.
    """

    def possible(z: torch.Tensor) -> tuple[torch.Tensor, None]:
        return (model.r(model.images(z)) > -torch.inf).float(), None

    starts = reject(model, count, random, "DDLS", possible).latents
    parts = [langevin(model, part, settings, random) for part in starts.split(BLOCK)]
    return Drawn(
        images=torch.cat([stored(images) for images, _ in parts]), latents=torch.cat([z for _, z in parts]).cpu()
    )


def langevin(
    model: Model, z: torch.Tensor, settings: DdlsSettings, random: Random
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and latents after z <- z - step/2 grad E(z) + sqrt(step) noise, E = |z|^2/2 - log r(G(z))."""
    stands, force = z, torch.zeros_like(z)
    for _ in range(settings.steps):
        log_ratios, gradient = slope(lambda z: model.r(model.images(z)), z)
        model.cost.gradient_steps += len(z)
        stays = ~log_ratios.isfinite().unsqueeze(1)
        stands, force = torch.where(stays, stands, z), torch.where(stays, force, gradient - z)
        noise = normals(z.shape, random, z.device)
        z = stands + settings.step_size / 2 * force + settings.step_size**0.5 * noise
    images = model.images(z)
    back = (~model.r(images).isfinite()).nonzero().flatten()
    if len(back):
        z[back], images[back] = stands[back], model.images(stands[back])
    return images, z


def dot(model: Model, count: int, settings: DotSettings, random: Random) -> Drawn:
    """Discriminator optimal transport in the latent space: descend |z - z_y| - D(G(z))/k_eff from each proposal z_y."""
    k_eff = steepest(model, random)
    parts = []
    for start in proposed(model, count, random).split(BLOCK):
        z = start
        for _ in range(settings.steps):
            _, gradient = slope(partial(transport, model, start, k_eff), z)
            model.cost.gradient_steps += len(z)
            z = z - settings.learning_rate * gradient
        parts.append(z)
    z = torch.cat(parts)
    return Drawn(images=decoded(model, z), latents=z.cpu())


def transport(model: Model, start: torch.Tensor, k_eff: float, z: torch.Tensor) -> torch.Tensor:
    """DOT's objective (n,); the norm's gradient at z = start counts as 0."""
    return torch.linalg.vector_norm(z - start, dim=1) - model.v(model.images(z)) / k_eff


def steepest(model: Model, random: Random) -> float:
    """k_eff: the largest |D(G(z)) - D(G(z'))| / |z - z'| over PAIRS pairs of prior latents; above 0."""
    model.cost.draws += 2 * PAIRS
    z = normals((2 * PAIRS, model.latent), random, model.device)
    scores = model.v(model.images(z))
    rises = (scores[:PAIRS] - scores[PAIRS:]).abs() / (z[:PAIRS] - z[PAIRS:]).norm(dim=1)
    return max(float(rises.max()), 1e-12)  # a critic that says one thing of all images moves none


LATENT_RS_GA = Sampler(
    name="latent_rs_ga",
    label="LatentRS + GA",
    source="issenhuth2022latent",
    needs=frozenset({"weights"}),
    settings=LatentRsGaSettings,
    draw=latent_rs_ga,
    described=lambda settings: f"LatentRS + GA ({settings.weights}), {settings.steps} steps",
)

DDLS = Sampler(
    name="ddls",
    label="DDLS",
    source="che2020ddls",
    needs=frozenset({"ratio", "gradients"}),
    settings=DdlsSettings,
    draw=ddls,
    described=lambda settings: f"DDLS, {settings.steps} steps",
)

DOT = Sampler(
    name="dot",
    label="DOT",
    source="tanaka2019dot",
    needs=frozenset({"score"}),
    settings=DotSettings,
    draw=dot,
    described=lambda settings: f"DOT, {settings.steps} steps",
)
