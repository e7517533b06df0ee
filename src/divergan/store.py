"""Where results are kept: named by their recipe, written whole or not at all.

results/<study>/<folder>   exactly the present plan of a study; what people and Snakemake look at, and DVC versions
results/.store/<hash>      whatever was ever made (hard links to the same files): a revert of a parameter costs nothing
results/.partial/<hash>    what is being made, and what a killed run left to resume from
results/.quarantine/       what did not match its checksums when it was to be read
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from itertools import count
from pathlib import Path
from typing import Any

from divergan.plan import Plan, Step
from divergan.plan.steps import digest

RUN = "run.json"  # written last: its presence says that a folder is complete
RECIPE = "recipe.json"
OWN = "sha256"  # the key under which run.json has the digest of all its others


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` that takes its place if the block ends well, and vanishes if not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # before its name: after a power cut a name without content would count as made
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    with written(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n", "utf-8")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def place(root: Path, step: Step) -> Path:
    """The step's folder in its study."""
    return root / "results" / step.study / step.folder


def shelf(root: Path, step: Step) -> Path:
    """The step's folder in the store."""
    return root / "results" / ".store" / step.hash


def partial(root: Path, step: Step) -> Path:
    """Where the step is being made."""
    return root / "results" / ".partial" / step.hash


def exists(root: Path, step: Step) -> bool:
    return (place(root, step) / RUN).is_file()


def is_shelved(root: Path, step: Step) -> bool:
    return (shelf(root, step) / RUN).is_file()


def damage(folder: Path) -> list[str]:
    """The files of a complete folder that are not what run.json says, or run.json where it is not what was written."""
    try:
        run = read_json(folder / RUN)
        own, listed = run.pop(OWN), run["files"] | run["timings"]
    except (FileNotFoundError, ValueError, LookupError, AttributeError, TypeError, RecursionError):
        return [RUN]
    if own != digest(run):
        return [RUN]
    return [name for name, value in listed.items() if not (folder / name).is_file() or sha256(folder / name) != value]


def is_whole(root: Path, folder: Path) -> bool:
    """Whether a complete folder has no damage; one that has goes to quarantine, and a warning names what is wrong."""
    if not (folder / RUN).is_file():
        return False
    if names := damage(folder):
        print(
            f"warning: {folder} is damaged: {', '.join(names)} does not match its checksum. It is now "
            f"{quarantine(root, folder)}, and is made again",
            file=sys.stderr,
        )
    return not names


def quarantine(root: Path, path: Path) -> Path:
    """Move what cannot be trusted out of the way; returns where it is now."""
    kept = root / "results" / ".quarantine"
    kept.mkdir(parents=True, exist_ok=True)
    target = next(free for n in count(1) if not (free := kept / f"{path.name}.{n}").exists())
    with suppress(FileNotFoundError):  # another process has found the same just now
        os.replace(path, target)
    return target


def intact(root: Path, step: Step) -> bool:
    """Whether the step can be read: its folder is whole, or the store has one that is, which takes its place."""
    return is_whole(root, place(root, step)) or adopt(root, step)


def adopt(root: Path, step: Step) -> bool:
    """Link the step's folder from the store into its study, if the store has it whole."""
    source = shelf(root, step)
    if not is_whole(root, source):
        return False
    link(source, place(root, step))
    return True


def make(root: Path, step: Step, work: Callable[[Path], dict[str, Any]]) -> Path:
    """The step's folder in its study, made by `work(folder)`, which returns the facts for run.json.

    If `work` raises or the process dies, what it wrote waits in results/.partial/ to be resumed. A lock keeps a second
    process from making the same step; the kernel frees it when a process dies.
    """
    from filelock import FileLock

    folder = partial(root, step)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not adopt(root, step):
            folder.mkdir(exist_ok=True)
            facts = work(folder)
            clear_hidden(folder)
            write_json(folder / RECIPE, step.recipe)
            seal(folder, {"recipe": step.hash, "verb": step.verb, "key": step.key, **facts})
            put(folder, shelf(root, step))
            link(shelf(root, step), place(root, step))
    return place(root, step)


def not_from_the_future(paths: Iterable[Path]) -> None:
    """Date back to now what a clock dated later, before it was set right: Snakemake refuses what is made from such."""
    for path in paths:
        if path.is_file() and path.stat().st_mtime > time.time():
            os.utime(path)


def seal(folder: Path, facts: dict[str, Any]) -> None:
    """Write run.json: the facts, and the checksums of all files and of itself."""
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    sums = {name: sha256(folder / name) for name in names if name != RUN}
    timings = {name: value for name, value in sums.items() if name.startswith("timing.")}  # no rerun has the same
    facts |= {"files": {name: value for name, value in sums.items() if name not in timings}, "timings": timings}
    facts = json.loads(json.dumps(facts, allow_nan=False))  # as it will be read: the digest is of that
    write_json(folder / RUN, facts | {OWN: digest(facts)})


def clear_hidden(folder: Path) -> None:
    """Remove what only resuming needs, and the temporary files of a killed process."""
    for left in [path for path in folder.rglob("*") if path.name.startswith(".")]:
        shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def put(folder: Path, shelved: Path) -> None:
    """Move a complete folder into the store, over what is there and is not complete."""
    shelved.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(shelved, ignore_errors=True)
    os.replace(folder, shelved)


def link(source: Path, target: Path, only: str = "*") -> None:
    """Hard-link a folder's files that match `only` (copy where the file system cannot), whole or not at all."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    others = lambda folder, names: [n for n in names if not fnmatch(n, only) and not Path(folder, n).is_dir()]  # noqa: E731
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(source, temporary, copy_function=link_file, ignore=others)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(temporary, target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # else another process put the same there just now
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def link_file(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def tidy(root: Path, plan: Plan) -> list[Path]:
    """Take from results/<study>/ what the present plan does not hold; what is complete goes to the store."""
    study = root / "results" / plan.study.study
    wanted = {place(root, step) for step in plan.steps}
    strangers = [p for p in sorted(study.glob("*/*")) if p not in wanted]
    for folder in strangers:
        run = folder / RUN
        recipe = recipe_in(run)
        shelved = root / "results" / ".store" / recipe if recipe else None
        if shelved and not (shelved / RUN).is_file():
            put(folder, shelved)
        else:
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    return strangers


def recipe_in(run: Path) -> str | None:
    """The hash in a run.json; None where there is none, for what else stands there must not become a path."""
    try:
        recipe = str(read_json(run)["recipe"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return recipe if re.fullmatch("[0-9a-f]{32}", recipe) else None


def unreferenced(root: Path, plans: Iterable[Plan]) -> dict[Path, int]:
    """Folders of the store, and half-made ones, that no plan refers to, with their size in bytes."""
    wanted = {step.hash for plan in plans for step in plan.steps}
    folders = [p for name in (".store", ".partial", ".quarantine") for p in sorted((root / "results" / name).glob("*"))]
    return {
        folder: sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) if folder.is_dir() else 0
        for folder in folders
        if folder.name.removesuffix(".lock") not in wanted
    }
