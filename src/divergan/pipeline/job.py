"""A step being made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from divergan.plan import Step
from divergan.store import place

if TYPE_CHECKING:
    from divergan.tracking import Live


@dataclass(frozen=True, kw_only=True)
class Job:
    """A step being made: where its inputs lie, where its output goes, on what it runs, who watches."""

    step: Step
    root: Path
    out: Path
    device: str
    live: Live

    def input(self, verb: str) -> Path:
        return place(self.root, self.step.input(verb))
