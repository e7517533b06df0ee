"""What the pipeline needs to know of a chapter: a question with an exact answer, and the learned one beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from divergan.strict import Strict

if TYPE_CHECKING:
    import pandas as pd

Rows = list[dict[str, Any]]  # JSON types alone


class Progress(Protocol):
    def update(self, done: int) -> None:
        """So many of the part's steps are done."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One job of a chapter."""

    key: str  # names its folder, beneath the chapter's name
    settings: dict[str, Any]  # all that its result depends on, threads aside
    objectives: tuple[str, ...] = ()  # that it uses, by name
    uses: tuple[tuple[Any, str], ...] = ()  # other declarations that it uses, each with the package it stands in
    steps: int  # as the progress bar counts them


def file_name(objective: str) -> str:
    """An objective's name as a part of a file's: "alpha(-0.5)" as alpha_minus0p5."""
    return objective.replace("(", "_").replace(")", "").replace("-", "minus").replace(".", "p")


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A section of a parameter file, a Snakemake target and a chapter of the PDF, which <name>.typ holds."""

    name: str
    label: str
    settings: type[Strict]
    parts: Callable[[Any], Iterable[Part]]  # from the section of the parameter file
    compute: Callable[[dict[str, Any], Progress], Rows]  # from a part's settings
    tables: Callable[[pd.DataFrame], Mapping[str, pd.DataFrame]]  # from the rows of all parts
    seconds: Callable[[dict[str, Any]], float]  # about, of one core, from a part's settings
