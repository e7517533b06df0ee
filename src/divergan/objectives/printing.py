"""The objectives and regularisers that there are, as a table in a terminal or as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, get_args

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from divergan.objectives import FAMILIES, OBJECTIVES, Family, FDivergence, Objective
from divergan.regularisers import REGULARISERS

WIDE = 240  # columns, where the output is no terminal and has no width of its own


@dataclass(frozen=True)
class Row:
    """An objective as a person reads it; empty where it has no such thing."""

    name: str
    label: str
    f: str
    domain: str
    activation: str
    threshold: str  # f'(1)
    identifies: str
    alternative: str  # what the alternative generator loss minimises
    source: str


def rows() -> list[Row]:
    """A row for every objective and, by its first example, every family."""
    listed = [row(o) for o in OBJECTIVES.values()]
    return listed + [row(family.make(family.examples[0]), family) for family in FAMILIES.values()]


def row(o: Objective, family: Family | None = None) -> Row:
    alternative = (
        o.alternative_label or o.alternative_formula or (f"not trained: {o.untrainable}" * bool(o.untrainable))
    )
    name = f"{family.name}({family.parameter}), as {o.name}" if family else o.name
    variational = o if isinstance(o, FDivergence) else None
    return Row(
        name=name,
        label=o.label,
        f=o.formula,
        domain="({:.3g}, {:.3g})".format(*variational.domain) if variational else "",
        activation=variational.activation_formula if variational else "",
        threshold=f"{variational.threshold + 0.0:.4g}" if variational else "",
        identifies=o.identifies,
        alternative=alternative,
        source=o.source,
    )


def print_objectives(as_json: bool) -> None:
    if as_json:
        print(json.dumps([asdict(each) for each in rows()], ensure_ascii=False, indent=2))
        return
    columns = (
        "objective",
        "f(u)",
        "domain of T",
        "T = g(v)",
        "f'(1)",
        "best critic tells",
        "alternative loss minimises",
    )
    table = Table(Column(columns[0], no_wrap=True), *columns[1:], "source", box=SIMPLE_HEAD)
    for each in rows():
        cells = (each.name, each.f, each.domain, each.activation, each.threshold, each.identifies, each.alternative)
        table.add_row(*map(escape, (*cells, each.source)))
    wide_enough().print(table)


def print_regularisers(as_json: bool) -> None:
    listed: list[dict[str, Any]] = [
        {
            "name": regulariser.name,
            "settings": {
                name: " | ".join(get_args(field.annotation)) or getattr(field.annotation, "__name__", "")
                for name, field in regulariser.settings.model_fields.items()
            },
            "acts_on": "the critic" if regulariser.needs else "any game",
            "source": regulariser.source,
        }
        for regulariser in REGULARISERS.values()
    ]
    if as_json:
        print(json.dumps(listed, ensure_ascii=False, indent=2))
        return
    table = Table("regulariser", "settings", "acts on", "source", box=SIMPLE_HEAD)
    for each in listed:
        settings = ", ".join(f"{name}: {kind}" for name, kind in each["settings"].items())
        table.add_row(*map(escape, (each["name"], f"{{{settings}}}", each["acts_on"], each["source"])))
    wide_enough().print(table)


def wide_enough() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    return console
