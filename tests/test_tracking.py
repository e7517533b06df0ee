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
from divergan.tracking import live as live_runs

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


STUDY = tracking.Study(name="smoke", title="Smoke", question="Does it burn?", recipes=frozenset(), comparison="")


def record(root: Path, recipe: str, study: tracking.Study = STUDY, described: dict | None = None, **rest) -> int:
    """One finished run."""
    return tracking.record(root, study, [(FACTS | {"recipe": recipe} | (described or {}), lambda: rest)])


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
    assert "A study of divergan" in client.get_experiment(found.info.experiment_id).tags["mlflow.note.content"]


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
        monkeypatch.setattr(live_runs, "FLUSH_SECONDS", 0.0)
        live.metrics(1, {"loss": 1.0})
        assert curve(root, "live") == [(0, 0.0), (1, 1.0)]


def test_record_rebuilds_completes_and_then_leaves_alone(root, tmp_path):
    picture = tmp_path / "grid.png"
    picture.write_bytes(b"pixels")
    rest = {"pictures": [(picture, "grid.png")], "artifacts": [picture], "outcome": "finished"}
    history = [(step, {"loss": float(step), "score": 0.0}) for step in range(1500)]  # more than one batch
    log(root, "rebuilt", range(0, 10, 3), None)  # what a run left when its tracking stopped, with holes
    assert record(root, "rebuilt", history=history, **rest)
    assert curve(root, "rebuilt") == [(step, float(step)) for step in range(1500)]
    assert len(curve(root, "rebuilt", "score")) == 1500
    _, (found,) = stored(root, "rebuilt")
    assert found.info.status == "FINISHED"
    assert (root / "mlartifacts" / found.info.run_id / "artifacts" / "pictures" / "grid.png").exists()
    assert not record(root, "rebuilt", history=[(9999, {"loss": 0.0})], **rest)
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
        record(tmp_path, "broken", **rest)


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
        record(root, "half", history=CURVE, **rest)
    picture.write_bytes(b"pixels")
    assert record(root, "half", history=CURVE, **rest)
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
        "study = tracking.Study(name='s', title='', question='', recipes=frozenset(), comparison='')\n"
        "wrote = tracking.record(Path(sys.argv[1]), study, [(facts, dict)])\n"
        "assert not wrote and 'mlflow' not in sys.modules"
    )
    source = str(Path(tracking.__file__).parents[2])
    environment = os.environ | {"DIVERGAN_TRACKING": "off", "PYTHONPATH": source}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=True)
    assert not list(tmp_path.iterdir())


def start_together(root: Path, barrier, recipe: str) -> None:
    barrier.wait()
    log(root, recipe, range(20), "finished")
    log(root, "shared", range(20), None)


def test_eight_processes_on_a_fresh_database_lose_and_double_nothing(tmp_path, capfd):
    tracking.import_mlflow()  # once, before the fork: it takes each process seconds
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


def contents(tmp_path: Path, **more) -> dict:
    picture = tmp_path / "grid.png"
    picture.write_bytes(b"pixels")
    history = [(step, {"loss": 1.0 / (step + 1), "nan": math.nan, "score": float(-step)}) for step in (*range(1200), 7)]
    pictures = [(picture, "grid.png"), (picture, "other.png")]
    rest = {"history": history, "pictures": pictures, "artifacts": [picture], "outcome": "diverged at step 7"}
    return rest | more


def everything(root: Path, recipe: str) -> dict:
    """All that a person can see of a run, but for its id and its times."""
    client, (found,) = stored(root, recipe)
    points = {
        key: [(p.step, p.value) for p in client.get_metric_history(found.info.run_id, key)]
        for key in found.data.metrics
    }
    tags = {key: value for key, value in found.data.tags.items() if key != "divergan.recipe"}
    files = sorted(
        file.path for folder in ("", "pictures") for file in client.list_artifacts(found.info.run_id, folder)
    )
    return {
        "latest": found.data.metrics, "points": {key: sorted(own) for key, own in points.items()}, "tags": tags,
        "params": found.data.params, "files": files, "status": found.info.status, "name": found.info.run_name,
    }  # fmt: skip


def test_many_at_once_are_what_one_by_one_through_the_client_would_be(root, tmp_path, monkeypatch):
    from divergan.tracking import finished

    text = {"params": {"text": "x" * 7000, "critic": {"width": 8}}, "tags": {**FACTS["tags"], "note": "y" * 9000}}
    runs = [
        (FACTS | text | {"recipe": f"bulk{index}", "seconds": 3.0}, lambda: contents(tmp_path)) for index in range(3)
    ]
    assert tracking.record(root, STUDY, runs) == 3
    monkeypatch.setattr(finished, "bulk_of", lambda client: None)
    assert record(root, "client", described=text, **contents(tmp_path)) == 1
    found = everything(root, "bulk1")
    assert found == everything(root, "client")
    assert (len(found["points"]["loss"]), found["status"]) == (1200, "FAILED")
    assert found["files"] == ["grid.png", "pictures", "pictures/grid.png", "pictures/other.png"]
    assert (len(found["params"]["text"]), len(found["tags"]["note"])) == (6000, 8000)
    _, (run,) = stored(root, "bulk2")
    assert run.info.end_time - run.info.start_time == 3000


def test_a_run_whose_writing_failed_is_completed_by_the_next_record(root, tmp_path):
    missing = [(tmp_path / "none.png", "none.png")]
    with pytest.raises(DivergaNError, match=r"none\.png"):
        record(root, "bad", **contents(tmp_path, pictures=missing))
    first, second = (FACTS | {"recipe": recipe} for recipe in ("before", "bad"))
    with pytest.raises(DivergaNError, match=r"none\.png"):
        tracking.record(
            root, STUDY, [(first, lambda: contents(tmp_path)), (second, lambda: contents(tmp_path, pictures=missing))]
        )
    assert everything(root, "before")["status"] == "FAILED", "what was before it is written"
    assert record(root, "bad", **contents(tmp_path)) == 1
    assert len(everything(root, "bad")["points"]["loss"]) == 1200
    assert record(root, "bad", **contents(tmp_path)) == 0


def test_what_a_finished_run_consists_of_is_not_read_when_mlflow_has_it(root):
    def unwanted() -> dict:
        raise AssertionError

    log(root, "there", range(2), "finished")
    assert tracking.record(root, STUDY, [(FACTS | {"recipe": "there"}, unwanted)]) == 0


def test_a_study_has_a_description_and_a_view_that_compares(tmp_path):
    import base64
    import json
    import zlib

    study = tracking.Study(name="smoke", title="A title", question="Why?", recipes=frozenset("ab"), comparison="b")
    rest = {"history": [], "pictures": [], "artifacts": [], "outcome": "finished"}
    runs = [(FACTS | {"recipe": recipe}, lambda: rest | {"note": "| table |"}) for recipe in "ab"]
    tracking.record(tmp_path, study, runs)
    client, (compared,) = stored(tmp_path, "b")
    experiment = client.get_experiment_by_name("smoke")
    note = experiment.tags["mlflow.note.content"]
    assert f"#/experiments/{experiment.experiment_id}/runs/{compared.info.run_id}" in note
    assert "**A title**. Why?" in note
    assert compared.data.tags["mlflow.note.content"] == "| table |"
    view = experiment.tags["mlflow.sharedViewState.comparison"]
    assert len(view) < 5000, "MLflow takes no more"
    packed = json.loads(view)["state"].removeprefix("deflate;")
    state = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert state["groupBy"]["groupByKeys"] == [{"mode": "tag", "groupByData": "variant"}]
    assert [chart["metricKey"] for chart in state["compareRunCharts"]][:2] == ["fid", "kid"]
    client.search_runs([experiment.experiment_id], state["searchFilter"])  # MLflow understands it
    (address,) = tracking.addresses(tmp_path, 5001).values()
    assert address.startswith(f"http://127.0.0.1:5001/#/experiments/{experiment.experiment_id}/runs?")
    assert tracking.page_of(tmp_path, tracking.RECIPE_TAG, "b") == (
        f"#/experiments/{experiment.experiment_id}/runs/{compared.info.run_id}"
    )


def test_runs_of_earlier_parameters_are_told_from_the_present_plans(tmp_path):
    tags = FACTS["tags"] | {"plan": "present"}
    rest = {"history": [], "pictures": [], "artifacts": [], "outcome": "finished"}
    runs = [(FACTS | {"recipe": recipe, "tags": tags}, lambda: rest) for recipe in ("old", "new")]

    def places(*planned: str) -> list[str]:
        study = tracking.Study(name="smoke", title="", question="", recipes=frozenset(planned), comparison="")
        tracking.record(tmp_path, study, runs)
        return [stored(tmp_path, recipe)[1][0].data.tags["plan"] for recipe in ("old", "new")]

    assert places("old", "new") == ["present", "present"]
    assert places("new") == ["earlier", "present"]
    assert places("old", "new") == ["present", "present"]


def test_without_a_database_no_page_is_named(tmp_path):
    assert tracking.addresses(tmp_path, 5000) == {}
    garbage(tmp_path / "mlflow.db")
    assert tracking.addresses(tmp_path, 5000) == {}
    assert tracking.page_of(tmp_path, tracking.RECIPE_TAG, "b") is None
