"""What a person sees of a study in MLflow's pages beside its runs: a description, and a view that compares."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from divergan.tracking.database import shown_studies

if TYPE_CHECKING:
    from mlflow import MlflowClient

VIEW = "mlflow.sharedViewState.comparison"  # MLflow lists the tags of this form under "Views"
BARS = ("fid", "kid", "precision", "recall")
CURVE = "fid_over_training"
COMPARED = "tags.kind = 'evaluate' AND tags.sampler = 'prior' AND tags.plan = 'present'"
NOTE = """\
Compare the variants: {places}

**{title}**. {question}

One run is one training, re-weighting or evaluation, or the comparison of all. Group or filter by the tags `variant`, \
`objective`, `arm`, `seed`, `kind`, `sampler`, `outcome`, `plan` (*present*, or *earlier* parameters) and `commit`; \
the parameters are the training's. An evaluation has the metrics, its samples and FID over training; a training has \
losses, scores and its samples at every checkpoint. All of it stands in `results/{name}/`, and comes back with \
`divergan track`."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """What MLflow is told of a study; `recipes` are those of its present plan."""

    name: str
    title: str
    question: str
    recipes: frozenset[str] = field(repr=False)
    comparison: str  # the recipe of the run that compares all
    variants: tuple[str, ...] = ()


def describe(client: MlflowClient, experiment_id: str, study: Study, comparison: str | None) -> None:
    """Give the study's experiment its description and the view, where it has others; `comparison` is a run's id."""
    tags = client.get_experiment(experiment_id).tags
    places = [f"[charts]({charts(experiment_id)})"]
    if comparison:
        places.append(f"[table, intervals and pictures](#/experiments/{experiment_id}/runs/{comparison})")
    note = NOTE.format(
        places=" · ".join(places), name=study.name, title=study.title,
        question=study.question,
    )  # fmt: skip
    for name, value in {"mlflow.note.content": note, VIEW: view(study.variants)}.items():
        if tags.get(name) != value:
            client.set_experiment_tag(experiment_id, name, value)


def addresses(root: Path, port: int) -> dict[str, str]:
    """Study -> the page that compares its variants."""
    return {study: f"http://127.0.0.1:{port}/{charts(number)}" for study, number in shown_studies(root, VIEW).items()}


def charts(experiment_id: str) -> str:
    key = VIEW.rpartition(".")[2]
    query = f"workflowType=machine_learning&compareRunsMode=CHART&viewStateShareKey={key}"
    return f"#/experiments/{experiment_id}/runs?{query}"


def view(variants: Iterable[str]) -> str:
    """A saved view as MLflow's pages keep it: bars of each metric's mean over seeds, a colour a variant."""
    section = {"uuid": "comparison", "name": "Mean over seeds", "display": True, "isReordered": True, "columns": 2}
    state = {
        "searchFilter": COMPARED,
        "orderByKey": "metrics.`fid`",
        "orderByAsc": True,
        "groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": "variant"}]},
        "groupsExpanded": {f"tag.variant.{name}": False for name in variants},  # the list is then the charts' legend
        "useGroupedValuesInCharts": True,
        "runsHiddenMode": "SHOW_ALL",
        "hideEmptyCharts": True,
        "selectedColumns": [*(f"metrics.`{name}`" for name in BARS), "tags.`seed`", "tags.`outcome`"],
        "compareRunCharts": [*(chart("BAR", name) for name in BARS), chart("LINE", CURVE, **LINE)],
        "compareRunSections": [section | {"deleted": False, "isGenerated": False}],
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode(), 9)).decode()  # a tag holds 5,000 characters
    return json.dumps({"name": "Comparison of the variants", "createdAt": 0, "state": f"deflate;{packed}"})


LINE = {"scaleType": "log", "xAxisKey": "step", "yAxisKey": "metric", "selectedMetricKeys": [CURVE], "range": {}}


def chart(kind: str, metric: str, **more: Any) -> dict[str, Any]:
    return {
        "type": kind, "uuid": metric, "metricKey": metric, "metricSectionId": "comparison", "deleted": False,
        "isGenerated": False, "runsCountToCompare": 100, **more,
    }  # fmt: skip
