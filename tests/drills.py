"""What goes wrong in days of running, done on purpose: after each drill the same command ends with the same files.

    python tests/drills.py                          all of them, 200 kills: half an hour of two cores
    python tests/drills.py --kills 20 --only kills disk_full

A drill breaks something in a copy of a small study, runs it again, and compares every file of the results and tables
(what tells seconds aside) with those of a study that was left in peace. tests/test_drills.py runs the quick ones.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from checkout import PARAMS, ROOT, Project, copied
from divergan import provenance, store

STUDY = Path("results/smoke")
DOC = ROOT / "docs/reliability.md"
MARKS = ("<!-- made by `make drill` -->", "<!-- end of what it makes -->")
Saw = Counter[str]  # what a person saw, and how often
LIMITED = """
import resource, sys, torch
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + int(sys.argv.pop(1)),) * 2)
from divergan.cli import main
main()
"""


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


# --- what is killed


def kills(drills: Drills, times: int) -> Saw:
    """SIGKILL, at a random moment, of everything, of Snakemake alone, or of one job; until the study is made."""
    saw: Saw = Counter()
    while saw.total() < times:
        with drills.project(*drills.random.choice([("data", "features"), ("data",), ("none",)])) as project:
            ended = False
            while saw.total() < times and not ended:
                unlocked(project)
                running = project.start(*project.dag())
                whom = drills.random.choice(["everything", "Snakemake alone", "one job"])
                try:
                    running.communicate(timeout=drills.random.uniform(1, 9))
                    ended = True
                except subprocess.TimeoutExpired:
                    if kill(running, whom):
                        saw[f"{whom} killed; it went on where it was"] += 1
                        print(f"kill {saw.total()} of {times}", file=sys.stderr, flush=True)
                    running.communicate()  # the jobs of a killed Snakemake go on to their end
    return saw


def kill(running: subprocess.Popen[str], whom: str) -> bool:
    """Whether there was someone to kill."""
    if whom == "everything":
        os.killpg(running.pid, signal.SIGKILL)
        return True
    if whom == "Snakemake alone":
        running.kill()
        return True
    found = subprocess.run(["pgrep", "-s", str(running.pid), "-f", "bin/divergan"], capture_output=True, text=True)
    with suppress(ProcessLookupError, IndexError):
        os.kill(int(found.stdout.split()[0]), signal.SIGKILL)
        return True
    return False


def interrupts(drills: Drills, times: int) -> Saw:
    """Ctrl-C, once or twice, as a terminal sends it: to the whole group."""
    saw: Saw = Counter()
    for count in (1, 2) * times:
        with drills.project("data", "features") as project:
            running = project.start(*project.dag())
            wait_for(lambda folder=project.folder: any((folder / "results/.partial").glob("*/checkpoints/*.png")))
            for _ in range(count):
                os.killpg(running.pid, signal.SIGINT)
                time.sleep(0.3)
            told, _ = running.communicate()
            assert running.returncode != 0
            logs = "".join(path.read_text() for path in (project.folder / "logs").rglob("*.log"))
            assert "Traceback" not in logs, logs
            trace = ", a traceback of Snakemake's own" if "Traceback" in told else ""
            saw[f"{'once' if count == 1 else 'twice'}: exit code {running.returncode}{trace}"] += 1
    return saw


def two_at_once(drills: Drills, times: int) -> Saw:
    """Two Snakemakes in one folder: the second is told of the lock; without locks both end well."""
    saw: Saw = Counter()
    for lock in ((), ("--nolock",)) * times:
        with drills.project("data", "features") as project:
            first, second = (project.start(*project.dag(*lock)) for _ in range(2))
            told = [process.communicate()[0] for process in (first, second)]
            if lock:
                assert first.returncode == second.returncode == 0, told
                saw["--nolock: both end well, each step is made once"] += 1
            else:
                refused = told[first.returncode == 0]
                assert {bool(first.returncode), bool(second.returncode)} == {False, True}, told
                saw[line(refused, "cannot be locked")] += 1
    return saw


# --- what the machine refuses


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


# --- what is damaged


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
            for command in (("init", "--no-scm"), ("config", "core.analytics", "false"), ("commit", "--force")):
                project.run("dvc", *command)
            shutil.rmtree(project.folder / "results")
            objects = [p for p in (project.folder / ".dvc/cache/files").rglob("*") if p.is_file() and p.stat().st_size]
            for path in drills.random.sample(objects, 3):
                path.chmod(0o644)
                break_file(drills.random, path)
            told = project.start("dvc", "checkout", "--force").communicate()[0]
            saw["dvc refused the objects" if "ERROR" in told else "dvc noticed nothing"] += 1
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


# --- what is beside the results


def mlflow(drills: Drills, times: int) -> Saw:
    """A database that is no database, cut, a folder, locked by another; no MLflow at all. The study goes on."""
    saw: Saw = Counter()
    for broken in (no_database, cut_database, folder_for_database, locked_database, no_mlflow) * times:
        with drills.project("data", "features", "train", "sample", "evaluate") as project:
            with broken(project) as environment:
                told = project.snakemake(DIVERGAN_TRACKING="on", **environment)
            logs = "".join(path.read_text() for path in (project.folder / "logs").rglob("*.log"))
            assert "Traceback" not in told + logs, told + logs
            saw[f"{broken.__name__}: {line(logs, 'warning: tracking stops')}"[:160]] += 1
            for path in project.folder.glob("mlflow.db*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            assert "9 of 9 finished runs" in project.run(
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


# --- all together

DRILLS: dict[str, tuple[Callable[[Drills, int], Saw], int]] = {
    drill.__name__: (drill, times)
    for drill, times in (
        (kills, 200), (interrupts, 3), (two_at_once, 2), (disk_full, 5), (read_only, 1), (memory, 4),
        (damaged_checkpoint, 10), (damaged_results, 4), (damaged_cache, 2), (mlflow, 1), (clock, 2),
    )
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=DRILLS["kills"][1])
    parser.add_argument("--only", nargs="+", choices=DRILLS, default=list(DRILLS), metavar="DRILL")
    parser.add_argument("--seed", type=int, default=0, help="of what is broken, and when")
    parser.add_argument("--doc", action="store_true", help="put the table into docs/reliability.md")
    options = parser.parse_args()
    rows: dict[str, Saw] = {}
    with tempfile.TemporaryDirectory() as folder, Progress(console=Console(stderr=True)) as progress:
        shown = progress.add_task("an undisturbed study", total=len(options.only))
        drills = Drills(Path(folder), options.seed)
        for name in options.only:
            progress.update(shown, description=name)
            drill, times = DRILLS[name]
            rows[name] = drill(drills, options.kills if name == "kills" else times)
            progress.advance(shown)
            for seen, count in rows[name].most_common():
                print(f"{name}: {count} x {seen}", flush=True)
    if options.doc:
        put_into_doc(rows, options.seed)


def put_into_doc(rows: dict[str, Saw], seed: int) -> None:
    cells = [(name, count, seen) for name, saw in rows.items() for seen, count in saw.most_common()]
    table = "\n".join(f"| {name} | {count} | {seen.replace('|', '/')} |" for name, count, seen in cells)
    told = (
        f"{sum(count for _, count, _ in cells)} times, {rows['kills'].total() if 'kills' in rows else 0} of them kills "
        f"(seed {seed}, {provenance.processor()}, {os.cpu_count()} cores). Each ended with the same files as a study "
        "that was left in peace: nothing lost, nothing that differs, nothing half-made."
    )
    before, rest = DOC.read_text("utf-8").split(MARKS[0])
    text = f"{told}\n\n| drill | times | what a person saw |\n|---|---|---|\n{table}"
    DOC.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{rest.split(MARKS[1])[1]}", "utf-8")


if __name__ == "__main__":
    main()
