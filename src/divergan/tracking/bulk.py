"""Many new runs into MLflow's own database in one transaction, by the models that MLflow itself reads it with.

MLflow's client takes eight transactions a run and an object of its mapper a point: of a demo's 40,000 points that was
most of the time that bringing them took. A server is told through the client, and so is a run that has points already.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BufferedIOBase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

ENOUGH = 50_000  # points that wait in memory
LONGEST_PARAM, LONGEST_TAG = 6000, 8000  # characters, as MLflow's client cuts them


class Bulk:
    """Takes what a client takes of a new run, and writes it all together."""

    def __init__(self, client: MlflowClient, store: SqlAlchemyStore):
        self.client, self.store = client, store
        self.points: dict[tuple[str, str, int], dict[str, Any]] = {}
        self.params: list[dict[str, Any]] = []
        self.tags: list[dict[str, Any]] = []
        self.ended: list[tuple[str, str, int]] = []

    def log_batch(
        self, run_id: str, metrics: Sequence[Metric], params: Sequence[Param], tags: Sequence[RunTag]
    ) -> None:
        own = {"run_uuid": run_id}
        for point in metrics:
            row = {"key": point.key, "value": point.value, "timestamp": point.timestamp, "step": point.step}
            self.points[run_id, point.key, point.step] = {**own, **row, "is_nan": False}
        self.params += [{**own, "key": param.key, "value": param.value[:LONGEST_PARAM]} for param in params]
        self.tags += [{**own, "key": tag.key, "value": tag.value[:LONGEST_TAG]} for tag in tags]

    def log_artifact(self, run_id: str, path: str, folder: str | None = None) -> None:
        self.client.log_artifact(run_id, path, folder)

    def log_stream(self, run_id: str, stream: BufferedIOBase, name: str) -> None:
        self.client.log_stream(run_id, stream, name)

    def set_terminated(self, run_id: str, status: str, end_time: int) -> None:
        self.ended.append((run_id, status, end_time))
        if len(self.points) > ENOUGH:
            self.write()

    def write(self) -> None:
        """All that waits, or nothing of it."""
        from mlflow.store.tracking.dbmodels import models
        from sqlalchemy import insert, update

        latest: dict[tuple[str, str], dict[str, Any]] = {}
        for (run_id, key, step), row in self.points.items():
            if (run_id, key) not in latest or latest[run_id, key]["step"] < step:
                latest[run_id, key] = row
        rows = {
            models.SqlMetric: list(self.points.values()),
            models.SqlLatestMetric: list(latest.values()),
            models.SqlParam: self.params,
            models.SqlTag: self.tags,
        }
        with self.store.ManagedSessionMaker(read_only=False) as session:
            for model, of_model in rows.items():
                if of_model:
                    session.execute(insert(model), of_model)
            for run_id, status, end_time in self.ended:
                own = models.SqlRun.run_uuid == run_id
                session.execute(update(models.SqlRun).where(own).values(status=status, end_time=end_time))
        self.points, self.params, self.tags, self.ended = {}, [], [], []


def bulk_of(client: MlflowClient) -> Bulk | None:
    """A way past the client, where it writes to a database itself."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = client._tracking_client.store
    return Bulk(client, store) if isinstance(store, SqlAlchemyStore) else None
