"""From the chapter's sample sets, weights and known answers to tables: a part of the verb compare."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from divergan.lazy import lazy
from divergan.metrics import METRICS as DECLARED
from divergan.metrics import measurable
from divergan.pipeline.files import HISTORY, METRICS, VERDICTS
from divergan.pipeline.job import Job
from divergan.plan import PRIOR, REAL, Step
from divergan.store import RUN, place, read_json

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy("pandas")

IDENTITY = ("key", "variant", "objective", "label", "arm", "seed")
TOLD_OF_WEIGHTS = ("w_mean", "w_max", "acceptance", "ess", "emd")


def sampler_tables(job: Job, runs: pd.DataFrame, provides: Iterable[str]) -> dict[str, pd.DataFrame]:
    """The chapter's tables by name, empty where the study has none; those that hold seconds are named `timing.…`."""
    resampled = [step for step in job.step.inputs_of("evaluate") if is_resampled(step)]
    tables = {"planar": planar_table(job)}
    if not resampled:
        return tables
    from divergan import sampler_evidence

    samplers, seconds = samplers_table(job, runs, resampled)
    weights, weight_seconds = weights_table(job, runs, resampled)
    metrics = {name: DECLARED[name] for name in measurable(provides)}
    return tables | {
        "samplers": samplers,
        "effects": sampler_evidence.effects_table(samplers, metrics),
        "frontier": sampler_evidence.frontier_table(samplers),
        "weight_runs": weights,
        "weights": sampler_evidence.weights_summary(weights),
        "timing.samplers": seconds,
        "timing.weights": weight_seconds,
        "timing.break_even": sampler_evidence.break_even_table(samplers, seconds, weight_seconds),
    }


def is_resampled(evaluation: Step) -> bool:
    """Whether an evaluation is of a step with several samplers."""
    return evaluation.key != REAL and "samplers" in evaluation.input("sample").settings


def samplers_table(job: Job, runs: pd.DataFrame, resampled: list[Step]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row a run and sampler, the prior first: what it is, what it took, its metrics; and its seconds."""
    declared, rows, seconds = job.step.settings["samplers"], [], []
    first = {step.input("train").key: step for step in job.step.inputs_of("evaluate")
             if step.key != REAL and not is_resampled(step)}  # fmt: skip
    by_key = {row["key"]: row for row in runs.to_dict("records")}
    for evaluation in resampled:
        run = by_key[evaluation.input("train").key]
        who = {name: run[name] for name in IDENTITY} | {"run_outcome": run["outcome"]}
        for judged in (first[run["key"]], evaluation):
            folder = place(job.root, judged.input("sample"))
            values = read_json(place(job.root, judged) / METRICS)
            measured = values if judged is evaluation else {PRIOR: values}
            took = read_json(folder / "timing.samplers.json")
            sets = read_json(folder / RUN)["sets"]
            for name, facts in ((name, sets[name]) for name in declared if name in sets):
                rows.append(who | {"sampler": name} | declared[name] | facts | measured.get(name, {}))
                drawing = took[name]["seconds"] - took[name]["pilot_seconds"]
                seconds.append({"key": run["key"], "sampler": name, **took[name],
                                "images_per_second": facts["images"] / drawing})  # fmt: skip
    return pd.DataFrame(rows), pd.DataFrame(seconds)


def weights_table(job: Job, runs: pd.DataFrame, resampled: list[Step]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row a run and set of weights: how their learning ended, and the last row of its history; and its seconds."""
    by_key = {row["key"]: row for row in runs.to_dict("records")}
    rows, seconds = [], []
    for run, step in weighted(resampled):
        folder = place(job.root, step)
        ended, history = read_json(folder / RUN), pd.read_parquet(folder / HISTORY)
        last: Any = history.iloc[-1] if len(history) else {}
        name = step.key.removeprefix(f"{run}.")
        row = {column: by_key[run][column] for column in IDENTITY}
        row |= {"weights": name, "weights_label": job.step.settings["weights"][name]}
        row |= {"outcome": ended["outcome"], "step": ended["steps"], "stopped_early": ended["stopped_early"]}
        rows.append(row | {column: last.get(column) for column in TOLD_OF_WEIGHTS})
        took = read_json(folder / "timing.json")["wall_seconds"]
        seconds.append({"key": run, "weights": name, "seconds": took})
    return pd.DataFrame(rows), pd.DataFrame(seconds)


def weighted(evaluations: list[Step]) -> list[tuple[str, Step]]:
    """Every set of weights that evaluated samples rest on, with the key of its run."""
    return [
        (evaluation.input("train").key, step)
        for evaluation in evaluations
        for step in evaluation.input("sample").inputs_of("reweight")
    ]


def planar_table(job: Job) -> pd.DataFrame:
    """One row a target of the plane, set of weights and seed."""
    labels = job.step.settings["weights"]
    rows = [row for step in job.step.inputs_of("oracle") for row in read_json(place(job.root, step) / VERDICTS)]
    return pd.DataFrame([row | {"weights_label": labels[row["weights"]]} for row in rows])
