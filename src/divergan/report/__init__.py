"""The PDF report: what fills it (`values`), and its compilation (`compile_pdf`).

report.typ and the other Typst files hold the prose and read nothing but values.json, the figures beside it and
references.bib. So the report has no number that the tables do not have.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Literal

from divergan.errors import DivergaNError
from divergan.report.content import Provenance, values

__all__ = ["Provenance", "ReportError", "compile_pdf", "compile_report", "values"]

HERE = Path(__file__).parent


class ReportError(DivergaNError):
    """A report that cannot be compiled."""


def compile_pdf(folder: Path, main: str = "report.typ") -> bytes:
    """The report of a folder that holds values.json and figures/*.svg: equal bytes for equal content everywhere.

    Raises ReportError where the folder lacks values.json or Typst refuses the document.
    """
    return compile_report(folder, "pdf", main)


def compile_report(folder: Path, file_format: Literal["pdf", "html"], main: str = "report.typ") -> bytes:
    """The report in a format of Typst's; "html" has the same words, for tests and search."""
    import typst as compiler  # only this function needs it

    if not (folder / "values.json").is_file():
        raise ReportError(f"{folder} has no values.json: run `divergan report`, which writes it before it compiles.")
    with tempfile.TemporaryDirectory() as work:
        shutil.copytree(folder, work, dirs_exist_ok=True)
        for path in (*HERE.glob("*.typ"), HERE / "references.bib"):
            shutil.copy(path, work)
        try:
            # system fonts differ between machines: only those inside Typst
            return compiler.compile(str(Path(work, main)), format=file_format, ignore_system_fonts=True)
        except compiler.TypstError as error:
            raise ReportError(f"Typst refused the report of {folder}: {error.diagnostic or error}") from error
