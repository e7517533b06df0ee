"""Tracking against the real MLflow: a run appears once, its curve has each point once, and training never notices."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from divergan import tracking
from divergan.errors import DivergaNError

FACTS = {
    "experiment": "smoke",
    "name": "kl.stabilised-s0",
    "kind": "train",
    "params": {"critic": {"width": 256}, "lr": 2e-4},
    "tags": {"variant": "kl.stabilised", "seed": 0, "arm": "stabilised", "commit": "abc123", "none": None},
}
CURVE = [(step, {"loss": 1.0 / (step + 1)}) for step in range(10)]


@pytest.fixture(autouse=True)
def _default_database(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DIVERGAN_TRACKING", raising=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("a root with spaces")


def stored(root: Path, recipe: str):
    """The client and the visible runs of a recipe, read past `divergan.tracking`."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return client, client.search_runs(experiments, f"tags.`divergan.recipe` = '{recipe}'")


def curve(root: Path, recipe: str, key: str = "loss") -> list[tuple[int, float]]:
    client, (found,) = stored(root, recipe)
    return sorted((point.step, point.value) for point in client.get_metric_history(found.info.run_id, key))


def log(root: Path, recipe: str, steps: range, outcome: str | None, scale: float = 1.0, **other) -> None:
    with tracking.run(root, recipe=recipe, **FACTS | other) as live:
        for step in steps:
            live.metrics(step, {"loss": scale * step})
        if outcome is not None:
            live.finish(outcome)


def test_a_finished_run_shows_its_facts(root, tmp_path, capfd):
    picture, table = tmp_path / "grid.png", tmp_path / "history.csv"
    picture.write_bytes(b"pixels")
    table.write_text("step,loss\n")
    with tracking.run(root, recipe="facts", **FACTS) as live:
        live.metrics(0, {"loss": 0.5, "precision@10": 1, "nan": math.nan, "inf": math.inf})
        live.picture(picture, "step-000100.png")
        live.artifact(table)
        live.finish("finished")
    assert capfd.readouterr().err == ""
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == os.environ["DO_NOT_TRACK"] == "true"
    client, (found,) = stored(root, "facts")
    assert (found.info.run_name, found.info.status) == ("kl.stabilised-s0", "FINISHED")
    assert found.data.params == {"critic.width": "256", "lr": "0.0002"}
    assert found.data.metrics == {"loss": 0.5, "precision_10": 1.0}
    expected = {"variant": "kl.stabilised", "seed": "0", "arm": "stabilised", "commit": "abc123", "kind": "train"}
    shown = {key: value for key, value in found.data.tags.items() if not key.startswith(("mlflow.", "divergan."))}
    assert shown == expected | {"outcome": "finished"}
    folder = root / "mlartifacts" / found.info.run_id / "artifacts"
    assert (folder / "pictures" / "step-000100.png").read_bytes() == b"pixels"
    assert (folder / "history.csv").exists()
    assert "Study **smoke**" in client.get_experiment(found.info.experiment_id).tags["mlflow.note.content"]


def test_a_diverged_run_is_failed_and_says_so(root):
    log(root, "diverged", range(3), "diverged at step 2")
    _, (found,) = stored(root, "diverged")
    assert (found.info.status, found.data.tags["outcome"]) == ("FAILED", "diverged at step 2")


def test_an_interrupted_run_is_reopened_without_doubled_points(root):
    with pytest.raises(KeyboardInterrupt), tracking.run(root, recipe="again", **FACTS) as live:
        live.metrics(0, {"loss": 0.0})
        raise KeyboardInterrupt
    _, (before,) = stored(root, "again")
    assert before.info.status == "KILLED"
    log(root, "again", range(6), None)
    log(root, "again", range(4, 9), "finished", params={"lr": 1.0, "added": 1})  # from a checkpoint at step 4
    _, (after,) = stored(root, "again")
    assert (after.info.run_id, after.info.status) == (before.info.run_id, "FINISHED")
    assert curve(root, "again") == [(step, float(step)) for step in range(9)]
    assert after.data.params == {"critic.width": "256", "lr": "0.0002", "added": "1"}


def test_a_finished_run_computed_again_is_replaced(root):
    log(root, "anew", range(5), "finished")
    log(root, "anew", range(3), "finished", scale=2.0)
    assert curve(root, "anew") == [(0, 0.0), (1, 2.0), (2, 4.0)]


def test_points_reach_the_database_while_the_run_goes_on(root, monkeypatch):
    with tracking.run(root, recipe="live", **FACTS) as live:
        live.metrics(0, {"loss": 0.0})
        assert curve(root, "live") == []
        monkeypatch.setattr(tracking, "FLUSH_SECONDS", 0.0)
        live.metrics(1, {"loss": 1.0})
        assert curve(root, "live") == [(0, 0.0), (1, 1.0)]


def test_record_rebuilds_completes_and_then_leaves_alone(root, tmp_path):
    picture = tmp_path / "grid.png"
    picture.write_bytes(b"pixels")
    rest = {"pictures": [(picture, "grid.png")], "artifacts": [picture], "outcome": "finished"}
    history = [(step, {"loss": float(step), "score": 0.0}) for step in range(1500)]  # more than one batch
    log(root, "rebuilt", range(0, 10, 3), None)  # what a run left when its tracking stopped, with holes
    assert tracking.record(root, recipe="rebuilt", history=history, **FACTS, **rest)
    assert curve(root, "rebuilt") == [(step, float(step)) for step in range(1500)]
    assert len(curve(root, "rebuilt", "score")) == 1500
    _, (found,) = stored(root, "rebuilt")
    assert found.info.status == "FINISHED"
    assert (root / "mlartifacts" / found.info.run_id / "artifacts" / "pictures" / "grid.png").exists()
    assert not tracking.record(root, recipe="rebuilt", history=[(9999, {"loss": 0.0})], **FACTS, **rest)
    assert len(curve(root, "rebuilt")) == 1500


def test_long_and_many_parameters_are_cut_to_what_mlflow_takes(root):
    params = {"text": "x" * 7000, **{f"p{index}": index for index in range(150)}}
    log(root, "params", range(1), "finished", params=params, tags={"note": "y" * 9000})
    _, (found,) = stored(root, "params")
    assert len(found.data.params) == 151
    assert (len(found.data.params["text"]), len(found.data.tags["note"])) == (6000, 8000)


def directory(path: Path) -> None:
    path.mkdir()


def garbage(path: Path) -> None:
    path.write_bytes(b"no database at all, " * 100)


def foreign(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('from the future')")
        connection.commit()


@pytest.mark.parametrize("spoil", [directory, garbage, foreign])
def test_a_broken_database_warns_once_and_training_goes_on(spoil, tmp_path, capfd):
    spoil(tmp_path / "mlflow.db")
    start = time.monotonic()
    log(tmp_path, "broken", range(3), "finished")
    assert time.monotonic() - start < 30  # MLflow alone retries for 100 s; importing it takes up to 15 s
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("warning: tracking stops") and "divergan track" in lines[0]
    with pytest.raises(DivergaNError, match=r"mlflow\.db"):
        rest = {"history": CURVE, "pictures": [], "artifacts": [], "outcome": "finished"}
        tracking.record(tmp_path, recipe="broken", **FACTS, **rest)


def test_an_error_on_the_way_warns_once_and_record_completes_the_run(root, tmp_path, capfd):
    picture = tmp_path / "grid.png"
    with tracking.run(root, recipe="half", **FACTS) as live:
        live.metrics(0, CURVE[0][1])
        live.picture(picture, "grid.png")  # does not exist
        live.metrics(1, CURVE[1][1])
        live.finish("finished")
    assert len(capfd.readouterr().err.splitlines()) == 1
    rest = {"pictures": [(picture, "grid.png")], "artifacts": [], "outcome": "finished"}
    with pytest.raises(DivergaNError, match=r"grid\.png"):
        tracking.record(root, recipe="half", history=CURVE, **FACTS, **rest)
    picture.write_bytes(b"pixels")
    assert tracking.record(root, recipe="half", history=CURVE, **FACTS, **rest)
    assert curve(root, "half") == [(step, values["loss"]) for step, values in CURVE]


def test_an_error_of_the_training_passes_through(root):
    with pytest.raises(ZeroDivisionError), tracking.run(root, recipe="raises", **FACTS):
        raise ZeroDivisionError


def test_off_never_imports_mlflow(tmp_path):
    code = (
        "import sys; from pathlib import Path; from divergan import tracking\n"
        f"facts = {FACTS!r} | {{'recipe': 'off'}}\n"
        "with tracking.run(Path(sys.argv[1]), **facts) as live:\n"
        "    live.metrics(0, {'loss': 0.0}); live.finish('finished')\n"
        "wrote = tracking.record(Path(sys.argv[1]), **facts, history=[], pictures=[], artifacts=[], outcome='x')\n"
        "assert not wrote and 'mlflow' not in sys.modules"
    )
    source = str(Path(tracking.__file__).parents[1])
    environment = os.environ | {"DIVERGAN_TRACKING": "off", "PYTHONPATH": source}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=True)
    assert not list(tmp_path.iterdir())


def start_together(root: Path, barrier, recipe: str) -> None:
    barrier.wait()
    log(root, recipe, range(20), "finished")
    log(root, "shared", range(20), None)


def test_eight_processes_on_a_fresh_database_lose_and_double_nothing(tmp_path, capfd):
    tracking._import_mlflow()  # once, before the fork: it takes each process seconds
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(8)
    processes = [fork.Process(target=start_together, args=(tmp_path, barrier, f"r{index}")) for index in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 8
    assert capfd.readouterr().err == ""
    for index in range(8):
        assert curve(tmp_path, f"r{index}") == [(step, float(step)) for step in range(20)]
    assert len(stored(tmp_path, "shared")[1]) == 1


def test_an_experiment_that_another_folder_creates_just_now_is_taken(root, monkeypatch, capfd):
    """A lock holds the jobs of one folder; on one server there are other folders' jobs."""
    from mlflow import MlflowClient

    log(root, "first", range(1), "finished")
    look, looks = MlflowClient.get_experiment_by_name, []
    late = lambda client, name: look(client, name) if looks else looks.append(name)  # noqa: E731
    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", late)
    log(root, "second", range(2), "finished")
    assert looks == ["smoke"]
    assert capfd.readouterr().err == ""
    assert curve(root, "second") == [(0, 0.0), (1, 1.0)]


def test_the_environment_names_another_database(root, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root / 'mlflow.db'}")
    log(tmp_path, "elsewhere", range(2), "finished")
    assert curve(root, "elsewhere") == [(0, 0.0), (1, 1.0)]
    assert not list(tmp_path.iterdir())


def test_the_ui_binds_to_this_machine_only(tmp_path, monkeypatch):
    command, variables = tracking.ui_command(tmp_path, 5001)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--port") + 1] == "5001"
    assert variables["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{tmp_path.resolve()}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example:5000")
    with pytest.raises(DivergaNError, match=r"tracking\.example"):
        tracking.ui_command(tmp_path, 5001)
