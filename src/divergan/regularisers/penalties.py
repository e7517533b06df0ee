"""Terms added to a player's loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from divergan.lazy import lazy
from divergan.regularisers.declaration import Batch, Regulariser
from divergan.strict import Strict

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


class SlopeSettings(Strict):
    gamma: float = Field(gt=0)
    every: int = Field(ge=1)  # steps between penalties, each weighted by the interval


class GradientPenaltySettings(Strict):
    weight: float = Field(gt=0)
    sides: Literal["one", "two"]  # of the norm 1 that are penalised: what is above, or both


class WeightSettings(Strict):
    weight: float = Field(gt=0)


class GammaSettings(Strict):
    gamma: float = Field(gt=0)


def r1(batch: Batch, settings: SlopeSettings) -> torch.Tensor:
    """γ/2 E|∇v|² on real images (Mescheder et al. 2018, Eq. 9)."""
    return settings.every * settings.gamma / 2 * squared_slope(batch, batch.v_real, batch.real)


def r2(batch: Batch, settings: SlopeSettings) -> torch.Tensor:
    """The same on generated images (Mescheder et al. 2018, Eq. 10)."""
    return settings.every * settings.gamma / 2 * squared_slope(batch, batch.v_fake, batch.fake)


def squared_slope(batch: Batch, v: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """E|∇v|² of scores v of images that carry a graph."""
    (gradient,) = torch.autograd.grad(batch.score(v).sum(), images, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()


def gradient_penalty(batch: Batch, settings: GradientPenaltySettings) -> torch.Tensor:
    """weight E(|∇v| - 1)² between a real and a generated image (Gulrajani et al. 2017, Eq. 3), or of the excess."""
    share = torch.rand(
        len(batch.real), *[1] * (batch.real.ndim - 1), generator=batch.random, device=batch.random.device
    )
    between = (batch.real + share * (batch.fake - batch.real)).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(batch.score_of(between).sum(), between, create_graph=True)
    excess = (gradient.square().flatten(1).sum(1) + 1e-12).sqrt() - 1
    return settings.weight * (excess if settings.sides == "two" else excess.relu()).square().mean()


def consensus(batch: Batch, settings: GammaSettings) -> torch.Tensor:
    """γ/2 of the squared norm of both players' gradients, for each player (Mescheder et al. 2017, Eq. 7)."""
    o, v_real, v_fake = batch.objective, batch.v_real, batch.v_fake
    games = (
        (o.critic_loss(v_real, v_fake), batch.critic),
        (o.generator_loss(batch.generator_loss)(v_fake, v_real), batch.generator),
    )
    gradients = [
        gradient
        for loss, network in games
        for gradient in torch.autograd.grad(loss, list(network.parameters()), create_graph=True)
    ]
    return settings.gamma / 2 * torch.stack([gradient.square().sum() for gradient in gradients]).sum()


def entropy(batch: Batch, settings: WeightSettings) -> torch.Tensor:
    """-weight times the entropy of the generated batch, a dimension, up to a constant.

    By nearest neighbours (Kozachenko and Leonenko 1987): an implicit generator has no density to take it from, and the
    bound of Dieng et al. (2019) needs noise on its images and a sampler of their posterior.
    """
    images = batch.fake.flatten(1)
    squares = (images[:, None] - images).square().sum(2) if images.shape[1] < 8 else gram_distances(images)
    own = torch.eye(len(images), dtype=torch.bool, device=images.device)
    nearest = squares.masked_fill(own, float("inf")).amin(1)
    return -settings.weight / 2 * (nearest + 1e-8).log().mean()


def gram_distances(images: torch.Tensor) -> torch.Tensor:
    """Squared distances (N, N) by one matrix product."""
    norms = images.square().sum(1)
    return (norms[:, None] + norms - 2 * images @ images.T).clamp(min=0)


R1 = Regulariser(
    name="r1",
    kind="R1",
    source="mescheder2018convergence, Eq. 9",
    settings=SlopeSettings,
    numbers=lambda own: f"γ={own.gamma:g} every {own.every}",
    follows=frozenset({"real"}),
    critic_penalty=r1,
)
R2 = Regulariser(
    name="r2",
    kind="R2",
    source="mescheder2018convergence, Eq. 10",
    settings=SlopeSettings,
    numbers=lambda own: f"γ={own.gamma:g} every {own.every}",
    follows=frozenset({"fake"}),
    critic_penalty=r2,
)
GRADIENT_PENALTY = Regulariser(
    name="gradient_penalty",
    kind="gradient penalty",
    source="gulrajani2017wgangp, Eq. 3",
    settings=GradientPenaltySettings,
    numbers=lambda own: f"{own.weight:g}{', one-sided' if own.sides == 'one' else ''}",
    critic_penalty=gradient_penalty,
)
CONSENSUS = Regulariser(
    name="consensus",
    kind="consensus",
    source="mescheder2017numerics, Eq. 7",
    settings=GammaSettings,
    numbers=lambda own: f"γ={own.gamma:g}",
    follows=frozenset({"players"}),
    critic_penalty=consensus,
    generator_penalty=consensus,
)
ENTROPY = Regulariser(
    name="entropy",
    kind="entropy",
    source="kozachenko1987entropy, Eq. 1",
    settings=WeightSettings,
    numbers=lambda own: f"{own.weight:g}",
    needs=frozenset(),
    generator_penalty=entropy,
)
