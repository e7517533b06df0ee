"""How far long work is: a bar with the time left on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINES = 10  # about so many lines a job in a log


class Lines:
    """Progress for a log file: name, done/total, rate, time left."""

    def __init__(self, name: str, total: int, unit: str):
        self.name, self.total, self.unit = name, total, unit
        self.started, self.first, self.next = time.monotonic(), 0, 0

    def start(self, done: int) -> None:
        self.first = self.next = done

    def update(self, done: int) -> None:
        if done < self.next and done < self.total:
            return
        self.next = done + max(1, self.total // LINES)
        seconds = time.monotonic() - self.started
        rate = (done - self.first) / seconds if seconds > 0 else 0.0
        left = f", {(self.total - done) / rate:.0f} s left" if rate else ""
        print(
            f"{self.name}: {done}/{self.total} {self.unit}, {rate:.1f} {self.unit}/s{left}", file=sys.stderr, flush=True
        )


class Bar:
    """Progress for a terminal."""

    def __init__(self, progress: Progress, name: str, total: int, unit: str):
        self.progress, self.task = progress, progress.add_task(f"{name} [dim]{unit}[/]", total=total)

    def start(self, done: int) -> None:
        self.progress.update(self.task, completed=done)

    def update(self, done: int) -> None:
        self.progress.update(self.task, completed=done)


class Pace:
    """Images a second from one row of the history to the next, kept in a CSV: every sitting of a run appends to it."""

    def __init__(self, path: Path, images_per_step: int, step: int):
        self.path, self.images_per_step = path, images_per_step
        self.step, self.time = step, time.monotonic()
        if not path.exists():
            path.write_text("step,images_per_second\n", "utf-8")

    def at(self, step: int) -> float:
        """Note that the run has come to `step`; returns the images a second since the last such note."""
        now = time.monotonic()
        rate = (step - self.step) * self.images_per_step / max(now - self.time, 1e-9)
        self.step, self.time = step, now
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{step},{rate:.1f}\n")
        return rate


@contextmanager
def shown(name: str, total: int, unit: str) -> Iterator[Lines | Bar]:
    """Something with `start(done)` and `update(done)`."""
    if not sys.stderr.isatty():
        yield Lines(name, total, unit)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield Bar(progress, name, total, unit)
