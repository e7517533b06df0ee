"""How far a study is: what is made, runs, waits, was stopped or has failed, and how long the rest takes.

Read from files and locks alone, so it is right whoever runs the study, and whether anybody does.
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from divergan import store
from divergan.estimates import START_SECONDS, core_seconds
from divergan.holding import Snakemake, is_locked, snakemake_of
from divergan.looking import duration
from divergan.plan import Plan, Step
from divergan.processes import Processes
from divergan.schedule import jobs_of, makespan

PACE = "timing.csv"  # a training appends to it with every row of its history: step, images a second
WATCH_SECONDS = 2.0
TELLING = 20.0  # seconds that must have been estimated before what they took corrects other estimates


@dataclass(frozen=True, kw_only=True)
class Going:
    """A step that is being made, or was when its process was stopped; its steps are None where it tells of none."""

    verb: str
    key: str
    step: int | None = None
    steps: int | None = None
    steps_per_second: float | None = None
    seconds_left: float | None = None


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A job whose last attempt ended in an error."""

    verb: str
    key: str
    error: str
    log: str


@dataclass(frozen=True, kw_only=True)
class Diverged:
    """A finished training that met NaN or Inf, or collapsed: a result, and no error."""

    key: str
    outcome: str


@dataclass(frozen=True, kw_only=True)
class Status:
    study: str
    title: str
    params: str
    steps: int
    made: int
    in_store: int
    running: list[Going] = field(default_factory=list)
    stopped: list[Going] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    diverged: list[Diverged] = field(default_factory=list)
    waiting: int = 0
    cores: int = 1
    seconds_left: float = 0.0
    snakemake: Snakemake = field(default_factory=Snakemake)
    goes_on_with: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def status(root: Path, plan: Plan, cores: int | None = None) -> Status:
    """Of every step of the plan; `cores` are those that the rest may use, as far as no Snakemake tells its own."""
    made = [step for step in plan.steps if store.exists(root, step)]
    left = [step for step in plan.steps if step not in set(made)]
    shelved = [step for step in left if store.is_shelved(root, step)]
    missing = [step for step in left if step not in set(shelved)]
    begun = [step for step in missing if store.partial(root, step).is_dir()]
    running = [step for step in begun if is_locked(store.partial(root, step))]
    failed = list(failures(root, plan, missing, running))
    ended = {(own.verb, own.key) for own in failed}
    stopped = [step for step in begun if step not in running and (step.verb, step.key) not in ended]
    snakemake = snakemake_of(root)
    cores = cores or snakemake.cores or os.cpu_count() or 1
    going = {step: progress(root, step) for step in begun}
    return Status(
        study=plan.study.study,
        title=plan.study.title,
        params=str(plan.file),
        steps=len(plan.steps),
        made=len(made),
        in_store=len(shelved),
        running=[going[step] for step in running],
        stopped=[going[step] for step in stopped],
        failed=failed,
        diverged=list(divergences(root, made)),
        waiting=len(missing) - len(running) - len(stopped) - len(failed),
        cores=cores,
        seconds_left=time_left(root, plan, made, missing, going, cores),
        snakemake=snakemake,
        goes_on_with=command(plan, cores, snakemake) if left else None,
    )


def progress(root: Path, step: Step) -> Going:
    """How far a step is by what it leaves while it goes."""
    folder, settings = store.partial(root, step), step.settings.get("training", {})
    rows = last_row(folder / PACE)
    if not rows or "steps" not in settings:
        return Going(verb=step.verb, key=step.key)
    at, images_per_second = int(rows[0]), float(rows[1])
    pace = images_per_second / settings["batch"]
    return Going(
        verb=step.verb,
        key=step.key,
        step=at,
        steps=settings["steps"],
        steps_per_second=pace,
        seconds_left=(settings["steps"] - at) / pace if pace else None,
    )


def last_row(path: Path) -> list[str]:
    """Of a CSV of numbers to which another process appends just now; empty where it has no whole row."""
    try:
        lines = path.read_text("utf-8").split("\n")[1:-1]  # without the head, and what follows the last line's end
    except FileNotFoundError:
        return []
    return next(csv.reader(lines[-1:]), [])


def failures(root: Path, plan: Plan, missing: Sequence[Step], running: Sequence[Step]) -> Iterable[Failed]:
    """The jobs of missing steps whose log ends in an error: a new attempt would have begun a new log."""
    made_in = Processes(plan.steps).made_in
    absent, going = set(missing), set(running)
    for job, steps in made_in.items():
        if absent.isdisjoint(steps) or not going.isdisjoint(steps):
            continue
        log = Path("logs") / plan.study.study / job.verb / f"{Path(job.folder).name}.log"
        if error := last_error(root / log):
            yield Failed(verb=job.verb, key=job.key, error=error, log=str(log))


def last_error(log: Path) -> str | None:
    """What a job's log says went wrong: our message, or the last line of a traceback."""
    try:
        lines = log.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    if own := [line for line in lines if line.startswith("error: ")]:
        return own[-1]
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        return next((line for line in reversed(lines) if line.strip()), None)
    return None


def divergences(root: Path, made: Iterable[Step]) -> Iterable[Diverged]:
    for step in made:
        if step.verb == "train":
            run = store.read_json(store.place(root, step) / store.RUN)
            if run.get("outcome", "finished") != "finished":
                at = f" at step {run['at_step']}" if run.get("at_step") is not None else ""
                yield Diverged(key=step.key, outcome=f"{run['outcome']}{at}")


def time_left(
    root: Path, plan: Plan, made: Sequence[Step], missing: Sequence[Step], going: dict[Step, Going], cores: int
) -> float:
    """The rest on so many cores: estimates, corrected by what steps of the same verb took, and by what has begun."""
    if not missing:
        return 0.0
    factors = corrections(root, made)
    overall = factors.get("", 1.0)

    def seconds(step: Step) -> float:
        own = going.get(step)
        if own and own.seconds_left is not None:
            return own.seconds_left
        return core_seconds(step) * factors.get(step.verb, overall)

    return makespan(jobs_of(missing, seconds, START_SECONDS, plan.study.threads), cores)


def corrections(root: Path, made: Sequence[Step]) -> dict[str, float]:
    """Verb -> measured over estimated seconds of what is made; under "" of all together."""
    sums: dict[str, list[float]] = {}
    for step in made:
        timing = store.place(root, step) / "timing.json"
        if timing.is_file():
            for name in (step.verb, ""):
                own = sums.setdefault(name, [0.0, 0.0])
                own[0] += float(store.read_json(timing)["wall_seconds"])
                own[1] += core_seconds(step)
    return {name: measured / estimated for name, (measured, estimated) in sums.items() if estimated >= TELLING}


def command(plan: Plan, cores: int, snakemake: Snakemake) -> str | None:
    """What a person types to go on; nothing where a Snakemake is at it."""
    if snakemake.process:
        return None
    chosen = "" if plan.file == Path("params.yaml") else f" --config params={plan.file}"
    unlock = f"snakemake --cores 1 --unlock{chosen} && " if snakemake.locked and snakemake.is_known else ""
    return f"{unlock}snakemake --cores {cores}{chosen}"


def print_status(root: Path, plan: Plan, cores: int | None) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for line in lines(status(root, plan, cores)):
        console.print(line)


def watch(root: Path, plan: Plan, cores: int | None) -> None:
    """The same every two seconds, in place on a terminal, until nothing is left or Ctrl-C."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    def shown(now: Status) -> Group:
        return Group(*(Text.from_markup(line, overflow="fold") for line in lines(now)))

    now = status(root, plan, cores)
    with Live(shown(now), console=Console(highlight=False), auto_refresh=False, transient=False) as live:
        while now.made < now.steps:
            time.sleep(WATCH_SECONDS)
            now = status(root, plan, cores)
            live.update(shown(now), refresh=True)


def lines(now: Status) -> Iterable[str]:
    """What a person reads, in rich's markup."""
    from rich.markup import escape

    counts = [
        ("made", now.made), ("in the store", now.in_store), ("running", len(now.running)),
        ("stopped", len(now.stopped)), ("failed", len(now.failed)), ("waiting", now.waiting),
    ]  # fmt: skip
    yield f"[bold]{escape(now.title)}[/]  ({escape(now.params)})"
    yield f"{now.steps} steps: " + ", ".join(f"{count} {name}" for name, count in counts if count)
    for own in now.running:
        yield f"  [green]running[/]   {escape(told(own))}"
    for own in now.stopped:
        yield f"  [yellow]stopped[/]   {escape(told(own))}"
    for bad in now.failed:
        yield f"  [red]failed[/]    {bad.verb} {escape(bad.key)}: {escape(bad.error)}  [dim]{escape(bad.log)}[/]"
    for run in now.diverged:
        yield f"  [yellow]outcome[/]   {escape(run.key)} {escape(run.outcome)} (counted as a result)"
    yield held(now.snakemake)
    if now.made + now.in_store < now.steps:
        s = "s" * (now.cores > 1)
        yield f"About {duration(now.seconds_left)} left on {now.cores} core{s}: estimated, corrected by measurements."
    if now.goes_on_with:
        yield f"It goes on with: [bold]{escape(now.goes_on_with)}[/]"
    elif now.made == now.steps:
        yield f"Everything is made: reports/{now.study}/report.pdf"


def told(own: Going) -> str:
    if own.step is None:
        return f"{own.verb} {own.key}"
    pace = f", {own.steps_per_second:.1f} steps/s" if own.steps_per_second else ""
    left = f", {duration(own.seconds_left)} left" if own.seconds_left is not None else ""
    return f"{own.verb} {own.key}: step {own.step} of {own.steps}{pace}{left}"


def held(snakemake: Snakemake) -> str:
    if not snakemake.locked:
        return "No Snakemake holds this folder."
    if snakemake.process:
        return f"Snakemake holds this folder: process {snakemake.process}."
    if snakemake.is_known:
        return "Snakemake's lock is here and no such process on this machine: killed, or on another machine."
    return "Snakemake's lock is here; whether it still runs cannot be told on this system."
