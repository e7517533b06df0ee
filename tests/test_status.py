"""How far a study is, asked while nothing runs, while something does, and after it was stopped or has failed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from divergan import status as telling
from divergan import store
from divergan.holding import Snakemake, cores_of, is_locked, snakemake_of
from divergan.plan import Plan
from tiny_study import divergan, edited, environment
from tiny_training import trained

RUN = "kl.stabilised-s0"
LONG = ("steps: 60 ", "steps: 400000 ")
COMMAND = [sys.executable, "-c", "from divergan.cli import main; main()"]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIVERGAN_TRACKING", "off")
        root = tmp_path_factory.mktemp("status") / "project"
        trained(root, RUN)
    return root


@pytest.fixture
def root(made, tmp_path, monkeypatch) -> Path:
    shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def now() -> telling.Status:
    return telling.status(Path(), Plan(Path("params.yaml")))


def told() -> str:
    return "\n".join(telling.lines(now()))


def test_nothing_runs_and_the_rest_waits(root):
    found = now()
    assert (found.steps, found.made, found.in_store, found.waiting) == (18, 2, 0, 16)
    assert (found.running, found.stopped, found.failed, found.diverged) == ([], [], [], [])
    assert found.snakemake == Snakemake(is_known=True)
    assert found.seconds_left > 0
    assert found.goes_on_with == f"snakemake --cores {os.cpu_count()}"
    assert "No Snakemake holds this folder." in told()


def test_it_loads_neither_torch_nor_numpy_and_writes_nothing(root):
    before = sorted(map(str, root.rglob("*")))
    code = (
        "import sys; from divergan import cli; sys.argv = ['divergan', 'status', '--json']\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'numpy', 'pandas', 'mlflow', 'snakemake'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert json.loads(done.stdout)["made"] == 2
    assert sorted(map(str, root.rglob("*"))) == before


def test_a_training_that_goes_on_and_then_was_stopped(root):
    path = root / "params.yaml"
    path.write_text(edited(path.read_text(), LONG))
    training = subprocess.Popen(
        [*COMMAND, "train", RUN], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 60
        while not (going := [own for own in now().running if own.step]) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert [(own.verb, own.key, own.steps) for own in going] == [("train", RUN, 400000)]
        assert 0 < going[0].step < 400000
        assert going[0].steps_per_second > 0
        expected = (400000 - going[0].step) / going[0].steps_per_second
        assert going[0].seconds_left == pytest.approx(expected)
        assert now().seconds_left >= 0.5 * expected
        assert re.search(rf"running.* train {RUN}: step \d+ of 400000, [\d.]+ steps/s, .* left", told())
    finally:
        training.send_signal(signal.SIGINT)
        out, err = training.communicate(timeout=60)
    assert training.returncode == 130
    assert err.splitlines()[-1] == "stopped: the same command goes on from what is there"
    assert "Traceback" not in out + err
    found = now()
    assert (found.running, [own.key for own in found.stopped]) == ([], [RUN])
    assert found.waiting == found.steps - found.made - 1


def failing_log(root: Path, text: str) -> str:
    (job,) = Plan(Path("params.yaml")).of("features")
    log = root / "logs/smoke/features" / f"{Path(job.folder).name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(text)
    return str(log.relative_to(root))


def test_a_failed_job_is_told_with_its_last_error_and_log(root):
    log = failing_log(root, "error: an earlier one\nfeatures: 1/2\nerror: no space [/b] left\n")
    (failed,) = now().failed
    assert (failed.verb, failed.key, failed.error, failed.log) == (
        "features",
        "digits",
        "error: no space [/b] left",
        log,
    )
    assert "no space \\[/b] left" in told()
    assert now().waiting == 15
    failing_log(root, "Traceback (most recent call last):\n  File x\nValueError: that\n\n")
    assert now().failed[0].error == "ValueError: that"
    failing_log(root, "features: 1/2 epochs\n")
    assert now().failed == [], "a new attempt has begun a new log"


def test_what_is_made_has_not_failed(root):
    (job,) = Plan(Path("params.yaml")).of("data")
    log = root / "logs/smoke/data" / f"{Path(job.folder).name}.log"
    log.parent.mkdir(parents=True)
    log.write_text("error: before it was made by hand\n")
    assert now().failed == []


def test_a_diverged_run_is_named_and_counts_as_made(root):
    step = Plan(Path("params.yaml")).step("train", RUN)
    path = store.place(Path(), step) / store.RUN
    path.write_text(json.dumps(store.read_json(path) | {"outcome": "diverged", "at_step": 7}))
    assert [(run.key, run.outcome) for run in now().diverged] == [(RUN, "diverged at step 7")]
    assert now().made == 2


def test_what_the_store_has_is_not_waited_for(root):
    shutil.rmtree(root / "results/smoke/runs")
    found = now()
    assert (found.made, found.in_store, found.waiting) == (1, 1, 16)


def test_a_measured_pace_corrects_the_estimate(root):
    plan = Plan(Path("params.yaml"))
    (data,) = plan.of("data")
    timing = store.place(Path(), data) / "timing.json"
    timing.write_text(json.dumps({"wall_seconds": 30.0}))
    assert telling.corrections(Path(), [data]) == {}, "one short step tells nothing"
    factors = telling.corrections(Path(), [data] * 10)
    assert factors["data"] == factors[""] == pytest.approx(10 * 30.0 / (10 * 3.0))


def test_half_a_line_of_a_pace_that_is_written_just_now_is_not_read(tmp_path):
    path = tmp_path / "timing.csv"
    assert telling.last_row(path) == []
    for text, row in (("step,x\n", []), ("step,x\n50,1", []), ("step,x\n50,1.5\n10", ["50", "1.5"])):
        path.write_text(text)
        assert telling.last_row(path) == row


def test_a_lock_that_nobody_holds_is_no_running_step(tmp_path):
    from filelock import FileLock

    folder = tmp_path / "abc"
    assert not is_locked(folder)
    folder.with_name("abc.lock").touch()
    assert not is_locked(folder)
    code = "import sys, time; from filelock import FileLock\n"
    code += "with FileLock(sys.argv[1]): print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code, f"{folder}.lock"], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        assert is_locked(folder)
    finally:
        holder.kill()
        holder.wait()
    assert not is_locked(folder)
    with FileLock(f"{folder}.lock", blocking=False):
        pass


def process(folder: Path, number: int, cwd: Path, *words: str) -> None:
    (folder / str(number)).mkdir(parents=True)
    (folder / str(number) / "cmdline").write_bytes("\0".join(words).encode() + b"\0")
    (folder / str(number) / "cwd").symlink_to(cwd)


def test_snakemake_is_found_by_its_folder_and_told_from_its_jobs(tmp_path):
    root, processes = tmp_path / "here", tmp_path / "proc"
    (root / ".snakemake/locks").mkdir(parents=True)
    (processes / "self").mkdir(parents=True)
    process(processes, 7, tmp_path, "python", "/bin/snakemake", "--cores", "2")
    process(processes, 8, root, "vim", "Snakefile", "snakemake.md")
    assert snakemake_of(root, processes) == Snakemake(is_known=True)
    (root / ".snakemake/locks/0.output.lock").touch()
    assert snakemake_of(root, processes) == Snakemake(locked=True, is_known=True)
    process(processes, 9, root, "python", "/bin/snakemake", "--cores=4", "--config", "params=x")
    assert snakemake_of(root, processes) == Snakemake(locked=True, process=9, cores=4, is_known=True)
    assert snakemake_of(root, tmp_path / "none") == Snakemake(locked=True)


@pytest.mark.parametrize(
    ("words", "cores"),
    [("snakemake -c8", 8), ("snakemake -j 3 x", 3), ("snakemake", None), ("snakemake --cores all", None)],
)
def test_cores_of_a_command_line(words, cores):
    assert cores_of(words.split(" ")) == cores


def test_after_a_killed_snakemake_the_command_unlocks(root):
    (root / ".snakemake/locks").mkdir(parents=True)
    (root / ".snakemake/locks/0.output.lock").touch()
    found = telling.status(Path(), Plan(Path("params.yaml")), 3)
    assert found.goes_on_with == "snakemake --cores 1 --unlock && snakemake --cores 3"
    assert "no such process on this machine" in "\n".join(telling.lines(found))


def test_watch_ends_on_ctrl_c_with_one_line(root):
    watching = subprocess.Popen(
        [*COMMAND, "status", "--watch"], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    time.sleep(4)
    watching.send_signal(signal.SIGINT)
    _, err = watching.communicate(timeout=30)
    assert watching.returncode == 130
    assert err == "stopped: the same command goes on from what is there\n"


def test_exit_code_is_0_and_an_unknown_file_is_an_error(root):
    assert divergan(root, "status").returncode == 0
    done = divergan(root, "status", "--params", "none.yaml", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: there is no parameter file none.yaml")
