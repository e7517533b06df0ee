"""A study at toy size in a folder of its own, for tests that read, plan or run one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SMOKE = (ROOT / "params/smoke.yaml").read_text("utf-8")
SMALL = (("hidden: [32, 64]", "hidden: [8]"), ("hidden: [64, 32]", "hidden: [8]"))  # networks that train in no time


def edited(text: str, *pairs: tuple[str, str]) -> str:
    """`text` with each old replaced by its new, each old standing there once."""
    for old, new in pairs:
        assert text.count(old) == 1, f"{old!r} stands there {text.count(old)} times"
        text = text.replace(old, new)
    return text


def project(folder: Path, *pairs: tuple[str, str]) -> Path:
    """A folder in which divergan commands run: params.yaml is smoke.yaml, edited; no result is there yet."""
    (folder / "data").mkdir(parents=True)
    (folder / "params.yaml").write_text(edited(SMOKE, *pairs), "utf-8")
    shutil.copy(ROOT / "data/published.csv", folder / "data/published.csv")
    shutil.copy(ROOT / "claims.yaml", folder / "claims.yaml")
    return folder


def environment(**more: str) -> dict[str, str]:
    """For a subprocess: one thread, no MLflow, bytecode kept elsewhere or not at all as it is for this process."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "DIVERGAN_TRACKING": "off", **more}


def divergan(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The command line as a person starts it, in `folder`."""
    command = [sys.executable, "-c", "from divergan.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, env=environment(**more), capture_output=True, text=True, timeout=120)


SAMPLERS = (ROOT / "params/smoke_samplers.yaml").read_text("utf-8")


def sampled_project(folder: Path, *pairs: tuple[str, str]) -> Path:
    """The same with params.yaml from smoke_samplers.yaml, edited; smoke.yaml, which it is like, lies in params/."""
    project(folder, *SMALL)
    (folder / "params").mkdir()
    (folder / "params/smoke.yaml").write_text((folder / "params.yaml").read_text("utf-8"), "utf-8")
    (folder / "params.yaml").write_text(edited(SAMPLERS, *pairs), "utf-8")
    return folder
