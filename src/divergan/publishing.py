"""reports/<study>/: the PDF, figures and tables under fixed names, where people and DVC look."""

from __future__ import annotations

import shutil
from pathlib import Path

from divergan.plan import Plan
from divergan.store import link, place


def publish(root: Path, plan: Plan) -> Path:
    """Put the plan's report, figures and tables into reports/<study>/; its id file comes last and names the recipe."""
    (report,) = plan.of("report")
    (tables,), (figures,) = plan.of("compare"), plan.of("figures")
    folder = root / "reports" / plan.study.study
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.id"):
        stale.unlink()
    for name, source, pattern in (("figures", figures, "*.svg"), ("tables", tables, "*.csv")):
        link(place(root, source), folder / name, only=pattern)
    for name, step in (("report.pdf", report), ("metrics.json", tables)):
        shutil.copyfile(place(root, step) / name, folder / name)
    identity = folder / f"{report.hash[:8]}.id"
    identity.write_text(f"{report.hash}\n", "utf-8")
    return folder
