"""The kinds of values that parameters have."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, create_model, model_serializer

from divergan.names import RESERVED
from divergan.objectives import FAMILIES, OBJECTIVES, Objective, objective
from divergan.strict import Strict, known


def not_reserved(name: str) -> str:
    if name in RESERVED:
        raise ValueError("Windows opens a device by this name, whatever follows the first dot: choose another")
    return name


# Safe in a path, a URL and a shell.
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]{0,63}$"), AfterValidator(not_reserved)]
Positive = Annotated[int, Field(ge=1, lt=2**31)]
Threads = Annotated[int, Field(ge=1, le=1024)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


def inside(path: str) -> str:
    """`path` if it is below the project's folder, in which commands run, links followed; a ValueError if not."""
    if not path or "\\" in path or not Path(os.path.realpath(path)).is_relative_to(Path.cwd()):
        raise ValueError("expected a path inside the project's folder")
    return path


def distinct(seeds: list[int]) -> list[int]:
    if twice := sorted({s for s in seeds if seeds.count(s) > 1}):
        raise ValueError(f"seeds must be distinct, {', '.join(map(str, twice))} stands there twice")
    return seeds


Seeds = Annotated[list[Seed], Field(min_length=1), AfterValidator(distinct)]


class NamedSettings(Strict):
    """Settings by the names of what they belong to; null takes one away that a layer below states."""

    @property
    def stated(self) -> dict[str, Any]:
        """Those that are there, in the order of their registry."""
        return {name: own for name, own in self if own is not None}

    @model_serializer
    def _dumped(self) -> dict[str, Any]:
        return {name: own.model_dump() for name, own in self.stated.items()}  # so that a new one changes no recipe


def named_settings(title: str, registry: Mapping[str, Any]) -> Any:
    """A NamedSettings of the registry's names, each with its entry's `settings`."""
    fields: dict[str, Any] = {name: (entry.settings | None, None) for name, entry in registry.items()}
    return create_model(title, __base__=NamedSettings, **fields)


def named_objective(name: str) -> Objective:
    """The objective of a name that a person wrote; ValueError with the names there are, the nearest first."""
    try:
        return objective(name)
    except KeyError:
        families = [f"{family.name}({family.parameter})" for family in FAMILIES.values()]
    known(name, [*OBJECTIVES, *families])
    raise ValueError(f"{name}: expected a number in the brackets")


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Later layers over earlier ones, mapping by mapping."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = result.get(key)
            result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
    return result
