"""How wall time grows with seeds, cores and GPU slots: the schedule, simulated from what a finished run took.

    python benchmarks/schedule.py --finished . --study demo       after `make demo`; writes benchmarks/schedule.json and
                                                                  the tables of docs/scaling.md

The simulation itself is src/divergan/schedule.py, which `divergan plan --cores N` asks too. It is held against the run:
its jobs with the seconds that they took, scheduled anew, and the plan with its estimates alone.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from finished import overhead, ran, work

from divergan import estimates, provenance, store
from divergan.params import Study
from divergan.plan import Plan, Step
from divergan.processes import Processes
from divergan.schedule import PRIORITIES, Job, jobs_of, makespan

ROOT = Path(__file__).parents[1]
DOC = ROOT / "docs/scaling.md"
MARKS = ("<!-- made by `python benchmarks/schedule.py` -->", "<!-- end of what it makes -->")
CORES = (1, 2, 4, 8, 16, 32)
SEEDS = (1, 2, 5, 10, 20)
GPUS = (1, 2, 4, 8)
TIMES_A_CORE = 30  # a GPU's speed in training and re-weighting: an assumption, told where it is used
GPU_CORES = 16  # beside the GPUs


def kind(verb: str, key: str) -> str:
    """What a step has in common with that of another variant or seed: "evaluate .prior"."""
    return f"{verb} {re.sub(r'^.*-s[0-9]+', '', key)}"


def work_by_kind(root: Path, study: str) -> dict[str, dict[str, float]]:
    """Seconds of work of each kind of step: how many there are, and their median."""
    found: dict[str, list[float]] = {}
    for (verb, key), seconds in work(root, study).items():
        found.setdefault(kind(verb, key), []).append(seconds)
    return {name: {"steps": len(all_), "seconds": statistics.median(all_)} for name, all_ in sorted(found.items())}


def replayed(root: Path, plan: Plan, cores: int) -> float:
    """Wall seconds of the finished run's jobs, scheduled anew with the seconds that each of them took."""
    seconds, processes = {job.key: job.seconds for job in ran(root, plan.study.study)}, Processes(plan.steps)
    jobs = [
        Job(
            key=step.hash,
            seconds=seconds[step.verb, step.key],
            needs=tuple(needed.hash for needed in processes.awaited(step)),
            priority=PRIORITIES.get(step.verb, 0),
        )
        for step in processes.made_in
    ]
    return makespan(jobs, cores)


def with_seeds(plan: Plan, count: int) -> Plan:
    """The same study with so many seeds of every variant."""
    study = plan.trained
    arms = {
        name: arm.model_copy(
            update={"variants": {k: {**own, "seeds": list(range(count))} for k, own in arm.variants.items()}}
        )
        for name, arm in study.arms.items()
    }
    dumped = study.model_dump() | {"seeds": list(range(count)), "arms": {n: a.model_dump() for n, a in arms.items()}}
    return Plan(plan.file, Study.model_validate(dumped))


def start_seconds() -> float:
    """What a job takes before its work, as benchmarks/pipeline.py measured it."""
    rows = json.loads((ROOT / "benchmarks/pipeline.json").read_text())["rows"]
    return next(row["seconds"] for row in rows if row["what"] == "evaluate, before its work")


def on_cores(steps: list[Step], seconds: Callable[[Step], float], start: float) -> list[float]:
    jobs = jobs_of(steps, seconds, start)
    return [makespan(jobs, cores) for cores in CORES]


def on_gpus(plan: Plan, start: float) -> list[float]:
    """The study with estimated seconds, where a GPU trains and re-weights TIMES_A_CORE times as fast as a core."""
    faster = {"train": TIMES_A_CORE, "reweight": TIMES_A_CORE}
    jobs = jobs_of(
        plan.steps,
        lambda step: estimates.core_seconds(step) / faster.get(step.verb, 1),
        start,
        plan.study.threads,
        True,
    )
    return [makespan(jobs, GPU_CORES, gpus) for gpus in GPUS]


def facts_of(root: Path, study: str, plan: Plan, cores: int) -> dict[str, Any]:
    kinds, start = work_by_kind(root, study), start_seconds()
    run = overhead(root, plan, cores)
    measured: Callable[[Step], float] = lambda step: kinds[kind(step.verb, step.key)]["seconds"]  # noqa: E731
    published = Plan(ROOT / "params.yaml")
    return {
        "study": study, "start_seconds": start, "work": kinds,
        "check": {
            "cores": cores, "jobs": len(ran(root, study)), "wall_seconds": run["wall_seconds"],
            "simulated_seconds": replayed(root, plan, cores),
            "estimated_seconds": makespan(jobs_of(plan.steps, estimates.core_seconds, estimates.START_SECONDS), cores),
        },
        "seeds": {count: on_cores(with_seeds(plan, count).steps, measured, start) for count in SEEDS},
        "published": {"on_cores": on_cores(published.steps, estimates.core_seconds, start),
                      "on_gpus": on_gpus(published, start), "times_a_core": TIMES_A_CORE},
        "environment": provenance.environment(ROOT, "cpu", 1),
    }  # fmt: skip


def told(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def table(heads: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows))


def text(facts: dict[str, Any]) -> str:
    """The tables of docs/scaling.md."""
    check, published = facts["check"], facts["published"]
    costs = [[name, f"{row['steps']}", f"{row['seconds']:.1f}"] for name, row in facts["work"].items()]
    wall, again, estimated = (check[f"{name}_seconds"] for name in ("wall", "simulated", "estimated"))
    cores = [f"{cores} core{'s' * (cores > 1)}" for cores in CORES]
    grown = [[str(count), *map(told, walls)] for count, walls in facts["seeds"].items()]
    parts = [
        f"Work of one step in the finished run of `{facts['study']}` ({facts['environment']['processor']}, one thread, "
        f"{check['cores']} jobs at a time); a job's start adds {facts['start_seconds']:.1f} s.",
        table(["step", "steps", "median seconds"], costs),
        f"The check: that run took {told(wall)} on {check['cores']} cores in {check['jobs']} jobs. The simulation, "
        f"given what each job took, says {told(again)} ({again / wall - 1:+.1%}); from estimates alone, as "
        f"`divergan plan` does, {told(estimated)} ({estimated / wall - 1:+.1%}).",
        f"Wall time of `{facts['study']}` with so many seeds of every variant, simulated from these medians:",
        table(["seeds", *cores], grown),
        "The published study (params.yaml), simulated from estimates, on cores alone:",
        table(cores, [list(map(told, published["on_cores"]))]),
        f"and with GPU slots beside {GPU_CORES} cores, if a GPU trains and re-weights "
        f"{published['times_a_core']} times as fast as a core (an assumption, not a measurement):",
        table([f"{gpus} GPU{'s' * (gpus > 1)}" for gpus in GPUS], [list(map(told, published["on_gpus"]))]),
    ]
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--finished", type=Path, default=ROOT, help="the project's folder in which the study was made")
    parser.add_argument("--study", default="demo")
    parser.add_argument("--params", type=Path, default=ROOT / "params/demo.yaml", help="its parameter file")
    parser.add_argument("--cores", type=int, default=2, help="on which it was made")
    options = parser.parse_args()
    facts = facts_of(options.finished, options.study, Plan(options.params), options.cores)
    store.write_json(ROOT / "benchmarks/schedule.json", facts)
    before, rest = DOC.read_text("utf-8").split(MARKS[0])
    DOC.write_text(f"{before}{MARKS[0]}\n\n{text(facts)}\n\n{MARKS[1]}{rest.split(MARKS[1])[1]}", "utf-8")
    print(text(facts))


if __name__ == "__main__":
    main()
