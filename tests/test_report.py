"""The report: its words follow the numbers, its formulas the declarations, its bytes the content."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from math import exp, inf, log, nan, sqrt, tanh
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.special import wrightomega

from divergan import params
from divergan.comparison import summarise
from divergan.metrics import METRICS
from divergan.objectives import OBJECTIVES
from divergan.params import leaves
from divergan.params.training import LATER
from divergan.pipeline.showing import arm_labels, in_words
from divergan.report import HERE, ReportError, compile_pdf
from divergan.report.evidence import percent
from divergan.report.formulas import FormulaError, interval, number, typst
from divergan.report.runs import write_strips
from divergan.report.settings import printed
from divergan.report.wording import source, text
from synthetic_report import content, words, write
from synthetic_tables import tables, with_labels
from tiny_study import ROOT


@pytest.fixture(scope="module")
def small():
    return tables(seeds=2)


@pytest.fixture(scope="module")
def large():
    return tables(arms=("released", "stabilised"), seeds=5, failing=True)


@pytest.fixture(scope="module")
def small_folder(small, tmp_path_factory):
    return write(tmp_path_factory.mktemp("small"), small)


@pytest.fixture(scope="module")
def large_folder(large, tmp_path_factory):
    return write(tmp_path_factory.mktemp("large"), large)


def test_the_pdf_is_the_same_bytes_in_another_process_and_folder(small_folder, tmp_path):
    elsewhere = tmp_path / "a folder of another name"
    elsewhere.mkdir()
    for path in small_folder.rglob("*.*"):
        (elsewhere / path.relative_to(small_folder)).parent.mkdir(exist_ok=True)
        (elsewhere / path.relative_to(small_folder)).write_bytes(path.read_bytes())
    code = (
        "import hashlib, pathlib, sys; from divergan.report import compile_pdf; "
        "print(hashlib.sha256(compile_pdf(pathlib.Path(sys.argv[1]))).hexdigest())"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "5", "TZ": "Asia/Tokyo"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(elsewhere)], env=environment, capture_output=True, text=True, check=True
    )
    pdf = compile_pdf(small_folder)
    assert pdf.startswith(b"%PDF")
    assert done.stdout.strip() == hashlib.sha256(pdf).hexdigest()


def test_compiling_leaves_the_folder_as_it_was(small_folder):
    before = sorted(small_folder.rglob("*"))
    compile_pdf(small_folder)
    assert sorted(small_folder.rglob("*")) == before


def test_two_seeds_are_shown_not_judged(small_folder):
    page = words(small_folder)
    assert "No variant has 5 runs with a value, so the order is shown, not judged" in page
    assert "All 14 runs finished." in page
    assert "No run diverged, that is met a loss, weight or score that is no finite number" in page


def test_failures_are_told_and_the_first_is_the_one_of_the_table(large, large_folder):
    page = words(large_folder)
    arm = next(arm for arm in content(large)["arms"] if arm["name"] == "released")
    assert f"arm {arm['best']['label']} ranks first, with a mean FID of {arm['best']['mean']} " in page
    assert "Of 70 runs, 7 did not finish" in page
    assert "No run of Kullback-Leibler finished with a value." in page
    assert "diverged at step 1800" in page
    assert "Variants with fewer than 5 runs with a value are shown, not judged." in page


def test_the_highest_mean_is_that_of_a_survivor_too(large):
    """Ranked by share of failures, the last variant with a value need not have the highest mean."""
    arm = content(large)["arms"][0]
    fid = large.runs[(large.runs["arm"] == "released") & (large.runs["outcome"] == "finished")]
    assert arm["highest"]["label"] == fid.groupby("label")["fid"].mean().idxmax()


def test_the_best_of_an_arm_is_that_of_the_least_mean(large):
    arm = content(large)["arms"][1]
    summary = summarise(large.runs[large.runs["arm"] == "stabilised"], ["fid"]).set_index("label")
    assert arm["best"]["label"] == summary["mean"].idxmin()


def test_findings_name_who_is_one_game_with_the_best_and_the_best_recall(large):
    runs, own = large.runs, large.runs["arm"] == "stabilised"
    measured = [name for name in large.metrics if name in runs]
    for seed in runs["seed"].unique():
        (bce,) = runs.index[own & (runs["objective"] == "bce") & (runs["seed"] == seed)]
        gan = own & (runs["objective"] == "gan") & (runs["seed"] == seed)
        runs = runs.assign(**{name: runs[name].mask(gan, runs.loc[bce, name]) for name in measured})
    runs = runs.assign(fid=runs["fid"].mask(own & runs["objective"].isin(["bce", "gan"]), runs["fid"] / 100))
    released, stabilised = content(replace(large, runs=runs))["arms"]
    assert (set(stabilised["level"]), released["level"]) == ({"BCE", "GAN"}, [])
    recalls = runs[own].groupby("label")["recall"].mean()
    (best,) = stabilised["recall"]
    assert (best["label"], best["mean"]) == (recalls.idxmax(), text(recalls.max()))


def test_findings_and_limits_say_whether_fids_had_settled(large, large_folder):
    falling = large.over_training.assign(
        fid=100 * 0.5 ** (large.over_training["step"] / large.over_training["step"].max())
    )
    told = content(replace(large, over_training=falling))["limits"]["settling"]
    steps = sorted(falling["step"].unique())
    share = 1 - steps[-2] / steps[-1]
    assert [row["arm"] for row in told] == ["released", "stabilised"]
    assert {row["change"] for row in told} == {f"fell by {100 * (1 - 0.5**share):.0f} %"}
    assert {row["share"] for row in told} == {f"{100 * share:.0f} %"}
    assert content(replace(large, over_training=pd.DataFrame()))["limits"]["settling"] == []
    page = words(large_folder)
    assert page.count("an order of losses may be one of how fast they learn") == 1
    assert "Training was cut where FIDs still moved" in page


def test_every_run_has_a_row_with_its_curve_samples_and_recipe(large, tmp_path):
    rows = content(large, recipes={"bce.released-s0": "3f9a1c2b"})["every_run"]
    assert [row["key"] for row in rows] == list(large.runs["key"])
    first, broken = rows[0], next(row for row in rows if row["outcome"] != "finished")
    assert first["recipe"] == "3f9a1c2b"
    assert first["curve"][0][0] == 0 and first["curve"][-1][0] == 1000
    assert max(y for row in rows for _, y in row["curve"]) == 1000
    assert first["curve"][0][1] > first["curve"][-1][1]
    assert (first["pictured"], broken["pictured"]) == (True, False)
    write_strips(large, tmp_path)
    pictures = {path.stem: np.asarray(Image.open(path)) for path in (tmp_path / "strips").glob("*.png")}
    assert set(pictures) == set(large.samples)
    assert (pictures["bce.released-s0"][:, :28] == 255 - large.samples["bce.released-s0"][0]).all()


def test_settings_are_printed_in_words_and_none_is_missing():
    study = params.read(ROOT / "params/demo.yaml")
    training = params.Training.model_validate(study.variants()["bce.stabilised"].model_dump())
    every = dict(leaves(training.model_dump() | LATER))
    words = dict(printed([("BCE", "Stabilised", every)]))
    in_the_table_of_arms = ("objective", "generator_loss")
    named = [name for name in every if not name.startswith(("regularisers.", *in_the_table_of_arms))]
    assert len(words) == len(named), "a setting without a label would be left out of the report"
    assert words["generator's hidden layers"] == "128, 256"
    assert words["generator"] == "MLP with batch normalisation"
    assert not [text for pair in words.items() for text in pair if "_" in text]


def test_rarer_settings_are_told_with_the_arms_or_losses_that_have_them():
    long, short = {"steps": 3000, "ema_decay": 0}, {"steps": 1500, "ema_decay": 0}
    averaged = {"steps": 3000, "ema_decay": 0.99}
    trainings = [
        ("BCE", "Released", long),
        ("JS", "Released", short),
        ("KL", "Released", long),
        ("JS", "Late", averaged),
    ]
    assert printed([*trainings, ("BCE", "Late", averaged)]) == [
        ("generator steps", "3000; 1500 (JS of Released)"),
        ("decay of the generator's moving average a step", "no average; 0.99 (Late)"),
    ]


def test_findings_tell_what_one_run_and_the_seed_are_worth(small, tmp_path):
    study = tables(arms=("stabilised",), seeds=5, judged=True)
    told = words(write(tmp_path, study, pictures=False))
    best = study.one_run[study.one_run["seeds"] == 1]["best"].iloc[0]
    assert f"would have named the same best loss with probability {percent(best)} in the stabilised arm (of 7" in told


def test_arms_are_told_by_their_labels_unless_two_share_one(large):
    told = in_words(large, {"released": "As released"})
    assert set(told.runs["arm"]) == set(told.history["arm"]) == {"As released", "stabilised"}
    facts = {"a.x": {"arm": "x", "arm_label": "One"}, "a.y": {"arm": "y", "arm_label": "Two"}}
    job = SimpleNamespace(step=SimpleNamespace(input=lambda verb: SimpleNamespace(settings={"variants": facts})))
    assert arm_labels(job) == {"x": "One", "y": "Two"}
    facts["a.y"]["arm_label"] = "One"
    assert arm_labels(job) == {}


def test_pairs_that_cannot_be_compared_say_why(large_folder):
    page = words(large_folder)
    assert "pairs can be compared as numbers" in page
    assert "features: digits here, inception there" in page
    assert "441.18" in page


def test_no_number_is_typed_in_the_prose():
    """Digits stand in lengths, formulas and template code, never in a sentence."""
    prose = "".join(path.read_text(encoding="utf-8") for path in HERE.glob("*.typ"))
    prose = re.sub(r"//.*|@\w+|\"[^\"\n]*\"|\$[^$]*\$|\bR1\b", "", prose)
    prose = re.sub(r"\d+(\.\d+)?(pt|cm|em|fr|%)|(==|>|<) \d+|\(\d+\)|(colspan|most): \d+", "", prose)
    sentences = [line for line in prose.splitlines() if re.search(r"[a-z] [a-z]+ [a-z]", line)]
    assert len(sentences) > 40
    assert not [line for line in sentences if re.search(r"\d", line)]


def test_values_are_json_without_nan(large):
    def numbers(node):
        if isinstance(node, dict | list):
            for child in node.values() if isinstance(node, dict) else node:
                yield from numbers(child)
        elif isinstance(node, float):
            yield node

    made = content(large)
    json.dumps(made, allow_nan=False)
    assert not list(numbers(made))  # floats are printed text by then, so that no rounding is left to the prose


def test_a_study_without_survivors_floors_or_pictures_still_reports(small, tmp_path):
    failed = small.runs.assign(outcome="diverged", step=7.0, **dict.fromkeys(small.metrics, nan))
    bare = replace(small, runs=failed, floors=small.floors[:0], samples={}, history=small.history[:0])
    page = words(write(tmp_path, bare, classifier_accuracy=None, parameters=[]))
    assert "no run finished with a value" in page
    assert compile_pdf(tmp_path)


def test_a_study_of_as_published_forms_alone_still_reports(large):
    """Its tables hold no sound form to take the label and the formulas from."""
    runs = large.runs[large.runs["arm"] == "released"]
    own = replace(large, runs=runs, objectives={name: OBJECTIVES[name] for name in runs["objective"].unique()})
    made = content(own)
    assert "Pearson χ²" in [row["label"] for row in made["published"]["rows"]]
    assert [d["conjugate"] for d in made["divergences"] if d["label"] == "Pearson χ²"] == ["(t^(2))/(4) + t"]
    sound = {d["label"]: d["conjugate"] for d in content(large)["divergences"]}
    assert "max" in sound["Pearson χ²"]


def test_published_numbers_without_a_counterpart_name_their_objective(small):
    only = replace(small, runs=small.runs[small.runs["objective"] == "bce"])
    printed = next(row for row in content(only)["published"]["unmatched"] if row["quantity"] == "trained GAN: printed")
    assert printed["numbers"].startswith("kl FID 441, reverse kl FID 230")


def test_without_values_the_message_says_what_to_do(tmp_path):
    with pytest.raises(ReportError, match=r"values\.json"):
        compile_pdf(tmp_path)
    (tmp_path / "values.json").write_text("{}")
    with pytest.raises(ReportError, match="Typst refused"):
        compile_pdf(tmp_path)


def test_conditional_arms_are_named_with_what_judges_labels(small, small_folder, tmp_path):
    assert "CAS" not in words(small_folder) and "conditional" not in words(small_folder)
    study = with_labels(small)
    row = next(row for row in content(study)["results"] if row["label"] == "Pearson χ²")
    assert row["cells"]["classification_accuracy_score"]["mean"] == "–", "it has no labels"
    folder = write(tmp_path, study, pictures=False)
    assert "The GANs of stabilised are conditional" in words(folder)
    assert "0.970" in words(folder) and "0.910" in words(folder)
    assert compile_pdf(folder)


@pytest.mark.parametrize("declared", [*OBJECTIVES.values(), *METRICS.values()], ids=lambda o: o.name)
def test_every_source_is_in_the_bibliography(declared):
    assert source(declared.source)["key"] or declared.source == "this project"


@pytest.mark.parametrize("formula", [
    text for o in OBJECTIVES.values() if hasattr(o, "activation") and "omega" not in o.conjugate_formula
    for text in (o.formula, o.activation_formula, o.conjugate_formula)
])  # fmt: skip
def test_printed_formulas_have_the_value_of_the_declared(formula: str):
    names = {"exp": exp, "log": log, "sqrt": sqrt, "maximum": max, "minimum": min, "tanh": tanh, "omega": omega}
    point = {"u": 0.37, "t": -0.41, "v": 0.83}
    assert _evaluate(typst(formula), point) == pytest.approx(eval(formula, names, dict(point)), rel=1e-12)


def omega(x: float) -> float:
    return float(wrightomega(x))


def _evaluate(code: str, point: dict[str, float]) -> float:
    """Typst mathematics of the kind that `typst` prints, read back by Python's own rules of precedence."""
    code = re.sub(r"log ([a-z0-9.]+)", r"log(\1)", code).replace("^", "**").replace(" dot ", "*")
    code = re.sub(r"\be\*\*", "E**", code)
    code = re.sub(r"(?<=[\w)]) (?=[\w(])", "*", code)  # juxtaposition multiplies
    names = {"log": log, "sqrt": sqrt, "max": max, "min": min, "tanh": tanh, "omega": omega, "abs": abs, "E": exp(1)}
    return eval(code, names, dict(point))


@pytest.mark.parametrize(
    ("formula", "printed"),
    [
        ("u*log(u)", "u log u"),
        ("log(u)*u", "log(u) u"),
        ("u - (v - t)", "u - (v - t)"),
        ("(u + 1)*2", "(u + 1) dot 2"),
        ("-(u + 1)", "-(u + 1)"),
        ("-u**2", "-u^(2)"),
        ("(-u)**2", "(-u)^(2)"),
        ("exp(v)**2", "(e^(v))^(2)"),
        ("softplus(-v)", "log(1 + e^(-v))"),
        ("where(t >= -2, t, -1)", 'cases(t &"where" t >= -2, -1 &"otherwise")'),
    ],
)
def test_formulas_keep_their_grouping(formula: str, printed: str):
    assert typst(formula) == printed


@pytest.mark.parametrize("formula", ["u @ v", "f(u)", "u.log()", "u*", "name + 1"])
def test_what_cannot_be_printed_is_refused(formula: str):
    with pytest.raises(FormulaError):
        typst(formula)


def test_domains_and_thresholds_in_words():
    assert interval(-inf, inf) == "RR"
    assert interval(-inf, log(2)) == "(-oo, log 2)"
    assert number(-log(2)) == "-log 2"
    assert number(1.0) == "1"


@pytest.mark.parametrize(
    ("value", "like", "printed"),
    [(441.18, None, "441"), (49.06, None, "49.1"), (0.02, None, "0.0200"), (-3.456, 49.06, "\N{MINUS SIGN}3.5"),
     (nan, None, "\N{EN DASH}"), (None, None, "\N{EN DASH}"), (0.0, None, "0.00"), (1.234e-7, None, "1.23 · 10⁻⁷")],
)  # fmt: skip
def test_numbers_have_three_digits_and_intervals_those_of_the_mean(value, like, printed):
    assert text(value, like) == printed


def test_variants_that_agree_in_every_run_are_named_as_one_game(small):
    runs = small.runs.copy()
    metrics = list(small.metrics)
    for name in ("gan.stabilised", "jensen_shannon.stabilised"):
        runs.loc[runs["variant"] == name, metrics] = runs.loc[runs["variant"] == "bce.stabilised", metrics].to_numpy()
    assert content(small)["identical"] == []
    (group,) = content(replace(small, runs=runs))["identical"]
    assert group == {"arms": ["stabilised"], "labels": ["BCE", "Jensen-Shannon", "GAN"]}
    other_seeds = runs.assign(seed=runs["seed"] + 7 * (runs["variant"] == "gan.stabilised") * runs["seed"])
    (group,) = content(replace(small, runs=other_seeds))["identical"]  # GAN shares seed 0 alone
    assert group["labels"] == ["BCE", "Jensen-Shannon", "GAN"]
    none_shared = runs.assign(seed=runs["seed"] + 7 * (runs["variant"] == "gan.stabilised"))
    assert content(replace(small, runs=none_shared))["identical"][0]["labels"] == ["BCE", "Jensen-Shannon"]
    runs.loc[(runs["variant"] == "gan.stabilised") & (runs["seed"] == 1), "recall"] += 1e-9
    assert content(replace(small, runs=runs))["identical"][0]["labels"] == ["BCE", "Jensen-Shannon"]


def test_durations_are_readable(small):
    rows = dict(content(small)["provenance"])
    assert rows["processor time"] == "2 h 3 min"
    assert rows["time of the jobs, one after the other"] == "1 min"
