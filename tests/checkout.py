"""A copy of the project in a folder of its own, in which commands run with its own source."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TRACKED = (
    "Snakefile",
    "workflow",
    "profiles",
    "src",
    "params",
    "claims.yaml",
    "data",
    "dvc.yaml",
    ".dvcignore",
    "requirements.lock",
    "environment.yml",
)
PARAMS = "params/smoke.yaml"
BIN = Path(sys.executable).parent


class Project:
    """A copy of the project in which commands run with its own source."""

    def __init__(self, folder: Path):
        self.folder = folder

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """A command in a session of its own, its two outputs in one pipe; tracking is off unless told otherwise."""
        own = {
            "PYTHONPATH": str(self.folder / "src"),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "DIVERGAN_TRACKING": "off",
        }
        return subprocess.Popen(
            [str(BIN / command[0]), *command[1:]], cwd=self.folder, env={**os.environ, **own, **environment},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, *command: str, ok: bool = True, **environment: str) -> str:
        process = self.start(*command, **environment)
        output, _ = process.communicate()
        assert (process.returncode == 0) == ok, output
        return output

    def snakemake(self, *arguments: str, ok: bool = True, params: str = PARAMS, **environment: str) -> str:
        return self.run(*self.dag(*arguments, params=params), ok=ok, **environment)

    def dag(self, *arguments: str, params: str = PARAMS) -> tuple[str, ...]:
        return ("snakemake", "--cores", "2", *arguments, "--config", f"params={params}")

    def planned_jobs(self, *targets: str, params: str = PARAMS) -> dict[str, int]:
        """Rule -> number of jobs of a dry run."""
        output = self.snakemake("--dry-run", *targets, params=params)
        counts = dict(re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE))
        counts.pop("total", None)
        return {rule: int(count) for rule, count in counts.items()}

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        path.write_text(text.replace(old, new))

    def report(self) -> str:
        return hashlib.sha256((self.folder / "reports/smoke/report.pdf").read_bytes()).hexdigest()

    def made(self) -> list[str]:
        """The trainings of the study's folder."""
        return sorted(path.name for path in (self.folder / "results/smoke/runs").iterdir())


def copied(source: Path, target: Path, *more: str) -> Project:
    target.mkdir()
    for name in (*TRACKED, *more):
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, ignore=shutil.ignore_patterns("raw", "__pycache__"))
        elif (source / name).is_file():
            shutil.copy2(source / name, target / name)
    return Project(target)
