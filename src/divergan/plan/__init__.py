"""Parameters -> the steps of a study, each with the recipe that determines it. Needs no torch and runs nothing."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from divergan import params
from divergan.errors import DivergaNError
from divergan.plan.steps import CLAIMS, FOLDERS, PRIOR, PUBLISHED, REAL, Step, UnknownKey
from divergan.plan.theory import theory_steps
from divergan.plan.trained import TrainedPlan

__all__ = ["CLAIMS", "FOLDERS", "PRIOR", "PUBLISHED", "REAL", "Plan", "Step", "UnknownKey"]


class Plan:
    """The steps of one parameter file, in an order in which they can be made."""

    def __init__(self, file: Path, study: params.Study | params.Theory | None = None):
        self.file = file
        self.study = study or params.read(file)

    @cached_property
    def steps(self) -> list[Step]:
        if isinstance(self.study, params.Theory):
            return theory_steps(self.study)
        return TrainedPlan(self.study).steps

    @property
    def trained(self) -> params.Study:
        """The study, where it is one of trained generators; DivergaNError where it is one of theory."""
        if isinstance(self.study, params.Theory):
            raise DivergaNError(f"{self.file} trains no generator on images: it has the chapters {self.chapters}")
        return self.study

    @property
    def chapters(self) -> str:
        return ", ".join(self.study.chapters.stated) if isinstance(self.study, params.Theory) else "none"

    def of(self, verb: str) -> list[Step]:
        return [step for step in self.steps if step.verb == verb]

    def step(self, verb: str, key: str) -> Step:
        """The step of a verb by its key, its folder's name, or a path to its folder."""
        name = Path(key).name
        for step in self.of(verb):
            # The recipe's hash is asked of the one step that may be meant: what the others reach is then never read.
            if name == step.key or (name.startswith(step.key) and name == Path(step.folder).name):
                return step
        keys = ", ".join(step.key for step in self.of(verb))
        raise UnknownKey(f"{self.file} plans no {verb} {key!r}; it plans {keys}")
