"""Making a step: reuse what is there, compute what is not, let MLflow watch."""

from __future__ import annotations

import gc
import shutil
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from divergan import forged, provenance, store, tracking
from divergan.errors import DivergaNError
from divergan.params import Theory
from divergan.plan import PRIOR, REAL, Plan, Step
from divergan.processes import ON_A_GPU, Processes, is_short

if TYPE_CHECKING:
    from divergan.tracking import Live

LIVE = ("train", "reweight")  # MLflow watches these while they run, where they take long enough to be looked at
TRACKED = (*LIVE, "evaluate")  # and takes over what it has not watched with the report, in one process
COMPARISON = "comparison of the variants"
SHOWN_FIGURES = ("story", "samples", "over_training", "sampler_effects", "claims")
SHOWN_TABLES = ("summary.csv", "ranking.csv", "claims.csv", "floors.csv", store.RECIPE, store.RUN)


def make(root: Path, step: Step, device: str, threads: int) -> str:
    """Make one step and say how: nothing if it is there, a link if the store has it, else compute it."""
    folder = store.place(root, step)
    if store.exists(root, step):
        return f"{folder} is there"
    absent = [needed for needed in step.inputs if not store.intact(root, needed)]
    missing = [needed for needed in absent if not is_short(needed)]
    if missing and not store.is_whole(root, store.shelf(root, step)):
        first = f"divergan {missing[0].verb} {missing[0].key}"
        raise DivergaNError(
            f"{step.verb} {step.key} needs {store.place(root, missing[0])}, which is not made: run `{first}` first"
        )
    for needed in filter(is_short, absent):
        make(root, needed, device, threads)
    if store.adopt(root, step):
        return f"{folder} taken from the store"
    device = provenance.chosen_device(device) if step.verb in ON_A_GPU else "cpu"  # a cluster hides GPUs from others
    commit = provenance.commit(root)
    if device == "cuda" and (devices := provenance.cuda_devices()):
        from divergan import leases

        leases.hold(devices)

    def work(out: Path, live: Live) -> dict[str, Any]:
        from divergan import pipeline

        provenance.prepare_torch(device, threads)
        gc.freeze()
        gc.enable()
        started, cpu_started = time.monotonic(), time.process_time()
        job = pipeline.Job(step=step, root=root, out=out, device=device, live=live)
        with forged.named(store.place(root, needed) for needed in step.inputs):
            facts = getattr(pipeline, step.verb)(job)
        seconds = {"wall_seconds": time.monotonic() - started, "cpu_seconds": time.process_time() - cpu_started}
        store.write_json(out / "timing.json", seconds)
        return facts | {"commit": commit, "environment": provenance.environment(root, device, threads)}

    if step.verb not in LIVE or is_short(step):
        store.make(root, step, lambda out: work(out, tracking.Live()))
    else:
        with tracking.run(root, **described(step, commit)) as live:
            store.make(root, step, lambda out: work(out, live))
            for name in (store.RECIPE, store.RUN):
                live.artifact(folder / name)
            live.finish(outcome(folder))
    return f"{folder} made"


def redate(root: Path, plan: Plan, step: Step) -> None:
    """Let nothing that Snakemake awaits for a step be dated later than now."""
    store.not_from_the_future(store.place(root, job) / store.RUN for job in Processes(plan.steps).awaited(step))


def take_over(root: Path, plan: Plan) -> None:
    """Bring a study's finished runs into MLflow. Without MLflow a warning is all that happens."""
    try:
        track(root, plan)
    except DivergaNError as error:
        tracking.warn(error)


def track(root: Path, plan: Plan) -> str:
    """Bring every finished training and evaluation of a study, and what compares them, into MLflow."""
    steps = [step for verb in (*TRACKED, "compare") for step in plan.of(verb) if store.exists(root, step)]
    if isinstance(plan.study, Theory):
        return f"{plan.file} has no run for MLflow: it trains no generator on images"
    told = plan.study.model_dump(include={"title", "question"})
    study = tracking.Study(
        name=plan.study.study,
        recipes=frozenset(step.hash for step in plan.steps),
        comparison=plan.of("compare")[0].hash,
        variants=tuple(dict.fromkeys(step.key.rsplit("-s", 1)[0] for step in plan.of("train"))),
        **told,
    )
    runs = [(finished_run(root, step), partial(contents, root, plan, step)) for step in steps]
    return f"{tracking.record(root, study, runs)} of {len(steps)} finished runs of {study.name} were new to MLflow"


def outcome(folder: Path) -> str:
    """How the run that left `folder` ended: "finished", "diverged at step 1200", ..."""
    facts = store.read_json(folder / store.RUN)
    at = f" at step {facts['at_step']}" if facts.get("at_step") is not None else ""
    return f"{facts.get('outcome', 'finished')}{at}"


def described(step: Step, commit: str | None) -> dict[str, Any]:
    """How MLflow names and tags a training, a re-weighting, an evaluation or the comparison of all."""
    run = step if step.verb == "train" else next(iter(step.inputs_of("train")), None)
    params = dict(step.settings)
    folder = f"results/{step.study}/{step.folder}"
    tags: dict[str, Any] = {"commit": commit, "recipe": step.hash[:8], "plan": "present", "folder": folder}
    if step.verb == "compare":
        return {"experiment": step.study, "name": COMPARISON, "recipe": step.hash, "kind": step.verb, "params": {},
                "tags": tags}  # fmt: skip
    if run is not None:
        training, variant = run.settings["training"], run.key.rsplit("-s", 1)[0]
        own = step.settings["weights"] if step.verb == "reweight" else training
        params = {**own, "seed": run.settings["seed"], "threads": run.settings["threads"]}
        tags |= {"variant": variant, "arm": variant.split(".")[1], "seed": run.settings["seed"]}
        tags |= {"objective": training["objective"]}
    name = step.key
    if step.verb == "evaluate":
        ended = step.input("sample").key if run else "real images"
        name = f"{ended.removesuffix('.' + PRIOR)} evaluation"
        tags |= {"sampler": PRIOR if ended.endswith(PRIOR) else "several"} if run else {}
    return {
        "experiment": step.study, "name": name, "recipe": step.hash, "kind": step.verb, "params": params, "tags": tags,
    }  # fmt: skip


def finished_run(root: Path, step: Step) -> dict[str, Any]:
    """The same of a finished run, with the seconds that it took."""
    folder = store.place(root, step)
    # MLflow's list begins with the newest: with what compares all.
    seconds = 0.0 if step.verb == "compare" else store.read_json(folder / "timing.json")["wall_seconds"]
    return described(step, store.read_json(folder / store.RUN)["commit"]) | {"seconds": seconds}


def contents(root: Path, plan: Plan, step: Step) -> dict[str, Any]:
    """What MLflow keeps of a finished run: its curves, its pictures, its recipe."""
    if step.verb == "compare":
        return comparison(root, plan, step)
    from divergan.pipeline.files import load_curves, load_history

    folder = store.place(root, step)
    artifacts = [folder / store.RECIPE, folder / store.RUN]
    history = load_curves(folder, step) if step.verb == "evaluate" else load_history(folder)
    pictures = [(path, path.name) for path in sorted((folder / "checkpoints").glob("*.png"))]
    if step.verb == "evaluate" and step.key != REAL:
        samples = store.place(root, step.input("sample")) / f"{PRIOR}.png"
        pictures = [(samples, "samples.png")] if samples.is_file() else []
    return {"history": history, "pictures": pictures, "artifacts": artifacts, "outcome": outcome(folder)}


def comparison(root: Path, plan: Plan, tables: Step) -> dict[str, Any]:
    """What compares a study's runs: the tables, the report's pictures of them, and the result table as description."""
    from divergan.publishing import result_table

    folder, (figures,) = store.place(root, tables), plan.of("figures")
    shown = (store.place(root, figures) / f"{name}.svg" for name in SHOWN_FIGURES)
    return {
        "history": [],
        "pictures": [(path, path.name) for path in shown if path.is_file()],
        "artifacts": [path for name in SHOWN_TABLES if (path := folder / name).is_file()],
        "outcome": "finished",
        "note": result_table(folder, plan),
    }


def keep_features(root: Path, plan: Plan) -> str:
    """Train the feature classifier of a plan afresh and keep its weights as the reference, with their checksum."""
    weights = plan.trained.features.weights
    if weights is None:
        raise DivergaNError(
            f"{plan.file}: features.weights is null; name the file that shall hold the reference weights"
        )
    afresh = plan.trained.features.model_copy(update={"weights": None})
    without = Plan(plan.file, plan.trained.model_copy(update={"features": afresh}))
    for verb in ("data", "features"):
        make(root, without.of(verb)[0], plan.study.device, plan.study.threads)
    from divergan.pipeline.files import CLASSIFIER

    target = root / weights
    with store.written(target) as temporary:
        shutil.copyfile(store.place(root, without.of("features")[0]) / CLASSIFIER, temporary)
    with store.written(target.with_name(f"{target.name}.sha256")) as temporary:
        temporary.write_text(f"{store.sha256(target)}  {target.name}\n", "utf-8")
    return f"{target} kept"
