"""A finished study to compare with, and copies of it that may be broken."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from checkout import ROOT, Project, copied
from divergan import store

STUDY = Path("results/smoke")
Saw = Counter[str]  # what a person saw, and how often


class Drills:
    """A finished study to compare with, and copies of it that may be broken."""

    def __init__(self, folder: Path, seed: int = 0):
        self.folder, self.random, self.copies = folder, random.Random(seed), 0
        self.finished = copied(ROOT, folder / "finished")
        self.finished.snakemake()
        self.expected = content(self.finished)

    @contextmanager
    def project(self, *verbs: str) -> Iterator[Project]:
        """A copy of the finished study, or of what these verbs made; at its end it has to be whole again."""
        self.copies += 1
        project = copied(self.finished.folder, self.folder / f"copy-{self.copies}", "results", "reports")
        for path in sorted((project.folder / STUDY).glob("*/*/run.json")) if verbs else []:
            run = store.read_json(path)
            if run["verb"] not in verbs:
                shutil.rmtree(path.parent)
                shutil.rmtree(project.folder / "results/.store" / run["recipe"])
        if verbs:
            shutil.rmtree(project.folder / "reports")
        yield project
        self.ends_the_same(project)
        shutil.rmtree(project.folder)

    def ends_the_same(self, project: Project) -> None:
        """The same command again; then nothing is lost, nothing differs, and nothing is half-made."""
        unlocked(project)
        project.snakemake()
        found = content(project)
        differing = sorted(name for name in {*found, *self.expected} if found.get(name) != self.expected.get(name))
        assert not differing, differing
        assert not list((project.folder / STUDY).rglob(".*")), "temporary files in the study's folder"
        assert all(not store.damage(path.parent) for path in (project.folder / STUDY).glob("*/*/run.json"))


def content(project: Project) -> dict[str, str]:
    """Path -> SHA-256 of all results and tables but what tells seconds: timings, run.json, the report."""
    paths = [p for folder in (STUDY, Path("reports/smoke/tables")) for p in (project.folder / folder).rglob("*")]
    told = [p for p in paths if p.is_file() and not p.name.startswith("timing.") and p.name != "run.json"]
    found = {str(p.relative_to(project.folder)): store.sha256(p) for p in told}
    return {name: value for name, value in found.items() if not name.startswith(f"{STUDY}/report/")}


def unlocked(project: Project) -> None:
    """As Snakemake asks for after it was killed; it refuses where nothing is locked."""
    with suppress(AssertionError):
        project.snakemake("--unlock")


def line(told: str, words: str) -> str:
    """The line of an output that has these words, paths shortened; that there is one is part of the drill."""
    found = next((line for line in told.splitlines() if words in line), None)
    assert found, f"{words!r} is not in:\n{told}"
    assert "Traceback" not in told, told
    return found.strip()[:160]


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.02)
