"""Who works in this folder: Snakemake by its locks and its process, a step by the lock of who makes it."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Snakemake:
    """Whether one holds the folder: its locks stay behind when it is killed, so its process is looked for as well.

    `process` is None where none was found; `is_known` says whether it could have been: on this machine, by /proc.
    """

    locked: bool = False
    process: int | None = None
    cores: int | None = None
    is_known: bool = False


def is_locked(folder: Path) -> bool:
    """Whether a process makes what is in results/.partial/<hash>: the kernel frees its lock when it ends."""
    from filelock import FileLock, Timeout

    lock = folder.with_name(f"{folder.name}.lock")
    if not lock.exists():
        return False
    try:
        with FileLock(lock, blocking=False):
            return False
    except Timeout:
        return True
    except OSError:
        return False  # a folder that may not be written is one in which nothing is made


def snakemake_of(root: Path, processes: Path = Path("/proc")) -> Snakemake:
    locked = any((root / ".snakemake" / "locks").glob("*.lock"))
    known = (processes / "self").exists()
    if not (locked and known):
        return Snakemake(locked=locked, is_known=known)
    here = root.resolve()
    for folder in processes.glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or belongs to another
            words = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            if is_snakemake(words) and (folder / "cwd").resolve() == here:
                return Snakemake(locked=True, process=int(folder.name), cores=cores_of(words), is_known=True)
    return Snakemake(locked=True, is_known=True)


def is_snakemake(words: list[str]) -> bool:
    """Whether a command line is one: the script, or a Python that runs it; not one of the jobs that it starts."""
    return any(Path(word).name == "snakemake" for word in words[:3]) and "--mode" not in words


def cores_of(words: list[str]) -> int | None:
    found = re.search(r" (?:--cores|-c|--jobs|-j)[ =]?(\d+)", " " + " ".join(words))
    return int(found.group(1)) if found else None
