"""From evaluations to tables, figures and the PDF: the verbs compare, figures and report."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from divergan.data import DATASETS, load_splits
from divergan.features import FEATURE_SETS
from divergan.lazy import lazy
from divergan.metrics import METRICS, measurable
from divergan.objectives import OBJECTIVES
from divergan.params import leaves
from divergan.pipeline.files import HISTORY, OVER_TRAINING, SAMPLES, SPLITS, load_images
from divergan.pipeline.files import METRICS as METRICS_FILE
from divergan.pipeline.job import Job
from divergan.plan import PUBLISHED, REAL, Step
from divergan.store import RUN, place, read_json, write_json, written

if TYPE_CHECKING:
    import pandas as pd

    from divergan.figures import Tables
    from divergan.report import Provenance
else:
    pd = lazy("pandas")

IDENTITY = ("key", "variant", "objective", "label", "arm", "seed")
SHOWN_SAMPLES = 64  # images a run that figures may show


def compare(job: Job) -> dict[str, Any]:
    """The tables of the study, as CSV: runs, floors, summary, ranking, FID over training, ours beside the published."""
    from divergan.comparison import beside_published, ranking, summarise

    settings = job.step.settings
    runs, floors = runs_table(job), floors_table(job)
    summary = summarise(runs, floors["metric"])
    published = pd.read_csv(job.root / PUBLISHED, dtype={"n_samples": str, "training_images": str})
    images = training_counts(job)
    ours = summary.assign(training_images=[images[overlapping] for overlapping in summary["overlapping"]])
    tables = {
        "runs": runs,
        "floors": floors,
        "summary": summary,
        "ranking": ranking(summary),
        "over_training": over_training_table(job),
        "published": beside_published(ours, published, features=settings["features"], n_samples=settings["samples"]),
    }
    for name, table in tables.items():
        with written(job.out / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
    write_json(job.out / "metrics.json", headline(summary))
    return {"runs": len(runs)}


def identity(step: Step, variants: dict[str, Any]) -> dict[str, Any]:
    """The columns that name a training run in every table."""
    variant = step.key.rsplit("-s", 1)[0]
    facts = variants[variant]
    values = (step.key, variant, facts["objective"], facts["label"], facts["arm"], step.settings["seed"])
    return dict(zip(IDENTITY, values, strict=True))


def runs_table(job: Job) -> pd.DataFrame:
    """One row a training run: what it is, how it ended, its metrics."""
    variants, rows = job.step.settings["variants"], []
    for evaluation in job.step.inputs_of("evaluate"):
        if evaluation.key == REAL:
            continue
        step = evaluation.input("train")
        ended = read_json(place(job.root, step) / RUN)
        row = identity(step, variants) | {"outcome": ended["outcome"], "step": ended["at_step"]}
        row |= {name: variants[row["variant"]][name] for name in ("overlapping", "generator_loss", "regulariser")}
        rows.append(row | read_json(place(job.root, evaluation) / METRICS_FILE))
    return pd.DataFrame(rows).astype({"step": "float64"})


def floors_table(job: Job) -> pd.DataFrame:
    """Every metric between real training images and the evaluation split, at equal numbers."""
    (real,) = (step for step in job.step.inputs_of("evaluate") if step.key == REAL)
    values = read_json(place(job.root, real) / METRICS_FILE)
    return pd.DataFrame(
        [{"metric": name, "floor": value, "n_samples": real.settings["samples"]} for name, value in values.items()]
    )


def over_training_table(job: Job) -> pd.DataFrame:
    variants, rows = job.step.settings["variants"], []
    for evaluation in job.step.inputs_of("evaluate"):
        if evaluation.key != REAL:
            who = identity(evaluation.input("train"), variants)
            rows += [who | row for row in read_json(place(job.root, evaluation) / OVER_TRAINING)]
    return pd.DataFrame(rows)


def training_counts(job: Job) -> dict[bool, int]:
    """How many images a run was trained on: without and with those that the classifier saw."""
    splits = job.step.inputs_of("train")[0].input("data").settings["splits"]
    return {False: splits["gan"], True: splits["gan"] + splits["classifier"] + splits["tuning"]}


def headline(summary: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """variant -> metric -> mean, for `dvc metrics`; null where no run has a value."""
    found: dict[str, dict[str, float | None]] = {}
    for row in summary.to_dict("records"):
        found.setdefault(row["variant"], {})[row["metric"]] = None if pd.isna(row["mean"]) else row["mean"]
    return found


def study_tables(job: Job) -> Tables:
    """The tables of the compare step, histories and samples of the runs, and the declarations that the study uses."""
    from divergan.figures import Tables

    compared = job.input("compare")
    variants = job.step.input("compare").settings["variants"]
    features = FEATURE_SETS[job.step.input("compare").settings["features"]]
    histories = [
        pd.read_parquet(place(job.root, run) / HISTORY).assign(**identity(run, variants))
        for run in job.step.inputs_of("train")
    ]
    return Tables(
        runs=pd.read_csv(compared / "runs.csv"),
        floors=pd.read_csv(compared / "floors.csv"),
        over_training=pd.read_csv(compared / "over_training.csv"),
        history=pd.concat(histories, ignore_index=True),
        samples=shown_samples(job),
        metrics={name: METRICS[name] for name in measurable(features.provides)},
        objectives={name: OBJECTIVES[name] for name in job.step.settings["objectives"]},
    )


def shown_samples(job: Job) -> dict[str, Any]:
    """The first samples of every run, on the same latents for equal seeds, and real digits."""
    samples = {
        step.input("train").key: pictures(load_images(place(job.root, step) / SAMPLES))
        for step in job.step.inputs_of("sample")
    }
    data = job.step.inputs_of("train")[0].input("data")
    return samples | {"real": pictures(load_splits(place(job.root, data) / SPLITS)["evaluation.images"])}


def pictures(images: Any) -> Any:
    """uint8 (n, C, H, W) tensor -> the first images as an array (n, H, W) or, in colour, (n, H, W, C)."""
    array = images[:SHOWN_SAMPLES].permute(0, 2, 3, 1).numpy()
    return array[..., 0] if array.shape[-1] == 1 else array


def figures(job: Job) -> dict[str, Any]:
    """The figures of the report as SVG."""
    from divergan.figures import drawable, render

    tables = study_tables(job)
    for figure in drawable(tables):
        with written(job.out / f"{figure.name}.svg") as temporary:
            temporary.write_bytes(render(figure, tables))
    return {"figures": [figure.name for figure in drawable(tables)]}


def report(job: Job) -> dict[str, Any]:
    """report.pdf, with the values and figures that it was typeset from."""
    from divergan.report import compile_pdf, values

    shutil.copytree(
        job.input("figures"), job.out / "figures", ignore=shutil.ignore_patterns("*.json"), dirs_exist_ok=True
    )
    published = pd.read_csv(job.input("compare") / "published.csv").fillna({"reason": "", "caveat": ""})
    write_json(job.out / "values.json", values(study_tables(job), published, provenance(job)))
    with written(job.out / "report.pdf") as temporary:
        temporary.write_bytes(compile_pdf(job.out))
    return {}


def provenance(job: Job) -> Provenance:
    """What made the results, from the run.json and timing.json of everything that the report rests on."""
    study, data = job.step.settings["study"], job.step.inputs_of("train")[0].input("data")
    folders = [place(job.root, step) for step in {s.hash: s for s in ancestors(job.step)}.values()]
    runs = [read_json(folder / RUN) for folder in folders]
    machines = [run["environment"] for run in runs]
    packages = dict.fromkeys(name for machine in machines for name in machine["packages"])
    (features,) = {s.hash: s for s in ancestors(job.step) if s.verb == "features"}.values()
    return {
        "study": study["study"],
        "title": study["title"],
        "question": study["question"],
        "parameters": shared_parameters(job.step.inputs_of("train")),
        "commits": distinct(run["commit"] or "none" for run in runs),
        "versions": {
            "Python": distinct(machine["python"] for machine in machines),
            **{name: distinct(machine["packages"][name] or "absent" for machine in machines) for name in packages},
        },
        "devices": distinct(f"{m['device']}, {m['threads']} threads, {m['processor']}" for m in machines),
        "core_seconds": sum(read_json(folder / "timing.json")["cpu_seconds"] for folder in folders),
        "wall_seconds": sum(read_json(folder / "timing.json")["wall_seconds"] for folder in folders),
        "features": FEATURE_SETS[features.key].label,
        "classifier_accuracy": read_json(place(job.root, features) / RUN).get("evaluation_accuracy"),
        "n_samples": study["evaluation"]["samples"],
        "data": DATASETS[data.key].label,
        "splits": data.settings["splits"],
    }


def ancestors(step: Step) -> list[Step]:
    """Everything that a step is made from, directly or not."""
    return [found for needed in step.inputs for found in (needed, *ancestors(needed))]


def distinct(values: Iterable[str]) -> list[str]:
    return sorted(set(values))


def shared_parameters(runs: list[Step]) -> list[tuple[str, str]]:
    """The training parameters that all runs have in common, as (dotted name, value)."""
    listed = [dict(leaves(run.settings["training"])) for run in runs]
    return [
        (name, str(value)) for name, value in listed[0].items() if all(other.get(name) == value for other in listed)
    ]
