"""What the commands share: the application, its arguments and options, and what a shell completes them to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from divergan.errors import DivergaNError

if TYPE_CHECKING:
    from divergan.plan import Plan

ROOT = Path()  # commands run in the project's folder, as Snakemake and DVC do
PARAMS = Path("params.yaml")

app = typer.Typer(
    help="The reproducible study of GAN losses built from divergences.\n\n"
    "Examples: divergan plan --params params/demo.yaml · divergan status --watch · divergan show kl.stabilised-s0",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def parameter_files(incomplete: str) -> list[str]:
    """The parameter files of this project, and folders on the way to others."""
    own = [PARAMS, *sorted(Path("params").glob("*.yaml"))]
    return [str(path) for path in own if path.is_file() and str(path).startswith(incomplete)]


def planned(context: typer.Context) -> Plan | None:
    """The plan that a half-typed command is about; None where there is none: a shell is told nothing of errors."""
    from divergan.plan import Plan

    try:
        return Plan(Path(context.params.get("params") or PARAMS))
    except DivergaNError:
        return None


def keys_of_verb(context: typer.Context, incomplete: str) -> list[str]:
    """The keys of the verb that the command is named after; of `sample`, trainings as well."""
    plan, verb = planned(context), context.info_name or ""
    verbs = ("sample", "train") if verb == "sample" else ("train",) if verb == "show" else (verb,)
    steps = [step for name in verbs for step in plan.of(name)] if plan else []
    return [step.key for step in steps if step.key.startswith(incomplete)]


def any_key(context: typer.Context, incomplete: str) -> list[str]:
    """Trainings first, and what has another key."""
    plan = planned(context)
    keys = dict.fromkeys(step.key for verb in ("train", None) for step in (plan.steps if plan else ())
                         if verb in (None, step.verb))  # fmt: skip
    return [key for key in keys if key.startswith(incomplete)]


def samplers(context: typer.Context, incomplete: str) -> list[str]:
    from divergan.plan import PRIOR

    plan = planned(context)
    steps = plan.of("sample") if plan else []
    names = dict.fromkeys([PRIOR, *(name for step in steps for name in step.settings.get("samplers", ()))])
    return [name for name in names if name.startswith(incomplete)]


def objective_names(incomplete: str) -> list[str]:
    from divergan.objectives import OBJECTIVES

    return [name for name in OBJECTIVES if name.startswith(incomplete)]


# Eager, so that the keys of the file named by --params are completed wherever it stands.
Params = Annotated[
    Path,
    typer.Option("--params", help="The parameter file of the study.", autocompletion=parameter_files, is_eager=True),
]
Key = Annotated[
    str,
    typer.Argument(help="What to make, as `divergan plan --keys` prints it.", autocompletion=keys_of_verb),
]
Threads = Annotated[int | None, typer.Option(min=1, max=1024, help="CPU threads; default: the parameter file's.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, for machines.")]
Cores = Annotated[int | None, typer.Option(min=1, help="Of the run that is asked about; default: this machine's.")]
