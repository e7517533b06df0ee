"""The figures: byte-identical between processes, drawn from any study, honest about what failed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from divergan.comparison import family
from divergan.figures import FIGURES, drawable, render
from divergan.figures.divergences import curve
from divergan.figures.failures import gallery
from divergan.figures.style import PALETTE, colours, mosaic
from divergan.objectives import OBJECTIVES
from drawing import drawn, texts
from synthetic_samplers import with_samplers
from synthetic_tables import tables, with_labels

PRINT_HASHES = """
import hashlib
from synthetic_samplers import with_samplers
from synthetic_tables import tables, with_labels
from divergan.figures import drawable, render
study = with_labels(with_samplers(tables(seeds=1, judged=True)))
for figure in drawable(study):
    print(figure.name, hashlib.sha256(render(figure, study)).hexdigest())
"""


@pytest.fixture(scope="module")
def small():
    return tables(seeds=2)


@pytest.fixture(scope="module")
def large():
    study = tables(arms=("released", "stabilised"), seeds=5, failing=True, judged=True)
    return with_labels(with_samplers(study, stuck=True))


def test_figures_are_the_same_bytes_in_another_process():
    study = with_labels(with_samplers(tables(seeds=1, judged=True)))
    here = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here), *sys.path]), "PYTHONHASHSEED": "77"}
    command = [sys.executable, "-c", PRINT_HASHES]
    there = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    own = {figure.name: hashlib.sha256(render(figure, study)).hexdigest() for figure in drawable(study)}
    assert dict(line.split() for line in there.splitlines()) == own
    assert set(own) == set(FIGURES)


def test_figures_carry_no_date_and_no_font_of_the_machine(small):
    svg = render(FIGURES["story"], small).decode()
    assert "<dc:date>" not in svg
    assert "<text" not in svg


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_leaves_the_page(name: str, large):
    figure = drawn(name, large)
    renderer = FigureCanvasAgg(figure).get_renderer()
    labels = [*figure.findobj(matplotlib.text.Annotation), *figure.texts, *(t for ax in figure.axes for t in ax.texts)]
    labels += [label for ax in figure.axes for label in (ax.title, ax.xaxis.label, *ax.get_yticklabels())]
    labels += [text for legend in figure.legends for text in legend.get_texts()]
    boxes = {text.get_text(): text.get_window_extent(renderer) for text in labels if text.get_text()}
    assert not [text for text, box in boxes.items() if box.x0 < -1 or box.x1 > figure.bbox.x1 + 1]


def test_story_shows_every_run(large):
    figure = drawn("story", large)
    dots = sum(len(c.get_offsets()) for ax in figure.axes for c in ax.collections)
    crosses = sum(len(line.get_xdata()) for ax in figure.axes for line in ax.lines if line.get_marker() == "x")
    assert (dots, crosses) == (63, 7)
    assert "4 diverged, 1 collapsed" in texts(figure)


def test_story_captions_say_what_is_not_judged(small, large):
    assert "shown, not judged" in FIGURES["story"].caption(small)
    assert "did not finish" not in FIGURES["story"].caption(small)
    assert "did not finish" in FIGURES["story"].caption(large)


def test_story_stands_without_a_survivor(small):
    failed = replace(small, runs=small.runs.assign(outcome="diverged", fid=np.nan, step=10.0))
    assert render(FIGURES["story"], failed)


def test_colours_are_by_family_and_an_added_objective_changes_none():
    colour = colours(OBJECTIVES)
    assert all(colour[name] == colour[family(name)] for name in OBJECTIVES)
    first = list(dict.fromkeys(map(family, OBJECTIVES)))[: len(PALETTE)]  # from there on they come again
    assert len({colour[name] for name in first}) == len(PALETTE)
    assert {n: c for n, c in colours([*OBJECTIVES, "new"]).items() if n != "new"} == colour


@pytest.mark.parametrize("name", ["kl", "reverse_kl", "pearson", "squared_hellinger", "jensen_shannon", "gan"])
def test_the_threshold_dot_lies_on_both_curves(name: str, small):
    figure = drawn("divergences", small)
    divergences = [o for o in OBJECTIVES.values() if hasattr(o, "activation") and not o.flaw]
    index = [o.name for o in divergences].index(name)
    score, output = figure.axes[0].collections[index].get_offsets()[0]
    t, conjugate = figure.axes[1].collections[index].get_offsets()[0]
    threshold = OBJECTIVES[name].threshold
    assert output == t == threshold
    assert conjugate == pytest.approx(threshold - _f(name, 1.0), abs=2e-2)  # f*(f'(1)) = f'(1) - f(1), interpolated
    assert score == pytest.approx(1.0 if name == "kl" else 0.0, abs=1e-3)  # v of p/q = 1, from the facts' table


def _f(name: str, u: float) -> float:
    return float(curve(OBJECTIVES[name].f, u, u)[1][0])


def test_the_mean_over_training_is_over_runs_that_finished(large):
    figure = drawn("over_training", large)
    reverse_kl = colours(OBJECTIVES)["reverse_kl"]
    mean = next(
        line for line in figure.axes[0].lines
        if line.get_color() == reverse_kl and line.get_linewidth() > 1 and line.get_marker() == "None"
    )  # fmt: skip
    survivors = large.runs.query("label == 'Reverse KL' and arm == 'released' and outcome == 'finished'")["key"]
    curves = large.over_training[large.over_training["key"].isin(survivors)]
    assert len(survivors) == 3
    assert list(mean.get_ydata()) == list(curves.groupby("step")["fid"].mean())
    assert "A cross" in FIGURES["over_training"].caption(large)


def test_mosaic_keeps_order_and_prints_dark_on_white():
    images = np.stack([np.full((2, 2), value, np.uint8) for value in (0, 50, 255)])
    sheet = mosaic(images, 2, gap=1)
    assert sheet.shape == (5, 5)
    assert [sheet[0, 0], sheet[0, 3], sheet[3, 0], sheet[3, 3], sheet[0, 2]] == [255, 205, 0, 255, 255]
    colour = np.full((1, 2, 2, 3), 9, np.uint8)
    assert (mosaic(colour, 1) == colour[0]).all()
    assert (mosaic(images[..., None], 2, gap=1) == sheet).all()


def test_classes_are_shown_a_column_each_and_only_where_there_are_labels(small, large):
    assert "classes" not in [figure.name for figure in drawable(small)]
    figure = drawn("classes", large)
    assert [ax.get_ylabel() for ax in figure.axes] == ["BCE\nreleased", "BCE\nstabilised"]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == list(map(str, range(10)))
    own = replace(small, samples={k: np.full((64, 4, 4), 0, np.uint8) for k in small.samples})
    own.samples["bce.stabilised-s0"][:] = (25 * (np.arange(64) % 5))[:, None, None]
    own = replace(own, sample_labels={"bce.stabilised-s0": np.arange(64) % 5})
    sheet = drawn("classes", own).axes[0].images[0].get_array()
    centres = [round(tick) for tick in drawn("classes", own).axes[0].get_xticks()]
    assert sheet.shape == (3 * 6 - 2, 5 * 6 - 2)
    for row in (1, 7, 13):
        assert [255 - sheet[row, x] for x in centres] == [0, 25, 50, 75, 100], "a column is a class, by its number"


def test_samples_say_where_there_are_none(large):
    assert "diverged at step 1200" in texts(drawn("samples", large))


def test_the_gallery_shows_the_first_failure_of_each_variant_or_else_the_worst(small, large):
    failed = large.runs[large.runs["outcome"] != "finished"]
    shown = gallery(large.runs)
    assert shown == list(failed.drop_duplicates("variant")["key"])
    told = texts(drawn("failures", large))
    assert any("Kullback-Leibler, released, seed 0: diverged at step 1200" in text for text in told)
    assert "step 900" in told
    assert gallery(small.runs) == [small.runs.loc[small.runs["fid"].idxmax(), "key"]]
    assert FIGURES["failures"].caption(small).startswith("No run failed")


def test_only_figures_with_data_are_drawn(small):
    bare = replace(small, samples={}, history=pd.DataFrame(), over_training=pd.DataFrame())
    assert [figure.name for figure in drawable(bare)] == ["story", "divergences"]
