"""From tables to what people look at: the verbs figures and report."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from divergan.data import DataSet, data_set, load_splits
from divergan.features import FEATURE_SETS
from divergan.lazy import lazy
from divergan.metrics import METRICS
from divergan.objectives import objective
from divergan.params import leaves
from divergan.pipeline.browsing import browsable, save_page
from divergan.pipeline.files import HISTORY, SPLITS, load_images, load_tensors, samples_file
from divergan.pipeline.job import Job
from divergan.pipeline.models import classes_of
from divergan.pipeline.sampler_showing import chapter_tables
from divergan.pipeline.tables import identity
from divergan.pipeline.theory import theory_figures, theory_report
from divergan.plan import PRIOR, Step
from divergan.store import RUN, place, read_json, write_json, written

if TYPE_CHECKING:
    import pandas as pd

    from divergan.figures import Tables
    from divergan.report import Provenance
else:
    pd = lazy("pandas")

SHOWN_SAMPLES = 64  # images a run that figures may show
COMPARED = (
    *("runs", "floors", "over_training", "claims", "feature_fids"),
    *("agreement", "one_run", "variance", "arm_effects", "ablation", "controls"),
)  # the tables that figures and report read


def study_tables(job: Job) -> Tables:
    """The tables of the compare step, histories and samples of the runs, and the declarations that the study uses."""
    from divergan.figures import Tables
    from divergan.figures.failures import gallery

    compared = job.input("compare")
    variants = job.step.input("compare").settings["variants"]
    histories = [
        pd.read_parquet(place(job.root, run) / HISTORY).assign(**identity(run, variants))
        for run in job.step.inputs_of("train")
    ]
    read: dict[str, Any] = {name: pd.read_csv(compared / f"{name}.csv") for name in COMPARED}
    tables = Tables(
        **read,
        **chapter_tables(job, compared),
        history=pd.concat(histories, ignore_index=True),
        samples=shown_samples(job),
        sample_labels=shown_labels(job),
        training_samples=training_samples(job, gallery(read["runs"])),
        metrics={name: metric for name, metric in METRICS.items() if name in set(read["floors"]["metric"])},
        objectives={name: objective(name) for name in job.step.settings["objectives"]},
    )
    return in_words(tables, arm_labels(job))


def arm_labels(job: Job) -> dict[str, str]:
    """Name -> label of each arm; none where two arms have one label, for they would be taken for one."""
    variants = job.step.input("compare").settings["variants"]
    labels = {facts["arm"]: facts["arm_label"] for facts in variants.values()}
    return labels if len(set(labels.values())) == len(labels) else {}


def in_words(tables: Tables, arms: dict[str, str]) -> Tables:
    """The tables with the labels of the arms for their names."""
    named: dict[str, Any] = {}
    for name, frame in vars(tables).items():
        if isinstance(frame, pd.DataFrame) and "arm" in frame:
            columns = ["arm", "against"] if name == "arm_effects" else ["arm"]
            named[name] = frame.assign(**{column: frame[column].replace(arms) for column in columns})
    return replace(tables, **named)


def training_samples(job: Job, keys: Iterable[str]) -> dict[str, list[tuple[int, Any]]]:
    """The first samples of runs at each of their checkpoints, on the same latents at every step."""
    folders = {run.key: place(job.root, run) / "checkpoints" for run in job.step.inputs_of("train")}
    return {
        key: [
            (int(path.stem.removeprefix("step-")), pictures(load_images(path)))
            for path in sorted(folders[key].glob("step-*.safetensors"))
        ]
        for key in keys
    }


def shown_samples(job: Job) -> dict[str, Any]:
    """The first samples of every run, on the same latents for equal seeds, and real images of the study's reference."""
    samples = {
        step.input("train").key: pictures(load_images(samples_file(place(job.root, step), PRIOR)))
        for step in job.step.inputs_of("sample")
        if "samplers" not in step.settings
    }
    data = job.step.inputs_of("train")[0].input("data")
    reference = job.step.input("compare").settings["reference"]
    return samples | {"real": pictures(load_splits(place(job.root, data) / SPLITS)[f"{reference}.images"])}


def shown_labels(job: Job) -> dict[str, Any]:
    """The classes that the shown samples of every conditional run were made as."""
    runs = {step: step.input("train") for step in job.step.inputs_of("sample")}
    return {
        run.key: load_tensors(samples_file(place(job.root, step), PRIOR))["labels"][:SHOWN_SAMPLES].numpy()
        for step, run in runs.items()
        if classes_of(run)
    }


def pictures(images: Any) -> Any:
    """uint8 (n, C, H, W) tensor -> the first images as an array (n, H, W) or, in colour, (n, H, W, C)."""
    array = images[:SHOWN_SAMPLES].permute(0, 2, 3, 1).numpy()
    return array[..., 0] if array.shape[-1] == 1 else array


def figures(job: Job) -> dict[str, Any]:
    """The figures of the report as SVG."""
    if "chapters" in job.step.settings:
        return theory_figures(job)
    from divergan.figures import drawable, render

    tables = study_tables(job)
    for figure in drawable(tables):
        with written(job.out / f"{figure.name}.svg") as temporary:
            temporary.write_bytes(render(figure, tables))
    return {"figures": [figure.name for figure in drawable(tables)]}


def report(job: Job) -> dict[str, Any]:
    """report.pdf and index.html, with the values and figures that they were made from."""
    if "chapters" in job.step.settings:
        return theory_report(job)
    from divergan.report import compile_pdf, values
    from divergan.report.runs import write_strips

    shutil.copytree(
        job.input("figures"), job.out / "figures", ignore=shutil.ignore_patterns("*.json"), dirs_exist_ok=True
    )
    published = (
        pd.read_csv(job.input("compare") / "published.csv")
        .fillna({"reason": "", "caveat": ""})
        .replace({"arm": arm_labels(job)})
    )
    tables = study_tables(job)
    filled = values(tables, published, provenance(job))
    write_json(job.out / "values.json", filled)
    write_strips(tables, job.out)
    save_page(job, browsable(job, tables, filled))
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
    features = job.step.inputs_of("evaluate")[0].input("features")
    return {
        "study": study["study"],
        "title": study["title"],
        "question": study["question"],
        "parameters": training_parameters(job),
        "commits": distinct(run["commit"] or "none" for run in runs),
        "versions": {
            "Python": distinct(machine["python"] for machine in machines),
            **{name: distinct(machine["packages"][name] or "absent" for machine in machines) for name in packages},
        },
        "devices": distinct(f"{m['device']}, {m['threads']} threads, {m['processor']}" for m in machines),
        "core_seconds": sum(read_json(folder / "timing.json")["cpu_seconds"] for folder in folders),
        "wall_seconds": sum(read_json(folder / "timing.json")["wall_seconds"] for folder in folders),
        "features": FEATURE_SETS[features.settings["name"]].label,
        "classifier_accuracy": read_json(place(job.root, features) / RUN).get("evaluation_accuracy"),
        "n_samples": job.step.settings["samples"],
        "reference": job.step.settings["reference"],
        "data": described(data_set(data.key)),
        "splits": data.settings["splits"],
        "recipes": {run.key: run.hash[:8] for run in job.step.inputs_of("train")},
    }


def described(data: DataSet) -> str:
    return f"{data.label}, {data.resized}" if data.resized else data.label


def ancestors(step: Step) -> list[Step]:
    """Everything that a step is made from, directly or not."""
    return [found for needed in step.inputs for found in (needed, *ancestors(needed))]


def distinct(values: Iterable[str]) -> list[str]:
    return sorted(set(values))


def training_parameters(job: Job) -> list[tuple[str, str]]:
    """The training parameters in the report's words, with the variants that have another value than most."""
    from divergan.report.settings import printed

    variants = job.step.input("compare").settings["variants"]
    runs = [run for run in job.step.inputs_of("train") if run.key.rpartition("-s")[2].isdigit()]  # not trained on
    named = [(variants[run.key.rpartition("-")[0]], run) for run in runs]
    return printed(
        [(facts["label"], facts["arm_label"], dict(leaves(run.settings["training"]))) for facts, run in named]
    )
