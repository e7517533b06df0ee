"""Trainings of tiny networks on made images, stopped and gone on with; as a script, in a new process."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from divergan import checkpoints, jobs, store
from divergan.data import save_splits
from divergan.networks import CRITICS, GENERATORS
from divergan.networks.conditioning import one_hot
from divergan.objectives import objective
from divergan.params import Training, merged
from divergan.plan import Plan, Step
from divergan.training import Players, Record, start, train
from tiny_study import SMALL, project

SHAPE = (1, 4, 4)
CLASSES = 3
SETTINGS = {
    "objective": "bce",
    "generator_loss": "alternative",
    "images": "gan",
    "generator": {"name": "mlp", "hidden": [8]},
    "critic": {"name": "mlp", "hidden": [8]},
    "latent": 3,
    "batch": 8,
    "steps": 12,
    "n_critic": 1,
    "learning_rate": 1e-2,
    "betas": [0.5, 0.999],
    "regularisers": {},
    "ema_decay": 0.0,
    "checkpoints": 3,
    "checkpoint_samples": 6,
    "history_every": 5,
}


def settings(**changes: Any) -> Training:
    return Training.model_validate(merged(SETTINGS, changes))


def images(count: int = 30) -> torch.Tensor:
    """uint8 (count, 1, 4, 4); 30 is no multiple of the batch, so that batches cross the seam of an epoch."""
    return torch.randint(0, 256, (count, *SHAPE), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def classes(chosen: Training, count: int = 30) -> torch.Tensor | None:
    """Labels of `images`, one-hot (count, CLASSES), for a conditional training."""
    labels = torch.randint(0, CLASSES, (count,), generator=torch.Generator().manual_seed(2))
    return one_hot(labels, CLASSES) if chosen.conditional else None


def begun(chosen: Training, seed: int = 0) -> Players:
    networks = GENERATORS[chosen.generator.name], CRITICS[chosen.critic.name]
    known = CLASSES if chosen.conditional else 0
    return start(chosen, objective(chosen.objective), networks, SHAPE, seed, "cpu", known)


class Keeper:
    """An observer that keeps what it is told, and the state of every checkpoint if it is given a folder."""

    def __init__(self, folder: Path | None = None):
        self.folder = folder
        self.rows: list[dict[str, float]] = []
        self.samples: dict[int, torch.Tensor] = {}

    def row(self, row: dict[str, float]) -> None:
        self.rows.append(row)

    def checkpoint(self, players: Players, record: Record, samples: torch.Tensor) -> None:
        self.samples[players.step] = samples
        if self.folder:
            checkpoints.save(self.folder / f"{players.step}.safetensors", players, record)


def ran(
    chosen: Training, seed: int = 0, state: Path | None = None, folder: Path | None = None
) -> tuple[Players, Record, Keeper]:
    """A training to its end, from `state` if there is one."""
    players, keeper = begun(chosen, seed), Keeper(folder)
    record = checkpoints.restore(state, players) if state else Record()
    train(chosen, objective(chosen.objective), players, record, images(), seed, keeper, classes(chosen))
    return players, record, keeper


def digest(*networks: torch.nn.Module) -> str:
    """SHA-256 over all weights and buffers."""
    found = hashlib.sha256()
    for network in networks:
        for name, value in network.state_dict().items():
            found.update(name.encode() + value.detach().contiguous().numpy().tobytes())
    return found.hexdigest()


def outcome(players: Players, record: Record) -> str:
    """All that a run is at its end, in one line."""
    optimisers = hashlib.sha256()
    for optimiser in (players.generator_optimiser, players.critic_optimiser):
        for state in optimiser.state_dict()["state"].values():
            for name, value in sorted(state.items()):
                optimisers.update(name.encode() + value.numpy().tobytes())
    latents = hashlib.sha256(players.latents.get_state().numpy().tobytes()).hexdigest()
    weights = digest(players.generator, players.critic, players.average)
    return json.dumps(
        [weights, optimisers.hexdigest(), latents, players.step, players.drawn, record.history, record.spreads]
    )


def trained(root: Path, key: str, *pairs: tuple[str, str]) -> tuple[Path, Step]:
    """A project in `root` in which the run `key` of the small study is made, from noise: no data set is read."""
    project(root, *SMALL, *pairs)
    with contextlib.chdir(root):
        plan = Plan(Path("params.yaml"))
        store.make(Path(), plan.of("data")[0], noise(plan.study.data.splits.model_dump()))
        step = plan.step("train", key)
        jobs.make(Path(), step, "cpu", 1)
    return root / store.place(Path(), step), step


def noise(sizes: dict[str, int]) -> Callable[[Path], dict[str, Any]]:
    """Work for the verb `data`: splits of the sizes asked for."""

    def work(folder: Path) -> dict[str, Any]:
        rng = np.random.default_rng(0)
        splits = {name: (rng.integers(0, 256, (n, 1, 28, 28), "uint8"), np.arange(n) % 10) for name, n in sizes.items()}
        save_splits(folder / "splits.safetensors", splits)
        return {"images": sizes, "commit": None, "environment": {}}

    return work


if __name__ == "__main__":
    torch.set_num_threads(1)
    for changes, seed, state in json.loads(sys.argv[1]):
        print(outcome(*ran(settings(**changes), seed, Path(state))[:2]))
