"""A critic whose restriction is held, relaxed in a line over training, or not there, on few points."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from divergan.chapters.bounds import drawn, judged, picked
from divergan.chapters.critics import Critics
from divergan.chapters.lipschitz import clip, excess
from divergan.lazy import lazy
from divergan.objectives import Objective
from divergan.randomness import generator

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

JUDGED = 20_000  # fresh points a side
RESTRICTIONS = {
    "gradient_penalty": "gradient penalty, one-sided",
    "weight_clipping": "weight clipping",
    "instance_noise": "instance noise",
}
SCHEDULES = ("held", "relaxed")
FREE = "none"


def strength(schedule: str, step: int, steps: int) -> float:
    """Of the restriction at a step: 1, falling to 0 at the last step, or 0."""
    return {"held": 1.0, "relaxed": 1 - step / steps, FREE: 0.0}[schedule]


def trained(
    own: Objective, restriction: str, schedule: str, settings: dict[str, Any]
) -> Iterator[tuple[int, list[dict[str, float]]]]:
    """(step, what chapters.bounds.judged finds of each seed) at every look."""
    seeds, d, batch = settings["seeds"], settings["dimension"], settings["batch"]
    critics = Critics(seeds, "distances critic", d, settings["hidden"], torch.relu)
    optimiser = torch.optim.Adam(critics.parameters, lr=settings["learning_rate"])
    rngs = [generator(seed, "distances relaxed", d) for seed in seeds]
    kept = drawn(rngs, settings["points"], settings)
    fresh = drawn([generator(seed, "distances relaxed judged", d) for seed in seeds], JUDGED, settings)
    looks = {round(settings["steps"] * k / settings["looks"]) for k in range(1, settings["looks"] + 1)}
    for step in range(1, settings["steps"] + 1):
        share = strength(schedule, step, settings["steps"])
        x = picked(rngs, kept, batch)
        loss = restricted_loss(own, critics, x, rngs, restriction, share, settings)
        optimiser.zero_grad(set_to_none=True)
        (len(seeds) * loss).backward()
        optimiser.step()
        if restriction == "weight_clipping" and schedule != FREE:
            clip(critics, share * settings["clip"] + (1 - share) * settings["clip_end"])
        if step in looks:
            with torch.no_grad():
                yield step, judged(own, critics, fresh, kept, settings)


def restricted_loss(
    own: Objective,
    critics: Critics,
    x: torch.Tensor,
    rngs: list[torch.Generator],
    restriction: str,
    share: float,
    settings: dict[str, Any],
) -> torch.Tensor:
    """The critic's loss on points (S, 2 batch, d), with so much of the restriction as acts on losses or points."""
    if restriction == "instance_noise" and share:
        noise = torch.stack([torch.randn(x.shape[1:], generator=rng) for rng in rngs])
        x = x + share * settings["noise"] * noise
    loss = own.critic_loss(*critics(x).chunk(2, dim=1))
    if restriction == "gradient_penalty" and share:
        loss = loss + share * settings["penalty"] * excess(critics, x, rngs, "one").square().mean()
    return loss
