"""What a person asks of a study. With --json each answers with one document, whose keys stay."""

from __future__ import annotations

import gc
import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from divergan.commands.options import (
    PARAMS,
    ROOT,
    Cores,
    Json,
    Params,
    any_key,
    app,
    keys_of_verb,
    objective_names,
)
from divergan.plan import Plan

ASK = "Ask"
STOP_SECONDS = 10.0  # for a server to close its files


@app.command(rich_help_panel=ASK)
def plan(
    params: Params = PARAMS,
    keys: Annotated[bool, typer.Option("--keys", help="One step a line: verb, key, folder, state.")] = False,
    cores: Cores = None,
    as_json: Json = False,
) -> None:
    """Show what exists, what would run and why, and about how long: divergan plan --params params/demo.yaml"""
    from divergan import looking

    if as_json:
        looking.print_json(looking.planned(ROOT, Plan(params), cores or os.cpu_count() or 1))
    elif keys:
        looking.print_keys(ROOT, Plan(params))
    else:
        looking.print_plan(ROOT, Plan(params), cores or os.cpu_count() or 1)


@app.command(rich_help_panel=ASK)
def status(
    params: Params = PARAMS,
    watch: Annotated[bool, typer.Option("--watch", help="Again every two seconds, until all is made.")] = False,
    cores: Cores = None,
    as_json: Json = False,
) -> None:
    """Tell what is made, runs, waits or has failed, and how long the rest takes: divergan status --watch"""
    from divergan import looking
    from divergan import status as telling

    gc.disable()  # a tenth of what reading the plan's code takes
    study = Plan(params)
    if as_json:
        looking.print_json(telling.status(ROOT, study, cores).as_json())
    elif watch:
        telling.watch(ROOT, study, cores)
    else:
        telling.print_status(ROOT, study, cores)


@app.command(rich_help_panel=ASK)
def show(
    run: Annotated[str, typer.Argument(help="A training run.", autocompletion=keys_of_verb)],
    params: Params = PARAMS,
    as_json: Json = False,
) -> None:
    """Show one run: outcome, metrics, samplers, its curve, its samples: divergan show kl.stabilised-s0"""
    from divergan import looking, portrait

    found = portrait.portrait(ROOT, Plan(params), run)
    if as_json:
        looking.print_json(found)
    else:
        portrait.print_portrait(found)


@app.command(rich_help_panel=ASK)
def claims(params: Params = PARAMS, as_json: Json = False) -> None:
    """Print the published claims and what a study's runs make of them: divergan claims --params params/demo.yaml"""
    from divergan import looking
    from divergan.claims import printing

    if as_json:
        looking.print_json(printing.judged(ROOT, Plan(params)))
    else:
        printing.print_claims(ROOT, Plan(params))


@app.command(rich_help_panel=ASK)
def objectives(
    as_json: Json = False,
    regularisers: Annotated[bool, typer.Option("--regularisers", help="The regularisers instead.")] = False,
) -> None:
    """List the objectives: formula, domain, activation, f'(1), what they minimise: divergan objectives"""
    from divergan.objectives import printing

    (printing.print_regularisers if regularisers else printing.print_objectives)(as_json)


@app.command(rich_help_panel=ASK)
def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Objectives, families or Python files; none: all.", autocompletion=objective_names),
    ] = None,
) -> None:
    """Hold objectives against the definitions they claim to implement: divergan check kl my_divergence.py"""
    from divergan.objectives.checking import print_checks

    if not print_checks(names or []):
        raise typer.Exit(1)


@app.command(rich_help_panel=ASK)
def where(
    keys: Annotated[list[str], typer.Argument(help="Keys of the plan.", autocompletion=any_key)],
    params: Params = PARAMS,
    as_json: Json = False,
) -> None:
    """Print the folder of each run (or data set, sample set, evaluation): divergan where kl.stabilised-s0"""
    from divergan import looking

    study = Plan(params)
    folders = {key: str(looking.where(ROOT, study, key)) for key in keys}
    if as_json:
        looking.print_json(folders)
    else:
        print("\n".join(folders[key] for key in keys))


@app.command(rich_help_panel=ASK)
def explain(folder: Path, as_json: Json = False) -> None:
    """Tell which parameters, code and inputs made a folder: divergan explain results/demo/runs/kl.stabilised-s0-…"""
    from divergan import looking

    if as_json:
        looking.print_json(looking.explanation(folder))
    else:
        looking.explain(folder)


@app.command(rich_help_panel=ASK)
def verify(
    params: Params = PARAMS,
    repair: Annotated[
        bool, typer.Option("--repair", help="Then take what is damaged to results/.quarantine/.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check a study, every file of every result, end to end; exit code 1 if one differs: divergan verify --repair"""
    from divergan import looking, verifying

    plan = Plan(params)
    found = verifying.examine(ROOT, plan)
    looking.print_json(found.as_json()) if as_json else verifying.print_examination(plan, found)
    if repair and not found.whole:
        verifying.repair(ROOT, plan)
    raise typer.Exit(not found.whole)


@app.command(rich_help_panel=ASK)
def ui(port: Annotated[int, typer.Option(min=1, max=65535)] = 5000) -> None:
    """Open the MLflow UI on this machine alone, at http://127.0.0.1:5000: divergan ui"""
    from divergan import tracking

    command, environment = tracking.ui_command(ROOT, port)
    for study, address in tracking.addresses(ROOT, port).items():
        print(f"Compare the variants of {study}: {address}", flush=True)
    raise typer.Exit(until_stopped(command, {**os.environ, **environment}))


def until_stopped(command: list[str], environment: dict[str, str]) -> int:
    """Run a server and its workers until it ends, or this process is told to: Ctrl-C, kill, a closed terminal."""
    import signal
    import subprocess

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, stop)
    server = subprocess.Popen(command, env=environment, start_new_session=True)  # so that all of it can be told
    try:
        return server.wait()
    finally:
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
