"""Algorithm 1: importance weights w(z) on the latent space of a generator that stands still.

A critic D and a weight network w play on EMD = E D(x) - E w(z) D(G(z)): the critic raises it, w lowers it, while
E w is drawn to 1 and w above m is fined. (Issenhuth et al., WACV 2022, Algorithm 1.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import sqrt
from statistics import fmean, variance
from typing import TYPE_CHECKING, Protocol

from divergan.data import to_network
from divergan.lazy import lazy
from divergan.networks.mlp import SLOPE
from divergan.randomness import derived_seed, generator
from divergan.training import DataOrder

if TYPE_CHECKING:
    import torch

    from divergan.params import Weights
else:
    torch = lazy("torch")

HELD = 2048  # fixed latents, and at most as many fixed real images, on which w and EMD are told and outcomes judged
CHECKPOINT_ROWS = 10  # rows of the history between two checkpoints
DIVERGED_MEAN = 10.0  # E w above this: it ran away from the 1 that R_norm draws it to
VANISHED_MEAN = 0.1  # E w below this: latentRS would hardly ever accept
CONSTANT_ESS = 0.99  # effective sample size above this share (std of w below a tenth of its mean): w prefers nothing
CONVERGED = 2.0  # standard errors between two windows of the history that count as no difference
NEAR_ONE = 0.1


@dataclass(kw_only=True)
class Reweighting:
    """All that changes while weights are learned, and so what a checkpoint holds to resume them bit for bit."""

    weight: torch.nn.Module  # z (n, latent) -> w (n,) >= 0
    critic: torch.nn.Module
    weight_optimiser: torch.optim.Optimizer
    critic_optimiser: torch.optim.Optimizer
    latent: int  # length of z
    latents: torch.Generator  # of z and of the places between real and generated images where the penalty is taken
    step: int = 0  # steps of the weight network done
    drawn: int = 0  # real images drawn: the place in the data order


@dataclass(kw_only=True)
class WeightRecord:
    """What a run tells of itself: a row every so many steps, and how it ended."""

    history: list[dict[str, float]] = field(default_factory=list)
    diverged_at: int | None = None  # the first step with a loss that is not finite, or row with such weights or E w
    stopped_early: bool = False  # by the stopping rule

    @property
    def outcome(self) -> str:
        """ "diverged" (NaN, Inf or E w > DIVERGED_MEAN), at the end "vanished" or "constant", or else "finished"."""
        if self.diverged_at is not None:
            return "diverged"
        return kind(self.history[-1]) if self.history else "finished"

    @property
    def ended_at(self) -> int | None:
        """The step at which w diverged, or from which on it was vanished or constant; None where it finished."""
        if self.diverged_at is not None or self.outcome == "finished":
            return self.diverged_at
        since = 0
        for row in self.history:
            since = (since or int(row["step"])) if kind(row) == self.outcome else 0
        return since


class Observer(Protocol):
    """Where a run reports to; the loop itself knows no file, bar or server."""

    def row(self, row: dict[str, float]) -> None:
        """A new row of the history."""

    def checkpoint(self, state: Reweighting, record: WeightRecord) -> None:
        """A place to resume from, every CHECKPOINT_ROWS rows."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """What the history is told of, the same at every row."""

    latents: torch.Tensor  # (HELD, latent)
    real: torch.Tensor  # (n, ...) as the critic takes them
    fake: torch.Tensor | None  # G(latents); None where the generator moves


def kind(row: dict[str, float]) -> str:
    """The outcome of a run that ends with this row."""
    if row["w_mean"] < VANISHED_MEAN:
        return "vanished"
    return "constant" if row["ess"] > CONSTANT_ESS else "finished"


def weight_network(latent: int, hidden: Sequence[int], output: str) -> torch.nn.Module:
    """z (n, latent) -> hidden ..., LeakyReLU between -> w (n,); `output` is a key of `outputs()`."""
    nn = torch.nn
    sizes = (latent, *hidden)
    layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.LeakyReLU(SLOPE, inplace=True))]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], 1), nn.Flatten(0), outputs()[output]())


def outputs() -> dict[str, Callable[[], torch.nn.Module]]:
    """What keeps w from being negative; "sigmoid" is the released code's, with which E w = 1 leaves no choice but 1."""

    class Exp(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.exp()

    nn = torch.nn
    return {"softplus": nn.Softplus, "relu": nn.ReLU, "exp": Exp, "sigmoid": nn.Sigmoid}


def start(
    settings: Weights, critic: torch.nn.Module, latent: int, seed: int, device: torch.device | str
) -> Reweighting:
    """A fresh weight network beside `critic`, which is trained in place: the caller builds or copies it.

    Weights are drawn on the CPU, so that they are equal on every device.
    """
    own = derived_seed(seed, "reweighting")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(own, "weights"))
        w = weight_network(latent, settings.hidden, settings.output).to(device)
    return Reweighting(
        weight=w,
        critic=critic,
        weight_optimiser=adam(w, settings.learning_rate, settings.betas),
        critic_optimiser=adam(critic, settings.critic_learning_rate, settings.betas),
        latent=latent,
        latents=generator(own, "latents", device=device),
    )


def adam(network: torch.nn.Module, learning_rate: float, betas: Sequence[float]) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr=learning_rate, betas=(betas[0], betas[1]), fused=True)


def reweight(
    settings: Weights,
    generate: Callable[[torch.Tensor], torch.Tensor],
    state: Reweighting,
    record: WeightRecord,
    images: torch.Tensor,
    seed: int,
    observer: Observer,
    move: Callable[[], None] | None = None,
) -> None:
    """Learn w in place, from wherever `state` is to the last step, and add to `record`.

    Args:
        generate: G, z (n, latent) -> x (n, ...); no gradient passes through it. Evaluation mode is the caller's to set.
        images: uint8 (N, C, H, W), or float (N, d) that are taken as they are, on the state's device.
        seed: owns the order of the images, the latents, and those that the history is told of.
        move: called once a step, before the critic: the released design trains its generator on meanwhile.

    It ends after `settings.steps` steps of w, or earlier by the stopping rule (see `converged`; `patience: 0` turns it
    off), or where it met NaN, Inf or an E w above DIVERGED_MEAN, with `record.diverged_at`.
    """
    own = derived_seed(seed, "reweighting")
    order = DataOrder(len(images), settings.batch, own, images.device)
    fixed = held(settings, generate, state, images, own, moves=move is not None)
    losses: list[torch.Tensor] = []  # since the last row of the history, still on the device

    while state.step < settings.steps and not record.stopped_early and record.diverged_at is None:
        # G stands still, unless the caller moves it; the critic sees n_critic fresh batches, then w moves once.
        if move:
            move()
        for _ in range(settings.n_critic):
            real = as_network(images[order.next(state)])  # type: ignore[arg-type]  # it only moves .drawn
            critic_loss = critic_step(settings, generate, state, real)
        losses.append(torch.stack((critic_loss, weight_step(settings, generate, state))))
        state.step += 1

        # Losses are read back every so often only, for a GPU must wait for that.
        if state.step % settings.history_every == 0 or state.step == settings.steps:
            recorded = torch.stack(losses)
            losses.clear()
            record.diverged_at = first_not_finite(recorded, state)
            if record.diverged_at is None:
                tell(settings, state, record, history_row(settings, generate, state, fixed, recorded), observer)


def tell(
    settings: Weights, state: Reweighting, record: WeightRecord, row: dict[str, float], observer: Observer
) -> None:
    """Add a row, see whether the run ends with it, and let the observer know."""
    record.history.append(row)
    record.diverged_at = state.step if row["w_mean"] > DIVERGED_MEAN else None
    record.stopped_early = state.step < settings.steps and converged(settings, record.history)
    observer.row(row)
    if len(record.history) % CHECKPOINT_ROWS == 0 and not record.stopped_early and record.diverged_at is None:
        observer.checkpoint(state, record)


def critic_step(
    settings: Weights, generate: Callable[[torch.Tensor], torch.Tensor], state: Reweighting, real: torch.Tensor
) -> torch.Tensor:
    """One step of the critic up the EMD, w standing still; returns mean(w D(G(z))) - mean D(x), detached."""
    with torch.no_grad():
        z = draw_latents(settings, state)
        fake, w = generate(z), state.weight(z)
    v_real, v_fake = state.critic(torch.cat((real, fake))).split(len(real))
    loss = (w * v_fake).mean() - v_real.mean()
    penalty = gradient_penalty(settings, state, real, fake) if settings.gradient_penalty else 0.0
    state.critic_optimiser.zero_grad(set_to_none=True)
    (loss + penalty).backward()
    state.critic_optimiser.step()
    return loss.detach()


def gradient_penalty(settings: Weights, state: Reweighting, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """strength * mean (|grad D| - 1)^2, each at a random place between a real and a generated image.

    (Gulrajani et al. 2017, Eq. 3.)
    """
    share = torch.rand(len(real), *[1] * (real.dim() - 1), generator=state.latents, device=state.latents.device)
    between = torch.lerp(fake, real, share).requires_grad_()
    (gradient,) = torch.autograd.grad(state.critic(between).sum(), between, create_graph=True)
    return settings.gradient_penalty * (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def weight_step(
    settings: Weights, generate: Callable[[torch.Tensor], torch.Tensor], state: Reweighting
) -> torch.Tensor:
    """One step of w, the critic standing still; returns its loss, detached."""
    z = draw_latents(settings, state)
    with torch.no_grad():
        v = state.critic(generate(z))
    loss = weight_loss(settings, state.weight(z), v)
    state.weight_optimiser.zero_grad(set_to_none=True)
    loss.backward()
    state.weight_optimiser.step()
    return loss.detach()


def weight_loss(settings: Weights, w: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """-mean w (v - Delta) + lambda_norm (mean w - 1)^2 + lambda_clip mean max(0, w - m)^2, for w and scores v (n,).

    The minus follows from the game: w lowers EMD = E D(x) - E w D(G(z)), so it rises where the critic sees real
    images. `sign: as_printed` is the plus of the report's Algorithm 1, with which w and the critic pull the same way.
    Without Delta the critic's constant, which nothing else pins down, is the multiplier of E w = 1: the critic moves it
    by E w - 1, and w against it. A Delta that follows the constant (min D, or min |D|) takes some of that hold away.
    """
    delta = {"none": torch.zeros_like(v[0]), "min": v.min(), "min_abs": v.abs().min()}[settings.delta]
    sign = {"derived": -1, "as_printed": 1}[settings.sign]
    norm = (w.mean() - 1).square()
    clip = (w - settings.m).clamp(min=0).square().mean()
    return sign * (w * (v - delta)).mean() + settings.lambda_norm * norm + settings.lambda_clip * clip


def draw_latents(settings: Weights, state: Reweighting) -> torch.Tensor:
    return torch.randn(settings.batch, state.latent, generator=state.latents, device=state.latents.device)


def as_network(images: torch.Tensor) -> torch.Tensor:
    """uint8 images in [-1, 1]; points of the plane as they are."""
    return to_network(images) if images.dtype == torch.uint8 else images


def held(
    settings: Weights,
    generate: Callable[[torch.Tensor], torch.Tensor],
    state: Reweighting,
    images: torch.Tensor,
    own: int,
    moves: bool,
) -> Held:
    """Latents of the history's own, and the first real images of a permutation of its own."""
    rng = generator(own, "history")
    z = torch.randn(HELD, state.latent, generator=rng).to(images.device)
    real = as_network(images[torch.randperm(len(images), generator=rng)[:HELD].to(images.device)])
    with torch.no_grad():
        return Held(latents=z, real=real, fake=None if moves else generate(z))


def history_row(
    settings: Weights,
    generate: Callable[[torch.Tensor], torch.Tensor],
    state: Reweighting,
    fixed: Held,
    losses: torch.Tensor,
) -> dict[str, float]:
    """Means of the batches' losses (n, 2) since the last row; all else on the fixed latents and real images.

    Acceptance is that of latentRS, E min(w, m) / m. The effective sample size is a share, (sum w)^2 / (n sum w^2). EMD
    is E D(x) - E w D(G(z)) / E w: dividing keeps it from depending on D's constant, which no loss pins down.
    """
    with torch.no_grad():
        w = state.weight(fixed.latents)
        v_fake = state.critic(generate(fixed.latents) if fixed.fake is None else fixed.fake)
        emd = state.critic(fixed.real).mean() - (w * v_fake).mean() / w.mean()
    critic_loss, weight_loss = losses.mean(dim=0).tolist()
    return {
        "step": state.step,
        "w_mean": float(w.mean()),
        "w_max": float(w.max()),
        "w_min": float(w.min()),
        "acceptance": float(w.clamp(max=settings.m).mean()) / settings.m,
        "ess": float(w.mean().square() / w.square().mean()),
        "emd": float(emd),
        "critic_loss": critic_loss,
        "weight_loss": weight_loss,
    }


def converged(settings: Weights, history: Sequence[dict[str, float]]) -> bool:
    """The stopping rule: EMD has stopped falling or rising, and E w has come to where R_norm draws it.

    That is: the mean EMD of the rows of the last `patience` steps differs from that of the `patience` steps before by
    less than CONVERGED standard errors of the difference, and the last E w is within NEAR_ONE of 1. Rows follow one
    another, so their spread understates the error, and the rule stops late rather than early.
    """
    rows = settings.patience // settings.history_every
    if not rows or len(history) < 2 * rows or abs(history[-1]["w_mean"] - 1) > NEAR_ONE:
        return False
    before, after = ([row["emd"] for row in part] for part in (history[-2 * rows : -rows], history[-rows:]))
    error = sqrt((variance(before) + variance(after)) / rows)
    return abs(fmean(after) - fmean(before)) < CONVERGED * error


def first_not_finite(losses: torch.Tensor, state: Reweighting) -> int | None:
    """The first of the last len(losses) steps whose losses (n, 2) or, for the last, whose weights are not finite."""
    bad = (~losses.isfinite().all(dim=1)).nonzero()
    if len(bad):
        return state.step - len(losses) + int(bad[0]) + 1
    finite = all(p.isfinite().all() for network in (state.weight, state.critic) for p in network.parameters())
    return None if finite else state.step
