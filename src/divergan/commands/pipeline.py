"""The verbs of the pipeline, in order: what Snakemake's rules call."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Annotated

import typer

from divergan.commands.options import PARAMS, ROOT, Key, Params, Threads, app, keys_of_verb, samplers
from divergan.plan import Plan

PIPELINE = "Pipeline, in order (Snakemake calls these)"


def make(verb: str, key: str, params: Path, threads: Threads = None) -> Plan:
    from divergan import jobs

    gc.disable()  # what comes up stays: to look for garbage in it is a quarter of a start. The work enables it again
    plan = Plan(params)
    step = plan.step(verb, key)
    print(jobs.make(ROOT, step, plan.study.device, threads or plan.study.threads))
    jobs.redate(ROOT, plan, step)
    return plan


@app.command(rich_help_panel=PIPELINE)
def data(key: Key, params: Params = PARAMS) -> None:
    """Fetch, verify and split a data set: divergan data embedded --params params/demo.yaml"""
    make("data", key, params)


@app.command(rich_help_panel=PIPELINE)
def features(
    key: Key,
    params: Params = PARAMS,
    threads: Threads = None,
    keep: Annotated[bool, typer.Option("--keep", help="Train afresh; keep the weights as the reference.")] = False,
) -> None:
    """Train the feature classifier, compare it with the kept weights and use those: divergan features digits"""
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
    key: Annotated[
        str,
        typer.Argument(help="A sample step of the plan, or with --n a training run.", autocompletion=keys_of_verb),
    ],
    params: Params = PARAMS,
    threads: Threads = None,
    n: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="Draw so many images from a trained run into --out.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help=".png (a grid) or .npz; default <run>.png.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the latents, with --n.")] = 0,
    sampler: Annotated[
        str, typer.Option(help="With --n: prior, or one of the run's `sampling`.", autocompletion=samplers)
    ] = "prior",
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
    """Compute every metric of one sample set, and FID over its training: divergan evaluate kl.stabilised-s0.prior"""
    make("evaluate", key, params, threads)


@app.command(rich_help_panel=PIPELINE)
def chapter(key: Key, params: Params = PARAMS, threads: Threads = None) -> None:
    """Make a part of a chapter on known densities: divergan chapter gaussian.kl.bound --params params/theory.yaml"""
    make("chapter", key, params, threads)


@app.command(rich_help_panel=PIPELINE)
def compare(key: Key = "tables", params: Params = PARAMS) -> None:
    """Seeds to means and intervals; ours beside the published numbers: divergan compare"""
    make("compare", key, params)


@app.command(rich_help_panel=PIPELINE)
def figures(key: Key = "figures", params: Params = PARAMS) -> None:
    """Draw the figures of the report: divergan figures"""
    make("figures", key, params)


@app.command(rich_help_panel=PIPELINE)
def report(key: Key = "report", params: Params = PARAMS) -> None:
    """Typeset the PDF, publish reports/<study>/ and bring all runs to MLflow: divergan report"""
    from divergan import jobs, publishing, store

    plan = make("report", key, params)
    publishing.publish(ROOT, plan)
    store.tidy(ROOT, plan)
    print(f"reports/{plan.study.study}/report.pdf", flush=True)
    jobs.take_over(ROOT, plan)
