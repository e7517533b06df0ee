"""What a finished run of Snakemake took: seconds of each job and of the work in it.

A job's start and end are those that Snakemake notes in .snakemake/metadata; work is what the timing.json of the step,
and of what its job made by the way, tells. Imports that happen within the work count as work.
"""

from __future__ import annotations

import base64
import json
import re
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from divergan.plan import FOLDERS, Plan
from divergan.processes import Processes


@dataclass(frozen=True)
class Ran:
    """One job of a finished run; times in seconds since 1970."""

    rule: str
    folder: str  # "runs/kl.stabilised-s0-3f9a1c2b"; of the report's rule, which publishes it, "report/report"
    started: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.started

    @property
    def key(self) -> tuple[str, str]:
        """(verb, key) of its step, without the recipe."""
        place, name = self.folder.split("/")
        verb = next(verb for verb, folder in FOLDERS.items() if folder == place)
        return verb, re.sub(r"-[0-9a-f]{8}$", "", name)


def ran(root: Path, study: str) -> list[Ran]:
    """The jobs by which Snakemake made what results/<study>/ holds."""
    found = []
    for path in (root / ".snakemake/metadata").iterdir():
        output = base64.b64decode(path.name, altchars=b"-_").decode()
        facts = json.loads(path.read_text())
        inside = re.fullmatch(rf"results/{study}/(\w+/[^/]+)/run\.json", output)
        published = re.fullmatch(rf"reports/{study}/\w+\.id", output)  # one of its rule's outputs, for one job
        folder = inside[1] if inside else "report/report" if published else None
        if folder and (root / output).is_file() and facts["starttime"]:
            found.append(Ran(facts["rule"], folder, facts["starttime"], facts["endtime"]))
    return sorted(found, key=lambda job: job.started)


def work(root: Path, study: str) -> dict[tuple[str, str], float]:
    """(verb, key) -> seconds that the step's own work took, of all that results/<study>/ holds."""
    verbs = {folder: verb for verb, folder in FOLDERS.items()}
    return {
        (verbs[path.parts[-3]], re.sub(r"-[0-9a-f]{8}$", "", path.parts[-2])): json.loads(path.read_text())[
            "wall_seconds"
        ]
        for path in (root / "results" / study).glob("*/*/timing.json")
    }


def overhead(root: Path, plan: Plan, cores: int = 2) -> dict[str, Any]:
    """Wall times cores over the seconds of work, less one, and where it went."""
    study = plan.study.study
    jobs, works = ran(root, study), work(root, study)
    within = {(own.verb, own.key): made for own, made in Processes(plan.steps).made_in.items()}
    done = {job: sum(works.get((s.verb, s.key), 0.0) for s in within.get(job.key, ())) for job in jobs}
    rules: dict[str, dict[str, Any]] = {}
    for rule in dict.fromkeys(job.rule for job in jobs):
        these = [job for job in jobs if job.rule == rule]
        rules[rule] = {
            "jobs": len(these), "job_seconds": sum(job.seconds for job in these),
            "work_seconds": sum(done[job] for job in these),
            "median_start": statistics.median(job.seconds - done[job] for job in these),
        }  # fmt: skip
    wall = max(job.ended for job in jobs) - min(job.started for job in jobs)
    worked, busy = sum(works.values()), sum(job.seconds for job in jobs)
    return {
        "study": study, "cores": cores, "wall_seconds": wall, "work_seconds": worked,
        "overhead": cores * wall / worked - 1, "starting": (busy - worked) / worked,
        "idle": (cores * wall - busy) / worked, "rules": rules,
    }  # fmt: skip
