"""The settings of a training as the report prints them: a person's words for the names of the parameter file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from divergan.networks import CRITICS, GENERATORS

LABELS = {
    "images": "training images",
    "generator.name": "generator",
    "generator.hidden": "generator's hidden layers",
    "critic.name": "critic",
    "critic.hidden": "critic's hidden layers",
    "latent": "dimensions of z",
    "batch": "batch, images",
    "steps": "generator steps",
    "n_critic": "critic steps for each of the generator",
    "learning_rate": "learning rate of Adam, both players",
    "betas": "β₁, β₂ of Adam",
    "ema_decay": "decay of the generator's moving average a step",
    "checkpoints": "checkpoints",
    "checkpoint_samples": "images a checkpoint",
    "history_every": "steps between rows of the history",
    "precision": "precision of the networks' products",
    "conditional": "labels given to both players",
}
WORDS = {"gan": "the gan split", "all": "gan, classifier and tuning splits", "True": "yes", "False": "no"}


Training = tuple[str, str, Mapping[str, Any]]  # the label of its loss, that of its arm, its settings by dotted name


def printed(trainings: Sequence[Training]) -> list[tuple[str, str]]:
    """Rows (setting, values), the value that most trainings have first; without what the table of arms says.

    A rarer value is followed by who has it: whole arms, and losses of the others.
    """
    rows = []
    for name in dict.fromkeys(name for *_, settings in trainings for name in settings if name in LABELS):
        having = [(label, arm, value_of(name, own[name])) for label, arm, own in trainings if name in own]
        usual, *rarer = [value for value, _ in Counter(value for *_, value in having).most_common()]
        rows.append((LABELS[name], "; ".join([usual, *(f"{value} ({who(value, having)})" for value in rarer)])))
    return rows


def who(value: str, having: Sequence[tuple[str, str, str]]) -> str:
    """The arms whose every training has this value, and the losses of other arms that have it."""
    arms = {arm: {other for _, own, other in having if own == arm} for _, arm, _ in having}
    whole = [arm for arm, values in arms.items() if values == {value}]
    losses = [f"{label} of {arm}" for label, arm, own in having if own == value and arm not in whole]
    return ", ".join(dict.fromkeys([*whole, *losses]))


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
