"""The claims of a study, with evidence and verdict, in a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from divergan import store
from divergan.claims.schema import read
from divergan.claims.wording import evidence
from divergan.errors import DivergaNError
from divergan.plan import CLAIMS, Plan

if TYPE_CHECKING:
    import pandas as pd

COLOURS = {
    "reproduced": "green",
    "not reproduced": "red",
    "undecided": "yellow",
    "not comparable": "dim",
    "could not have been measured": "dim",
    "not run": "dim",
}


def judged(root: Path, plan: Plan) -> list[dict[str, Any]]:
    """The rows of claims.csv, nothing for what is not there."""
    return list(json.loads(read_judged(root, plan).to_json(orient="records")))


def read_judged(root: Path, plan: Plan) -> pd.DataFrame:
    """The claims of a study with their verdicts; DivergaNError before `compare`."""
    import pandas as pd

    read(root / CLAIMS)  # a fault in it is what a person would want to hear of first
    file = store.place(root, plan.of("compare")[0]) / "claims.csv"
    if not file.is_file():
        raise DivergaNError(
            f"the claims are not judged yet: {file} is missing; make it with "
            f"`snakemake evaluate --config params={plan.file}`"
        )
    return pd.read_csv(file)


def print_claims(root: Path, plan: Plan) -> None:
    """A table of all claims, a section a family, and a count of the verdicts."""
    text = {"arm": "", "direction": "", "reason": "", "method": "", "verdict": ""}
    claims = read_judged(root, plan).fillna(text)
    table = Table("claim", "arm", "evidence", "adjusted p", "verdict", "", box=SIMPLE_HEAD, title=plan.study.title)
    for family, rows in claims.groupby("family", sort=False):
        table.add_section()
        table.add_row(f"[bold]{escape(str(family))}[/]")
        for row in rows.to_dict("records"):
            table.add_row(*map(escape, cells(row)[:4]), coloured(row["verdict"]), escape(cells(row)[4]))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200  # a log or a pipe has no width of its own
    console.print(table)
    counts = claims["verdict"].value_counts()
    console.print(", ".join(f"{counts[verdict]} {coloured(verdict)}" for verdict in COLOURS if verdict in counts) + ".")


def cells(row: Mapping[Any, Any]) -> tuple[str, str, str, str, str]:
    """Claim, arm, evidence, adjusted p and what is to be added."""
    p = row["p_adjusted"]
    told = "" if p != p else "< 0.001" if p < 0.001 else f"{p:.3f}"
    needed = row["seeds_needed"]
    seeds = "" if needed != needed else f"about {needed:.0f} seeds would decide it"
    return row["says"], row["arm"], evidence(row), told, "; ".join(filter(None, (row["reason"], seeds)))


def coloured(verdict: str) -> str:
    return f"[{COLOURS[verdict]}]{verdict}[/]"
