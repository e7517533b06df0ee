"""From evaluations to tables: the verb compare."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from divergan.data import data_set
from divergan.features import FEATURE_SETS
from divergan.lazy import lazy
from divergan.pipeline.files import (
    CONTROLS,
    GENERATOR,
    OTHER_FEATURES,
    OVER_TRAINING,
)
from divergan.pipeline.files import METRICS as METRICS_FILE
from divergan.pipeline.job import Job
from divergan.pipeline.sampler_tables import IDENTITY, is_resampled, sampler_tables
from divergan.pipeline.theory import theory_tables
from divergan.plan import CLAIMS, PUBLISHED, REAL, Step
from divergan.store import RUN, place, read_json, write_json, written

if TYPE_CHECKING:
    import pandas as pd

else:
    pd = lazy("pandas")

VARIANT_FACTS = ("overlapping", "generator_loss", "regulariser", "regulariser_kind", "training_images", "steps")
RELEASED = "released_evaluation"  # stands among the feature sets: the reference's, with the released code's two faults


def compare(job: Job) -> dict[str, Any]:
    """The tables of the study, as CSV: runs and floors, what they come to, ours beside the published, the verdicts."""
    if job.step.inputs_of("chapter"):
        return theory_tables(job)
    from divergan import evidence
    from divergan.claims import read
    from divergan.claims.judging import judge
    from divergan.comparison import beside_published, ranking, summarise
    from divergan.sampler_evidence import sampled_runs

    settings = job.step.settings
    runs, floors = runs_table(job), floors_table(job)
    summary = summarise(runs, floors["metric"])
    published = published_numbers(job)
    measured = {"features": settings["features"], "n_samples": settings["samples"]}
    unlabelled = runs[~runs["variant"].map(lambda variant: "conditional" in settings["variants"][variant])]
    own_summary = summary[summary["variant"].isin(unlabelled["variant"])]  # the published GANs had no labels
    images = {variant: facts["training_images"] for variant, facts in settings["variants"].items()}
    ours = own_summary.assign(training_images=own_summary["variant"].map(images))
    fids, controls = feature_fids_table(job, runs), controls_of(job)
    chapter = sampler_tables(job, runs, FEATURE_SETS[settings["features"]].provides)
    claimed = sampled_runs(unlabelled, chapter["samplers"]) if "samplers" in chapter else unlabelled
    judges = settings["reference"] == "evaluation" and not is_stacked(job)  # tuning images judge nothing
    claims = read(job.root / CLAIMS) if judges else []
    tables = {
        "runs": runs,
        "floors": floors,
        "summary": summary,
        "ranking": ranking(summary),
        "over_training": over_training_table(job),
        "published": beside_published(ours, published, **measured),
        "claims": judge(claims, claimed, published=published, training_images=images,
                        checksums=generator_checksums(job), **measured),
        "feature_fids": fids,
        "agreement": evidence.agreement_table(fids),
        "ranks": evidence.ranks_table(runs),
        "one_run": evidence.one_run_table(runs),
        "variance": evidence.variance_table(runs),
        "arm_effects": evidence.arm_effects_table(runs),
        "ablation": evidence.ablation_table(runs),
        "controls": evidence.controls_table(runs, floors, controls),
        **chapter,
    }  # fmt: skip
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


def evaluations(job: Job) -> list[Step]:
    """The evaluations of runs as their prior draws them; those of real images and of other samplers left out."""
    return [step for step in job.step.inputs_of("evaluate") if step.key != REAL and not is_resampled(step)]


def published_numbers(job: Job) -> pd.DataFrame:
    """The rows of published.csv about images like the study's."""
    table = pd.read_csv(job.root / PUBLISHED, dtype={"n_samples": str, "training_images": str})
    return table[table["data"] == ("stacked digits" if is_stacked(job) else "digits")]


def is_stacked(job: Job) -> bool:
    """Whether the images are triples of digits, of which the reproduced report says nothing."""
    return data_set(job.step.settings["data"]).stacks is not None


def runs_table(job: Job) -> pd.DataFrame:
    """One row a training run: what it is, how it ended, its metrics."""
    variants, rows = job.step.settings["variants"], []
    for evaluation in evaluations(job):
        step = evaluation.input("train")
        ended = read_json(place(job.root, step) / RUN)
        row = identity(step, variants) | {"outcome": ended["outcome"], "step": ended["at_step"]}
        row |= {name: variants[row["variant"]][name] for name in VARIANT_FACTS}
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
    for evaluation in evaluations(job):
        who = identity(evaluation.input("train"), variants)
        rows += [who | row for row in read_json(place(job.root, evaluation) / OVER_TRAINING)]
    return pd.DataFrame(rows)


def feature_fids_table(job: Job, runs: pd.DataFrame) -> pd.DataFrame:
    """FID of every run in every feature set of the study, and as the released code would have measured it."""
    reference = job.step.inputs_of("evaluate")[0].input("features")
    labels = {step.key: feature_label(step) for step in job.step.inputs_of("evaluate")[0].inputs_of("features")}
    labels[RELEASED] = f"{labels[reference.key]}, evaluated as released"
    rows = []
    for evaluation in evaluations(job):
        folder, key = place(job.root, evaluation), evaluation.input("train").key
        found = read_json(folder / OTHER_FEATURES) | {RELEASED: read_json(folder / CONTROLS)["fid_as_released"]}
        rows += [
            {"key": key, "features": name, "features_label": labels[name], "fid": fid} for name, fid in found.items()
        ]
    return runs.drop(columns="fid").merge(pd.DataFrame(rows), on="key")[
        [*IDENTITY, "outcome", "features", "features_label", "fid"]
    ]


def feature_label(step: Step) -> str:
    return f"{FEATURE_SETS[step.settings['name']].label}, seed {step.settings['seed']}"


def controls_of(job: Job) -> pd.DataFrame:
    """What each evaluation found of the released evaluation's faults and of copies; "real" is that of real images."""
    keys = {REAL: REAL} | {step.key: step.input("train").key for step in evaluations(job)}
    judged = [step for step in job.step.inputs_of("evaluate") if step.key in keys]
    return pd.DataFrame([{"key": keys[step.key], **read_json(place(job.root, step) / CONTROLS)} for step in judged])


def generator_checksums(job: Job) -> dict[str, str]:
    """run -> SHA-256 of its generator's weights."""
    return {
        step.key: read_json(place(job.root, step) / RUN)["files"][GENERATOR] for step in job.step.inputs_of("train")
    }


def headline(summary: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """variant -> metric -> mean, for `dvc metrics`; null where no run has a value."""
    found: dict[str, dict[str, float | None]] = {}
    for row in summary.to_dict("records"):
        found.setdefault(row["variant"], {})[row["metric"]] = None if pd.isna(row["mean"]) else row["mean"]
    return found
