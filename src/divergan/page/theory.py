"""What fills the page of a study of theory: its chapters' figures and tables."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from divergan.chapters import CHAPTERS
from divergan.figures.theory import FIGURES
from divergan.page.tables import plain
from divergan.report.wording import Tables

MOST_ROWS = 300  # a table with more is linked alone


def theory_content(tables: Tables, values: Mapping[str, Any], figures: Path) -> dict[str, Any]:
    """What `render` takes; `values` are the report's, `figures` is their folder."""
    return {
        **{name: values[name] for name in ("title", "study", "question", "provenance")},
        "answer": None,
        "files": sorted(f"{name}.csv" for name in tables),
        "chapters": [
            {
                "name": chapter,
                "title": CHAPTERS[chapter].label,
                "figures": [_picture(figures / f"{own.name}.svg", own.caption(tables)) for own in FIGURES[chapter]],
            }
            for chapter in values["chapters"]
        ],
        "tables": [plain(name, table) for name, table in tables.items() if len(table) <= MOST_ROWS],
        "left_out": [name for name, table in tables.items() if len(table) > MOST_ROWS],
        **dict.fromkeys(("results", "runs", "samplers", "claims", "data")),
        "curves": {},
    }


def _picture(file: Path, caption: str) -> dict[str, str]:
    return {"caption": caption, "svg": b64encode(file.read_bytes()).decode()}
