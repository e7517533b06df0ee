"""Metropolis-Hastings with the generator as the proposal: an image is where a chain of proposals has come to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from divergan.lazy import lazy
from divergan.samplers.declaration import BLOCK, Drawn, Model, Random, Sampler, blocks, stored, stuck, uniforms
from divergan.strict import Strict

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


class MhSettings(Strict):
    chain: int = Field(ge=1)  # proposals an image


@dataclass(kw_only=True)
class Chains:
    """n chains side by side; images and latents mean something where the chain has moved."""

    log_ratios: torch.Tensor  # (n,) of where each chain stands
    images: torch.Tensor
    latents: torch.Tensor
    moves: torch.Tensor  # int64 (n,)
    proposals: int = 0  # of all chains together
    hoped: float | torch.Tensor = 0.0  # the sum of their probabilities to be moved to


def mh(model: Model, count: int, settings: MhSettings, random: Random) -> Drawn:
    """MH-GAN: every image is the end of a chain of its own, which began at the ratio of a real image.

    A proposal x' is moved to with probability min(1, r(x')/r(x)), which is (1/D(x) - 1)/(1/D(x') - 1) for the
    calibrated D. A chain that never left its start runs on until it does.
    """
    stream = (block.to(model.device) for block in blocks(model.latent, random.latents))
    parts, moves = [], 0
    for first in range(0, count, BLOCK):
        chains = begun(model, min(BLOCK, count - first), random)
        for _ in range(settings.chain):
            step(model, chains, next(stream), random)
        moves += int(chains.moves.sum())
        leave(model, chains, settings.chain, stream, random)
        parts.append(chains)
    model.cost.acceptance = moves / (count * settings.chain)  # what ran on does not count: it was to end with a move
    images = torch.cat([stored(chains.images) for chains in parts])
    return Drawn(images=images, latents=torch.cat([chains.latents for chains in parts]).cpu())


def begun(model: Model, n: int, random: Random) -> Chains:
    """Chains that stand at the log ratios of real images, drawn with replacement."""
    assert model.real_log_ratios is not None, "the sampler needs real log ratios"
    reals = model.real_log_ratios
    chosen = torch.randint(len(reals), (n,), generator=random.choices, device=random.choices.device)
    return Chains(
        log_ratios=reals[chosen.to(reals.device)].to(model.device),
        images=torch.empty(0),
        latents=torch.empty(n, model.latent, device=model.device),
        moves=torch.zeros(n, dtype=torch.int64, device=model.device),
    )


def step(model: Model, chains: Chains, block: torch.Tensor, random: Random) -> None:
    """One proposal a chain."""
    every = torch.arange(len(chains.moves), device=block.device)
    z, images, log_ratios, left = looked_at(model, chains, every, block[: len(every)], random)
    move(chains, every[left], z[left], images[left], log_ratios[left])


def leave(model: Model, chains: Chains, length: int, stream: Iterator[torch.Tensor], random: Random) -> None:
    """Go on with the chains that stand where they began, each to its first move.

    They share a block, as many proposals each as it has room for; Stuck beyond `model.most_draws` proposals of one.
    """
    seen = length
    while len(still := (chains.moves == 0).nonzero().flatten()):
        if seen >= model.most_draws:
            moves, probability = int(chains.moves.sum()), float(chains.hoped) / chains.proposals
            raise stuck(model, "MH-GAN", moves, chains.proposals, probability)
        each = min(BLOCK // len(still), model.most_draws - seen)
        rows = still.repeat_interleave(each)
        z, images, log_ratios, left = looked_at(model, chains, rows, next(stream)[: len(rows)], random)
        left = left.view(len(still), each)
        gone = left.any(dim=1).nonzero().flatten()
        first = gone * each + left[gone].int().argmax(dim=1)
        move(chains, still[gone], z[first], images[first], log_ratios[first])
        seen += each


def looked_at(
    model: Model, chains: Chains, rows: torch.Tensor, z: torch.Tensor, random: Random
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Proposals z (k, latent) for the chains `rows` (k,): latents, images, log ratios, and whether each would be taken.

    From -inf to -inf the difference is NaN, which is no move; from -inf to anything else is one.
    """
    images = model.images(z)
    log_ratios = model.r(images)
    probabilities = (log_ratios - chains.log_ratios[rows]).clamp(max=0).exp().nan_to_num(nan=0.0)
    model.cost.draws += len(z)
    chains.proposals += len(z)
    chains.hoped += probabilities.sum()
    return z, images, log_ratios, uniforms((len(z),), random, z.device) < probabilities


def move(chains: Chains, rows: torch.Tensor, z: torch.Tensor, images: torch.Tensor, log_ratios: torch.Tensor) -> None:
    if not len(chains.images):
        chains.images = images.new_zeros(len(chains.moves), *images.shape[1:])
    chains.latents[rows], chains.images[rows], chains.log_ratios[rows] = z, images, log_ratios
    chains.moves[rows] += 1


MH = Sampler(
    name="mh",
    label="MH-GAN",
    source="turner2019mhgan, Algorithm 1",
    needs=frozenset({"ratio"}),
    settings=MhSettings,
    draw=mh,
    described=lambda settings: f"MH-GAN, chain {settings.chain}",
)
