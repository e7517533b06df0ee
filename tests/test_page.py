"""The page: one file that loads nothing, the tables' numbers in it, other people's names as text, equal bytes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from base64 import b64encode
from dataclasses import replace
from math import inf, nan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from divergan.claims.wording import number
from divergan.comparison import summarise
from divergan.figures.declaration import outcome
from divergan.page import HERE, content, pictures
from divergan.page.content import MOST_POINTS, thinned
from divergan.page.pictures import ACROSS, SHOWN, SampleSet, drawn, places, sheet
from divergan.page.sources import source_text
from divergan.page.tables import ARM, Cell, Row, Table, compact, plain, with_interval
from divergan.report.wording import text
from synthetic_page import FILES, Read, decoded, page_content, page_of, recipe_of
from synthetic_samplers import with_samplers
from synthetic_tables import tables

ROOT = Path(__file__).parents[1]
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}"


@pytest.fixture(scope="module")
def study():
    return with_samplers(tables(arms=("released", "stabilised"), seeds=2, failing=True, judged=True), stuck=True)


@pytest.fixture(scope="module")
def page(study) -> str:
    return page_of(study)


@pytest.fixture(scope="module")
def read(page) -> Read:
    return Read(page)


def test_it_loads_nothing(read):
    for element in read.elements:
        for name in ("src", "srcset", "data", "poster", "action", "formaction", "background"):
            assert (element.attributes.get(name) or "data:").startswith("data:"), element.attributes
        if element.tag == "link":
            assert element.attributes["href"] == "data:,"
    assert {element.tag for element in read.elements}.isdisjoint({"iframe", "object", "embed", "base"})
    style = "".join(element.text for element in read.all("style"))
    assert "url(" not in style and "@import" not in style


def test_a_browser_is_told_to_run_these_scripts_alone_and_to_load_nothing(read):
    policy = next(e.attributes["content"] for e in read.all("meta") if "http-equiv" in e.attributes)
    running = [script.text for script in read.all("script") if script.attributes.get("type") != "application/json"]
    sums = {f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in running}
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert set(directives["script-src"].split()) == sums
    assert directives["img-src"] == "data:"
    assert not [name for element in read.elements for name in element.attributes if name.startswith("on")]


def test_links_lead_into_the_page_beside_it_to_a_recipe_or_to_this_machine(read, study):
    ids = {element.attributes.get("id") for element in read.elements}
    links = {element.attributes["href"] for element in read.all("a")}
    assert {link.removeprefix("#") for link in links if link.startswith("#")} <= ids
    recipes = {recipe_of(key) for key in study.runs["key"]}
    assert {link for link in links if not link.startswith("#")} == {
        "report.pdf", "http://127.0.0.1:5000", *(f"tables/{name}" for name in FILES), *recipes,
    }  # fmt: skip


def test_the_libraries_are_those_that_npm_has_with_their_licences():
    """d3 7.9.2 and @observablehq/plot 0.6.17, the files of their packages' dist/."""
    sums = {
        "d3.min.js": "912111098ea99503a6f4967361d2bbdc9dbf58cf9c678c8e27e5b02d1a07f0c1",
        "plot.umd.min.js": "4358086467740777dd788d6b27a95cebdbaefdd50c730a3060117073bd7134cb",
    }
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (HERE / "vendor").glob("*.js")}
    assert found == sums
    for path in (HERE / "vendor").glob("*.js"):
        licence = path.with_name(f"{path.name.split('.')[0]}.LICENSE").read_text()
        assert "Permission to use, copy, modify, and/or distribute this software" in licence


def test_names_are_text_whatever_marks_they_have(study):
    runs = study.runs.assign(label=study.runs["label"].replace("BCE", HOSTILE))
    samplers = study.effects.assign(label=HOSTILE, sampler_label=HOSTILE)
    hostile = replace(study, runs=runs, effects=samplers)
    made = Read(page_of(hostile, title=HOSTILE, question=HOSTILE, commits=[HOSTILE]))
    plain = Read(page_of(study))
    count = lambda read: {tag: len(read.all(tag)) for tag in ("script", "img", "style", "section", "form")}  # noqa: E731
    assert count(made) == count(plain)
    assert made.all("h1")[0].text == HOSTILE
    assert HOSTILE in {cells[0].text for cells in made.rows("results")}
    data = next(script for script in made.all("script") if script.attributes.get("id") == "data")
    assert any(HOSTILE in run["variant"] for run in json.loads(data.text)["runs"])


def test_equal_content_gives_equal_bytes_in_another_process(page):
    code = """
import hashlib
from synthetic_page import page_of
from synthetic_samplers import with_samplers
from synthetic_tables import tables
study = with_samplers(tables(arms=("released", "stabilised"), seeds=2, failing=True, judged=True), stuck=True)
print(hashlib.sha256(page_of(study).encode()).hexdigest())
"""
    path = os.pathsep.join([str(ROOT / "tests"), str(ROOT / "src")])
    own = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "4", "TZ": "Asia/Tokyo"}
    done = subprocess.run([sys.executable, "-c", code], env=own, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hashlib.sha256(page.encode()).hexdigest()


def test_the_results_are_those_of_the_summary(read, study):
    summary = summarise(study.runs, study.metrics).set_index(["variant", "metric"])
    first = study.runs.drop_duplicates("variant").set_index(["label", "arm"])["variant"]
    heads = [re.sub(" [↓↑]$", "", head) for head in read.heads("results")]
    rows = read.rows("results")
    assert len(rows) == len(first)
    for cells in rows:
        variant = first[cells[0].text, cells[1].text]
        for name, metric in study.metrics.items():
            cell = cells[
                next(at for at, head in enumerate(heads) if head.split(" ↓")[0].split(" ↑")[0] == metric.label)
            ]
            row = summary.loc[(variant, name)]
            assert cell.text == with_interval(row)
            assert float(cell.attributes.get("data-n", nan)) == pytest.approx(row["mean"], rel=0, abs=0, nan_ok=True)


def test_the_floor_stands_below_the_results(read, study):
    (foot,) = read.rows("results", "tfoot")
    assert [cell.text for cell in foot[4:]] == [text(value) for value in study.floors["floor"]]


def test_failures_are_said_and_are_last(read, study):
    rows = [(cells[1].text, cells[0].text, cells[3].text) for cells in read.rows("results")]
    released = [row for row in rows if row[0] == "released"]
    assert released[-1][1:] == ("Kullback-Leibler", "0 of 2, shown, not judged")
    assert released[-2][1:] == ("Reverse KL", "1 of 2, survivors only")
    failed = [cells[0].parent.attributes["data-failed"] for cells in read.rows("results")]
    assert failed[: len(released)] == ["0.0"] * 5 + ["0.5", "1.0"]
    outcomes = [cells[3].text for cells in read.rows("runs")]
    assert outcomes.count("finished") == (study.runs["outcome"] == "finished").sum()
    assert outcomes == list(map(outcome, study.runs.to_dict("records")))
    assert any(words.startswith("diverged at step ") for words in outcomes)
    assert "Runs that did not finish" in read.all("body")[0].text


def test_the_answer_sets_the_arms_beside_each_other_and_says_whether_fids_had_settled(read, study):
    told = re.sub(r"\s+", " ", read.all("body")[0].text)
    effects = study.arm_effects["effect"].dropna()
    assert f"has {number(effects.min())} to {number(effects.max())} times the FID of the arm" in told
    assert "Training was cut where FIDs still moved: they fell by" in told


def test_a_run_has_its_recipe_and_what_finds_it_in_mlflow(read):
    links = [link for link in read.all("a") if link.table == "table-runs"]
    assert {link.text for link in links} == {"0123abcd"}
    codes = {code.text for code in read.all("code") if code.table == "table-runs"}
    assert codes == {"tags.recipe = '0123abcd'"}


def test_every_claim_has_its_verdict(read, study):
    shown = sorted((cells[0].text, cells[1].text) for cells in read.rows("claims"))
    assert shown == sorted(zip(study.claims["says"], study.claims["verdict"], strict=True))
    options = {option.text for option in read.all("option") if option.table == "table-claims"}
    assert set(study.claims["verdict"]) <= options


def test_samplers_stand_beside_their_prior(read, study):
    own = study.effects[(study.effects["against"] == "prior") & (study.effects["metric"] == "fid")]
    assert len(read.rows("samplers")) == len(own)
    row = own[own["sampler"] == "latent_rs"].iloc[0]
    cells = next(c for c in read.rows("samplers") if [e.text for e in c[:2]] == [row["label"], row["sampler_label"]])
    assert cells[2].text == f"{row['effect']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
    assert float(cells[2].attributes["data-n"]) == row["effect"]


def test_what_a_study_does_not_have_is_not_shown():
    small = tables(seeds=2)
    bare = replace(small, samples={}, history=small.history[:0], over_training=small.over_training[:0])
    read = Read(page_of(bare))
    ids = {element.attributes.get("id") for element in read.elements}
    assert {"results", "runs", "tables", "provenance"} <= ids
    assert ids.isdisjoint({"curves", "samples", "walk", "samplers", "claims"})
    assert ARM not in read.heads("results"), "a study of one arm"
    links = {element.attributes["href"] for element in read.all("a")}
    assert links.isdisjoint({"#curves", "#samples", "#walk", "#samplers", "#claims"})


def test_every_control_has_a_label_every_picture_words_and_every_heading_its_place(read):
    labelled = [e for e in read.all("input", "select") if e.parent.tag == "label"]
    assert labelled == read.all("input", "select")
    assert all(e.attributes.get("aria-label") for e in read.all("canvas"))
    assert all(e.attributes.get("alt") for e in read.all("img"))
    levels = [int(e.tag[1]) for e in read.all("h1", "h2", "h3")]
    assert levels[0] == 1 and set(levels[1:]) == {2}
    assert all(cell.attributes.get("scope") == "row" for row in read.rows("runs") for cell in row[:1])


def test_no_number_is_typed_in_the_prose():
    prose = re.sub(r"(?s)\{[{%#].*?[}%#]\}", " ", (HERE / "page.html.j2").read_text("utf-8"))
    prose = re.sub(r"(?s)<[^>]*>", " ", prose).replace("http://127.0.0.1:5000", "").replace("D3", "")
    assert "Observable Plot" in prose
    assert not re.findall(r"\d+", prose)


def test_curves_keep_their_ends_and_have_null_for_no_number():
    steps = np.arange(1000)
    values = steps * 1.23456789
    values[-1] = inf
    curve = thinned(pd.DataFrame({"key": "a", "step": steps, "fid": values}))["a"]
    assert len(curve["step"]) == MOST_POINTS
    assert (curve["step"][0], curve["step"][-1], curve["fid"][-1]) == (0, 999, None)
    assert curve["fid"][1] == float(f"{values[int(curve['step'][1])]:.4g}")
    short = thinned(pd.DataFrame({"key": "a", "step": [5, 0], "fid": [1.0, nan]}))["a"]
    assert short == {"step": [0, 5], "fid": [None, 1.0]}


def test_curves_are_the_histories(study):
    made = page_content(study)["data"]
    for row in study.over_training.to_dict("records")[::97]:
        curve = made["histories"]["fid"][row["key"]]
        assert curve["fid"][curve["step"].index(float(f"{row['step']:.4g}"))] == pytest.approx(row["fid"], rel=5e-4)
    assert set(made["histories"]["history"]) == set(study.history["key"])
    assert "#000000" not in {run["colour"] for run in made["runs"]}, "not to be seen in the dark"


def test_an_image_is_in_its_place_pixel_by_pixel():
    images = np.random.default_rng(0).integers(0, 256, (11, 5, 4), dtype=np.uint8)
    pixels = decoded(sheet(images))
    assert pixels.shape == (2 * 5, ACROSS * 4)
    for at, image in enumerate(images):
        top, left = 5 * (at // ACROSS), 4 * (at % ACROSS)
        assert (pixels[top : top + 5, left : left + 4] == image).all()
    colours = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)
    assert (decoded(sheet(colours))[:5, 4:8] == colours[1]).all()


def test_a_rejected_latent_leaves_its_place_empty():
    found = places([2, 5, 39, 41])
    assert [(place, image) for place, image in enumerate(found) if image >= 0] == [(2, 0), (5, 1), (39, 2)]
    assert len(found) == SHOWN


def test_a_large_study_shows_the_first_seeds_of_every_variant(monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (SHOWN, 8, 8), dtype=np.uint8)
    sets = [
        SampleSet(run=f"{variant}-s{seed}", order=seed, sampler="prior", label="Prior", facts="", images=noise)
        for variant in ("a", "b")
        for seed in range(3)
    ]
    size = len(sheet(noise)) * 3 // 4
    monkeypatch.setattr(pictures, "MOST_BYTES", 4 * size)
    assert [own["run"] for own in drawn(sets)] == ["a-s0", "b-s0", "a-s1", "b-s1"]
    monkeypatch.setattr(pictures, "MOST_BYTES", 0)
    assert [own["run"] for own in drawn(sets)] == ["a-s0", "b-s0"], "never none"
    stuck = SampleSet(run="a-s0", order=0, sampler="drs", label="DRS", facts="it accepted nothing", images=None)
    assert drawn([stuck])[0]["image"] == ""


def test_samples_that_were_left_out_are_told(study, monkeypatch):
    monkeypatch.setattr(pictures, "MOST_BYTES", 0)
    shown = {own["run"] for own in page_content(study)["data"]["sets"]}
    left = len([key for key in study.samples if key not in shown and key != "real"])
    assert f"{left} further sample sets" in re.sub(r"\s+", " ", page_of(study))


def test_a_column_of_arms_goes_where_all_are_of_one():
    rows = [Row(cells=[Cell(text="x"), Cell(text="a"), Cell(text="1")]) for _ in range(2)]
    table = Table(name="t", caption="", columns=("X", ARM, "Y"), measured=frozenset({2}), rows=rows, foot=rows[:1])
    less = compact(table)
    assert (less.columns, less.measured) == (["X", "Y"], frozenset({1}))
    assert [[cell.text for cell in row.cells] for row in (*less.rows, *less.foot)] == [["x", "1"]] * 3
    both = replace(table, rows=[*rows, Row(cells=[Cell(text="x"), Cell(text="b"), Cell(text="1")])])
    assert compact(both) is both


def test_any_table_is_shown_as_it_is():
    table = plain("some_rows", pd.DataFrame({"n_x": [1, 2], "is_it": [True, False], "mean": [0.123456, nan]}))
    assert list(table.columns) == ["n x", "is it", "mean"]
    assert [[cell.text for cell in row.cells] for row in table.rows] == [["1", "yes", "0.123"], ["2", "no", "–"]]
    assert table.rows[1].cells[2].sort is None


def test_sources_are_authors_and_years():
    assert source_text({"key": "nowozin2016fgan", "place": "Table 6"}) == "Nowozin et al. 2016, Table 6"
    assert source_text({"key": None, "place": "divergan, here"}) == "divergan, here"


def test_planning_knows_the_page_and_does_not_load_it():
    code = (
        "import sys; from pathlib import Path; from divergan.plan import Plan;"
        "report = Plan(Path('params/smoke.yaml')).of('report')[0]; report.hash;"
        "print(sorted(report.settings['texts']));"
        "print([name for name in sys.modules if name.startswith(('divergan.page', 'jinja2', 'matplotlib'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    texts, loaded = done.stdout.splitlines()
    for name in ("page.css", "page.html.j2", "page.js", "d3.min.js", "plot.umd.min.js"):
        assert name in texts
    assert loaded == "[]"


def test_every_curve_of_a_training_has_a_name():
    from divergan.pipeline.files import HISTORY_COLUMNS

    assert set(HISTORY_COLUMNS) - {"step"} <= set(content.CURVES)
