"""What a person asks of a study: its plan, where a result lies, what made it, what can go, a look at a generator."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from divergan import forged, store
from divergan.errors import DivergaNError
from divergan.estimates import START_SECONDS, core_seconds
from divergan.params import leaves
from divergan.plan import FOLDERS, PRIOR, Plan, Step, UnknownKey
from divergan.schedule import jobs_of, makespan

MADE, SHELVED, MISSING = "made", "in the store", "to make"


def state(root: Path, step: Step) -> str:
    if store.exists(root, step):
        return MADE
    return SHELVED if store.is_shelved(root, step) else MISSING


def print_json(value: Any) -> None:
    """One document on standard output, and nothing else there."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=1, allow_nan=False)
    print()


def planned(root: Path, plan: Plan, cores: int) -> dict[str, Any]:
    """What `print_plan` tells, step by step: {"study", "steps": [{"verb", "key", "folder", "state", ...}], ...}."""
    steps = [
        {"verb": step.verb, "key": step.key, "folder": str(store.place(root, step)), "recipe": step.hash,
         "state": found, "core_seconds": core_seconds(step), "why": why(root, step) if found == MISSING else None}
        for step in plan.steps for found in [state(root, step)]
    ]  # fmt: skip
    to_make = [step for step, told in zip(plan.steps, steps, strict=True) if told["state"] == MISSING]
    jobs = jobs_of(to_make, core_seconds, START_SECONDS, plan.study.threads)
    return {
        "study": plan.study.study,
        "title": plan.study.title,
        "params": str(plan.file),
        "steps": steps,
        "cores": cores,
        "core_seconds": sum(job.seconds for job in jobs),
        "seconds": makespan(jobs, cores),
    }


def print_keys(root: Path, plan: Plan) -> None:
    for step in plan.steps:
        print(f"{step.verb}\t{step.key}\t{store.place(root, step)}\t{state(root, step)}")


def print_plan(root: Path, plan: Plan, cores: int) -> None:
    """A table with a row for each verb and variant: how many are made, what would run, why, for about how long."""
    table = Table(
        "verb",
        "what",
        "steps",
        "made",
        "in the store",
        "to make",
        "core time",
        "why",
        title=escape(plan.study.title),
        box=SIMPLE,
    )
    to_make: list[Step] = []
    groups: dict[tuple[str, str], list[Step]] = {}
    for step in plan.steps:
        groups.setdefault((step.verb, without_seed(step.key)), []).append(step)
    for (verb, name), steps in groups.items():
        states = [state(root, step) for step in steps]
        missing = [step for step, found in zip(steps, states, strict=True) if found == MISSING]
        seconds = sum(core_seconds(step) for step in missing)
        to_make += missing
        counts = [str(states.count(value) or "") for value in (MADE, SHELVED, MISSING)]
        reason = why(root, missing[0]) if missing else ""
        table.add_row(verb, name, str(len(steps)), *counts, duration(seconds) if missing else "", escape(reason))
    console = Console()
    if not console.is_terminal:
        console.width = 160  # a log or a pipe has no width of its own
    console.print(table)
    if to_make:
        jobs = jobs_of(to_make, core_seconds, START_SECONDS, plan.study.threads)
        of_one, of_all = duration(sum(job.seconds for job in jobs)), duration(makespan(jobs, cores))
        console.print(
            f"{len(to_make)} of {len(plan.steps)} steps to make: about {of_one} of one core's time, {of_all} on "
            f"{cores} core{'s' * (cores > 1)} (an estimate from the arithmetic of the networks; a GPU is much faster)."
        )
    else:
        console.print(f"Nothing to compute: all {len(plan.steps)} steps are there.")


def without_seed(key: str) -> str:
    """kl.stabilised-s0.prior -> kl.stabilised.prior"""
    head, mark, tail = key.rpartition("-s")
    return head + tail.lstrip("0123456789") if mark else key


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def why(root: Path, step: Step) -> str:
    """What differs from the recipe under the same key that the study's folder still holds."""
    earlier = (root / "results" / step.study / FOLDERS[step.verb]).glob(f"{step.key}-????????/{store.RECIPE}")
    recipe = max(earlier, key=lambda path: path.stat().st_mtime, default=None)
    if recipe is None:
        return "new"
    found = list(differences(whole_json(recipe), json.loads(json.dumps(step.recipe))))
    own = [text for text in found if not text.startswith("input ")]  # a change above is told where it happened
    return "; ".join(own[:2]) + ("; ..." if len(own) > 2 else "") or ("follows an input" if found else "was removed")


def differences(old: Any, new: Any, place: str = "") -> Iterator[str]:
    """The leaves at which two recipes differ: "training.regularisers.r1.gamma 0.1 -> 1.0"."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            inner = key if place in ("", "settings") else f"{place}.{key}"
            yield from differences(old.get(key), new.get(key), inner)
    elif old != new:
        if place == "code":
            yield "its code changed"
        elif place.startswith("inputs."):
            yield f"input {place.removeprefix('inputs.')} changed"
        else:
            yield f"{place} {old} -> {new}"


def where(root: Path, plan: Plan, key: str) -> Path:
    """The folder of the first verb that plans this key; a run before its samples and evaluation."""
    for verb in ("train", *FOLDERS):
        try:
            return store.place(root, plan.step(verb, key))
        except UnknownKey:
            continue
    keys = ", ".join(step.key for step in plan.of("train"))
    raise UnknownKey(f"{plan.file} plans no {key!r}; its runs are {keys}")


def explanation(folder: Path) -> dict[str, Any]:
    """What made a result's folder, and which of its files are damaged: {"recipe", "run", "damaged"}."""
    recipe, run = made_by(folder)
    return {"folder": str(folder), "recipe": recipe, "run": run, "damaged": store.damage(folder)}


def made_by(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The recipe and the run.json of a result."""
    if not (folder / store.RECIPE).is_file() or not (folder / store.RUN).is_file():
        raise DivergaNError(
            f"{folder} is no result: it has no {store.RECIPE} and {store.RUN}; `divergan where KEY` finds one"
        )
    return whole_json(folder / store.RECIPE), whole_json(folder / store.RUN)


def explain(folder: Path) -> None:
    """Print the recipe and the facts of a result's folder."""
    recipe, run = made_by(folder)
    try:
        heading, rows = explained(recipe, run)
    except (LookupError, TypeError, AttributeError) as error:
        raise DivergaNError(
            f"{folder}: its {store.RECIPE} or {store.RUN} is not what divergan writes ({error!r:.80}): make it again"
        ) from None
    damaged = store.damage(folder)
    rows["files intact"] = f"NO: {', '.join(damaged)} does not match its checksum" if damaged else "yes"
    console, table = Console(highlight=False), Table(show_header=False, box=None)
    console.print(heading)
    for name, value in rows.items():
        table.add_row(name, escape(str(value)))
    console.print(table)


def whole_json(path: Path) -> dict[str, Any]:
    """What a recipe.json or run.json holds; DivergaNError where it is damaged."""
    try:
        return dict(store.read_json(path))
    except (ValueError, TypeError, RecursionError) as error:
        raise DivergaNError(f"{path} is damaged ({error!s:.80}): remove {path.parent} and make it again") from None


def explained(recipe: dict[str, Any], run: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A heading, and what a recipe and a run.json tell, by name."""
    outcome = f"{run.get('outcome', 'finished')}" + (
        f" at step {run['at_step']}" if run.get("at_step") is not None else ""
    )
    subject = escape(f"{recipe['verb']} {recipe['key']}")
    heading = f"[bold]{subject}[/]  recipe {escape(str(run['recipe']))}  {escape(outcome)}"
    environment = run["environment"]
    rows = {
        **{f"settings.{name}": value for name, value in leaves(recipe["settings"])},
        **{f"input {name}": value for name, value in recipe["inputs"].items()},
        "code": f"{recipe['code'][:16]} (fingerprint of what divergan.pipeline:{recipe['verb']} reaches)",
        "commit": run["commit"],
        "device": f"{environment['device']}, {environment['threads']} threads, {environment['processor']}",
        "versions": ", ".join(f"{name} {value}" for name, value in environment["packages"].items() if value),
    }
    return heading, rows


def prune(root: Path, agreed: Callable[[str], bool]) -> None:
    """Show, then remove, what no parameter file refers to."""
    files = [path for path in (root / "params.yaml", *sorted((root / "params").glob("*.yaml"))) if path.is_file()]
    if not files:
        raise DivergaNError("there is no params.yaml and no params/*.yaml here: run it in the project's folder")
    unused = store.unreferenced(root, [Plan(path) for path in files])
    if not unused:
        print(f"Nothing to remove: {', '.join(map(str, files))} refer to everything in the store.")
        return
    for folder, size in unused.items():
        recipe = folder / store.RECIPE
        told = whole_json(recipe) if recipe.is_file() else {}
        name = f"{told.get('verb')} {told.get('key')}" if told else "half-made"
        print(f"{folder}  {size / 1e6:8.1f} MB  {name}")
    if agreed(f"Remove these {len(unused)}, {sum(unused.values()) / 1e6:.1f} MB?"):
        for folder in unused:
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink()


def draw_to_file(
    root: Path, plan: Plan, key: str, sampler: str, count: int, seed: int, out: Path | None, label: int | None = None
) -> str:
    """Draw `count` images of a trained run into a PNG grid or an .npz with `images` uint8 (n, C, H, W).

    A conditional run draws all of class `label`, or the classes in turn, and its .npz has `labels` (n,) beside them.
    """
    import numpy as np

    from divergan import pipeline
    from divergan.pipeline.files import save_grid

    run = plan.step("train", key)
    out = out or Path(f"{run.key}.png" if sampler == PRIOR else f"{run.key}.{sampler}.png")
    if out.suffix not in (".png", ".npz"):
        raise DivergaNError(f"--out {out}: expected a name that ends in .png (a grid) or .npz (an array)")
    if out.is_dir():
        raise DivergaNError(f"--out {out} is a folder: expected the name of a file")
    step = drawing_step(plan, run, sampler)
    if missing := [needed for needed in step.inputs if not store.intact(root, needed)]:
        verb, path = missing[0].verb, store.place(root, missing[0])
        raise DivergaNError(f"{missing[0].key} is not made yet: {path} is missing; make it with `snakemake {verb}`")
    labels = labels_by_hand(run, count, label)
    with forged.named(store.place(root, needed) for needed in step.inputs):
        model = pipeline.model_of(root, step, sampler, "cpu")
    images = pipeline.draw(model, step, sampler, count, seed, "drawn by hand", labels).images
    if out.suffix == ".png":
        save_grid(out, images, columns=8 if labels is None or label is not None else int(labels.max()) + 1)
    else:
        made_as = {} if labels is None else {"labels": labels.numpy()}
        with store.written(out) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, images=images.numpy(), **made_as)
    how = "" if sampler == PRIOR else f" by {sampler}, {model.cost.acceptance:.1%} of its proposals accepted"
    return f"{out}: {count} images from {run.key}{how}"


def labels_by_hand(run: Step, count: int, label: int | None) -> Any:
    """The classes int64 (count,) that a conditional run shall draw: all `label`, else in turn; None for other runs."""
    from divergan.pipeline import labels_of
    from divergan.pipeline.models import classes_of

    labels, classes = labels_of(run, count), classes_of(run)
    if label is None:
        return labels
    if labels is None:
        raise DivergaNError(f"--label {label}: {run.key} is not conditional: it draws what it likes")
    if label >= classes:
        raise DivergaNError(f"--label {label}: {run.key} knows the classes 0 to {classes - 1}")
    return labels.fill_(label)


def drawing_step(plan: Plan, run: Step, sampler: str) -> Step:
    """The sample step of a run that holds this sampler with its settings."""
    if sampler == PRIOR:
        return plan.step("sample", f"{run.key}.{PRIOR}")
    names = plan.trained.sampling_of(run.key.rsplit("-s", 1)[0])
    if sampler not in names:
        listed = ", ".join((PRIOR, *names))
        raise DivergaNError(
            f"{plan.file} does not sample {run.key} by {sampler!r}, but by {listed}: add it to the variant's `sampling`"
        )
    return plan.step("sample", f"{run.key}.sampling")
