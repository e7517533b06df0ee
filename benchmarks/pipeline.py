"""What the pipeline costs beside its work: the plan of a thousand runs, each verb's start, a study's overhead.

The seconds of a job before its work are those of its process less those that its timing.json tells, so that on a busy
machine they grow as everything does: processor seconds stand beside them.

    python benchmarks/pipeline.py --rounds 3
    python benchmarks/pipeline.py --finished params/demo.yaml     and the overhead of results/demo, made by Snakemake
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from finished import overhead
from rich.console import Console
from rich.table import Table
from rounds import ROOT, interleaved, write
from ruamel.yaml import YAML

from divergan import store
from divergan.plan import Plan

SEEDS = 143  # of the demo's seven variants: 1,001 runs
LIMITS = {"plan of 1,001 runs": 2.0, "snakemake -n of 1,001 runs": 10.0}  # seconds that they shall not take
VERBS = ("data", "features", "train", "sample", "evaluate", "compare", "figures", "report")
PLANNING = (
    "import sys, time; from pathlib import Path; from divergan.plan import Plan; start = time.perf_counter();"
    "count = len({step.hash for step in Plan(Path(sys.argv[1])).steps}); print(time.perf_counter() - start, count)"
)

Seconds = tuple[float, float]  # wall, and of the processor


def process(*command: str, folder: Path = ROOT) -> Seconds:
    """A command's wall and processor seconds; its output is shown where it fails."""
    environment = {
        **os.environ,
        "DIVERGAN_TRACKING": "off",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    started = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        running = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        _, status, used = os.wait4(running.pid, 0)
        if status:
            output.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{output.read().decode()}")
    return time.perf_counter() - started, used.ru_utime + used.ru_stime


def thousand(folder: Path) -> Path:
    """The demo with so many seeds that it has a thousand runs; every variant has the same."""
    yaml = YAML()
    study = yaml.load((ROOT / "params/demo.yaml").read_text("utf-8"))
    study["study"], study["seeds"] = "thousand", list(range(SEEDS))
    for variant in study["arms"]["stabilised"]["variants"].values():
        variant.pop("seeds", None)
    path = folder / "thousand.yaml"
    with path.open("w") as file:
        yaml.dump(study, file)
    return path


def planned(path: Path) -> Seconds:
    """Of the plan alone, without imports."""
    told = subprocess.run([sys.executable, "-c", PLANNING, path], cwd=ROOT, capture_output=True, text=True, check=True)
    seconds = float(told.stdout.split()[0])
    return seconds, seconds


def toy(folder: Path) -> Path:
    """A folder in which the smoke study's steps can be made."""
    shutil.copytree(ROOT / "data", folder / "data", ignore=shutil.ignore_patterns("raw"))
    shutil.copy(ROOT / "claims.yaml", folder)
    shutil.copy(ROOT / "params/smoke.yaml", folder / "params.yaml")
    return folder


def start_of(folder: Path, plan: Plan, verb: str) -> Seconds:
    """Of a job that makes a step of this verb, less the step's own."""
    step = plan.of(verb)[0]
    for place in (store.place(folder, step), store.shelf(folder, step)):
        shutil.rmtree(place, ignore_errors=True)
    wall, processor = process("divergan", verb, step.key, folder=folder)
    work = store.read_json(store.place(folder, step) / "timing.json")
    return wall - work["wall_seconds"], processor - work["cpu_seconds"]


def nothing_to_do(folder: Path, plan: Plan) -> Seconds:
    return process("divergan", "train", plan.of("train")[0].key, folder=folder)


def measured(what: dict[str, Callable[[], Seconds]], rounds: int) -> list[dict[str, Any]]:
    """Each `rounds` times, in turn: medians, and the lowest and highest."""
    return [
        {
            "what": name,
            "seconds": statistics.median(wall for wall, _ in values),
            "low": min(wall for wall, _ in values),
            "high": max(wall for wall, _ in values),
            "processor_seconds": statistics.median(processor for _, processor in values),
            "limit": LIMITS.get(name),
        }
        for name, values in interleaved(what, rounds, "the pipeline").items()
    ]


def rows_of(rounds: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = toy(Path(temporary))
        many, plan = thousand(folder), Plan(folder / "params.yaml")
        os.chdir(folder)  # the plan reads data/ and claims.yaml
        for step in plan.steps:
            process("divergan", step.verb, step.key, folder=folder)
        dry = ("snakemake", "--dry-run", "--quiet", "--nolock", "--cores", "2", "--config", f"params={many}")
        what = {
            "divergan --help": lambda: process("divergan", "--help"),
            "plan of 1,001 runs": lambda: planned(many),
            "snakemake -n of 1,001 runs": lambda: process(*dry),
            "job that has nothing to do": lambda: nothing_to_do(folder, plan),
        }
        what |= {f"{verb}, before its work": lambda verb=verb: start_of(folder, plan, verb) for verb in VERBS}
        return measured(what, rounds)


def print_rows(rows: list[dict[str, Any]]) -> None:
    table = Table("what", "seconds (range)", "of the processor", "limit")
    for row in rows:
        spread = f"{row['seconds']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
        limit = (
            "" if row["limit"] is None else f"{row['limit']:g}" + (" missed" if row["seconds"] > row["limit"] else "")
        )
        table.add_row(row["what"], spread, f"{row['processor_seconds']:.2f}", limit)
    Console(width=100).print(table)


def print_overhead(found: dict[str, Any]) -> None:
    table = Table("rule", "jobs", "job seconds", "of work", "median before work")
    for rule, row in found["rules"].items():
        table.add_row(rule, str(row["jobs"]), *(f"{row[name]:.0f}" for name in ("job_seconds", "work_seconds")),
                      f"{row['median_start']:.1f}")  # fmt: skip
    Console(width=100).print(table)
    print(
        f"{found['study']}: {found['wall_seconds']:.0f} s on {found['cores']} cores, {found['work_seconds']:.0f} s of "
        f"work on one thread each: overhead {found['overhead']:.1%}, of which {found['starting']:.1%} starting jobs "
        f"and {found['idle']:.1%} idle cores."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--finished", type=Path, help="parameters of a finished study: its overhead too")
    parser.add_argument("--root", type=Path, default=ROOT, help="the project's folder in which it was made")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/pipeline.json")
    options = parser.parse_args()
    options.out = options.out.resolve()
    found = overhead(options.root.resolve(), Plan(options.finished)) if options.finished else None
    rows = rows_of(options.rounds) if options.rounds else []
    print_rows(rows)
    if found:
        print_overhead(found)
    write(options.out, "cpu", options.rounds, rows=rows, overhead=found)


if __name__ == "__main__":
    main()
