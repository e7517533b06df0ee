"""The chapter on re-weighting and samplers: it stands where its tables do, and its words follow their numbers."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from divergan.figures import Tables
from divergan.report import HERE, compile_pdf
from divergan.report.reweighting import RELEASED, reweighting_values
from divergan.report.sampling import fixed, plain, scales_of
from divergan.report.wording import source
from divergan.samplers import SAMPLERS
from synthetic_report import content, words
from synthetic_report import write as write_with_pictures
from synthetic_samplers import with_samplers
from synthetic_tables import tables

CHAPTER = "Re-weighting the latent space, and other ways to sample"
PARTS = {  # the table on which a part of the chapter rests, and the part's title
    "planar": "Where the right answer is known",
    "weights": "The weights that were learned",
    "effects": "What the samplers do to the images",
    "break_even": "Cheap to sample, dear to train?",
}
ADDED = (*PARTS, "samplers", "sampler_seconds", "frontier", "weight_runs", "weight_history", "weight_settings")
write = partial(write_with_pictures, pictures=False)


@pytest.fixture(scope="module")
def study():
    return with_samplers(tables(seeds=5, judged=True), stuck=True)


@pytest.fixture(scope="module")
def page(study, tmp_path_factory):
    return chapter(study, tmp_path_factory.mktemp("sampled"))


def chapter(study: Tables, folder) -> str:
    page = words(write(folder, study))
    return page[page.index(CHAPTER) : page.index("Beside the published numbers")]


def told(study: Tables) -> dict:
    return reweighting_values(study)["reweighting"]


def changed(frame: pd.DataFrame, where: str, **values) -> pd.DataFrame:
    copy = frame.copy()
    for column, value in values.items():
        copy.loc[copy.eval(where), column] = value
    return copy


def test_a_study_without_samplers_has_no_chapter(study, tmp_path):
    bare = told(tables(seeds=1))
    assert not any(part for name, part in bare.items() if name not in ("settings", "weight_total", "controls"))
    assert CHAPTER not in words(write(tmp_path, tables(seeds=1)))
    prior = replace(study, samplers=study.samplers.query("sampler == 'prior'"))
    assert CHAPTER not in words(write(tmp_path, prior))


@pytest.mark.parametrize("name", PARTS)
def test_each_part_stands_where_its_table_has_rows(name: str, study, page, tmp_path):
    assert PARTS[name] in page
    assert PARTS[name] not in chapter(replace(study, **{name: pd.DataFrame()}), tmp_path)


@pytest.mark.parametrize("name", ADDED)
def test_no_table_needs_another_to_be_told(name: str, study):
    assert told(replace(study, **{name: pd.DataFrame()}))


def test_a_chapter_of_samplers_alone_compiles(study, tmp_path):
    rest = {name: pd.DataFrame() for name in ADDED if name != "samplers"}
    assert "What an image costs" in chapter(replace(study, **rest), tmp_path)


def test_the_chapter_has_no_name_of_the_code(page):
    assert not re.findall(r"\b\w*[a-z]_[a-z]\w*\b", page)
    assert "nan" not in page.lower().split()


def test_the_truth_is_told_by_weights_and_target(page):
    assert re.search(
        r"With the weights Learned, as derived 𝑊 1 falls on Two modes , from 0\.\d+ \[.{12}\] to 0\.\d+", page
    )
    assert re.search(r"falls on 25 modes , from .{40,60} or \d\d % \[\d\d %, \d\d %\] of the way to the oracle", page)
    assert re.search(r"With the weights As printed 𝑊 1 rises on Two modes , from [^;]+, and modes are lost;", page)


def test_a_distance_falls_or_rises_only_where_the_interval_of_its_change_says_so(study):
    own = study.planar.query("target == 'two_modes' and weights == 'learned'")

    def change(after) -> str:
        return told(replace(study, planar=own.assign(w1_after=after)))["planar"][0]["change"]

    assert change(own["w1_before"] - 0.1) == "falls"
    assert change(own["w1_before"] + np.array([0.1, 0.2, 0.1, 0.2, 0.1])) == "rises"
    assert change(own["w1_before"] + np.array([0.1, -0.2, 0.1, -0.2, 0.1])) == "is not seen to change"
    assert change(np.inf) == "is not seen to change"  # nothing was accepted: no number to judge


def test_weights_that_did_not_finish_are_said_to_instead_of_judged(study, tmp_path):
    planar = changed(study.planar, "weights == 'as_printed'", outcome="vanished")
    planar = changed(planar, "weights == 'as_printed' and target == 'grid'", w1_after=np.inf, outcome="diverged")
    page = chapter(replace(study, planar=planar), tmp_path)
    assert re.search(r"no training finished on Two modes \(5 vanished\), and 𝑊 1 goes from 0\.5", page)
    assert "no training finished on 25 modes (5 diverged), and latentRS accepts nothing." in page
    assert "rises on" not in page


def test_a_stopping_rule_that_is_off_is_said_to_be(study):
    for patience, printed in (("0", "no such rule"), ("500", "500")):
        row = {"weights": "learned", "weights_label": "learned", "name": "patience", "value": patience}
        shared = told(replace(study, weight_settings=pd.DataFrame([row])))["settings"]["shared"]
        assert shared == [["steps of the stopping rule", printed]]


def test_weights_that_vanish_are_printed_as_zero(study):
    gone = study.weights.assign(w_mean=9e-13, w_mean_low=7e-13, w_mean_high=1e-12)
    assert told(replace(study, weights=gone))["weights"][0]["w_mean"] == {"mean": "0.000", "low": "–", "high": "–"}


def test_the_way_to_the_oracle_is_paired_over_seeds(study):
    own = study.planar.query("target == 'grid' and weights == 'learned'").assign(
        w1_before=[0.5, 0.6, 0.7, 0.8, 0.9], w1_after=[0.3, 0.35, 0.4, 0.45, 0.5], w1_oracle=0.1
    )
    assert told(replace(study, planar=own))["planar"][0]["closed"] == {"mean": "50 %", "low": "50 %", "high": "50 %"}


def test_trainings_of_weights_are_counted_by_how_they_ended(page):
    assert (
        "Of 45 trainings of weights 39 finished; the others are named by how they ended: 3 vanished, 3 constant" in page
    )
    assert "The stopping rule ended 9 of them before the last step" in page
    assert "BCE As printed 4 finished, 1 vanished 0." in page


def test_settings_are_named_and_told_apart(study, page):
    settings = told(study)["settings"]
    assert settings["differing"][0] == ["sign of the weights' first term", "derived", "as printed", "as printed"]
    assert ["m", "3.0"] in settings["shared"]
    assert "the weights called As printed and As released keep it" in page
    derived = study.weight_settings.query("weights == 'learned'")
    alone = told(replace(study, weight_settings=derived))["settings"]
    assert (alone["differing"], alone["as_printed"]) == ([], [])


def test_effects_are_those_of_the_table_and_bold_where_significant(study):
    first = told(study)["effects"][0]
    own = study.effects.query("variant == 'bce.stabilised' and against == 'prior'")
    ddls = own[own["sampler"] == "ddls"].set_index("metric")
    (row,) = [row for row in first["rows"] if row["sampler"] == "DDLS, 50 steps"]
    fid = ddls.loc["fid"]
    assert row["cells"]["fid"] == {
        "mean": f"{fid['effect']:.3f}",
        "low": f"{fid['low']:.3f}",
        "high": f"{fid['high']:.3f}",
        "sure": True,
    }
    kid = ddls.loc["kid"]
    assert first["metrics"][1] == {"name": "kid", "label": "KID × 1000"}
    assert row["cells"]["kid"]["mean"] == f"{1000 * kid['effect']:.1f}".replace("-", "\N{MINUS SIGN}")
    assert row["cells"]["kid"]["sure"] == (kid["p_adjusted"] < 0.05)


def test_the_words_count_the_significant_effects_and_name_the_controls_among_them(study, tmp_path):
    effects = changed(
        study.effects, "metric == 'fid' and against == 'prior'", effect=1.0, low=0.9, high=1.1, p_adjusted=0.9
    )
    effects = changed(effects, "sampler == 'obrs' and metric == 'fid'", effect=0.7, low=0.6, high=0.8, p_adjusted=0.01)
    effects = changed(effects, "sampler == 'drs' and metric == 'fid'", effect=0.8, low=0.7, high=0.9, p_adjusted=0.01)
    effects = changed(effects, "sampler == 'dot' and metric == 'fid'", effect=1.2, low=1.1, high=1.3, p_adjusted=0.01)
    page = chapter(replace(study, effects=effects), tmp_path)
    assert (
        "On BCE 2 of 11 samplers of the generator as it is significantly lower the FID, most of all OBRS, acceptance "
        "1/3, to 0.7" in page
    )
    assert "; 1 significantly raises it: DOT, 20 steps, to 1.2" in page
    assert "Of the controls" not in page
    control = changed(
        effects, "sampler == 'trained_on' and metric == 'fid'", effect=0.6, low=0.5, high=0.7, p_adjusted=0.01
    )
    page = chapter(replace(study, effects=control), tmp_path)
    assert "most of all OBRS" in page  # a control is no sampler to praise
    assert "Of the controls Generator trained on takes it to 0.6" in page


def test_what_samples_a_generator_that_was_trained_on_is_told_apart(study, page, tmp_path):
    (released,) = told(study)["effects"][0]["told"]["moved"]
    assert (released["sampler"], released["trained_on"]) == ("latentRS, weights as released", [])
    assert "without them" not in page, "the control of other weights had another compute"
    control = study.samplers["sampler"] == "trained_on"
    samplers = study.samplers.assign(weights=study.samplers["weights"].mask(control, "released"))
    page = chapter(replace(study, samplers=samplers), tmp_path)
    row = study.effects.query("variant == 'bce.stabilised' and sampler == 'latent_rs_released' and metric == 'fid'")
    ratio = fixed(row.query("against == 'trained_on'")["effect"].iloc[0], 3)
    assert f", and {ratio} [" in page
    assert "times that of the generator trained on for the compute of these weights, without them." in page


def test_intervals_on_the_plane_end_where_distances_and_shares_do(study):
    odd = study.planar["seed"] % 2  # two of five seeds
    for row in told(replace(study, planar=study.planar.assign(w1_after=2.0 * odd, off_after=1.0 * odd)))["planar"]:
        ends = (row["w1_after"]["low"], row["off_after"]["low"], row["off_after"]["high"])
        assert [float(end) for end in ends] == [0, 0, 1]
        assert float(row["w1_after"]["high"]) > 1


def test_few_pairs_are_shown_not_judged(study, page, tmp_path):
    assert "shown, not judged" not in page
    few = chapter(replace(study, effects=study.effects.assign(n=2)), tmp_path)
    assert "With 2 pairs the effects on BCE are shown, not judged." in few
    assert "significantly lower" not in few
    assert "† Fewer than 5 pairs: shown, not judged." in few


def test_stuck_samplers_are_named_with_the_reason_and_marked(study, page):
    assert (
        "DRS, acceptance 1/3 on Pearson χ², at 1 seed; at the first, DRS accepted 3 of 2048 draws, at 4.50 · 10⁻¹³."
        in page
    )
    assert "most_draws" not in page
    pearson = told(study)["effects"][1]
    assert [row["sampler"] for row in pearson["rows"] if row["incomplete"]] == ["DRS, acceptance 1/3"]
    (drs,) = [row for row in pearson["rows"] if row["incomplete"]]
    assert drs["cells"]["fid"]["high"] == "∞"
    assert "* Some pairs have no value on one side" in page


def test_controls_are_for_the_samplers_with_weights(study):
    controls = told(study)["controls"]
    assert controls["against"] == ["random_rejection", "trained_on"]
    assert [row["sampler"] for row in controls["groups"][0]["rows"]] == [
        "latentRS, learned weights", "latentRS, then 5 steps of 0.05", "latentRS, weights as printed",
        "latentRS, weights as released", "SIR on learned weights",
    ]  # fmt: skip
    cell = controls["groups"][0]["rows"][0]["cells"]["trained_on"]["fid"]
    of_table = study.effects.query("sampler == 'latent_rs' and against == 'trained_on' and metric == 'fid'").iloc[0]
    assert cell["mean"] == f"{of_table['effect']:.3f}"
    better = changed(study.effects, "sampler == 'sir' and metric == 'fid'", effect=0.8, p_adjusted=0.01)
    others = changed(better, "sampler != 'sir' and metric == 'fid'", p_adjusted=0.9)
    assert told(replace(study, effects=others))["controls"]["groups"][0]["beating"] == 1


def test_costs_are_medians_of_all_runs_by_image(study, page):
    rows = {row["sampler"]: row for row in told(study)["costs"]}
    assert list(rows) == list(study.samplers["sampler_label"].unique())
    assert rows["MH-GAN, chain 64"]["draws"] == {"mean": "2.5", "low": "–", "high": "–"}
    assert rows["MH-GAN, chain 64"]["critic_evaluations"]["mean"] == "65"
    speed = study.sampler_seconds.query("sampler == 'mh'")["images_per_second"]
    assert rows["MH-GAN, chain 64"]["images_per_second"] == {
        "mean": plain(speed.median()), "low": plain(speed.min()), "high": plain(speed.max())
    }  # fmt: skip
    assert rows["DRS, acceptance 1/3"]["runs"] == 14  # of 15; the stuck one took no image
    assert "DDLS, 50 steps 1 51 51 0 50 1" in page


def test_without_seconds_the_costs_stand_without_speed(study):
    rows = told(replace(study, sampler_seconds=pd.DataFrame()))["costs"]
    assert {row["images_per_second"]["mean"] for row in rows} == {"–"}


def test_efficient_samplers_are_listed_by_cost(study, page):
    first = told(study)["frontier"][0]
    own = study.frontier.query("variant == 'bce.stabilised' and efficient").sort_values("evaluations")
    assert [e["sampler"] for e in first["efficient"]] == list(own["sampler_label"])
    assert f"BCE , {len(own)} of 12 that are ranked: {own['sampler_label'].iloc[0]}: 1" in page


def test_break_even_is_for_the_first_weights_and_says_never(study, page, tmp_path):
    first = told(study)["break_even"][0]
    assert first["weights_label"] == "Learned, as derived"
    assert [row["against"] for row in first["rivals"]][:2] == ["SIR on the ratio, 1/3", "DRS, acceptance 1/3"]
    drs = next(row for row in first["rivals"] if row["is_drs"])
    of_table = study.break_even.query("variant == 'bce.stabilised' and weights == 'learned' and against == 'drs'").iloc[
        0
    ]
    assert drs["mean"] == plain(of_table["images"] / 1000)
    images = drs["mean"].replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert (
        f"DRS, acceptance 1/3 {drs['milliseconds']} ms after a pilot of 0.00 s. It is ahead from {images} thousand "
        "images on" in page
    )
    never = chapter(
        replace(study, break_even=study.break_even.assign(images=np.inf, low=np.inf, high=np.inf)), tmp_path
    )
    assert "It never earns its training back." in never
    assert "is ahead from" not in never


def test_the_released_design_is_told_with_its_numbers(study, page, tmp_path):
    row = study.weights.query("variant == 'bce.stabilised' and weights == 'released'").iloc[0]
    fid = study.effects.query(
        f"variant == 'bce.stabilised' and sampler == '{RELEASED}' and against == 'prior' and metric == 'fid'"
    ).iloc[0]
    assert f"On BCE that design ends with a mean weight of {row['w_mean']:.3f} [" in page
    assert f"the FID is {fid['effect']:.3f} [{fid['low']:.3f}, {fid['high']:.3f}] times that of the prior" in page
    without = replace(study, samplers=study.samplers[study.samplers["sampler"] != RELEASED])
    assert "that design ends" not in chapter(without, tmp_path)


def test_the_verdicts_on_the_published_gain_stand_with_the_others(page, study, tmp_path):
    told = "The verdicts on what the report says of re-weighting stand with the others."
    assert told in page
    assert told not in chapter(replace(study, claims=study.claims[:0]), tmp_path)


def test_tables_read_back_from_csv_give_the_same_chapter(study, tmp_path):
    def again(name: str) -> pd.DataFrame:
        getattr(study, name).to_csv(tmp_path / f"{name}.csv", index=False)
        return pd.read_csv(tmp_path / f"{name}.csv")

    read = replace(study, **{name: again(name) for name in ADDED})
    assert told(read) == told(study)


def test_values_are_json_where_nothing_could_be_measured(study, tmp_path):
    names = ["effect", "low", "high", "p", "p_adjusted"]
    nothing = replace(
        study,
        effects=study.effects.assign(**dict.fromkeys(names, np.nan)),
        frontier=study.frontier.assign(fid_ratio=np.nan, low=np.nan, high=np.nan, efficient=False),
        planar=study.planar.assign(w1_after=np.nan, rank_correlation=np.nan),
        weights=study.weights.assign(w_mean=np.nan, w_mean_low=np.nan, w_mean_high=np.nan),
        samplers=study.samplers.assign(acceptance=np.nan, outcome="stuck", reason="nothing was accepted"),
    )
    json.dumps(content(nothing), allow_nan=False)
    page = chapter(nothing, tmp_path)
    assert "none has a value" in page
    assert (
        "none of 11 samplers of the generator as it is significantly lowers the FID; none significantly raises it."
        in page
    )


def test_two_arms_are_told_apart(study, tmp_path):
    def both(frame: pd.DataFrame) -> pd.DataFrame:
        other = frame.assign(arm="released", variant=frame["variant"].str.replace("stabilised", "released"))
        return pd.concat([frame, other], ignore_index=True)

    names = ("samplers", "effects", "frontier", "break_even", "weights", "weight_runs")
    page = chapter(replace(study, **{name: both(getattr(study, name)) for name in names}), tmp_path)
    assert "On BCE (stabilised)" in page
    assert "On BCE (released)" in page


def test_the_pdf_compiles(study, tmp_path):
    assert compile_pdf(write(tmp_path, study)).startswith(b"%PDF")


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=lambda s: s.name)
def test_every_sampler_is_described_and_its_source_in_the_bibliography(sampler):
    prose = (HERE / "reweighting.typ").read_text(encoding="utf-8")
    assert len(re.findall(rf"\b{sampler.name}: ", prose)) >= 2  # how it draws, and its title
    if not sampler.source.startswith("a control of this project"):
        assert all(source(part.strip())["key"] for part in sampler.source.split(";"))


def test_effects_have_two_digits_of_their_usual_interval():
    frame = pd.DataFrame({
        "metric": ["fid", "fid", "kid", "precision", "modes_covered"],
        "low": [0.9, 0.8, -0.0012, 0.01, 0.0], "high": [1.0, np.inf, 0.0012, 0.05, 0.0],
    })  # fmt: skip
    assert scales_of(frame) == {"fid": (1.0, 3), "kid": (1000.0, 1), "precision": (1.0, 3), "modes_covered": (1.0, 2)}
    wide = pd.DataFrame({"metric": ["fid", "kid"], "low": [0.1, -500.0], "high": [9.0, 500.0]})
    assert scales_of(wide) == {"fid": (1.0, 2), "kid": (1.0, 0)}


@pytest.mark.parametrize(
    ("value", "printed"),
    [(0.0, "0"), (1.0, "1"), (3.0303, "3.03"), (10.0, "10"), (252.04, "252"), (0.333, "0.333"), (0.2, "0.2"),
     (85_913.0, "85\N{NARROW NO-BREAK SPACE}900"), (999.6, "1\N{NARROW NO-BREAK SPACE}000")],
)  # fmt: skip
def test_counts_have_three_digits_and_no_empty_decimals(value: float, printed: str):
    assert plain(value) == printed


@pytest.mark.parametrize(
    ("value", "printed"), [(-0.0001, "0.00"), (-0.126, "\N{MINUS SIGN}0.13"), (np.inf, "∞"), (np.nan, "–")]
)
def test_fixed_decimals_have_no_negative_zero(value: float, printed: str):
    assert fixed(value, 2) == printed
