"""What goes wrong in days of running, done on purpose: after each drill the same command ends with the same files.

    python tests/drills.py                          all of them, 200 kills: an hour of two cores
    python tests/drills.py --kills 20 --only kills disk_full

A drill breaks something in a copy of a small study, runs it again, and compares every file of the results and tables
(what tells seconds aside) with those of a study that was left in peace. tests/test_drills.py runs the quick ones.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from checkout import ROOT
from divergan import provenance
from drilling.damaged import damaged_cache, damaged_checkpoint, damaged_results
from drilling.killed import interrupts, kills, two_at_once
from drilling.machine import clock, disk_full, memory, read_only
from drilling.study import Drills, Saw
from drilling.untracked import mlflow

DOC = ROOT / "docs/reliability.md"
MARKS = ("<!-- made by `make drill` -->", "<!-- end of what it makes -->")
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
    parser.add_argument("--doc", action="store_true", help="put what was seen into docs/reliability.md's table")
    options = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory() as folder, Progress(console=Console(stderr=True)) as progress:
        shown = progress.add_task("an undisturbed study", total=len(options.only))
        drills = Drills(Path(folder), options.seed)
        for name in options.only:
            progress.update(shown, description=name)
            drill, times = DRILLS[name]
            try:
                saw = drill(drills, options.kills if name == "kills" else times)
            except AssertionError as fault:
                print(f"{name} FAILED: {fault}", file=sys.stderr, flush=True)
                saw = Counter({"**failed**": 1})
                failed.append(name)
            progress.advance(shown)
            for seen, count in saw.most_common():
                print(f"{name}: {count} x {seen}", flush=True)
            if options.doc:
                put_into_doc(name, saw)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def put_into_doc(name: str, saw: Saw) -> None:
    """This drill's rows of the table, in place of those that it has there."""
    before, rest = DOC.read_text("utf-8").split(MARKS[0])
    old, after = rest.split(MARKS[1])
    rows = [
        line for line in old.splitlines() if line.startswith("| ") and not line.startswith(("| drill", f"| {name} "))
    ]
    rows += [f"| {name} | {count} | {seen.replace('|', '/')} |" for seen, count in saw.most_common()]
    rows.sort(key=lambda row: list(DRILLS).index(row.split()[1]))
    times = {drill: sum(int(row.split("|")[2]) for row in rows if row.split()[1] == drill) for drill in DRILLS}
    machine = f"{provenance.processor()}, {os.cpu_count()} cores"
    told = f"{sum(times.values())} times, {times['kills']} of them kills ({machine})."
    table = "\n".join(["| drill | times | what a person saw |", "|---|---|---|", *rows])
    DOC.write_text(f"{before}{MARKS[0]}\n\n{told}\n\n{table}\n\n{MARKS[1]}{after}", "utf-8")


if __name__ == "__main__":
    main()
