"""What the machine refuses: space, writing, memory; and a clock that is wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from checkout import PARAMS
from drilling.study import Drills, Saw, line

LIMITED = """
import resource, sys, torch
from divergan.cli import main
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + int(sys.argv.pop(1)),) * 2)
main()
"""


def disk_full(drills: Drills, times: int) -> Saw:
    """No space left on a file system of its own, at several moments."""
    saw: Saw = Counter()
    for _ in range(times):
        with drills.project("data", "features") as project, in_memory(project.folder / "results") as remounted:
            used = shutil.disk_usage(project.folder / "results").used
            remounted(f"size={used // 1024 + drills.random.randint(50, 400)}k")
            saw[line(project.snakemake(ok=False), "the disk is full").split(" (")[0]] += 1
            remounted("size=400m")
            drills.ends_the_same(project)
    return saw


def read_only(drills: Drills, times: int) -> Saw:
    saw: Saw = Counter()
    for _ in range(times):
        with drills.project("data", "features") as project, in_memory(project.folder / "results") as remounted:
            remounted("ro")
            saw[line(project.snakemake(ok=False), "Read-only file system").split(": '")[0]] += 1
            remounted("rw")
            drills.ends_the_same(project)
    return saw


@contextmanager
def in_memory(folder: Path) -> Iterator[Callable[[str], None]]:
    """The folder on a file system of its own while the block lasts; gives what changes its options. Needs root."""
    beside = folder.with_name(f"{folder.name}-beside")
    folder.rename(beside)
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(folder)], check=True)
    try:
        subprocess.run(["cp", "-a", f"{beside}/.", str(folder)], check=True)  # keeps the links to the store
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True) and None
        shutil.rmtree(beside)
        subprocess.run(["cp", "-a", str(folder), str(beside)], check=True)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()
    beside.rename(folder)


def memory(drills: Drills, times: int) -> Saw:
    """A training that gets no more memory, early or late."""
    saw: Saw = Counter()
    for _ in range(times):
        with drills.project("data", "features") as project:
            limit = drills.random.randint(1, 40) << 20
            key = ("train", "kl.stabilised-s0", "--params", PARAMS)
            process = project.start("python", "-c", LIMITED, str(limit), *key)
            told, _ = process.communicate()
            assert process.returncode == 0 or "out of memory" in told, told
            assert "Traceback" not in told, told
            saw[line(told, "out of memory") if process.returncode else "it had enough"] += 1
    return saw


def clock(drills: Drills, times: int) -> Saw:
    """Modification times from 1971 to 2100, of a finished study and of one in the middle."""
    saw: Saw = Counter()
    for verbs in ((), ("data", "features", "train")) * times:
        with drills.project(*verbs) as project:
            for path in project.folder.rglob("*"):
                if path.is_file():
                    os.utime(path, (drills.random.uniform(3e7, 4.1e9),) * 2)
            told = project.snakemake()
            assert ("Nothing to be done" in told) == (not verbs), told
            saw["only what was missing is made" if verbs else "nothing to be done"] += 1
    return saw
