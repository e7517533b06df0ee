"""The command line: one verb, one subcommand. The only module that knows its arguments."""

from __future__ import annotations

import errno
import gc
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from divergan.errors import DivergaNError
from divergan.plan import Plan

ROOT = Path()  # commands run in the project's folder, as Snakemake and DVC do
PIPELINE, ASK = "Pipeline, in order (Snakemake calls these)", "Ask and look after"

app = typer.Typer(
    help="The reproducible study of GAN losses built from divergences.\n\n"
    "Example: divergan plan --params params/demo.yaml",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Params = Annotated[Path, typer.Option("--params", help="The parameter file of the study.")]
Key = Annotated[str, typer.Argument(help="What to make, as `divergan plan --keys` prints it.")]
Threads = Annotated[int | None, typer.Option(min=1, max=1024, help="CPU threads; default: the parameter file's.")]
PARAMS = Path("params.yaml")
FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EROFS, errno.EPERM)


def make(verb: str, key: str, params: Path, threads: Threads = None) -> Plan:
    from divergan import jobs

    gc.disable()  # what comes up stays: to look for garbage in it is a quarter of a start. The work enables it again
    plan = Plan(params)
    print(jobs.make(ROOT, plan.step(verb, key), plan.study.device, threads or plan.study.threads))
    return plan


@app.command(rich_help_panel=PIPELINE)
def data(key: Key, params: Params = PARAMS) -> None:
    """Fetch, verify and split a data set."""
    make("data", key, params)


@app.command(rich_help_panel=PIPELINE)
def features(
    key: Key,
    params: Params = PARAMS,
    threads: Threads = None,
    keep: Annotated[bool, typer.Option("--keep", help="Train afresh; keep the weights as the reference.")] = False,
) -> None:
    """Train the feature classifier, compare it with the kept reference weights and use those."""
    if not keep:
        make("features", key, params, threads)
        return
    from divergan import jobs

    print(jobs.keep_features(ROOT, Plan(params)))


@app.command(rich_help_panel=PIPELINE)
def train(key: Key, params: Params = PARAMS, threads: Threads = None) -> None:
    """Train one GAN: divergan train kl.stabilised-s0 --params params/demo.yaml"""
    make("train", key, params, threads)


@app.command(rich_help_panel=PIPELINE)
def reweight(key: Key, params: Params = PARAMS, threads: Threads = None) -> None:
    """Learn importance weights on the latent space: divergan reweight bce.stabilised-s0.learned"""
    make("reweight", key, params, threads)


@app.command(rich_help_panel=PIPELINE)
def oracle(key: Key, params: Params = PARAMS, threads: Threads = None) -> None:
    """Re-weight a target of the plane, where the right weights are known: divergan oracle grid"""
    make("oracle", key, params, threads)


@app.command(rich_help_panel=PIPELINE)
def sample(
    key: Annotated[str, typer.Argument(help="A sample step of the plan, or with --n a training run.")],
    params: Params = PARAMS,
    threads: Threads = None,
    n: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="Draw so many images from a trained run into --out.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help=".png (a grid) or .npz; default <run>.png.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the latents, with --n.")] = 0,
    sampler: Annotated[str, typer.Option(help="With --n: prior, or one of the run's `sampling`.")] = "prior",
    label: Annotated[int | None, typer.Option(min=0, help="With --n: the class, of a conditional run.")] = None,
) -> None:
    """Draw from a trained generator: divergan sample bce.stabilised-s0 --n 64 --sampler latent_rs --out bce.png"""
    if n is None:
        make("sample", key, params, threads)
        return
    from divergan import looking

    print(looking.draw_to_file(ROOT, Plan(params), key, sampler, n, seed, out, label))


@app.command(rich_help_panel=PIPELINE)
def evaluate(key: Key, params: Params = PARAMS, threads: Threads = None) -> None:
    """Compute every metric of one sample set, and FID over its training."""
    make("evaluate", key, params, threads)


@app.command(rich_help_panel=PIPELINE)
def chapter(key: Key, params: Params = PARAMS, threads: Threads = None) -> None:
    """Make a part of a chapter on known densities: divergan chapter gaussian.kl.bound --params params/theory.yaml"""
    make("chapter", key, params, threads)


@app.command(rich_help_panel=PIPELINE)
def compare(key: Key = "tables", params: Params = PARAMS) -> None:
    """Seeds to means and intervals; ours beside the published numbers."""
    make("compare", key, params)


@app.command(rich_help_panel=PIPELINE)
def figures(key: Key = "figures", params: Params = PARAMS) -> None:
    """Draw the figures of the report."""
    make("figures", key, params)


@app.command(rich_help_panel=PIPELINE)
def report(key: Key = "report", params: Params = PARAMS) -> None:
    """Typeset the PDF and publish reports/<study>/, where people look."""
    from divergan import jobs, publishing, store

    plan = make("report", key, params)
    publishing.publish(ROOT, plan)
    store.tidy(ROOT, plan)
    print(f"reports/{plan.study.study}/report.pdf", flush=True)
    jobs.take_over(ROOT, plan)


@app.command("import", rich_help_panel=ASK)
def import_images(
    folder: Annotated[Path, typer.Argument(help="Images, or a subfolder of images for each class.")],
    name: Annotated[str, typer.Option(help="What parameter files call it: data.name.")],
    size: Annotated[int, typer.Option(min=8, help="Pixels a side: each image is cropped and resized to it, once.")],
    grey: Annotated[bool, typer.Option("--grey", help="Drop colour.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the data set of that name.")] = False,
    skip_unreadable: Annotated[bool, typer.Option("--skip-unreadable", help="Leave out what cannot be read.")] = False,
) -> None:
    """Take a folder of your own images as data: divergan import photos/ --name flowers --size 32"""
    from divergan.data.importing import import_folder
    from divergan.data.sets import OWN

    import_folder(folder, name, size, grey, ROOT / OWN, print, force=force, skip_unreadable=skip_unreadable)


@app.command(rich_help_panel=ASK)
def plan(
    params: Params = PARAMS,
    keys: Annotated[bool, typer.Option("--keys", help="One step a line: verb, key, folder, state.")] = False,
    cores: Annotated[
        int | None, typer.Option(min=1, help="Of the run that is asked about; default: this machine's.")
    ] = None,
) -> None:
    """Show the steps of a parameter file: what exists, what would run and why, and about how long it takes."""
    from divergan import looking

    if keys:
        looking.print_keys(ROOT, Plan(params))
    else:
        looking.print_plan(ROOT, Plan(params), cores or os.cpu_count() or 1)


@app.command(rich_help_panel=ASK)
def objectives(
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
    regularisers: Annotated[bool, typer.Option("--regularisers", help="The regularisers instead.")] = False,
) -> None:
    """List the objectives: formula, domain, activation, f'(1), what the alternative loss minimises, source."""
    from divergan.objectives import printing

    (printing.print_regularisers if regularisers else printing.print_objectives)(as_json)


@app.command(rich_help_panel=ASK)
def check(
    names: Annotated[list[str] | None, typer.Argument(help="Objectives, families or Python files; none: all.")] = None,
) -> None:
    """Hold objectives against the definitions they claim to implement: divergan check kl my_divergence.py"""
    from divergan.objectives.checking import print_checks

    if not print_checks(names or []):
        raise typer.Exit(1)


@app.command(rich_help_panel=ASK)
def claims(params: Params = PARAMS) -> None:
    """Print the published claims and what a study's runs make of them: divergan claims --params params/demo.yaml"""
    from divergan.claims.printing import print_claims

    print_claims(ROOT, Plan(params))


@app.command(rich_help_panel=ASK)
def where(keys: list[str], params: Params = PARAMS) -> None:
    """Print the folder of each run (or data set, sample set, evaluation): divergan where kl.stabilised-s0"""
    from divergan import looking

    for key in keys:
        print(looking.where(ROOT, Plan(params), key))


@app.command(rich_help_panel=ASK)
def explain(folder: Path) -> None:
    """Tell which parameters, code and inputs made a folder: divergan explain results/demo/runs/kl.stabilised-s0-…"""
    from divergan import looking

    looking.explain(folder)


@app.command(rich_help_panel=ASK)
def verify(
    params: Params = PARAMS,
    repair: Annotated[
        bool, typer.Option("--repair", help="Then take what is damaged to results/.quarantine/.")
    ] = False,
) -> None:
    """Check a study end to end: data, code, every file of every result, the report. Exit code 1 if one differs."""
    from divergan import verifying

    plan = Plan(params)
    whole = verifying.verify(ROOT, plan)
    if repair and not whole:
        verifying.repair(ROOT, plan)
    raise typer.Exit(not whole)


@app.command(rich_help_panel=ASK)
def prune(yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False) -> None:
    """Remove what no parameter file (params.yaml, params/*.yaml) refers to, after showing it."""
    from divergan import looking

    looking.prune(ROOT, lambda question: yes or typer.confirm(question))


@app.command(rich_help_panel=ASK)
def tidy(params: Params = PARAMS) -> None:
    """Move from results/<study>/ to the store what the present plan does not hold."""
    from divergan import store

    for folder in store.tidy(ROOT, Plan(params)):
        print(f"{folder} is not in the plan: taken out (what is complete is in the store)")


@app.command(rich_help_panel=ASK)
def track(params: Params = PARAMS) -> None:
    """Bring every finished run of a study into MLflow: after `dvc pull`, or when the database was lost."""
    from divergan import jobs

    print(jobs.track(ROOT, Plan(params)))


@app.command(rich_help_panel=ASK)
def readme(params: Params = PARAMS) -> None:
    """Put a study's result table and picture into README.md."""
    from divergan import publishing

    print(publishing.readme(ROOT, Plan(params)))


@app.command(rich_help_panel=ASK)
def ui(port: Annotated[int, typer.Option(min=1, max=65535)] = 5000) -> None:
    """Open the MLflow UI on this machine alone, at http://127.0.0.1:5000"""
    import subprocess

    from divergan import tracking

    command, environment = tracking.ui_command(ROOT, port)
    raise typer.Exit(subprocess.call(command, env={**os.environ, **environment}))


def main() -> None:
    """Run the command line; what a person can put right is one message and exit code 2 or 3, never a traceback."""
    try:
        app()
    except DivergaNError as error:
        stop(f"error: {error}", 2)
    except Exception as error:
        place = f" ({name})" if (name := getattr(error, "filename", None)) else ""
        if (code := failure(error)) in FULL:
            stop(
                f"error: the disk is full{place}. Nothing half-made was kept under a real name: free space, run again",
                3,
            )
        if code in FORBIDDEN:
            stop(
                f"error: may not write{place}: {os.strerror(code)}. Give yourself the right to, or use another folder",
                3,
            )
        if no_memory(error):
            stop(
                "error: out of memory. Run fewer jobs at once (--cores), or with a smaller batch or network; what was "
                "half made waits, and the next run goes on from it",
                3,
            )
        raise


def no_memory(error: Exception) -> bool:
    """Python's own, numpy's, and those of torch on a CPU and on a GPU, which are told apart by their words alone."""
    words = ("allocate memory", "out of memory")
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(w in str(error) for w in words))


def failure(error: Exception) -> int:
    """The errno of a failed write, 0 if it is none: shutil and safetensors keep only its text."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    textual = isinstance(error, shutil.Error) or type(error).__name__ == "SafetensorError"
    return next((code for code in (*FULL, *FORBIDDEN) if textual and os.strerror(code) in str(error)), 0)


def stop(message: str, code: int) -> None:
    print(message, file=sys.stderr)
    raise SystemExit(code)
