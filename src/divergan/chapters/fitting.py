"""A normal trained against critics that learn: G(z) = m + s z with a free m and s of each coordinate, seeds batched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from divergan.chapters.critics import Critics
from divergan.chapters.landmarks import Target
from divergan.lazy import lazy
from divergan.objectives import KernelDistance, Objective
from divergan.randomness import generator

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

BLOCK = 32  # steps whose random numbers are drawn at a time
Scores = Callable[["torch.Tensor"], "torch.Tensor"]  # of points (S, N, d)


def fitted(
    own: Objective,
    loss: str,
    regulariser: str,
    target: Target,
    settings: dict[str, Any],
    looked: Callable[[int], None],
) -> list[tuple[list[float], list[float]]]:
    """(mean, standard deviation) of each seed: alternating Adam, whose rates fall to 0 in a line over the second half.

    Losses are taken a seed at a time and summed, for some compare a score with the mean of all. A kernel objective
    looks at the points themselves and has no critic to train. `looked` is told the steps that are done.
    """
    seeds, kernel = settings["seeds"], isinstance(own, KernelDistance)
    critics = Critics(seeds, "atlas critic", target.dimension, settings["hidden"], torch.tanh)
    place = torch.zeros(2, len(seeds), 1, target.dimension, requires_grad=True)  # m and log s
    players = [
        torch.optim.Adam(parameters, lr=rate, betas=(0.5, 0.999))
        for parameters, rate in (
            (critics.parameters, settings["critic_learning_rate"]),
            ([place], settings["learning_rate"]),
        )
    ]
    falling = [
        torch.optim.lr_scheduler.LambdaLR(player, lambda step: min(1.0, 2 - 2 * step / settings["steps"]))
        for player in (players[1:] if kernel else players)
    ]
    batches = drawn(target, settings, settings["noise"] if regulariser == "instance_noise" else 0.0)
    scores: Scores = (lambda points: points) if kernel else critics
    generator_loss = own.generator_loss(loss)

    def generated(z: torch.Tensor, blur: torch.Tensor) -> torch.Tensor:
        return place[0] + place[1].exp() * z + blur

    for step in range(settings["steps"]):
        for _ in range(0 if kernel else settings["n_critic"]):
            x, z, blur, share = next(batches)
            with torch.no_grad():
                fake = generated(z, blur)
            players[0].zero_grad(set_to_none=True)
            critic_cost(own, critics, x, fake, regulariser, share, settings).backward()
            players[0].step()
        x, z, blur, _ = next(batches)
        with torch.no_grad():
            v_real = scores(x)
        pairs = zip(scores(generated(z, blur)), v_real, strict=True)
        (place.grad,) = torch.autograd.grad(torch.stack([generator_loss(*pair) for pair in pairs]).sum(), place)
        players[1].step()
        for schedule in falling:
            schedule.step()
        looked(step + 1)
    means, stds = place.detach()[0, :, 0], place.detach()[1, :, 0].exp()
    return list(zip(means.tolist(), stds.tolist(), strict=True))


def critic_cost(
    own: Objective,
    critics: Scores,
    x: torch.Tensor,
    fake: torch.Tensor,
    regulariser: str,
    share: torch.Tensor,
    settings: dict[str, Any],
) -> torch.Tensor:
    """The critics' losses with their penalties, summed over seeds."""
    x = x.requires_grad_(regulariser == "r1")
    v = critics(torch.cat((x, fake), dim=1)).split(x.shape[1], dim=1)
    cost = torch.stack([own.critic_loss(*pair) for pair in zip(*v, strict=True)]).sum()
    if regulariser == "r1":
        return cost + settings["gamma"] / 2 * slope(v[0], x).square().sum(2).mean(1).sum()
    if regulariser == "gradient_penalty":
        between = (x + share * (fake - x)).requires_grad_()
        length = (slope(critics(between), between).square().sum(2) + 1e-12).sqrt()
        return cost + settings["penalty"] * (length - 1).square().mean(1).sum()
    return cost


def slope(v: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """∇v (S, N, d) at points that carry a graph."""
    (gradient,) = torch.autograd.grad(v.sum(), points, create_graph=True)
    return gradient


def drawn(target: Target, settings: dict[str, Any], noise: float) -> Iterator[tuple[torch.Tensor, ...]]:
    """Endless (data, z, the generated points' noise, shares): (S, batch, d) each, shares (S, batch, 1) in [0, 1].

    Data come with noise of their own. Every seed has its own streams; noise has further ones, so that the rest is equal
    with and without it.
    """
    owners, blurs = (
        [generator(seed, purpose, target.name) for seed in settings["seeds"]] for purpose in ("atlas", "atlas noise")
    )
    shape = (BLOCK, settings["batch"], target.dimension)
    means, stds = torch.tensor(target.means), torch.tensor(target.variances).sqrt()
    limits = torch.tensor(list(accumulate(target.shares))[:-1])

    def normal(rngs: list[torch.Generator]) -> torch.Tensor:
        return torch.stack([torch.randn(shape, generator=rng) for rng in rngs], dim=1)

    while True:
        uniform, share = (
            torch.stack([torch.rand(*shape[:2], generator=rng) for rng in owners], dim=1) for _ in range(2)
        )
        mode = torch.bucketize(uniform, limits)
        x, z = means[mode] + stds[mode] * normal(owners), normal(owners)
        blur = torch.zeros_like(z)
        if noise:
            x, blur = x + noise * normal(blurs), noise * normal(blurs)
        yield from zip(x, z, blur, share[..., None], strict=True)
