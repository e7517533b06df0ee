"""The browsable page of a study: a part of the verb report."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from divergan.lazy import lazy
from divergan.networks.conditioning import conditioned, labels_in_turn, one_hot
from divergan.params import Training
from divergan.pipeline.files import samples_file
from divergan.pipeline.job import Job
from divergan.pipeline.models import classes_of, generator_of
from divergan.pipeline.sampling import entries
from divergan.plan import PRIOR, Step
from divergan.randomness import generator
from divergan.samplers.prior import decode
from divergan.store import place, written

if TYPE_CHECKING:
    import torch

    from divergan.figures import Tables
    from divergan.page.pictures import SampleSet, Walk
else:
    torch = lazy("torch")

FRAMES = 24  # of a walk
WALKS = 8  # side by side
PRINTED = {"fid": "FID {}", "precision": "precision {}", "recall": "recall {}", "acceptance": "acceptance {}"}


def save_page(job: Job, content: dict[str, Any]) -> None:
    from divergan.page import render

    with written(job.out / "index.html") as temporary:
        temporary.write_text(render(content), "utf-8")


def browsable(job: Job, tables: Tables, values: dict[str, Any]) -> dict[str, Any]:
    """The content of the page, from the tables and values that the PDF was made of, and more pictures."""
    from divergan.page.content import content

    return content(
        tables,
        values,
        recipes={step.key: step.published_recipe for step in job.step.inputs_of("train")},
        files=sorted(path.name for path in job.input("compare").glob("*.csv")),
        sets=list(sample_sets(job, tables)),
        walks=list(walks(job, tables)),
    )


def sample_sets(job: Job, tables: Tables) -> Iterable[SampleSet]:
    """Every sample set of every run, with what the tables say of it."""
    from divergan.page.pictures import SampleSet

    facts, order = told(tables), tables.runs.groupby("variant").cumcount().set_axis(tables.runs["key"])
    for step in job.step.inputs_of("sample"):
        run, folder = step.input("train").key, place(job.root, step)
        for name in entries(step):
            label, text = facts[run, name]
            yield SampleSet(
                run=run, order=int(order[run]), sampler=name, label=label, facts=text, **first_images(folder, name)
            )


def told(tables: Tables) -> dict[tuple[str, str], tuple[str, str]]:
    """(run, sampler) -> the sampler's label, and how its set measures up in words; the prior's are in every study."""
    runs = tables.runs.assign(sampler=PRIOR, sampler_label="Prior", reason="").to_dict("records")
    return {
        (row["key"], row["sampler"]): (row["sampler_label"], row["reason"] or measured(row))
        for row in [*runs, *tables.samplers.to_dict("records")]
    }


def measured(row: dict[Any, Any]) -> str:
    from divergan.report.wording import text

    return ", ".join(words.format(text(row[name])) for name, words in PRINTED.items() if name in row)


def first_images(folder: Path, sampler: str) -> dict[str, Any]:
    """The first images of a sample set, and where their latents stood in the stream, if it was drawn."""
    from safetensors import safe_open

    from divergan.page.pictures import SHOWN

    path = samples_file(folder, sampler)
    if not path.is_file():
        return {"images": None}
    with safe_open(path, "np") as tensors:
        images = tensors.get_slice("images")[:SHOWN]
        known = "proposals" in set(tensors.keys())
        proposals = tensors.get_slice("proposals")[:SHOWN].tolist() if known else None
    return {"images": as_picture(images), "proposals": proposals}


def as_picture(images: Any) -> Any:
    """uint8 (n, C, H, W) array -> (n, H, W), or in colour (n, H, W, C)."""
    return images[:, 0] if images.shape[1] == 1 else images.transpose(0, 2, 3, 1)


def walks(job: Job, tables: Tables) -> Iterable[Walk]:
    """A walk through the latent space of the first run of every variant."""
    from divergan.page.pictures import Walk

    runs = {step.key: step for step in job.step.inputs_of("train")}
    for key in tables.runs.drop_duplicates("variant")["key"]:
        yield Walk(run=key, images=as_picture(walked(place(job.root, runs[key]), runs[key])))


def walked(folder: Path, run: Step) -> Any:
    """Images (FRAMES * WALKS, C, H, W) along closed walks, the same for every run of as many latent dimensions.

    Each walk is the circle cos(a) z + sin(a) z' through two draws of N(0, I), so that every point on it is such a draw.
    """
    latent, classes = Training.model_validate(run.settings["training"]).latent, classes_of(run)
    ends = torch.randn(2, WALKS, latent, generator=generator(0, "latent walk"))
    angles = [2 * math.pi * frame / FRAMES for frame in range(FRAMES)]
    z = torch.cat([math.cos(angle) * ends[0] + math.sin(angle) * ends[1] for angle in angles])
    labels = one_hot(labels_in_turn(WALKS, classes).repeat(FRAMES), classes) if classes else None
    return decode(generator_of(folder, run, "cpu"), conditioned(z, labels)).numpy()
