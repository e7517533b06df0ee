"""The adversarial loop: one for CPU and GPU, the whole data set as uint8 in the device's memory."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from divergan.data import to_network
from divergan.lazy import lazy
from divergan.networks import Critic, CriticForm, Generator, own_randomness
from divergan.networks.conditioning import conditioned, labels_in_turn, one_hot, scores_of
from divergan.networks.precision import compute_in
from divergan.objectives import Objective
from divergan.randomness import derived_seed, generator
from divergan.regularisers import Batch, Regulariser
from divergan.samplers import decode, latents

if TYPE_CHECKING:
    import torch

    from divergan.params import Training
else:
    torch = lazy("torch")

COLLAPSED_SPREAD = 0.01  # samples with less than this share of the data's pixel spread are one picture, not a model


@dataclass(kw_only=True)
class Players:
    """All that changes while a run trains, and so what a checkpoint holds to resume it bit for bit."""

    generator: torch.nn.Module
    critic: torch.nn.Module
    average: torch.nn.Module  # exponential moving average of the generator; the generator itself where decay is 0
    generator_optimiser: torch.optim.Optimizer
    critic_optimiser: torch.optim.Optimizer
    latents: torch.Generator
    noise: torch.Generator  # whatever else the regularisers draw
    step: int = 0  # generator steps done
    drawn: int = 0  # real images drawn: the place in the data order


@dataclass(kw_only=True)
class Record:
    """What a run tells of itself: a row every so many steps, a look at every checkpoint, how it ended."""

    history: list[dict[str, float]] = field(default_factory=list)
    spreads: list[tuple[int, float]] = field(default_factory=list)  # (step, samples' pixel spread over the data's)
    diverged_at: int | None = (
        None  # the first step with a loss that is not finite; weights are looked at with every row
    )

    @property
    def outcome(self) -> str:
        """ "diverged" (NaN or Inf), "collapsed" (all samples are one picture at the end) or "finished"."""
        if self.diverged_at is not None:
            return "diverged"
        return "finished" if self.collapsed_at is None else "collapsed"

    @property
    def ended_at(self) -> int | None:
        """The step at which the run diverged or collapsed for good; None where it finished."""
        return self.diverged_at if self.diverged_at is not None else self.collapsed_at

    @property
    def collapsed_at(self) -> int | None:
        """The first checkpoint from which on the samples had no spread; None where the last one has it."""
        since = None
        for step, spread in self.spreads:
            since = (step if since is None else since) if spread < COLLAPSED_SPREAD else None
        return since


class Observer(Protocol):
    """Where a run reports to; the loop itself knows no file, bar or server."""

    def row(self, row: dict[str, float]) -> None:
        """A new row of the history."""

    def checkpoint(self, players: Players, record: Record, samples: torch.Tensor) -> None:
        """A checkpoint is reached; `samples` are uint8 (n, C, H, W), on the same latents at every checkpoint."""


def start(
    settings: Training,
    objective: Objective,
    networks: tuple[Generator, Critic],
    shape: tuple[int, int, int],
    seed: int,
    device: torch.device | str,
    classes: int = 0,
) -> Players:
    """Freshly initialised players, of a conditional GAN where there are `classes`.

    Weights are drawn on the CPU, so that they are equal on every device.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "weights"))
        g = networks[0].build(settings.latent + classes, settings.generator.hidden, shape).to(device)
        d = build_critic(settings, objective, networks[1], shape, classes).to(device)
    noise = generator(seed, "noise", device=device)
    own_randomness(d, noise)
    average = copy.deepcopy(g) if settings.ema_decay else g
    for network in (g, d):
        compute_in(network, settings.precision)
    return Players(
        generator=g,
        critic=d,
        average=average,
        generator_optimiser=adam(g, settings),
        critic_optimiser=adam(d, settings),
        latents=generator(seed, "latents", device=device),
        noise=noise,
    )


def build_critic(
    settings: Training, objective: Objective, network: Critic, shape: tuple[int, int, int], classes: int = 0
) -> torch.nn.Module:
    """The critic of a training, as its objective and regularisers want it, with a score for each of the `classes`."""
    chosen = settings.regularisers.stated
    form = CriticForm(
        outputs=classes or objective.outputs,
        spectral_norm="spectral_norm" in chosen,
        dropout=chosen["dropout"].rate if "dropout" in chosen else 0.0,
    )
    return network.build(shape, settings.critic.hidden, form)


def adam(network: torch.nn.Module, settings: Training) -> torch.optim.Optimizer:
    betas = (settings.betas[0], settings.betas[1])
    weights: list[torch.Tensor] = list(network.parameters()) or [
        torch.zeros(0)
    ]  # the identity has none, and Adam wants one
    return torch.optim.Adam(weights, lr=settings.learning_rate, betas=betas, fused=True)


def train(
    settings: Training,
    objective: Objective,
    players: Players,
    record: Record,
    images: torch.Tensor,
    seed: int,
    observer: Observer,
    classes: torch.Tensor | None = None,
) -> None:
    """Train `players` in place, from wherever they are to the last step, and add to `record`.

    Args:
        images: uint8 (N, C, H, W) on the players' device.
        seed: owns the order of the images and the latents of the checkpoints' samples.
        classes: one-hot labels (N, K) of the images on the same device, where the players were started with K classes.

    A run that meets NaN or Inf ends there with `record.diverged_at`; its last checkpoint is then what it had.
    """
    order = DataOrder(len(images), settings.batch, seed, images.device)
    checkpoints = checkpoint_steps(settings)
    data_spread = spread(images)
    losses: list[torch.Tensor] = []  # since the last row of the history, still on the device
    if not record.spreads:
        take_checkpoint(settings, players, record, seed, data_spread, observer, classes)

    while players.step < settings.steps:
        critic_loss, loss, v_real, v_fake = training_step(settings, objective, players, images, order, classes)
        losses.append(torch.stack((critic_loss, loss)))

        # Losses are read back every so often only, for a GPU must wait for that.
        if players.step % settings.history_every == 0 or players.step in checkpoints:
            recorded = torch.stack(losses)
            losses.clear()
            if (step := first_not_finite(recorded, players)) is not None:
                record.diverged_at = step
                return
            record.history.append(history_row(objective, players.step, recorded, v_real, v_fake))
            observer.row(record.history[-1])
        if players.step in checkpoints:
            take_checkpoint(settings, players, record, seed, data_spread, observer, classes)


def training_step(
    settings: Training,
    objective: Objective,
    players: Players,
    images: torch.Tensor,
    order: DataOrder,
    classes: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The critic sees n_critic fresh batches, then the generator moves once; returns what the history tells of."""
    for _ in range(settings.n_critic):
        drawn = order.next(players)
        real, labels = to_network(images[drawn]), None if classes is None else classes[drawn]
        critic_loss, v_real, v_fake = critic_step(settings, objective, players, real, labels)
    loss = generator_step(settings, objective, players, real, labels)
    update_average(settings, players)
    players.step += 1
    return critic_loss, loss, v_real, v_fake


def critic_step(
    settings: Training,
    objective: Objective,
    players: Players,
    real: torch.Tensor,
    labels: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One step of the critic on a real batch in [-1, 1]; returns its loss and the scores, detached.

    The generated batch has the labels of the real one: each is as frequent as in the data, and what looks at a real and
    a generated image together (a penalty between them, a relativistic loss) sees two of one class.
    """
    due = due_regularisers(settings, players.step)
    follows = {what for regulariser, _ in due if regulariser.critic_penalty for what in regulariser.follows}
    with torch.set_grad_enabled("players" in follows):
        fake = players.generator(conditioned(draw_latents(settings, players), labels))
    real, fake = blurred(due, players, real, fake)
    real = real.requires_grad_("real" in follows)
    fake = fake if fake.requires_grad else fake.requires_grad_("fake" in follows)
    answers = players.critic(torch.cat((real, fake))).split(len(real))
    v_real, v_fake = (scores_of(own, labels) for own in answers)
    loss = objective.critic_loss(v_real, v_fake)
    if loss.requires_grad:  # not where the critic has nothing to learn
        batch = batch_of(settings, objective, players, (real, fake), (v_real, v_fake), labels)
        penalties = [r.critic_penalty(batch, own) for r, own in due if r.critic_penalty]
        players.critic_optimiser.zero_grad(set_to_none=True)
        sum(penalties, loss).backward()
        players.critic_optimiser.step()
    for regulariser, own in due:
        if regulariser.constrain:
            regulariser.constrain(players.critic, own)
    return loss.detach(), v_real.detach(), v_fake.detach()


def generator_step(
    settings: Training,
    objective: Objective,
    players: Players,
    real: torch.Tensor,
    labels: torch.Tensor | None = None,
) -> torch.Tensor:
    """One step of the generator through a critic that stands still; returns its loss, detached.

    `real` is the critic's last batch, scored again where the loss or a regulariser looks at real images; `labels` are
    that batch's, and the generated images have them too.
    """
    due = [(r, own) for r, own in due_regularisers(settings, players.step) if r.generator_penalty or r.noise]
    follows_players = any("players" in r.follows for r, _ in due)
    needs_real = objective.needs_real or follows_players
    players.critic.requires_grad_(follows_players)
    fake = players.generator(conditioned(draw_latents(settings, players), labels))
    real, fake = blurred(due, players, real, fake)
    v_fake = scores_of(players.critic(fake), labels)
    with torch.set_grad_enabled(follows_players):
        v_real = scores_of(players.critic(real), labels) if needs_real else v_fake.detach()
    loss = objective.generator_loss(settings.generator_loss)(v_fake, v_real)
    batch = batch_of(settings, objective, players, (real, fake), (v_real, v_fake), labels)
    penalties = [r.generator_penalty(batch, own) for r, own in due if r.generator_penalty]
    players.generator_optimiser.zero_grad(set_to_none=True)
    sum(penalties, loss).backward()
    players.generator_optimiser.step()
    players.critic.requires_grad_(True)
    return loss.detach()


def due_regularisers(settings: Training, step: int) -> list[tuple[Regulariser, Any]]:
    return [(regulariser, own) for regulariser, own in settings.regularisation if regulariser.is_due(own, step)]


def blurred(
    due: Iterable[tuple[Regulariser, Any]], players: Players, *images: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """The images with the noise that the regularisers put on all that the critic sees."""
    std = sum(regulariser.noise(own, players.step) for regulariser, own in due if regulariser.noise)
    if not std:
        return images
    rng = players.noise
    return tuple(x + std * torch.randn(x.shape, generator=rng, device=rng.device) for x in images)


def batch_of(
    settings: Training,
    objective: Objective,
    players: Players,
    images: tuple[torch.Tensor, torch.Tensor],
    scores: tuple[torch.Tensor, torch.Tensor],
    labels: torch.Tensor | None,
) -> Batch:
    return Batch(
        objective=objective,
        generator=players.generator,
        critic=players.critic,
        real=images[0],
        fake=images[1],
        v_real=scores[0],
        v_fake=scores[1],
        generator_loss=settings.generator_loss,
        random=players.noise,
        labels=labels,
    )


def draw_latents(settings: Training, players: Players) -> torch.Tensor:
    return torch.randn(settings.batch, settings.latent, generator=players.latents, device=players.latents.device)


def update_average(settings: Training, players: Players) -> None:
    """average <- decay * average + (1 - decay) * generator, running statistics of batch normalisation included."""
    if players.average is players.generator:
        return
    averages, values = players.average.state_dict().values(), players.generator.state_dict().values()
    for average, value in zip(averages, values, strict=True):  # state_dict() shares memory with the network, detached
        average.lerp_(value, 1 - settings.ema_decay) if average.is_floating_point() else average.copy_(value)


class DataOrder:
    """Batches from endless epochs: every epoch is a permutation owned by (seed, epoch), batches run across the seam."""

    def __init__(self, count: int, batch: int, seed: int, device: torch.device):
        self.count, self.batch, self.seed, self.device = count, batch, seed, device
        self.epochs: dict[int, torch.Tensor] = {}

    def next(self, players: Players) -> torch.Tensor:
        """Indices (batch,) of the next real images; moves players.drawn."""
        first, end = players.drawn, players.drawn + self.batch
        players.drawn = end
        parts = []
        while first < end:
            epoch, offset = divmod(first, self.count)
            part = self.permutation(epoch)[offset : offset + end - first]
            parts.append(part)
            first += len(part)
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def permutation(self, epoch: int) -> torch.Tensor:
        if epoch not in self.epochs:
            rng = generator(self.seed, "order", epoch)
            self.epochs = {epoch: torch.randperm(self.count, generator=rng).to(self.device)}
        return self.epochs[epoch]


def checkpoint_steps(settings: Training) -> set[int]:
    """`settings.checkpoints` steps, evenly spaced, the last one the end."""
    return {round(settings.steps * k / settings.checkpoints) for k in range(1, settings.checkpoints + 1)}


def take_checkpoint(
    settings: Training,
    players: Players,
    record: Record,
    seed: int,
    data_spread: float,
    observer: Observer,
    classes: torch.Tensor | None,
) -> None:
    """Draw the checkpoint's samples from the average generator, note their spread, and tell the observer.

    Where the data has labels `classes` (N, K), sample i has the label i mod K.
    """
    rng = generator(seed, "checkpoint samples", device=players.latents.device)
    z = latents(settings.checkpoint_samples, settings.latent, rng)
    labels = None if classes is None else one_hot(labels_in_turn(len(z), classes.shape[1]), classes.shape[1])
    samples = decode(players.average, conditioned(z, labels))
    record.spreads.append((players.step, spread(samples) / data_spread))
    observer.checkpoint(players, record, samples)


def spread(images: torch.Tensor) -> float:
    """Standard deviation over the uint8 images of a pixel, averaged over the pixels, in grey levels.

    From sums that float64 holds exactly: ten times faster on a whole data set than torch.std along the images.
    """
    pixels, count = images.flatten(1), len(images)
    total, squares = torch.zeros(2, pixels.shape[1], dtype=torch.float64, device=images.device)
    for block in pixels.split(1024):
        total += block.double().sum(dim=0)
        squares += block.double().square_().sum(dim=0)
    return float(((count * squares - total**2) / (count * (count - 1))).sqrt().mean())


def first_not_finite(losses: torch.Tensor, players: Players) -> int | None:
    """The first of the last len(losses) steps whose losses (n, 2) or, for the last, whose weights are not finite."""
    bad = (~losses.isfinite().all(dim=1)).nonzero()
    if len(bad):
        return players.step - len(losses) + int(bad[0]) + 1
    finite = all(p.isfinite().all() for network in (players.generator, players.critic) for p in network.parameters())
    return None if finite else players.step


def history_row(
    objective: Objective, step: int, losses: torch.Tensor, v_real: torch.Tensor, v_fake: torch.Tensor
) -> dict[str, float]:
    """Means of the losses (n, 2) since the last row; scores (N,), divergence and accuracy of the last batch.

    Accuracy is the share of scores on the right side of f'(1), that is of log p/q = 0; NaN where the objective
    identifies no ratio. The divergence is the critic's estimate, 0 where it sees no difference.
    """
    critic_loss, generator_loss = losses.mean(dim=0).tolist()
    accuracy = float("nan")
    if objective.log_ratio is not None:
        right = torch.cat((objective.log_ratio(v_real) > 0, objective.log_ratio(v_fake) <= 0))
        accuracy = float(right.float().mean())
    v = torch.cat((v_real, v_fake))
    return {
        "step": step,
        "critic_loss": critic_loss,
        "generator_loss": generator_loss,
        "bound": float(objective.divergence(v_real, v_fake)),
        "accuracy": accuracy,
        "v_real_mean": float(v_real.mean()),
        "v_fake_mean": float(v_fake.mean()),
        "v_min": float(v.min()),
        "v_max": float(v.max()),
    }
