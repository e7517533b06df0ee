"""The definition checks for a person: on declarations by name, or on all that a Python file declares."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from divergan.errors import DivergaNError
from divergan.kinds import named_objective
from divergan.objectives import FAMILIES, OBJECTIVES, Family, Objective
from divergan.objectives.definitions import applying, explained


def print_checks(names: Iterable[str]) -> bool:
    """A line for each objective, and one for each definition that it breaks, with what to look at; whether all hold.

    A declaration kept as published is expected to break some: its flaw is printed, and it counts as holding.
    """
    console, all_hold = Console(highlight=False, soft_wrap=True), True
    for o in asked(names):
        broken, count = explained(o), len(applying(o))
        if o.flaw and broken:
            console.print(f"[yellow]as published[/] {o.name}: {escape(o.flaw)}")
            continue
        all_hold &= not broken
        state = "[red]broken[/]" if broken else "[green]holds[/] "
        console.print(f"{state} {o.name}: {count - len(broken)} of {count} definitions")
        for violation in broken:
            found = f": found {violation.found}" if violation.found else ""
            console.print(f"    not true: {escape(violation.statement + found)}")
            console.print(f"    look at:  {escape(violation.look_at)}")
    return all_hold


def asked(names: Iterable[str]) -> Iterator[Objective]:
    """The objectives of names and of files; without any, all that there are."""
    for name in names or (*OBJECTIVES, *FAMILIES):
        if name.endswith(".py"):
            yield from declared_in(Path(name))
        elif name in FAMILIES:
            yield from members(FAMILIES[name])
        else:
            try:
                yield named_objective(name)
            except ValueError as error:
                raise DivergaNError(f"{error}; or name a Python file that declares some") from None


def members(family: Family) -> Iterator[Objective]:
    yield from (family.make(value) for value in family.examples)


def declared_in(path: Path) -> list[Objective]:
    """The objectives, and the examples of the families, at the top of a file, which is run as Python runs it."""
    if not path.is_file():
        raise DivergaNError(f"{path} is not there: expected a Python file that declares an objective")
    spec = importlib.util.spec_from_file_location(f"checked_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise DivergaNError(f"{path} does not run ({type(error).__name__}: {error})") from error
    imported = {id(o) for o in (*OBJECTIVES.values(), *FAMILIES.values())}
    own = [value for value in vars(module).values() if id(value) not in imported]
    found = [value for value in own if isinstance(value, Objective)]
    found += [member for family in own if isinstance(family, Family) for member in members(family)]
    if not found:
        raise DivergaNError(f"{path} declares no objective: expected NAME = FDivergence(...) or Scores(...) in it")
    return found
