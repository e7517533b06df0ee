"""Eight trainings at once on MLflow's server with a fresh PostgreSQL: none is lost, none doubled. `make remotes`."""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from divergan import tracking
from local_servers import mlflow, postgresql

pytestmark = [pytest.mark.remotes, pytest.mark.xdist_group("mlflow")]

WRITERS = 8
FACTS = {"experiment": "smoke", "kind": "train", "params": {"lr": 2e-4}, "tags": {"seed": 0}}


@pytest.fixture
def server(monkeypatch) -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # which PostgreSQL's user, who is not root, can enter
    folder.chmod(0o755)
    with postgresql(folder) as database, mlflow(folder, database) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        yield address
    shutil.rmtree(folder)


def train(root: Path, barrier, recipe: str) -> None:
    """What a training tells MLflow; half of it once more, as one does that goes on from a checkpoint."""
    barrier.wait()
    picture = root / f"{recipe}.png"
    picture.write_bytes(recipe.encode())
    for steps, outcome in ((range(30), None), (range(15, 60), "finished")):
        with tracking.run(root, name=recipe, recipe=recipe, **FACTS) as live:
            for step in steps:
                live.metrics(step, {"loss": float(step), "seconds": 0.5 * step})
            live.picture(picture, "grid.png")
            if outcome:
                live.finish(outcome)


@pytest.mark.parametrize("checkouts", [1, WRITERS], ids=["one folder", "a folder each"])
def test_eight_trainings_at_once_on_a_fresh_server_lose_and_double_nothing(checkouts, server, tmp_path, capfd):
    tracking.import_mlflow()  # once, before the fork: it takes each process seconds
    roots = [tmp_path / str(index % checkouts) for index in range(WRITERS)]
    for root in roots:
        root.mkdir(exist_ok=True)
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(WRITERS)
    writers = [fork.Process(target=train, args=(root, barrier, f"r{index}")) for index, root in enumerate(roots)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(300)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    assert "warning" not in capfd.readouterr().err
    assert_all_there(server)


def runs_of(server: str) -> list:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=server)
    (experiment,) = [found for found in client.search_experiments() if found.name == "smoke"]
    return client.search_runs([experiment.experiment_id])


def assert_all_there(server: str) -> None:
    from mlflow import MlflowClient

    client, runs = MlflowClient(tracking_uri=server), runs_of(server)
    assert sorted(run.data.tags[tracking.RECIPE_TAG] for run in runs) == [f"r{index}" for index in range(WRITERS)]
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        points = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "loss")]
        assert sorted(points) == [(step, float(step)) for step in range(60)]
        picture = client.download_artifacts(run.info.run_id, "pictures/grid.png")
        assert Path(picture).read_text() == run.data.tags[tracking.RECIPE_TAG]


def test_a_training_goes_on_without_its_server_and_record_completes_the_run(tmp_path, monkeypatch, capfd):
    """Here SQLite, for it is the server that goes away."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    store = f"sqlite:///{tmp_path}/server.db"
    with mlflow(tmp_path, store) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        run = tracking.run(tmp_path, name="r0", recipe="r0", **FACTS)
        live = run.__enter__()
        live.metrics(0, {"loss": 0.0})
    live.finish("finished")
    run.__exit__(None, None, None)
    assert capfd.readouterr().err.count("warning: tracking stops for this run") == 1
    history = [(step, {"loss": float(step)}) for step in range(5)]
    rest = {"pictures": [], "artifacts": [], "outcome": "finished"}
    with mlflow(tmp_path, store) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        study = tracking.Study(name="smoke", title="", question="", recipes=frozenset(), comparison="")
        run = FACTS | {"name": "r0", "recipe": "r0"}
        assert tracking.record(tmp_path, study, [(run, lambda: rest | {"history": history})]) == 1
        (run_there,) = runs_of(address)
        assert (run_there.info.status, run_there.data.metrics) == ("FINISHED", {"loss": 4.0})
