"""Files that were flipped, cut or emptied."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path

from checkout import PARAMS
from drilling.study import STUDY, Drills, Saw, wait_for


def damaged_checkpoint(drills: Drills, times: int) -> Saw:
    """A killed training's half-made files, flipped, cut or emptied."""
    saw: Saw = Counter()
    for _ in range(times):
        with drills.project("data", "features") as project:
            running = project.start("divergan", "train", "kl.stabilised-s0", "--params", PARAMS)
            left = project.folder / "results/.partial"
            wait_for(lambda left=left: any(left.glob("*/.state.safetensors")))
            running.kill()
            running.communicate()
            files = [*left.glob("*/.state.safetensors"), *left.glob("*/checkpoints/*")]
            break_file(drills.random, drills.random.choice(files))
            told = project.run("divergan", "train", "kl.stabilised-s0", "--params", PARAMS)
            saw["started anew, and said so" if "starts anew" in told else "was made before the kill"] += 1
    return saw


def damaged_results(drills: Drills, times: int) -> Saw:
    """Some files of a finished study: `divergan verify` names them, --repair and another run make them good."""
    saw: Saw = Counter()
    for _ in range(times):
        with drills.project() as project:
            files = [p for p in (project.folder / STUDY).rglob("*") if p.is_file() and p.stat().st_size]
            broken = [break_file(drills.random, path) for path in drills.random.sample(files, 3)]
            told = project.run("divergan", "verify", "--repair", "--params", PARAMS, ok=False)
            assert all(str(path.relative_to(project.folder)) in told for path in broken), told
            saw["each of 3 files named, then repaired"] += 1
    return saw


def damaged_cache(drills: Drills, times: int) -> Saw:
    """Objects of DVC's cache, before the results are checked out of it."""
    saw: Saw = Counter()
    for _ in range(times):
        with drills.project() as project:
            shutil.copy(project.folder / PARAMS, project.folder / "params.yaml")
            for command in (("init", "--no-scm"), ("config", "cache.type", "reflink,copy"), ("repro",)):
                project.run("dvc", *command)
            shutil.rmtree(project.folder / "results")
            objects = [p for p in (project.folder / ".dvc/cache/files").rglob("*") if p.is_file() and p.stat().st_size]
            for path in drills.random.sample(objects, 3):
                path.chmod(0o644)
                break_file(drills.random, path)
            told = project.start("dvc", "checkout", "--force").communicate()[0]
            noticed = "refused the objects" if "ERROR" in told else "noticed nothing"
            saw[f"dvc checkout {noticed}; `divergan verify --repair` made them good"] += 1
            project.start("divergan", "verify", "--repair", "--params", PARAMS).communicate()
    return saw


def break_file(chance: random.Random, path: Path) -> Path:
    """Flip a bit, cut the end, or empty it, in place: hard links to it are broken with it."""
    content = bytearray(path.read_bytes())
    how = chance.choice(["flip", "cut", "empty"])
    if how == "flip":
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    with path.open("r+b") as file:
        file.write(content)
        file.truncate({"flip": len(content), "cut": chance.randrange(len(content)), "empty": 0}[how])
    return path
