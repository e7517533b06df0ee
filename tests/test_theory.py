"""A study of theory from its parameter file to its PDF, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from divergan import jobs, params, publishing, store
from divergan.chapters import CHAPTERS
from divergan.errors import DivergaNError
from divergan.figures.theory import FIGURES
from divergan.fingerprint import reached
from divergan.params import ParameterError
from divergan.plan import Plan
from divergan.report.wording import text
from synthetic_page import Read
from synthetic_report import words

pytestmark = pytest.mark.xdist_group("theory")  # one worker, for what the module makes once

ROOT = Path(__file__).parents[1]
SMALL = """
study: small_theory
title: Known densities
question: Is it so?
threads: 1
chapters:
  gaussian:
    objectives: [kl, reverse_kl]
    generator_losses: [bound, alternative]
    seeds: [0, 1]
    hidden: 8
    batch: 64
    steps: 30
    n_critic: 1
    critic_learning_rate: 0.01
    learning_rate: 0.02
    last_critic_steps: 10
  modes:
    mixtures: [ring]
    seeds: [0, 1]
    samples: 200
    training:
      objective: bce
      generator_loss: alternative
      generator: {name: linear_batchnorm, hidden: [8]}
      critic: {name: mlp, hidden: [8]}
      latent: 2
      batch: 16
      steps: 10
      n_critic: 1
      learning_rate: 1.0e-3
      betas: [0.8, 0.999]
      regularisers: {}
    variants:
      bce: {}
      blown: {learning_rate: 1.0e+30, steps: 200}
  bounds:
    objectives: [kl, bce]
    dimensions: [1, 3]
    points: [0, 50]
    hidden: [4]
    seeds: [0, 1]
    distance: 1.0
    batch: 16
    steps: 10
    looks: 2
    learning_rate: 1.0e-3
  supports:
    objectives: [bce, reverse_kl, wasserstein]
    slope_at_most_one: [wasserstein]
    seeds: [0, 1]
    start: 2.0
    hidden: 4
    batch: 16
    looks: [3, 10]
    critic_learning_rate: 0.01
    steps: 8
    adam_rate: 0.01
    descent_rate: 0.05
    penalty: 10.0
  plug_in:
    objectives: [reverse_kl, kl]
    seeds: [0, 1]
    hidden: 4
    batch: 16
    steps: 6
    n_critic: 1
    critic_learning_rate: 0.01
    learning_rate: 0.01
    last_critic_steps: 2
  distances:
    seeds: [0, 1]
    distance: 1.0
    dimensions: [1, 2]
    learned: {hidden: 4, batch: 8, steps: 4, looks: 2, learning_rate: 1.0e-3, clips: [0.01], penalty: 10.0}
    plug_in: {points: [4, 8], draws: 3}
    discrepancy: {kernels: [mmd_energy], points: [4, 8], draws: 3}
    relaxed:
      objectives: [kl]
      restrictions: [instance_noise]
      dimension: 2
      points: 16
      hidden: 4
      batch: 8
      steps: 4
      looks: 2
      learning_rate: 1.0e+30
      penalty: 10.0
      clip: 0.1
      clip_end: 0.2
      noise: 1.0
  likelihood:
    dimensions: [2, 3]
    seeds: [0, 1]
    points: 10
    held_out: 100
    noise_share: 0.99
    noise: 3.0
    shift: 0.2
    scale: 1.05
    narrow: 0.1
    shrunk: 0.5
    per_centre: 2
  dynamics:
    objectives: [wasserstein]
    generator_losses: [bound, alternative]
    regularisers: [none, r1, gradient_penalty]
    rules: [alternating, fictitious_play]
    step_size: 0.1
    steps: 20
    starts: 2
    gamma: 1.0
    adjustment: 1.0
    penalty: 1.0
    clip: 0.1
    noise: 0.5
  atlas:
    targets: [line]
    objectives:
      kl: [none, instance_noise]
      wasserstein: [gradient_penalty]
    generator_losses: [bound, alternative]
    landmarks: [reverse_kl]
    seeds: [0, 1]
    hidden: 4
    batch: 16
    steps: 4
    n_critic: 1
    critic_learning_rate: 0.01
    learning_rate: 0.02
    gamma: 0.1
    penalty: 1.0
    noise: 0.5
  bilinear:
    rules: [simultaneous, extragradient, optimistic]
    dimensions: [1, 2]
    conditions: [2.0]
    step_sizes: [0.4]
    seeds: [0, 1]
    steps: 250
    tolerance: 0.01
    gamma: 0.5
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("theory")
    (folder / "small.yaml").write_text(SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        plan = Plan(Path("small.yaml"))
        for step in plan.steps:
            jobs.make(Path(), step, "cpu", 1)
        publishing.publish(Path(), plan)
    return folder


def test_the_projects_study_of_theory_is_valid_and_has_every_chapter():
    study = params.read(ROOT / "params/theory.yaml")
    assert isinstance(study, params.Theory)
    assert list(study.chapters.stated) == list(CHAPTERS)


def test_it_is_planned_without_torch(tmp_path):
    import subprocess

    code = (
        "import sys; from pathlib import Path; from divergan.plan import Plan;"
        f"print(len(Plan(Path({str(ROOT / 'params/theory.yaml')!r})).steps), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split()[1] == "False"


def test_its_tables_figure_and_report_are_published(made):
    published = made / "reports/small_theory"
    assert (published / "report.pdf").read_bytes().startswith(b"%PDF")
    drawn = {figure.name for name in CHAPTERS for figure in FIGURES[name]}
    assert {path.stem for path in (published / "figures").iterdir()} == drawn
    fits = pd.read_csv(published / "tables/gaussian_fit.csv")
    assert fits["n"].to_list() == [2, 2, 2, 2]


def test_its_page_has_its_figures_and_tables_and_no_runs(made):
    page = Read((made / "reports/small_theory/index.html").read_text("utf-8"))
    assert len(page.all("img")) == sum(len(FIGURES[name]) for name in CHAPTERS)
    fits = pd.read_csv(made / "reports/small_theory/tables/gaussian_fit.csv")
    heads = page.heads("gaussian_fit")
    shown = [cells[heads.index("exact mean")].text for cells in page.rows("gaussian_fit")]
    assert shown == [text(value) for value in fits["exact_mean"]]
    ids = {element.attributes.get("id") for element in page.elements}
    assert ids.isdisjoint({"results", "runs", "curves", "samples", "walk", "claims"})
    links = [element.attributes["href"] for element in page.all("a")]
    files = [link for link in links if not link.startswith("#")]
    assert [link for link in files if not (made / "reports/small_theory" / link).is_file()] == []


def test_the_report_prints_the_tables(made):
    (folder,) = (made / "results/small_theory/report").iterdir()
    page = words(folder, "theory.typ")
    fits = pd.read_csv(made / "reports/small_theory/tables/gaussian_fit.csv")
    for row in fits.to_dict("records"):
        assert f"{row['exact_mean']:.4f}" in page
    assert "Kullback-Leibler" in page
    assert "reverse KL" in page
    values = json.loads((folder / "values.json").read_text())
    assert values["gaussian"]["lowest"]["all"] == 2
    assert values["modes"]["failed"] == 2
    assert "2 runs diverged" in page
    assert "0 of 2" in page
    assert [row["exact"] for row in values["supports"]["frozen"]] == ["1.39"] * 2 + ["∞"] * 2 + ["2.00"] * 2
    assert [row["forms"] for row in values["plug_in"]["rows"] if row["descends"] == "own"] == [
        ["written", "falling", "corrected"],
        ["corrected"],
    ]
    assert values["distances"]["failed"] == 3 * 2  # their learning rate
    assert "6 critics did not stay finite" in page
    assert values["likelihood"]["most"] == "3"
    assert values["atlas"]["runs"] == 2 * 5
    assert values["bilinear"]["as_foretold"] == values["bilinear"]["games"] == 12
    assert values["dynamics"]["foretold"]["known"] < values["dynamics"]["combinations"] == 12


def test_an_added_seed_or_objective_computes_what_it_adds(made, tmp_path, monkeypatch):
    monkeypatch.chdir(made)
    before = {step.folder for step in Plan(Path("small.yaml")).steps}

    def new(old: str, text: str) -> set[str]:
        Path("other.yaml").write_text(SMALL.replace(old, text))
        return {step.folder.split("-")[0] for step in Plan(Path("other.yaml")).steps if step.folder not in before}

    last = {"comparison/tables", "figures/figures", "report/report"}
    added = {f"chapters/gaussian.neyman.{loss}" for loss in ("bound", "alternative")}
    assert new("[kl, reverse_kl]", "[kl, neyman, reverse_kl]") == added | last
    assert new("steps: 30", "steps: 30  # a comment") == set()
    assert (
        len(
            new(
                "    generator_losses: [bound, alternative]\n    seeds: [0, 1]",
                "    generator_losses: [bound]\n    seeds: [0, 1, 2]",
            )
        )
        == 2 + 3
    )


def test_a_part_rests_on_what_computes_its_rows_and_on_no_table_or_estimate():
    plan = Plan(ROOT / "params/theory.yaml")
    for name, chapter in CHAPTERS.items():
        module = chapter.compute.__module__
        part = next(step for step in plan.of("chapter") if step.settings["chapter"] == name)
        rests = reached(part.declarations)
        assert (module, "compute") in rests
        assert not {(module, "tables"), (module, "seconds"), (module, name.upper())} & rests
        assert (module, "tables") in reached(plan.of("compare")[0].declarations)


def test_a_part_made_again_has_the_same_rows(made, tmp_path, monkeypatch):
    monkeypatch.chdir(made)
    step = Plan(Path("small.yaml")).of("chapter")[1]
    rows = (store.place(Path(), step) / "rows.json").read_bytes()
    (tmp_path / "small.yaml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    jobs.make(Path(), step, "cpu", 1)
    assert (store.place(Path(), step) / "rows.json").read_bytes() == rows


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[kl, reverse_kl]", "[kl, hinge]", "line 8: chapters.gaussian.objectives"),
        ("hidden: 8", "hiden: 8", "did you mean 'hidden'"),
        ("  gaussian:", "  gausian:", "did you mean 'gaussian'"),
        ("batch: 64", "batch: 0", "line 12: chapters.gaussian.batch = 0"),
        ("blown: {", "blown: {bathc: 3, ", "chapters.modes.variants.blown: bathc"),
        ("rules: [alternating,", "rules: [sideways,", "there is no 'sideways'"),
        ("wasserstein: [gradient", "wasserstein: [none, gradient", "chapters.atlas.objectives"),
        ("rules: [simultaneous,", "rules: [sideways,", "line 135: chapters.bilinear.rules"),
        ("threads: 1", "", "threads: is missing"),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path, old, new, told):
    assert old in SMALL
    (tmp_path / "bad.yaml").write_text(SMALL.replace(old, new))
    with pytest.raises(ParameterError) as error:
        params.read(tmp_path / "bad.yaml")
    assert told in str(error.value)


def test_a_file_without_a_chapter_is_told(tmp_path):
    (tmp_path / "none.yaml").write_text(SMALL[: SMALL.index("  gaussian:")].replace("chapters:", "chapters: {}"))
    with pytest.raises(ParameterError, match=f"there is no chapter: expected some of {', '.join(CHAPTERS)}"):
        params.read(tmp_path / "none.yaml")


def test_what_needs_a_trained_generator_says_that_there_is_none(made, monkeypatch):
    monkeypatch.chdir(made)
    plan = Plan(Path("small.yaml"))
    for ask in (
        lambda: plan.trained,
        lambda: publishing.readme(Path(), plan),
        lambda: jobs.keep_features(Path(), plan),
    ):
        with pytest.raises(DivergaNError, match="trains no generator on images: it has the chapters gaussian"):
            ask()


def test_the_plan_is_printed_with_its_time_before_anything_is_made(tmp_path, monkeypatch, capsys):
    from divergan import looking

    (tmp_path / "small.yaml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    looking.print_plan(Path(), Plan(Path("small.yaml")), cores=1)
    told = capsys.readouterr().out
    made = len(Plan(Path("small.yaml")).steps)
    assert f"{made} of {made} steps to make: about" in told
    assert "dynamics.wasserstein" in told


def test_the_reference_study_of_theory_takes_minutes_and_the_published_protocol_hours():
    from divergan.estimates import core_seconds

    minutes = {
        name: sum(map(core_seconds, Plan(ROOT / f"params/{name}.yaml").of("chapter"))) / 60
        for name in ("theory", "modes", "modes_published")
    }
    assert 5 < minutes["theory"] < 100
    assert 60 < minutes["modes"] < 600
    assert 10_000 < minutes["modes_published"] < 40_000


def test_a_study_cannot_be_like_one_of_theory(made, monkeypatch):
    monkeypatch.chdir(made)
    Path("like.yaml").write_text("study: x\ntitle: t\nquestion: q\nlike: {study: small.yaml, arm: a}\narms: {}\n")
    with pytest.raises(ParameterError, match="trains no generator: name a study with arms"):
        params.read(Path("like.yaml"))
