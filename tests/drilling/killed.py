"""Processes killed or interrupted, and two at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress

from drilling.study import Drills, Saw, line, unlocked, wait_for


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
