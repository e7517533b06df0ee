"""What the report shows of re-weighting and the samplers: a part of the verbs figures and report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from divergan.lazy import lazy
from divergan.params import leaves
from divergan.pipeline.files import FIRST_WEIGHTS, HISTORY, load_arrays, samples_file
from divergan.pipeline.job import Job
from divergan.pipeline.sampler_tables import IDENTITY
from divergan.plan import PRIOR, Step
from divergan.store import place

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy("pandas")

WORDS = {"reason": "", "weights": ""}  # columns whose empty cells a CSV file reads as NaN
TABLES = {
    **{name: name for name in ("samplers", "effects", "frontier", "weights", "weight_runs")},
    "sampler_seconds": "timing.samplers",
    "break_even": "timing.break_even",
}


def chapter_tables(job: Job, compared: Path) -> dict[str, Any]:
    """The fields of figures.Tables that the chapter `reweighting` fills; none where the study has no such chapter."""
    found: dict[str, Any] = {}
    if oracles := job.step.inputs_of("oracle"):
        found["planar"] = pd.read_csv(compared / "planar.csv")
        found["planar_maps"] = {f"{step.key}.{name}": arrays for step in oracles for name, arrays in maps(job, step)}
    if weighted := job.step.inputs_of("reweight"):
        found |= {name: pd.read_csv(compared / f"{file}.csv").fillna(WORDS) for name, file in TABLES.items()}
        found["weight_history"] = histories(job, weighted, found["weight_runs"])
        found["weight_settings"] = settings_of(job, weighted)
        found["ranked"] = {key: shown for step in resampled(job) for key, shown in ranked(job, step)}
    return found


def maps(job: Job, oracle: Step) -> list[tuple[str, dict[str, Any]]]:
    folder = place(job.root, oracle)
    return [(name, load_arrays(folder / f"{name}.map.safetensors")) for name in oracle.settings["weights"]]


def histories(job: Job, weighted: list[Step], weight_runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of every re-weighting's history, with what names it."""
    named = {f"{row['key']}.{row['weights']}": row for row in weight_runs.to_dict("records")}
    who = (*IDENTITY, "weights", "weights_label")
    return pd.concat(
        pd.read_parquet(place(job.root, step) / HISTORY).assign(**{name: named[step.key][name] for name in who})
        for step in weighted
    )


def settings_of(job: Job, weighted: list[Step]) -> pd.DataFrame:
    """weights, weights_label, name, value: a row a setting of each set of weights."""
    labels = job.step.input("compare").settings["weights"]
    by_name = {step.key.removeprefix(f"{step.input('train').key}."): step.settings["weights"] for step in weighted}
    return pd.DataFrame(
        {"weights": weights, "weights_label": labels[weights], "name": name, "value": str(value)}
        for weights, settings in by_name.items()
        for name, value in leaves(settings)
    )


def resampled(job: Job) -> list[Step]:
    return [step for step in job.step.inputs_of("sample") if "samplers" in step.settings]


def ranked(job: Job, step: Step) -> list[tuple[str, dict[str, Any]]]:
    """The prior's first images of a run, how likely its first latentRS accepts each, and which it did accept."""
    run = step.input("train")
    entry = next((name for name, own in step.settings["samplers"].items() if own["sampler"] == "latent_rs"), None)
    drawn = samples_file(place(job.root, step), entry or "")
    if not drawn.is_file():
        return []
    weights = next(s for s in step.inputs_of("reweight")
                   if s.key == f"{run.key}.{step.settings['samplers'][entry]['weights']}")  # fmt: skip
    first = next(s for s in job.step.inputs_of("sample") if s.key == f"{run.key}.{PRIOR}")
    w = load_arrays(place(job.root, weights) / FIRST_WEIGHTS)["w"]
    images = load_arrays(samples_file(place(job.root, first), PRIOR))["images"][: len(w)]
    kept = set(load_arrays(drawn)["proposals"].tolist())
    shown = {
        "images": images[:, 0] if images.shape[1] == 1 else images.transpose(0, 2, 3, 1),
        "acceptance": (w / weights.settings["weights"]["m"]).clip(max=1)[: len(images)],
        "accepted": pd.Series(range(len(images))).isin(kept).to_numpy(),
    }
    return [(run.key, shown)]
