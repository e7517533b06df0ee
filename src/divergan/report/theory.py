"""What fills the report on known densities: the chapters' tables as the numbers and words of values.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from divergan.comparison import CONFIDENCE
from divergan.figures.theory import FIGURES
from divergan.report.atlas import atlas
from divergan.report.bilinear import bilinear
from divergan.report.bounds import bounds
from divergan.report.distances import distances
from divergan.report.dynamics import dynamics
from divergan.report.gaussian import gaussian
from divergan.report.likelihood import likelihood
from divergan.report.modes import modes
from divergan.report.plug_in import plug_in
from divergan.report.supports import supports
from divergan.report.wording import Tables

VALUES = {
    "gaussian": gaussian,
    "modes": modes,
    "bounds": bounds,
    "supports": supports,
    "plug_in": plug_in,
    "distances": distances,
    "likelihood": likelihood,
    "dynamics": dynamics,
    "atlas": atlas,
    "bilinear": bilinear,
}


def theory_values(
    tables: Tables,
    settings: Mapping[str, Any],
    facts: Sequence[Mapping[str, Any]],
    timings: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """`settings` are the report step's; `facts` and `timings` the run.json and timing.json of all that it rests on."""
    chapters = settings["chapters"]
    return {
        **settings["study"],
        "confidence": f"{100 * CONFIDENCE:g} %",
        "chapters": chapters,
        "figures": {figure.name: figure.caption(tables) for name in chapters for figure in FIGURES[name]},
        "provenance": provenance(settings, facts, timings),
        **{name: VALUES[name](tables) for name in chapters},
    }


def provenance(
    settings: Mapping[str, Any], facts: Sequence[Mapping[str, Any]], timings: Sequence[Mapping[str, Any]]
) -> list[list[str]]:
    machines = [fact["environment"] for fact in facts]
    packages = dict.fromkeys(name for machine in machines for name in machine["packages"])

    def distinct(values: Any) -> str:
        return ", ".join(sorted({str(value) for value in values}))

    return [
        ["study", settings["study"]["study"]],
        ["jobs", str(len(facts))],
        ["commit", distinct(fact["commit"] or "none" for fact in facts)],
        ["Python", distinct(machine["python"] for machine in machines)],
        *([name, distinct(machine["packages"][name] or "absent" for machine in machines)] for name in packages),
        ["device", distinct(f"{m['device']}, {m['threads']} threads, {m['processor']}" for m in machines)],
        ["processor time", f"{sum(t['cpu_seconds'] for t in timings) / 60:.0f} min"],
    ]
