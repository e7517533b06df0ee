"""Where MLflow keeps its runs: the address of a database or server, its UI, and a study's experiment in it."""

from __future__ import annotations

import os
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from divergan.errors import DivergaNError

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUNNING = "A study of divergan that goes on. Charts that compare come with its report, or by `divergan track`."
LOCK_SECONDS = 60.0  # how long an opening waits for the others: the migrations of a fresh database take about 2 s


def is_off() -> bool:
    return os.environ.get("DIVERGAN_TRACKING", "").lower() in ("off", "0", "no", "false")


def import_mlflow() -> None:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")  # it logs the tracebacks of what is caught here
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # 7 hold a job for minutes where no server answers
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401  the client would import it later, under the lock


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """One process at a time beside this database: MLflow's migrations of a fresh one crash when they race."""
    from filelock import FileLock

    path = database_file(address_of(root)) or root.resolve() / "mlflow.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=LOCK_SECONDS):
        yield


def connected(root: Path) -> MlflowClient:
    from mlflow import MlflowClient

    if (path := database_file(address_of(root))) is not None:
        # MLflow retries a file that it cannot open for 100 s; SQLite itself says at once what is wrong with it.
        with closing(sqlite3.connect(path, timeout=20.0)) as connection:
            connection.execute("BEGIN IMMEDIATE")
    return MlflowClient(tracking_uri=address_of(root))


def experiment_of(client: MlflowClient, root: Path, study: str) -> str:
    """The id of the experiment that holds a study's runs."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(study)
    if found is None:
        location = None if is_remote(address_of(root)) else artifacts_of(root)
        # The kind spares the UI's question whether the study is about language models.
        tags = {"mlflow.experimentKind": "custom_model_development", "mlflow.note.content": RUNNING}
        try:
            return client.create_experiment(study, artifact_location=location, tags=tags)
        except MlflowException:  # another folder's job, which this one's lock does not hold, was faster
            found = client.get_experiment_by_name(study)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)  # a deleted experiment keeps its name
    return found.experiment_id


def address_of(root: Path) -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.resolve() / 'mlflow.db'}"


def database_file(uri: str) -> Path | None:
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]) if uri.startswith("sqlite:///") else None


def is_remote(uri: str) -> bool:
    return uri.startswith(("http://", "https://", "databricks"))


def artifacts_of(root: Path) -> str:
    return (root.resolve() / "mlartifacts").as_uri()


def shown_studies(root: Path, view: str) -> dict[str, str]:
    """Study -> id of its experiment, for those that have this view."""
    having = (
        "SELECT name, experiment_id FROM experiments JOIN experiment_tags USING (experiment_id) "
        "WHERE lifecycle_stage = 'active' AND key = ? ORDER BY last_update_time DESC"
    )
    return {name: str(number) for name, number in asked(root, having, view)}


def page_of(root: Path, tag: str, value: str) -> str | None:
    """The page of the newest run with this tag, below the UI's address; None where no database knows it."""
    having = (
        "SELECT experiment_id, run_uuid FROM runs JOIN tags USING (run_uuid) "
        "WHERE lifecycle_stage = 'active' AND key = ? AND value = ? ORDER BY start_time DESC LIMIT 1"
    )
    return next((f"#/experiments/{number}/runs/{run}" for number, run in asked(root, having, tag, value)), None)


def asked(root: Path, question: str, *values: str) -> list[tuple[Any, ...]]:
    """Asked of SQLite itself, for MLflow takes seconds; nothing where it keeps its runs elsewhere, or has none yet."""
    path = database_file(address_of(root))
    if path is None or not path.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(question, values).fetchall()
    except sqlite3.Error:
        return []  # no database of MLflow's, as `divergan ui` will say


def ui_command(root: Path, port: int) -> tuple[list[str], dict[str, str]]:
    """The command that shows the runs of `root` at http://127.0.0.1:<port>, to this machine only; its environment.

    The database's address is in the environment, for it may hold a password, and everybody can list commands.

    Raises:
        DivergaNError: MLFLOW_TRACKING_URI names a server, which has a UI of its own.
    """
    uri = address_of(root)
    if is_remote(uri):
        text = f"MLFLOW_TRACKING_URI is the server {without_secrets(uri)}, expected a database"
        raise DivergaNError(f"{text}: open that address instead")
    # One worker is enough for one person. The server reads the switches of its telemetry from the environment.
    server = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return [*server, "--artifacts-destination", artifacts_of(root)], {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_BACKEND_STORE_URI": uri,
    }


def brief(error: Exception) -> str:
    return without_secrets(f"{type(error).__name__}: {error}".splitlines()[0])[:200]


def without_secrets(text: str) -> str:
    """`text` without the user and password of the addresses in it."""
    text = re.sub(r"://[^/\s]*@", "://***@", text)
    return re.sub(r"(?i)([?&][^=&\s]*(?:password|passwd|pwd|token|secret|key)=)[^&\s'\"]*", r"\1***", text)


def warn(error: Exception) -> None:
    print(
        f"warning: tracking stops for this run ({brief(error)}); the run goes on, and `divergan track` adds it later",
        file=sys.stderr,
    )
