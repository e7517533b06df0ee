"""What the plan, the sampling step and the tests need to know of a way to draw from a trained generator.

Latents come in one stream: blocks of BLOCK rows from N(0, I), whatever the sampler. So the first n proposals of every
sampler on one seed are the n latents that prior sampling decodes, and samplers are compared on the same latents.
Whatever else is random (uniforms, noise, starts of chains, the pilot) comes from a second generator.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from divergan.data import to_uint8
from divergan.errors import DivergaNError
from divergan.lazy import lazy
from divergan.randomness import derived_seed
from divergan.strict import Strict

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

BLOCK = 512  # latents drawn at a time and rows of a forward pass: a part of what "the same latents" means
NEEDS = frozenset({"weights", "ratio", "score", "gradients", "trained_on"})


class Stuck(DivergaNError):
    """A proposal that would never be accepted, told after a stated number of draws."""


@dataclass(kw_only=True)
class Cost:
    """What a sample set took, in rows: a row is one latent drawn, or one row through a network."""

    draws: int = 0
    pilot: int = 0  # of the draws, those of the pilot, each through G and critic: once, however many images follow
    generator_evaluations: int = 0
    critic_evaluations: int = 0
    weight_evaluations: int = 0
    gradient_steps: int = 0  # rows that went backward through what they had gone through
    acceptance: float = 1.0  # accepted over all proposals looked at, those of a last block that came too late included


@dataclass(frozen=True, kw_only=True)
class Random:
    latents: torch.Generator  # the stream of proposals and nothing else
    choices: torch.Generator  # all else


@dataclass(kw_only=True)
class Drawn:
    """Images and their latents (count, latent), both on the CPU.

    Images are uint8 (count, C, H, W) where the generator makes (n, C, H, W), else floats as it makes them. `proposals`
    (rejection samplers alone) is int64 (count,): the place of each image's latent in the stream, counted from 0.
    """

    images: torch.Tensor
    latents: torch.Tensor
    proposals: torch.Tensor | None = None


@dataclass(kw_only=True)
class Model:
    """A trained generator, what is known beside it, and the count of what was asked of them.

    Networks behind the callables must stand in evaluation mode. Gradients are followed where the input asks for them.
    Set `cost` to a new Cost before each sampler: the pilot is computed once and charged to every sampler that uses it.
    """

    generator: Callable[[torch.Tensor], torch.Tensor]  # z (n, latent), label and all -> images (n, C, H, W) in [-1, 1]
    latent: int
    device: torch.device | str
    weight: Callable[[torch.Tensor], torch.Tensor] | None = None  # z -> w (n,) >= 0, differentiable
    m: float = 3.0  # the ceiling of w
    log_ratio: Callable[[torch.Tensor], torch.Tensor] | None = None  # images -> calibrated log p/q (n,)
    score: Callable[[torch.Tensor], torch.Tensor] | None = None  # images -> the critic's raw score v (n,)
    real_log_ratios: torch.Tensor | None = None  # (n,) calibrated, of held-out real images: where MH chains start
    pilot: int = 10_000  # proposals that M, c and gamma come from
    most_draws: int = 10_000  # proposals for one more image, beyond which Stuck is raised
    labels: torch.Tensor | None = None  # one-hot (count, K) of the images to draw, where the generator takes labels
    cost: Cost = field(default_factory=Cost)
    pilot_seconds: float = 0.0  # of the last pilot that was drawn
    _pilots: dict[int, torch.Tensor] = field(default_factory=dict, init=False, repr=False)

    def images(self, z: torch.Tensor) -> torch.Tensor:
        """Images as the generator makes them, one row a latent."""
        self.cost.generator_evaluations += len(z)
        return asked(self.generator, z)

    def w(self, z: torch.Tensor) -> torch.Tensor:
        """Importance weights (n,)."""
        assert self.weight is not None, "the sampler needs weights"
        self.cost.weight_evaluations += len(z)
        return asked(self.weight, z)

    def r(self, images: torch.Tensor) -> torch.Tensor:
        """Calibrated log p/q (n,); -inf where the critic says that no data lie."""
        assert self.log_ratio is not None, "the sampler needs a density ratio"
        self.cost.critic_evaluations += len(images)
        return asked(self.log_ratio, images)

    def v(self, images: torch.Tensor) -> torch.Tensor:
        """The critic's raw scores (n,)."""
        assert self.score is not None, "the sampler needs the critic's score"
        self.cost.critic_evaluations += len(images)
        return asked(self.score, images)

    def pilot_log_ratios(self, random: Random) -> torch.Tensor:
        """log p/q of `pilot` fresh proposals, float64 (pilot,) on the CPU; Stuck where none of them is finite.

        They belong to the seed of `random.choices`, of which they take nothing: the stream of proposals and the
        choices stay as they are, whether or not another sampler has made the pilot before.
        """
        assert self.log_ratio is not None, "the sampler needs a density ratio"
        seed = derived_seed(random.choices.initial_seed(), "pilot")
        if seed not in self._pilots:
            started = time.perf_counter()
            rng = torch.Generator(random.choices.device).manual_seed(seed)
            parts = latents(self.pilot, self.latent, rng).to(self.device).split(BLOCK)
            log_ratios = [asked(self.log_ratio, asked(self.generator, part)) for part in parts]
            self._pilots[seed] = torch.cat(log_ratios).double().cpu()
            self.pilot_seconds = time.perf_counter() - started
        self.cost.draws += self.pilot
        self.cost.pilot += self.pilot
        self.cost.generator_evaluations += self.pilot
        self.cost.critic_evaluations += self.pilot
        return self._pilots[seed]


@dataclass(frozen=True, kw_only=True)
class Sampler:
    name: str  # key in params.yaml
    label: str  # as the report prints it
    source: str  # BibTeX keys, then the place in them
    needs: frozenset[str] = frozenset()  # of NEEDS; "gradients": log p/q must be differentiable in the image
    settings: type[Strict]  # every number a person may change
    draw: Callable[[Model, int, Any, Random], Drawn]
    described: Callable[[Any], str]  # settings -> the label with them, as tables print it


def asked(network: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
    """The network's answer, with a graph only where `rows` ask for gradients."""
    with torch.set_grad_enabled(rows.requires_grad):
        return network(rows)


def slope(value: Callable[[torch.Tensor], torch.Tensor], z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """value(z) (n,) and its gradient (n, latent), where every value depends on its own row alone."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        values = value(z)
        (gradient,) = torch.autograd.grad(values.sum(), z)
    return values.detach(), gradient


def blocks(latent: int, rng: torch.Generator) -> Iterator[torch.Tensor]:
    """The endless stream of proposals, (BLOCK, latent) at a time, on the device of `rng`."""
    while True:
        yield torch.randn(BLOCK, latent, generator=rng, device=rng.device)


def latents(count: int, latent: int, rng: torch.Generator) -> torch.Tensor:
    """The first `count` latents of the stream of proposals: float32 (count, latent) on the device of `rng`."""
    stream = blocks(latent, rng)
    whole = [next(stream) for _ in range(0, count, BLOCK)]
    return torch.cat(whole)[:count] if whole else torch.empty(0, latent, device=rng.device)


def uniforms(shape: torch.Size | tuple[int, ...], random: Random, device: torch.device | str) -> torch.Tensor:
    """Uniform on [0, 1): `uniforms(...) < p` always holds at p = 1 and never at p = 0."""
    return torch.rand(shape, generator=random.choices, device=random.choices.device).to(device)


def normals(shape: torch.Size | tuple[int, ...], random: Random, device: torch.device | str) -> torch.Tensor:
    return torch.randn(shape, generator=random.choices, device=random.choices.device).to(device)


def stored(images: torch.Tensor) -> torch.Tensor:
    """Images (n, C, H, W) as uint8, anything else as it is, on the CPU."""
    return (to_uint8(images) if images.ndim == 4 else images).cpu()


def decoded(model: Model, z: torch.Tensor) -> torch.Tensor:
    """What the generator makes of latents (n, latent), as it is stored."""
    return torch.cat([stored(model.images(part)) for part in z.split(BLOCK)])


def stuck(model: Model, label: str, accepted: int, draws: int, probability: float) -> Stuck:
    """The error to raise after `draws` proposals with this mean acceptance probability; notes the acceptance."""
    model.cost.acceptance = accepted / draws
    return Stuck(
        f"{label} accepted {accepted} of {draws} draws, at a mean acceptance probability of {probability:.2g}: its "
        "weights or its density ratio leave next to nothing of what this generator makes, so look at how they were "
        "learned, choose another calibration or sampler, or raise `most_draws`"
    )
