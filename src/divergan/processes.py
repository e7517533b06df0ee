"""Which steps of a plan have a process of their own, and which are made in that of the first job that needs them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from divergan.estimates import core_seconds
from divergan.plan import Step

SHORT_SECONDS = 60.0  # estimated; a process takes 2 s of a core before its work, and MLflow 3 s to be imported
ON_A_GPU = ("features", "train", "reweight", "sample", "evaluate")  # the verbs that hold a GPU where there is one
BY_THE_WAY = ("train", "reweight", "sample", "figures")  # tables and evaluations join too much


def is_short(step: Step) -> bool:
    """Whether a job that needs the step, and does not find it, makes it by the way."""
    return step.verb in BY_THE_WAY and core_seconds(step) < SHORT_SECONDS


class Processes:
    """The jobs of a plan's steps: a short step is made in the first job that needs it, and the others wait for it.

    A job thus waits only for jobs that stand before it in the plan, whatever it makes: no two wait for each other.
    """

    def __init__(self, steps: Sequence[Step]):
        self.home: dict[Step, Step] = {}
        place = {step: index for index, step in enumerate(steps)}
        users: dict[Step, list[Step]] = {step: [] for step in steps}
        for step in steps:
            for needed in step.inputs:
                users.setdefault(needed, []).append(step)
        for step in reversed(steps):
            homes = map(self.home.__getitem__, users[step]) if is_short(step) else ()
            self.home[step] = min(homes, key=place.__getitem__, default=step)

    @cached_property
    def made_in(self) -> dict[Step, list[Step]]:
        """A step that has a job -> the steps that this job makes, itself the last."""
        made: dict[Step, list[Step]] = {step: [] for step in reversed(self.home) if self.home[step] is step}
        for step in reversed(self.home):
            made[self.home[step]].append(step)
        return made

    def awaited(self, step: Step) -> list[Step]:
        """What other jobs must have made: the inputs' jobs, and what is awaited by an input made in this one."""
        here = step, self.home[step]
        homes = ((needed, self.home.get(needed, needed)) for needed in step.inputs)
        ways = (self.awaited(needed) if home in here else [home] for needed, home in homes)
        return list(dict.fromkeys(job for way in ways for job in way))
