"""Chapters on known densities: the verb chapter, and what compare, figures and report are for a study of them."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

from divergan.chapters import CHAPTERS
from divergan.lazy import lazy
from divergan.pipeline.browsing import save_page
from divergan.pipeline.files import finite
from divergan.pipeline.job import Job
from divergan.progress import shown
from divergan.store import RUN, place, read_json, write_json, written

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy("pandas")

ROWS = "rows.json"


def chapter(job: Job) -> dict[str, Any]:
    """One part of a chapter: a row for each of its seeds."""
    settings = job.step.settings
    with shown(job.step.key, settings["steps"], "steps") as bar:
        rows = CHAPTERS[settings["chapter"]].compute(settings["part"], bar)
    write_json(job.out / ROWS, [finite(row) for row in rows])
    return {"rows": len(rows), "outcomes": dict(sorted(Counter(row["outcome"] for row in rows).items()))}


def theory_tables(job: Job) -> dict[str, Any]:
    """The chapters' tables as CSV."""
    made = 0
    for name in job.step.settings["chapters"]:
        parts = [step for step in job.step.inputs_of("chapter") if step.settings["chapter"] == name]
        rows = pd.DataFrame([row for step in parts for row in read_json(place(job.root, step) / ROWS)])
        for title, table in CHAPTERS[name].tables(rows).items():
            with written(job.out / f"{title}.csv") as temporary:
                table.to_csv(temporary, index=False, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
            made += 1
    write_json(job.out / "metrics.json", {})
    return {"tables": made}


def theory_figures(job: Job) -> dict[str, Any]:
    """The chapters' figures as SVG."""
    from divergan.figures import render
    from divergan.figures.theory import FIGURES

    tables = read_tables(job)
    drawn = [figure for name in job.step.settings["chapters"] for figure in FIGURES[name]]
    for figure in drawn:
        with written(job.out / f"{figure.name}.svg") as temporary:
            temporary.write_bytes(render(figure, tables))
    return {"figures": [figure.name for figure in drawn]}


def theory_report(job: Job) -> dict[str, Any]:
    """report.pdf and index.html of the chapters, with the values and figures that they were made from."""
    from divergan.page.theory import theory_content
    from divergan.report import compile_pdf
    from divergan.report.theory import theory_values

    figures, tables = job.input("figures"), read_tables(job)
    shutil.copytree(figures, job.out / "figures", ignore=shutil.ignore_patterns("*.json"), dirs_exist_ok=True)
    facts = [read_json(place(job.root, step) / RUN) for step in job.step.inputs]
    timings = [read_json(place(job.root, step) / "timing.json") for step in job.step.inputs]
    values = theory_values(tables, job.step.settings, facts, timings)
    write_json(job.out / "values.json", values)
    save_page(job, theory_content(tables, values, figures))
    with written(job.out / "report.pdf") as temporary:
        temporary.write_bytes(compile_pdf(job.out, "theory.typ"))
    return {}


def read_tables(job: Job) -> dict[str, pd.DataFrame]:
    """The tables of the compare step by name."""
    folder = job.input("compare")
    return {path.stem: pd.read_csv(path) for path in sorted(folder.glob("*.csv"))}
