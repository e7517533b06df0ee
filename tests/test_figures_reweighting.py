"""The figures of re-weighting and of the samplers: what they draw is what the tables say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from divergan.figures import drawable
from divergan.figures.reweighting import DOWN, WIDEST, columns_by_rank, ended, ranked_runs
from divergan.figures.sampling import COLOURS, MARKERS, against_prior, kinds
from divergan.figures.style import mosaic
from drawing import drawn, texts
from synthetic_samplers import ENTRIES, WEIGHTS, with_samplers
from synthetic_tables import tables

NAMES = {"planar", "weight_training", "acceptance_ranked", "removed", "sampler_effects", "frontier"}


@pytest.fixture(scope="module")
def study():
    return with_samplers(tables(seeds=5, judged=True), stuck=True)


def only(tables_of_figures, name: str) -> pd.DataFrame:
    return tables_of_figures[tables_of_figures["variant"] == name]


def test_they_are_drawn_where_the_study_has_samplers(study):
    assert {figure.name for figure in drawable(study)} >= NAMES
    assert not {figure.name for figure in drawable(tables(seeds=1))} & NAMES


def test_a_ranking_rises_down_each_column_and_from_column_to_column(study):
    acceptance = study.ranked["bce.stabilised-s0"]["acceptance"]
    sheet = acceptance[columns_by_rank(acceptance)].reshape(DOWN, -1)
    assert (np.diff(sheet.T.ravel()) > 0).all()
    assert (sheet[0, 0], sheet[-1, -1]) == (acceptance.min(), acceptance.max())


def test_fewer_images_than_a_sheet_holds_are_ranked_without_repeats():
    places = columns_by_rank(np.linspace(0, 1, 13))
    assert len(places) == len(set(places)) == 12


def test_the_ranking_shows_each_image_under_its_probability(study):
    curve, sheet, *_ = drawn("acceptance_ranked", study).axes
    ranked = study.ranked["bce.stabilised-s0"]
    heights = curve.lines[0].get_ydata()
    assert (np.diff(heights) > 0).all()
    assert set(heights) <= set(ranked["acceptance"])
    picture = sheet.images[0].get_array()
    assert (picture[:28, :28] == 255 - ranked["images"][ranked["acceptance"].argmin()]).all()
    assert (picture[-28:, -28:] == 255 - ranked["images"][ranked["acceptance"].argmax()]).all()


def test_kept_and_removed_are_apart_and_counted(study):
    _, kept, removed, *_ = drawn("removed", study).axes
    ranked = study.ranked["bce.stabilised-s0"]
    for ax, name, own in ((kept, "kept", ranked["accepted"]), (removed, "removed", ~ranked["accepted"])):
        assert ax.get_title(loc="left") == f"{name}, {own.sum()} of 64"
        shown = mosaic(ranked["images"][own][:9], 9)
        assert (ax.images[0].get_array()[:28, : shown.shape[1]] == shown).all()


def test_where_nothing_was_kept_the_sheet_is_white(study):
    none = {"bce.stabilised-s0": study.ranked["bce.stabilised-s0"] | {"accepted": np.zeros(64, bool)}}
    _, kept, _ = drawn("removed", replace(study, ranked=none)).axes
    assert (kept.images[0].get_array() == 255).all()


def test_one_run_a_variant_is_ranked(study):
    assert list(ranked_runs(study)["key"]) == [f"{name}.stabilised-s0" for name in ("bce", "pearson", "jensen_shannon")]


def test_effects_are_drawn_as_the_table_has_them(study):
    ax = drawn("sampler_effects", study).axes[0]
    own = only(against_prior(study), "bce.stabilised")
    spans = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2 and line.get_linewidth() == 1.2]
    dots = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
    assert np.allclose(spans, own[["low", "high"]])
    assert dots == list(own["effect"])
    assert [t.get_text() for t in ax.get_yticklabels()] == [ENTRIES[name][0] for name in own["sampler"]]


def test_controls_are_hollow_and_alone_so(study):
    ax = drawn("sampler_effects", study).axes[0]
    names = list(only(against_prior(study), "bce.stabilised")["sampler"])
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    hollow = [name for name, dot in zip(names, dots, strict=True) if dot.get_markerfacecolor() == "white"]
    assert hollow == ["random", "trained_on"]


def test_an_interval_without_end_has_an_arrow(study):
    """DRS was stuck on one seed of Pearson: its worst-rank interval has no upper end."""
    ax = drawn("sampler_effects", study).axes[1]
    row = only(against_prior(study), "pearson.stabilised").set_index("sampler").loc["drs"]
    assert row["high"] == np.inf
    right = [line for line in ax.lines if line.get_marker() == ">"]
    assert [line.get_xdata()[0] for line in right] == [pytest.approx(ax.get_xlim()[1])]


def test_an_effect_that_could_not_be_had_is_said(study):
    effects = study.effects.copy()
    effects.loc[effects["sampler"] == "mh", ["effect", "low", "high"]] = np.nan
    assert texts(drawn("sampler_effects", replace(study, effects=effects))).count("no value ") == 3


def test_efficient_samplers_are_filled_and_joined_by_cost(study):
    ax = drawn("frontier", study).axes[0]
    own = only(study.frontier, "bce.stabilised")
    best = own[own["efficient"]].sort_values("evaluations")
    joined = next(line for line in ax.lines if len(line.get_xdata()) == len(best) > 2)
    assert list(joined.get_ydata()) == list(best["fid_ratio"])
    dots = [line for line in ax.lines if line.get_marker() in MARKERS]
    filled = [dot.get_ydata()[0] for dot in dots if dot.get_markerfacecolor() != "white"]
    assert sorted(filled) == sorted(best["fid_ratio"])


def test_no_two_samplers_look_alike(study):
    (legend,) = drawn("frontier", study).legends
    looks = [(handle.get_color(), handle.get_marker()) for handle in legend.legend_handles]
    assert len(set(looks)) == len(ENTRIES)
    assert set(kinds(study).values()) == set(COLOURS)


def test_more_variants_than_a_page_holds_are_said_to_be_missing(study):
    def repeated(frame: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([frame.assign(variant=frame["variant"] + str(i)) for i in range(5)])

    many = replace(study, effects=repeated(study.effects), frontier=repeated(study.frontier))
    captions = {figure.name: figure.caption(many) for figure in drawable(many)}
    assert "Shown are 6 of 15 variants" in captions["sampler_effects"]
    assert "Shown are 9 of 15 variants" in captions["frontier"]
    for name, panels in (("sampler_effects", 6), ("frontier", 9)):
        figure = drawn(name, many)
        assert (len(figure.axes), figure.get_figheight() < 9.5) == (panels, True)


def test_every_training_of_weights_has_a_line_in_its_colour(study):
    figure = drawn("weight_training", study)
    mean, _, ess, _ = figure.axes
    runs = [line for line in mean.lines if line.get_linewidth() == 0.7]
    assert len(runs) == len(study.weight_runs)
    assert len({line.get_color() for line in runs}) == len(WEIGHTS)
    first = study.weight_history[study.weight_history["key"] == "bce.stabilised-s0"].query("weights == 'learned'")
    assert list(runs[0].get_ydata()) == list(first["w_mean"])
    crosses = [line for line in ess.lines if line.get_marker() == "x"]
    assert len(crosses) == (study.weight_runs["outcome"] != "finished").sum() == 6


def test_one_exploded_run_does_not_flatten_the_others(study):
    history = study.weight_history.copy()
    history.loc[history.index[5], "w_mean"] = 1e6
    mean = drawn("weight_training", replace(study, weight_history=history)).axes[0]
    assert mean.get_ylim()[1] < WIDEST


def test_the_plane_has_the_maps_of_its_target_and_weights(study):
    figure = drawn("planar", study)
    rows = [figure.axes[:4], figure.axes[4:8]]
    for target, (_, right, learned, printed) in zip(("two_modes", "grid"), rows, strict=True):
        own = study.planar_maps[f"{target}.learned"]
        assert (right.images[0].get_array() == own["ratio"]).all()
        assert (learned.images[0].get_array() == own["w"]).all()
        assert (printed.images[0].get_array() == study.planar_maps[f"{target}.as_printed"]["w"]).all()
    assert [ax.get_title(loc="left") for ax in rows[0]] == ["generated", "right weight", *list(WEIGHTS.values())[:2]]


def test_a_map_that_is_missing_leaves_its_own_place_empty(study):
    maps = {name: own for name, own in study.planar_maps.items() if name != "two_modes.learned"}
    _, _, learned, printed = drawn("planar", replace(study, planar_maps=maps)).axes[:4]
    assert not learned.images
    assert (printed.images[0].get_array() == maps["two_modes.as_printed"]["w"]).all()


def test_distances_are_those_of_each_seed(study):
    panel = drawn("planar", study).axes[9]
    dots = [sorted(line.get_xdata()) for line in panel.lines if line.get_marker() == "o"]
    own = study.planar.query("target == 'two_modes'")
    learned = own[own["weights"] == "learned"]
    expected = [
        learned["w1_before"],
        *(own.loc[own["weights"] == name, "w1_after"] for name in ("learned", "as_printed")),
    ]
    expected += [learned["w1_oracle"], learned["w1_floor"]]
    assert dots == [sorted(values) for values in expected]


def test_a_caption_names_the_shown_runs_whose_weights_did_not_finish(study):
    shown = ranked_runs(study).iloc[0]
    finished = replace(study, weight_runs=study.weight_runs.assign(outcome="finished"))
    assert ended(finished) == ended(replace(study, weight_runs=pd.DataFrame())) == ""
    first = study.weight_runs.drop_duplicates("key").index
    own = study.weight_runs.index.isin(first) & (study.weight_runs["key"] == shown["key"])
    constant = replace(study, weight_runs=finished.weight_runs.assign(outcome=np.where(own, "constant", "finished")))
    assert f"seed {shown['seed']}: constant." in ended(constant)
    assert ended(constant).count("seed") == 1
