"""Whether a study is what its parameters and the present code made: every input, every file of a result, the report."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from divergan import params, store
from divergan.errors import DivergaNError
from divergan.plan import Plan, Step
from divergan.plan.trained import reference_weights
from divergan.processes import Processes
from divergan.publishing import identity, published_files


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What does not match, the steps that are not here, and how many files were looked at."""

    problems: list[str]
    absent: list[str]
    steps: int
    files: int

    @property
    def whole(self) -> bool:
        return not self.problems and not self.absent

    def as_json(self) -> dict[str, Any]:
        return {"whole": self.whole, **asdict(self)}


def examine(root: Path, plan: Plan) -> Examination:
    """Look at everything of a study."""
    found = list(input_problems(root, plan.study))
    for step in track(plan.steps, f"{len(plan.steps)} steps", console=Console(stderr=True), transient=True):
        found += step_problems(root, step)
    found += report_problems(root, plan)
    absent = [step for step in plan.steps if not store.exists(root, step)]
    whole = not found and not absent
    files = sum(len(store.read_json(store.place(root, s) / store.RUN)["files"]) for s in plan.steps) if whole else 0
    names = [f"{step.verb} {step.key}" for step in absent]
    return Examination(problems=found, absent=names, steps=len(plan.steps), files=files)


def verify(root: Path, plan: Plan) -> bool:
    """Print what does not match, a line each, or that all does; whether it does."""
    found = examine(root, plan)
    print_examination(plan, found)
    return found.whole


def print_examination(plan: Plan, found: Examination) -> None:
    for problem in found.problems:
        print(problem)
    if count := len(found.problems):
        print(f"{plan.file}: {count} problem{'s' * (count > 1)}; `divergan verify --repair`, then `snakemake`")
    if found.absent:
        print(
            f"{plan.file}: {len(found.absent)} of {found.steps} steps are not here as the present parameters, data and "
            f"code would make them ({found.absent[0]}, ...): `divergan plan` says why"
        )
    if found.whole:
        print(
            f"{plan.file}: {found.steps} steps, {found.files} files and reports/{plan.study.study}/ are as they were "
            "made"
        )


def input_problems(root: Path, study: params.Study | params.Theory) -> Iterator[str]:
    """Raw data and kept weights; what else lies in data/ stands in the recipes, as code and parameters do."""
    from divergan.data import data_set, raw_images
    from divergan.pipeline.files import kept_weights

    if isinstance(study, params.Theory):
        return
    declared, raw = data_set(study.data.name), root / "data" / "raw"
    name = declared.stacks or declared.name
    try:
        if not data_set(name).files or (raw / name).is_dir():  # a clone that pulled the results has no need of them
            raw_images(name, raw)
        if kept := reference_weights(study):
            kept_weights(root / kept["path"], kept["sha256"])
    except DivergaNError as error:
        yield str(error)


def step_problems(root: Path, step: Step) -> Iterator[str]:
    """Of its folders in the study and in the store, where they are there."""
    for folder in (store.place(root, step), store.shelf(root, step)):
        if not folder.is_dir():
            continue
        damaged = store.damage(folder)
        for name in damaged:
            yield f"{folder / name} {'does not match its checksum' if (folder / name).exists() else 'is missing'}"
        if store.RUN not in damaged:
            yield from stranger_problems(folder, store.read_json(folder / store.RUN), step)


def stranger_problems(folder: Path, run: dict[str, Any], step: Step) -> Iterator[str]:
    """What is whole, but was not made by this step."""
    if run["recipe"] != step.hash:
        yield f"{folder} was made by the recipe {run['recipe']}, not by {step.hash}"
    listed = {store.RUN, *run["files"], *run["timings"]}
    for path in sorted(folder.rglob("*")):
        if not path.is_dir() and str(path.relative_to(folder)) not in listed:
            yield f"{path} is no part of the result: remove it"


def report_problems(root: Path, plan: Plan) -> Iterator[str]:
    """Of reports/<study>/, where the results that it shows are here."""
    copies, named = published_files(root, plan), identity(root, plan)
    if copies and not named.is_file():
        yield f"{named} is missing: reports/{plan.study.study}/ shows another recipe, or none"
    for copy, source in copies.items():
        if not copy.is_file():
            yield f"{copy} is missing"
        elif store.sha256(copy) != store.sha256(source):
            yield f"{copy} is not {source}"


def repair(root: Path, plan: Plan) -> None:
    """Take what is damaged out of the way, so that Snakemake makes it again; the store has the rest."""
    home = Processes(plan.steps).home
    for step in plan.steps:
        store.is_whole(root, store.shelf(root, step))
        if not store.is_whole(root, store.place(root, step)):
            shutil.rmtree(store.place(root, home[step]), ignore_errors=True)  # by the job that makes the step
    if any(report_problems(root, plan)) or not store.exists(root, plan.of("report")[0]):
        identity(root, plan).unlink(missing_ok=True)
