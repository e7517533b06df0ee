"""Finished runs to MLflow, many at once: what was not watched while it ran, or was lost, or came with `dvc pull`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from divergan.errors import DivergaNError
from divergan.tracking.bulk import bulk_of
from divergan.tracking.database import (
    address_of,
    brief,
    connected,
    exclusive,
    experiment_of,
    import_mlflow,
    is_off,
    without_secrets,
)
from divergan.tracking.live import CLOSED, RECIPE_TAG, Live, create, labels_of, reopen
from divergan.tracking.views import Study, describe

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE = 1000  # runs a search

Finished = tuple[Mapping[str, Any], Callable[[], Mapping[str, Any]]]  # see `record`


def record(root: Path, study: Study, runs: Sequence[Finished]) -> int:
    """Bring finished runs into MLflow, or complete what is there of them; how many were new or not complete.

    Args:
        runs: of each what `run` takes of it (name, recipe, kind, params, tags) and the seconds it took, and a
            function for the rest, called where it is needed alone: history, pictures, artifacts and outcome.

    Raises:
        DivergaNError: the tracking database cannot be used. Unlike in `run`, tracking is what the caller asked for.
    """
    if is_off():
        return 0
    name = study.name
    try:
        import_mlflow()
        with exclusive(root):  # until they are created: a second process finds them
            client = connected(root)
            experiment_id = experiment_of(client, root, study.name)
            found = _runs(client, experiment_id)
            open_runs = {
                described["recipe"]: found.get(described["recipe"]) or create(client, experiment_id, described)
                for described, _ in runs
                if described["recipe"] not in found or found[described["recipe"]].info.status not in CLOSED
            }
        compared = open_runs.get(study.comparison) or found.get(study.comparison)
        describe(client, experiment_id, study, compared.info.run_id if compared else None)
        _place(client, found, study.recipes)
        bulk = bulk_of(client)
        try:
            for described, rest in runs:
                if (recipe := described["recipe"]) in open_runs:
                    name, is_new = described["name"], recipe not in found
                    writer = bulk if bulk and is_new else client
                    _complete(writer, open_runs[recipe], described, rest(), is_new=is_new)
        finally:  # those before one that fails
            if bulk:
                bulk.write()
    except Exception as error:
        raise DivergaNError(
            f"the run {name} cannot be tracked in {without_secrets(address_of(root))} ({brief(error)}): "
            "expected a usable MLflow database; move a broken file away, or set MLFLOW_TRACKING_URI, and run "
            "`divergan track` again"
        ) from error
    return len(open_runs)


def _complete(
    client: Any, mlflow_run: Run, described: Mapping[str, Any], rest: Mapping[str, Any], *, is_new: bool
) -> None:
    """Give a run all that it lacks, and close it."""
    if is_new:  # nothing is there that would have to be asked for
        live = Live(client, mlflow_run.info.run_id, labels=labels_of(described))
    else:
        live = reopen(client, mlflow_run, described)
    live.strict = True
    if is_new and "seconds" in described:
        live.ended = mlflow_run.info.start_time + int(1000 * described["seconds"])
    for step, values in rest["history"]:
        live.metrics(step, values)
    if "note" in rest:
        live.note(rest["note"])
    for path, title in rest["pictures"]:
        live.picture(path, title)
    for path in rest["artifacts"]:
        live.artifact(path)
    live.finish(rest["outcome"])


def _runs(client: MlflowClient, experiment_id: str) -> dict[str, Run]:
    """The newest run of every recipe."""
    found: dict[str, Run] = {}
    token: str | None = None
    while True:
        page = client.search_runs([experiment_id], max_results=PAGE, page_token=token)
        for mlflow_run in page:
            found.setdefault(mlflow_run.data.tags.get(RECIPE_TAG, ""), mlflow_run)
        if not (token := page.token):
            return found


def _place(client: MlflowClient, found: Mapping[str, Run], planned: Collection[str]) -> None:
    """Tell the runs of the present plan from those of earlier parameters, which stay, and are not compared."""
    for recipe, mlflow_run in found.items():
        place = "present" if recipe in planned else "earlier"
        if planned and mlflow_run.data.tags.get("plan") != place:
            client.set_tag(mlflow_run.info.run_id, "plan", place)
