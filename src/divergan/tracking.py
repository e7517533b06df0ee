"""MLflow, and nothing else: every training and every evaluation of a study, with its curves and pictures.

Tracking is a view, never the truth: that is a run's own history file. So a training goes on when tracking cannot
(one warning on stderr), and `divergan track` rebuilds what is missing with `record`.

Environment: MLFLOW_TRACKING_URI names another database or server than `<root>/mlflow.db`; DIVERGAN_TRACKING=off
turns tracking off, and MLflow is then never imported.
"""

from __future__ import annotations

import math
import os
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from divergan.errors import DivergaNError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FLUSH_SECONDS = 5.0  # a curve in the UI is at most this old while a run goes on
LOCK_SECONDS = 60.0  # how long an opening waits for the others: the migrations of a fresh database take about 2 s
KEY_LENGTH = 250  # MLflow's limit, in characters; its client itself cuts long values and long batches
RECIPE_TAG = "divergan.recipe"
NOTE = (
    "Study **{study}** of divergan: GAN losses built from divergences, compared over seeds. One run is one training "
    "or one evaluation. Group or filter by the tags `variant`, `seed`, `arm`, `kind`, `outcome` and `commit`; "
    f"`{RECIPE_TAG}` names the result's folder. Rebuilt at any time by `divergan track`."
)


def _guarded(method: Callable[..., None]) -> Callable[..., None]:
    """Do nothing on an untracked run; untrack the run at the first error, with one warning (or raise it, if strict)."""

    @wraps(method)
    def guarded(live: Live, *args: Any) -> None:
        if live.client is None:
            return
        try:
            method(live, *args)
        except Exception as error:
            live.client = None
            if live.strict:
                raise
            warn(error)

    return guarded


class Live:
    """One run as MLflow sees it while it goes on; untracked (every method does nothing) without a client."""

    def __init__(self, client: Any = None, run_id: str = "", points: Iterable[tuple[str, int]] = ()) -> None:
        self.client, self.run_id = client, run_id
        self.strict = False  # True raises the first error instead of warning
        self._points = set(points)  # every (metric, step) that is logged or waits in the buffer
        self._buffer: list[Any] = []
        self._flushed = time.monotonic()

    @_guarded
    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Log one step's scalars. A (metric, step) that the run has already is skipped: a job that starts again from
        a checkpoint logs it twice. NaN and infinities are skipped: MLflow would draw them as 0 and 1.8e308."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        for key, value in values.items():
            point = (_key(key), step)
            if math.isfinite(value) and point not in self._points:
                self._points.add(point)
                self._buffer.append(Metric(point[0], float(value), now, step))
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._flush()

    @_guarded
    def picture(self, path: Path, name: str) -> None:
        """Copy the picture at `path` to `pictures/<name>` of the run."""
        with path.open("rb") as stream:
            self.client.log_stream(self.run_id, stream, f"pictures/{name}")

    @_guarded
    def artifact(self, path: Path) -> None:
        """Copy the file or folder at `path` to the run, under its own name."""
        self.client.log_artifact(self.run_id, str(path))

    @_guarded
    def finish(self, outcome: str) -> None:
        """Close the run: "finished" is MLflow's FINISHED, any other outcome ("diverged at step 7") its FAILED.

        Call it when the results have their real names: a run that is closed here and computed again starts anew.
        """
        self.client.set_tag(self.run_id, "outcome", outcome)
        self._close("FINISHED" if outcome == "finished" else "FAILED")

    @_guarded
    def interrupt(self) -> None:
        """Close the run as KILLED: the next start of the same recipe reopens it."""
        self._close("KILLED")

    def _close(self, status: str) -> None:
        self._flush()
        self.client.set_terminated(self.run_id, status)
        self.client = None

    def _flush(self) -> None:
        self.client.log_batch(self.run_id, metrics=self._buffer)
        self._buffer = []
        self._flushed = time.monotonic()


@contextmanager
def run(
    root: Path,
    *,
    experiment: str,
    name: str,
    recipe: str,
    kind: str,
    params: Mapping[str, Any],
    tags: Mapping[str, Any],
) -> Iterator[Live]:
    """Track one run while it goes on; `kind` is "train" or "evaluate". Raises nothing of its own.

    An interrupted run of the same recipe is reopened; a closed one is replaced, since its points belong to another
    computation. A body that is left without `finish` leaves an interrupted run.
    """
    try:
        live = _open(root, experiment, name, recipe, params, {**tags, "kind": kind}, replace=True) or Live()
    except Exception as error:
        warn(error)
        live = Live()
    try:
        yield live
    finally:
        live.interrupt()


def record(
    root: Path,
    *,
    experiment: str,
    name: str,
    recipe: str,
    kind: str,
    params: Mapping[str, Any],
    tags: Mapping[str, Any],
    history: Iterable[tuple[int, Mapping[str, float]]],
    pictures: Iterable[tuple[Path, str]],
    artifacts: Iterable[Path],
    outcome: str,
) -> bool:
    """Bring one finished run into MLflow, or complete what is there of it; True where something was written.

    Raises:
        DivergaNError: the tracking database cannot be used. Unlike in `run`, tracking is what the caller asked for.
    """
    try:
        live = _open(root, experiment, name, recipe, params, {**tags, "kind": kind}, replace=False)
        if live is None:
            return False
        live.strict = True
        for step, values in history:
            live.metrics(step, values)
        for path, title in pictures:
            live.picture(path, title)
        for path in artifacts:
            live.artifact(path)
        live.finish(outcome)
    except Exception as error:
        raise DivergaNError(
            f"the run {name} cannot be tracked in {without_secrets(_uri(root))} ({_brief(error)}): "
            "expected a usable MLflow database; move a broken file away, or set MLFLOW_TRACKING_URI, and run "
            "`divergan track` again"
        ) from error
    return True


def ui_command(root: Path, port: int) -> tuple[list[str], dict[str, str]]:
    """The command that shows the runs of `root` at http://127.0.0.1:<port>, to this machine only; its environment.

    The database's address is in the environment, for it may hold a password, and everybody can list commands.

    Raises:
        DivergaNError: MLFLOW_TRACKING_URI names a server, which has a UI of its own.
    """
    uri = _uri(root)
    if _remote(uri):
        text = f"MLFLOW_TRACKING_URI is the server {without_secrets(uri)}, expected a database"
        raise DivergaNError(f"{text}: open that address instead")
    # One worker is enough for one person. The server reads the switches of its telemetry from the environment.
    server = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return [*server, "--artifacts-destination", _artifacts(root)], {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_BACKEND_STORE_URI": uri,
    }


def _open(
    root: Path, study: str, name: str, recipe: str, params: Mapping[str, Any], tags: Mapping[str, Any], *, replace: bool
) -> Live | None:
    """The one run of this recipe; None with tracking off, or for a closed run that is not to be replaced."""
    if os.environ.get("DIVERGAN_TRACKING", "").lower() in ("off", "0", "no", "false"):
        return None
    _import_mlflow()
    with _exclusive(root):  # from the search to the creation, so that two processes never both create the run
        client = _client(root)
        experiment_id = _experiment(client, root, study)
        found = client.search_runs([experiment_id], f"tags.`{RECIPE_TAG}` = '{recipe}'", max_results=1)
        closed = bool(found) and found[0].info.status in ("FINISHED", "FAILED")
        if closed and not replace:
            return None
        if closed:
            client.delete_run(found[0].info.run_id)
        is_new = closed or not found
        mlflow_run = client.create_run(experiment_id, tags={RECIPE_TAG: recipe}, run_name=name) if is_new else found[0]
    return _reopen(client, mlflow_run, params, tags)


def _reopen(client: MlflowClient, mlflow_run: Run, params: Mapping[str, Any], tags: Mapping[str, Any]) -> Live:
    from mlflow.entities import Param, RunTag

    run_id, logged = mlflow_run.info.run_id, mlflow_run.data
    client.update_run(run_id, status="RUNNING")
    labels = [RunTag(key, str(value)) for key, value in tags.items() if value is not None]
    # MLflow refuses to change a parameter, so only those that are missing.
    new = [Param(key, value) for key, value in _flat(params).items() if key not in logged.params]
    client.log_batch(run_id, params=new, tags=labels)
    points = {(key, metric.step) for key in logged.metrics for metric in client.get_metric_history(run_id, key)}
    return Live(client, run_id, points)


def _import_mlflow() -> None:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")  # it logs the tracebacks of what is caught here
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # 7 hold a job for minutes where no server answers
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401  the client would import it later, under the lock


@contextmanager
def _exclusive(root: Path) -> Iterator[None]:
    """One process at a time beside this database: MLflow's migrations of a fresh one crash when they race."""
    from filelock import FileLock

    path = _database(_uri(root)) or root.resolve() / "mlflow.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=LOCK_SECONDS):
        yield


def _client(root: Path) -> MlflowClient:
    from mlflow import MlflowClient

    if (path := _database(_uri(root))) is not None:
        # MLflow retries a file that it cannot open for 100 s; SQLite itself says at once what is wrong with it.
        with closing(sqlite3.connect(path, timeout=20.0)) as connection:
            connection.execute("BEGIN IMMEDIATE")
    return MlflowClient(tracking_uri=_uri(root))


def _experiment(client: MlflowClient, root: Path, study: str) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(study)
    if found is None:
        location = None if _remote(_uri(root)) else _artifacts(root)
        # The kind spares the UI's question whether the study is about language models.
        tags = {"mlflow.note.content": NOTE.format(study=study), "mlflow.experimentKind": "custom_model_development"}
        try:
            return client.create_experiment(study, artifact_location=location, tags=tags)
        except MlflowException:  # another folder's job, which this one's lock does not hold, was faster
            found = client.get_experiment_by_name(study)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)  # a deleted experiment keeps its name
    return found.experiment_id


def _uri(root: Path) -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.resolve() / 'mlflow.db'}"


def _database(uri: str) -> Path | None:
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]) if uri.startswith("sqlite:///") else None


def _remote(uri: str) -> bool:
    return uri.startswith(("http://", "https://", "databricks"))


def _artifacts(root: Path) -> str:
    return (root.resolve() / "mlartifacts").as_uri()


def _key(name: str) -> str:
    return re.sub(r"[^/\w.\- :]", "_", name)[:KEY_LENGTH]


def _flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested parameters as `critic.width: "256"`."""
    flat: dict[str, str] = {}
    for name, value in params.items():
        nested = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{name}.") if nested else {_key(f"{prefix}{name}"): str(value)}
    return flat


def _brief(error: Exception) -> str:
    return without_secrets(f"{type(error).__name__}: {error}".splitlines()[0])[:200]


def without_secrets(text: str) -> str:
    """`text` without the user and password of the addresses in it."""
    text = re.sub(r"://[^/\s]*@", "://***@", text)
    return re.sub(r"(?i)([?&][^=&\s]*(?:password|passwd|pwd|token|secret|key)=)[^&\s'\"]*", r"\1***", text)


def warn(error: Exception) -> None:
    print(
        f"warning: tracking stops for this run ({_brief(error)}); the run goes on, and `divergan track` adds it later",
        file=sys.stderr,
    )
