"""The settings of a training as the report prints them: a person's words for the names of the parameter file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from divergan.networks import CRITICS, GENERATORS

LABELS = {
    "objective": "objective",
    "generator_loss": "generator loss",
    "images": "training images",
    "generator.name": "generator",
    "generator.hidden": "generator's hidden layers",
    "critic.name": "critic",
    "critic.hidden": "critic's hidden layers",
    "latent": "dimensions of z",
    "batch": "batch, images",
    "steps": "generator steps",
    "n_critic": "critic steps a generator step",
    "learning_rate": "learning rate of Adam, both players",
    "betas": "β₁, β₂ of Adam",
    "ema_decay": "decay of the generator's moving average a step",
    "checkpoints": "checkpoints",
    "checkpoint_samples": "images a checkpoint",
    "history_every": "steps a row of the history",
    "precision": "precision of the networks' products",
    "conditional": "labels given to both players",
}
WORDS = {"gan": "the gan split", "all": "gan, classifier and tuning splits", "True": "yes", "False": "no"}


def printed(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Settings by dotted name as words and values; without the regularisers, which the table of arms names."""
    return [(LABELS[name], value_of(name, value)) for name, value in settings.items() if name in LABELS]


def value_of(name: str, value: Any) -> str:
    if name == "ema_decay" and value == 0:
        return "no average"
    if name == "generator.name":
        return GENERATORS[value].label
    if name == "critic.name":
        return CRITICS[value].label
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return WORDS.get(str(value), str(value))
