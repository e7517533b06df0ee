"""Parameters of a study of theory: chapters on densities that are known."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import field_validator

from divergan.chapters import CHAPTERS
from divergan.kinds import Name, Threads, named_settings
from divergan.strict import Strict

Chapters: Any = named_settings("Chapters", CHAPTERS)


class Theory(Strict):
    """A parameter file without arms: no image, no trained generator of images."""

    study: Name
    title: str
    question: str
    device: Literal["cpu"] = "cpu"  # the networks are too small for anything else to be faster
    threads: Threads
    chapters: Chapters

    @field_validator("chapters")
    @classmethod
    def _has_some(cls, chapters: Any) -> Any:
        if not chapters.stated:
            raise ValueError(f"there is no chapter: expected some of {', '.join(CHAPTERS)}")
        return chapters
