"""The figures of the evidence: what they draw is what the tables say."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from divergan.figures import FIGURES, drawable
from divergan.figures.ablation import columns
from divergan.figures.claims import VERDICTS, margins, with_interval
from divergan.figures.evidence import feature_ranks
from divergan.figures.style import colours
from divergan.objectives import OBJECTIVES
from drawing import drawn, texts
from synthetic_tables import tables

SIX = tuple(f"{loss}{kind}" for loss in ("alternative", "bound") for kind in ("", "_r1", "_spectral"))


@pytest.fixture(scope="module")
def large():
    return tables(arms=("released", "stabilised"), seeds=5, failing=True, judged=True)


def test_every_claim_with_an_interval_has_its_verdict_in_words_and_colour(large):
    claims = with_interval(large.claims, sampled=False)
    assert set(claims["id"]) == {
        "kl-above-bce",
        "pearson-above-bce",
        "hellinger-above-js",
        "bce-is-gan",
        "bce-steadier",
    }
    for ax, arm in zip(drawn("claims", large).axes, ["released", "stabilised"], strict=True):
        own = claims[claims["arm"] == arm]
        words = [(t.get_text(), t.get_color()) for t in ax.texts]
        assert words == [(verdict, VERDICTS[verdict][0]) for verdict in own["verdict"]]
    assert len({colour for colour, _ in VERDICTS.values()}) == len({marker for _, marker in VERDICTS.values()}) == 5


def test_the_forest_draws_ratios_with_arrows_where_an_interval_leaves_the_axis(large):
    ax = drawn("claims", large).axes[0]
    claims = with_interval(large.claims, sampled=False).query("arm == 'released'").set_index("id")
    intervals = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2 and line.get_linewidth() == 1.2]
    hellinger = claims.loc["hellinger-above-js"]
    assert list(intervals[2]) == pytest.approx(np.exp([hellinger["low"], hellinger["high"]]))
    arrows = [line for line in ax.lines if line.get_marker() in "<>"]
    assert [(line.get_marker(), line.get_xdata()[0]) for line in arrows] == [(">", pytest.approx(ax.get_xlim()[1]))] * 2


def test_claims_of_samplers_have_a_forest_of_their_own(large):
    assert not FIGURES["sampler_claims"].possible(large)
    first = large.claims.head(1).assign(says="DRS is below the prior", variant="bce/drs")
    both = replace(large, claims=pd.concat([large.claims, first]))
    words = ["DRS is below the prior" in texts(drawn(name, both)) for name in ("claims", "sampler_claims")]
    assert words == [False, True]


def test_an_effect_without_end_is_an_arrow_on_its_own_side(large):
    first = large.claims.head(1)
    for effect, marker, edge in ((np.inf, ">", 1), (-np.inf, "<", 0)):
        claims = first.assign(effect=effect, low=effect, high=effect)
        ax = drawn("claims", replace(large, claims=claims)).axes[0]
        heads = {line.get_marker() for line in ax.lines} - {"None"}
        assert heads == {marker}
        assert all(line.get_xdata()[0] == pytest.approx(ax.get_xlim()[edge]) for line in ax.lines[1:])


def test_an_equivalence_has_two_margins_and_a_direction_one(large):
    claims = large.claims.drop_duplicates("id").set_index("id")
    assert margins(claims.loc["bce-is-gan"]) == [-np.log(1.25), np.log(1.25)]
    assert margins(claims.loc["kl-above-bce"]) == [np.log(1.1)]
    assert margins(claims.loc["kl-value"]) == []


def test_ranks_by_features_put_failed_runs_last(large):
    ranks = feature_ranks(large).query("arm == 'released' and features == 'random'").set_index("label")["rank"]
    assert ranks["Kullback-Leibler"] == ranks["Reverse KL"] == 6.5  # though their last generators have the lowest FIDs
    own = large.feature_fids.query("arm == 'released' and features == 'random'")
    means = np.log(own.set_index("label")["fid"]).groupby("label").mean().drop(["Kullback-Leibler", "Reverse KL"])
    assert dict(ranks[means.index]) == dict(means.rank())
    assert "Kullback-Leibler, Reverse KL" in texts(drawn("agreement", large))


def test_the_agreement_figure_has_a_coloured_line_a_variant_and_tau_in_its_caption(large):
    ax = drawn("agreement", large).axes[1]
    own = large.runs[large.runs["arm"] == "stabilised"].drop_duplicates("variant")
    assert [line.get_color() for line in ax.lines] == [colours(OBJECTIVES)[name] for name in own["objective"]]
    assert all(len(line.get_xdata()) == 4 for line in ax.lines)
    assert "0.45 to 0.95" in FIGURES["agreement"].caption(large)
    without = large.agreement.assign(tau=np.nan)
    assert "τ" not in FIGURES["agreement"].caption(replace(large, agreement=without))


def test_the_probabilities_stand_at_their_numbers_of_runs(large):
    pair, _, order = drawn("one_run", large).axes
    for ax, column in ((pair, "pair"), (order, "order")):
        for line, (arm, own) in zip(ax.lines, large.one_run.groupby("arm", sort=False), strict=True):
            assert line.get_label() == arm
            assert list(line.get_xdata()) == list(own["seeds"])
            assert list(line.get_ydata()) == list(own[column])


def test_shares_of_variance_stack_to_their_sum(large):
    (ax,) = drawn("variance", large).axes
    ends = [bars[0].get_x() + bars[0].get_width() for bars in ax.containers]
    assert ends == pytest.approx([0.46, 0.57, 0.77, 0.79, 1.0])
    assert "46 %" in texts(ax.figure)
    assert "2 %" not in texts(ax.figure)  # no room on its bar; the table has it


def test_the_ablation_frames_what_was_picked_and_counts_failures(large):
    ablation = large.ablation
    figure = drawn("ablation", large)
    frames = [patch for patch in figure.axes[0].patches if not patch.get_fill()]
    settings, labels = columns(ablation), list(ablation["objective"].unique())
    assert len(settings) == 6
    places = {(round(f.get_x() + 0.48), round(f.get_y() + 0.46)) for f in frames}
    picked = ablation[ablation["picked"]]
    expected = zip(picked["generator_loss"], picked["regulariser"], picked["objective"], strict=True)
    assert places == {(settings.index((loss, kind)), labels.index(name)) for loss, kind, name in expected}
    assert "2/2 failed" in texts(figure)
    assert any(re.fullmatch(r"[\d.]+\n1/2 failed", text) for text in texts(figure))
    assert "tuning split" in FIGURES["ablation"].caption(large)


def test_an_ablation_in_which_all_failed_still_draws(large):
    failed = large.ablation.assign(fid=np.nan, n_failed=2, picked=False)
    assert texts(drawn("ablation", replace(large, ablation=failed))).count("2/2 failed") == 42


def test_six_arms_fit_a_page():
    study = tables(arms=SIX, seeds=1, judged=True)
    names = [figure.name for figure in drawable(study)]
    assert "claims" not in names  # their words would run into each other
    assert "scores" not in names
    figures = {name: drawn(name, study) for name in ("story", "accuracy", "agreement")}
    assert all(figure.get_figheight() < 9.2 for figure in figures.values())  # inches; the caption takes another half
    panels = figures["accuracy"].axes
    assert [ax.get_title(loc="left") for ax in panels] == list(SIX)
    assert {ax.get_subplotspec().get_gridspec().ncols for ax in panels} == {3}


def test_five_arms_leave_no_empty_axes():
    study = tables(arms=SIX[:5], seeds=1)
    assert sum(ax.get_visible() for ax in drawn("over_training", study).axes) == 5
