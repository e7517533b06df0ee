"""What looks after a checkout: own images, the store, MLflow's database, the README."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from divergan.commands.options import PARAMS, ROOT, Params, app
from divergan.plan import Plan

KEEP = "Look after"


@app.command("import", rich_help_panel=KEEP)
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


@app.command(rich_help_panel=KEEP)
def prune(yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False) -> None:
    """Remove what no parameter file (params.yaml, params/*.yaml) refers to, after showing it: divergan prune"""
    from divergan import looking

    looking.prune(ROOT, lambda question: yes or typer.confirm(question))


@app.command(rich_help_panel=KEEP)
def tidy(params: Params = PARAMS) -> None:
    """Move from results/<study>/ to the store what the present plan does not hold: divergan tidy"""
    from divergan import store

    for folder in store.tidy(ROOT, Plan(params)):
        print(f"{folder} is not in the plan: taken out (what is complete is in the store)")


@app.command(rich_help_panel=KEEP)
def track(params: Params = PARAMS) -> None:
    """Bring every finished run of a study into MLflow, after `dvc pull` or a lost database: divergan track"""
    from divergan import jobs

    print(jobs.track(ROOT, Plan(params)))


@app.command(rich_help_panel=KEEP)
def readme(params: Params = PARAMS) -> None:
    """Put a study's result table and picture into README.md: divergan readme --params params/demo.yaml"""
    from divergan import publishing

    print(publishing.readme(ROOT, Plan(params)))
