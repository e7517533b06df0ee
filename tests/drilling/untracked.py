"""MLflow's database broken, locked or not there, or no MLflow at all."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager

from checkout import PARAMS, Project
from drilling.study import Drills, Saw, line


def mlflow(drills: Drills, times: int) -> Saw:
    """A database that is no database, cut, a folder, locked by another; no MLflow at all. The study goes on."""
    saw: Saw = Counter()
    for broken in (no_database, cut_database, folder_for_database, locked_database, no_mlflow) * times:
        with drills.project("data", "features", "train", "sample", "evaluate") as project:
            with broken(project) as environment:
                told = project.snakemake(DIVERGAN_TRACKING="on", **environment)
            logs = "".join(path.read_text() for path in (project.folder / "logs").rglob("*.log"))
            assert "Traceback" not in told + logs, told + logs
            warned = line(logs, "warning: tracking stops for this run").split(" (")[0]
            saw[f"{broken.__name__.replace('_', ' ')}: {warned}; `divergan track` takes it over later"] += 1
            for path in project.folder.glob("mlflow.db*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            assert "10 of 10 finished runs" in project.run(
                "divergan", "track", "--params", PARAMS, DIVERGAN_TRACKING="on"
            )
    return saw


@contextmanager
def no_database(project: Project) -> Iterator[dict[str, str]]:
    (project.folder / "mlflow.db").write_bytes(random.Random(0).randbytes(5000))
    yield {}


@contextmanager
def cut_database(project: Project) -> Iterator[dict[str, str]]:
    project.run("divergan", "track", "--params", PARAMS, DIVERGAN_TRACKING="on")
    path = project.folder / "mlflow.db"
    os.truncate(path, path.stat().st_size // 2)
    yield {}


@contextmanager
def folder_for_database(project: Project) -> Iterator[dict[str, str]]:
    (project.folder / "mlflow.db").mkdir()
    yield {}


@contextmanager
def locked_database(project: Project) -> Iterator[dict[str, str]]:
    project.run("divergan", "track", "--params", PARAMS, DIVERGAN_TRACKING="on")
    with closing(sqlite3.connect(project.folder / "mlflow.db", isolation_level=None)) as other:
        other.execute("DELETE FROM metrics")
        other.execute("BEGIN EXCLUSIVE")
        yield {}


@contextmanager
def no_mlflow(project: Project) -> Iterator[dict[str, str]]:
    (project.folder / "without").mkdir()
    (project.folder / "without/mlflow.py").write_text("raise ModuleNotFoundError('No module named mlflow')\n")
    yield {"PYTHONPATH": f"{project.folder / 'without'}{os.pathsep}{project.folder / 'src'}"}
