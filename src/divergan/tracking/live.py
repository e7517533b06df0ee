"""One run as MLflow sees it while it goes on."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from divergan.tracking.database import connected, exclusive, experiment_of, import_mlflow, is_off, warn

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FLUSH_SECONDS = 5.0  # a curve in the UI is at most this old while a run goes on
KEY_LENGTH = 250  # MLflow's limit, in characters; its client itself cuts long values and long batches
RECIPE_TAG = "divergan.recipe"
CLOSED = ("FINISHED", "FAILED")  # what MLflow calls a run that has all it will get
PICTURES = "pictures"


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

    def __init__(
        self,
        client: Any = None,
        run_id: str = "",
        points: Iterable[tuple[str, int]] = (),
        labels: Mapping[str, list[Any]] = MappingProxyType({}),
    ) -> None:
        self.client, self.run_id = client, run_id
        self.strict = False  # True raises the first error instead of warning
        self._points = set(points)  # every (metric, step) that is logged or waits in the buffer
        self._buffer: list[Any] = []
        self._labels = {"params": [], "tags": [], **labels}  # they go with the next flush
        self._flushed = time.monotonic()
        self.ended: int | None = None  # in milliseconds since 1970, where it is not now

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
    def note(self, text: str) -> None:
        """Describe the run, in Markdown."""
        from mlflow.entities import RunTag

        self._labels["tags"].append(RunTag("mlflow.note.content", text))

    @_guarded
    def picture(self, path: Path, name: str) -> None:
        """Copy the picture at `path` to `pictures/<name>` of the run."""
        if path.name == name:  # half the time of the other way
            self.client.log_artifact(self.run_id, str(path), PICTURES)
            return
        with path.open("rb") as stream:
            self.client.log_stream(self.run_id, stream, f"{PICTURES}/{name}")

    @_guarded
    def artifact(self, path: Path) -> None:
        """Copy the file or folder at `path` to the run, under its own name."""
        self.client.log_artifact(self.run_id, str(path))

    @_guarded
    def finish(self, outcome: str) -> None:
        """Close the run: "finished" is MLflow's FINISHED, any other outcome ("diverged at step 7") its FAILED.

        Call it when the results have their real names: a run that is closed here and computed again starts anew.
        """
        from mlflow.entities import RunTag

        self._labels["tags"].append(RunTag("outcome", outcome))
        self._close("FINISHED" if outcome == "finished" else "FAILED")

    @_guarded
    def interrupt(self) -> None:
        """Close the run as KILLED: the next start of the same recipe reopens it."""
        self._close("KILLED")

    def _close(self, status: str) -> None:
        self._flush()
        self.client.set_terminated(self.run_id, status, self.ended or int(1000 * time.time()))
        self.client = None

    def _flush(self) -> None:
        self.client.log_batch(self.run_id, metrics=self._buffer, **self._labels)
        self._buffer, self._labels = [], {"params": [], "tags": []}
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
        described = {"experiment": experiment, "name": name, "recipe": recipe, "kind": kind}
        live = _open(root, {**described, "params": params, "tags": tags}) or Live()
    except Exception as error:
        warn(error)
        live = Live()
    try:
        yield live
    finally:
        live.interrupt()


def _open(root: Path, described: Mapping[str, Any]) -> Live | None:
    """The one run of this recipe, a closed one replaced; None with tracking off."""
    if is_off():
        return None
    import_mlflow()
    with exclusive(root):  # from the search to the creation, so that two processes never both create the run
        client = connected(root)
        experiment_id = experiment_of(client, root, described["experiment"])
        of_recipe = f"tags.`{RECIPE_TAG}` = '{described['recipe']}'"
        found = client.search_runs([experiment_id], of_recipe, max_results=1)
        closed = bool(found) and found[0].info.status in CLOSED
        if closed:
            client.delete_run(found[0].info.run_id)
        mlflow_run = create(client, experiment_id, described) if closed or not found else found[0]
    return reopen(client, mlflow_run, described)


def create(client: MlflowClient, experiment_id: str, described: Mapping[str, Any]) -> Run:
    started = int(1000 * (time.time() - described.get("seconds", 0.0)))  # so that its duration is that of the work
    return client.create_run(experiment_id, started, {RECIPE_TAG: described["recipe"]}, described["name"])


def labels_of(described: Mapping[str, Any]) -> dict[str, list[Any]]:
    from mlflow.entities import Param, RunTag

    tags = {**described["tags"], "kind": described["kind"]}
    return {
        "params": [Param(key, value) for key, value in _flat(described["params"]).items()],
        "tags": [RunTag(key, str(value)) for key, value in tags.items() if value is not None],
    }


def reopen(client: MlflowClient, mlflow_run: Run, described: Mapping[str, Any]) -> Live:
    run_id, logged, labels = mlflow_run.info.run_id, mlflow_run.data, labels_of(described)
    client.update_run(run_id, status="RUNNING")
    # MLflow refuses to change a parameter, so only those that are missing.
    new = [param for param in labels["params"] if param.key not in logged.params]
    client.log_batch(run_id, params=new, tags=labels["tags"])
    points = {(key, metric.step) for key in logged.metrics for metric in client.get_metric_history(run_id, key)}
    return Live(client, run_id, points)


def _key(name: str) -> str:
    return re.sub(r"[^/\w.\- :]", "_", name)[:KEY_LENGTH]


def _flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested parameters as `critic.width: "256"`."""
    flat: dict[str, str] = {}
    for name, value in params.items():
        nested = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{name}.") if nested else {_key(f"{prefix}{name}"): str(value)}
    return flat
