"""Strict models of what a person writes, and how a fault in them is told: file, line, key, value, what is accepted."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from divergan.strict_yaml import line_of


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def misfit(text: str, *place: str) -> PydanticCustomError:
    """A fault between several values, told at the one at `place` below the model that raises it."""
    return PydanticCustomError("misfit", "{text}", {"text": text, "place": place})


def known(name: str, registry: Iterable[str]) -> str:
    """`name` if the registry has it; a ValueError that lists what it has, the nearest first."""
    names = list(registry)
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"there is no {name!r}; {hint}known are {', '.join(names)}")


EXPECTED = {  # pydantic's types of faults in the words of someone who writes YAML
    "missing": "is missing",
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "finite_number": "expected a finite number",
    "bool_type": "expected true or false",
    "string_type": "expected text",
    "list_type": "expected a list, like [1, 2]",
    "dict_type": "expected a mapping, like {name: value}",
    "model_type": "expected a mapping, like {name: value}",
    "string_pattern_mismatch": "expected at most 64 small letters, digits and _, for it becomes a file's name",
}


def message(path: Path, document: Any, error: ValidationError, *layers: tuple[str, ...]) -> str:
    """One line a fault: file, line, key, value, and what would be accepted; what is there before what is missing."""
    faults = sorted(error.errors(), key=lambda fault: fault["type"] == "missing")
    return "\n".join(f"{path}, {told(document, fault, layers)}" for fault in faults)


def told(document: Any, fault: Any, layers: tuple[tuple[str, ...], ...]) -> str:
    """One fault, at the first layer in which its key stands."""
    place = (*(part for part in fault["loc"] if part != "[key]"), *fault.get("ctx", {}).get("place", ()))
    full = next((layer + place for layer in layers if line_of(document, layer + place, exact=True)), layers[0] + place)
    value = "" if fault["type"] in ("missing", "misfit") else f" = {fault['input']!r:.80}"
    text = EXPECTED.get(fault["type"], fault["msg"].removeprefix("Value error, "))
    if fault["type"] == "extra_forbidden":
        text = "is not a parameter" + suggestion(fault["loc"])
    text = text.replace("Input should be", "expected").replace(" after validation", "")
    return f"line {line_of(document, full)}: {'.'.join(map(str, full))}{value}: {text}"


def below(model: type[Strict]) -> Iterator[type[Strict]]:
    for own in model.__subclasses__():
        yield own
        yield from below(own)


def suggestion(place: tuple[int | str, ...]) -> str:
    """The nearest parameter there is, for a key that there is not."""
    names = {name for model in below(Strict) for name in model.model_fields} - {place[-1]}
    near = difflib.get_close_matches(str(place[-1]), names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
