"""The report of tables of a study that never ran: its values, its folder, its words."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pandas as pd

from divergan.comparison import beside_published, summarise
from divergan.figures import drawable, render
from divergan.report import Provenance, compile_report, values
from divergan.report.runs import write_strips

PUBLISHED = Path(__file__).parents[1] / "data" / "published.csv"
PROVENANCE: Provenance = {
    "study": "demo", "title": "Divergences", "question": "Which one?", "parameters": [("batch size", "64")],
    "commits": ["3f9a1c2b"], "versions": {"torch": ["2.15.0"]}, "devices": ["cpu"], "core_seconds": 7380.0,
    "wall_seconds": 40.0,
    "features": "digits", "classifier_accuracy": 0.9713, "n_samples": 1000, "data": "MNIST",
    "splits": {"gan": 3000, "evaluation": 1000},
}  # fmt: skip


def content(study, **provenance) -> dict:
    published = pd.read_csv(PUBLISHED, dtype={"n_samples": str, "training_images": str})
    beside = beside_published(
        summarise(study.runs, ["fid"]), published, features="digits", n_samples=1000, training_images=3000
    )
    return values(study, beside, PROVENANCE | provenance)


NO_PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="1"/>'


def write(folder: Path, study, *, pictures: bool = True, **provenance) -> Path:
    """What the pipeline hands to the compiler; without `pictures` quickly, with empty ones."""
    (folder / "figures").mkdir(exist_ok=True)
    for figure in drawable(study):
        picture = render(figure, study) if pictures else NO_PICTURE
        (folder / "figures" / f"{figure.name}.svg").write_bytes(picture)
    write_strips(study, folder)
    (folder / "values.json").write_text(json.dumps(content(study, **provenance), allow_nan=False))
    return folder


def words(folder: Path, main: str = "report.typ") -> str:
    """The report's text, without its tags."""
    page = re.sub(r"(?s)<(style|svg|head).*?</\1>", "", compile_report(folder, "html", main).decode())
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))
