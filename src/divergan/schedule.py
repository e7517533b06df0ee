"""About how long a study's jobs take on so many cores and GPU slots: Snakemake's schedule, simulated."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from divergan.plan import Step
from divergan.processes import ON_A_GPU, Processes

PRIORITIES = {"train": 10, "oracle": 10, "reweight": 5}  # as workflow/rules/ states them
ONE_THREAD = ("data", "compare", "report")  # the rules that ask for no more; the others ask for the study's


@dataclass(frozen=True, eq=False)
class Job:
    """One process of a run: its seconds, and what it occupies while it lasts."""

    key: str
    seconds: float
    needs: tuple[str, ...] = ()
    threads: int = 1
    gpus: int = 0
    priority: int = 0


def jobs_of(
    steps: Sequence[Step], seconds: Callable[[Step], float], start: float, threads: int = 1, gpu: bool = False
) -> list[Job]:
    """The jobs that make these steps, each with what it makes by the way.

    `seconds` tells the work of one step, `start` what a process takes before its work.
    """
    processes = Processes(steps)

    def job(step: Step) -> Job:
        return Job(
            key=step.hash,
            seconds=start + sum(map(seconds, processes.made_in[step])),
            needs=tuple(needed.hash for needed in processes.awaited(step) if needed in processes.made_in),
            threads=1 if step.verb in ONE_THREAD else threads,
            gpus=int(gpu and step.verb in ON_A_GPU),
            priority=PRIORITIES.get(step.verb, 0),
        )

    return [job(step) for step in processes.made_in]


def makespan(jobs: Iterable[Job], cores: int, gpus: int = 0) -> float:
    """Seconds from the first start to the last end: whenever one ends, what is ready and fits starts, urgent first."""
    jobs = list(jobs)
    order = {job.key: (-job.priority, place) for place, job in enumerate(jobs)}
    waits = {job.key: len(job.needs) for job in jobs}
    needed_by: dict[str, list[Job]] = {job.key: [] for job in jobs}
    for job in jobs:
        for key in job.needs:
            needed_by[key].append(job)
    ready = sorted((order[job.key], job.key, job) for job in jobs if not job.needs)
    running: list[tuple[float, str, Job]] = []
    now, free_cores, free_gpus, left = 0.0, cores, gpus, len(jobs)
    while left:
        waiting = []
        for place, key, job in ready:
            threads = min(job.threads, cores)  # as Snakemake scales down what asks for more
            if threads <= free_cores and job.gpus <= free_gpus:
                heapq.heappush(running, (now + job.seconds, key, job))
                free_cores, free_gpus = free_cores - threads, free_gpus - job.gpus
            else:
                waiting.append((place, key, job))
        if not running:
            raise ValueError(f"{left} jobs can never start on {cores} cores and {gpus} GPUs")
        now, _, ended = heapq.heappop(running)
        free_cores, free_gpus = free_cores + min(ended.threads, cores), free_gpus + ended.gpus
        left -= 1
        for job in needed_by[ended.key]:
            waits[job.key] -= 1
            if not waits[job.key]:
                waiting.append((order[job.key], job.key, job))
        ready = sorted(waiting, key=lambda entry: entry[0])
    return now
