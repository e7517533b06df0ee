"""Verdicts: each is reached, each follows from the printed interval, and no run that failed is left out."""

from __future__ import annotations

from math import exp, inf, log
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from divergan.claims import Claim, evidence, read
from divergan.claims.findings import VERDICTS
from divergan.claims.judging import COLUMNS, TESTS, judge
from divergan.claims.schema import TESTS as DECLARED

ROOT = Path(__file__).parents[2]
PUBLISHED = pd.read_csv(ROOT / "data/published.csv", dtype={"n_samples": str, "training_images": str})
DIVERGED = None
STEADY = [50.0, 52.0, 48.0, 51.0, 49.0]  # BCE's FIDs; log standard deviation 0.03


def times(factor: float, fids: list[float]) -> list[float | None]:
    """Another variant's FIDs, with noise of its own."""
    return [factor * fid * (1.02 if place % 2 else 0.99) for place, fid in enumerate(fids)]


def made(seeds: dict[str, list[int]] | None = None, /, **fids: list[float | None]) -> pd.DataFrame:
    """A runs table; "kl" is kl.stabilised and "kl__released" kl.released; None is a run that diverged."""
    rows = []
    for name, values in fids.items():
        variant, _, arm = name.partition("__")
        arm = arm or "stabilised"
        for place, fid in enumerate(values):
            seed = (seeds or {}).get(name, range(len(values)))[place]
            rows.append(
                {
                    "key": f"{variant}.{arm}-s{seed}", "variant": f"{variant}.{arm}", "objective": variant,
                    "label": variant, "arm": arm, "seed": seed, "outcome": "finished" if fid else "diverged",
                    "step": np.nan, "overlapping": False, "generator_loss": "alternative", "regulariser": "none",
                    "fid": fid or 3.0,  # what a diverged run had: better than any, so that using it would show
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def claim(test: str, **fields: Any) -> Claim:
    usual: dict[str, Any] = {"variant": "kl", "against": "bce", "direction": "higher", "margin": 1.1}
    needed = {name: value for name, value in usual.items() if name in DECLARED[test]}
    own = {"id": "a-claim", "says": "KL is above BCE", "source": "somewhere", "family": "a-family", "test": test}
    return Claim.model_validate(own | needed | fields)


def judged(claims: Claim | list[Claim], runs: pd.DataFrame, **changed: Any) -> pd.DataFrame:
    study = {
        "published": PUBLISHED, "features": "inception", "n_samples": 10000,
        "training_images": dict.fromkeys(runs["variant"], 10000), "checksums": {},
    }  # fmt: skip
    return judge(claims if isinstance(claims, list) else [claims], runs, **study | changed)


def one(*arguments: Any, **changed: Any) -> pd.Series:
    (row,) = judged(*arguments, **changed).to_dict("records")
    return row


# --- each test reaches each of its verdicts


@pytest.mark.parametrize(
    ("direction", "factor", "verdict"),
    [
        ("higher", 2.0, "reproduced"),
        ("higher", 0.5, "not reproduced"),
        ("higher", 1.0, "not reproduced"),  # the margin is what is asked for, not zero
        ("higher", 1.1, "undecided"),
        ("lower", 0.5, "reproduced"),
        ("lower", 2.0, "not reproduced"),
        ("lower", 0.909, "undecided"),
    ],
)
def test_difference(direction, factor, verdict):
    row = one(claim("difference", direction=direction), made(bce=STEADY, kl=times(factor, STEADY)))
    assert (row["verdict"], row["method"], row["n_x"], row["scale"]) == (verdict, "paired t", 5, "ratio")
    assert exp(row["effect"]) == pytest.approx(factor, rel=0.02)  # the noise of `times`
    assert exp(row["margin"]) == pytest.approx(1.1 if direction == "higher" else 1 / 1.1)


def test_undecided_says_how_many_seeds_would_do():
    scattered = [60.0, 90.0, 50.0, 100.0, 45.0]
    row = one(claim("difference"), made(bce=STEADY, kl=scattered))
    assert row["verdict"] == "undecided"
    assert 5 < row["seeds_needed"] < 1000
    assert row["low"] < row["margin"] < row["high"]
    # the smaller Holm's share, the more seeds
    family = [claim("difference", id=f"claim-{n}") for n in range(4)]
    assert (judged(family, made(bce=STEADY, kl=scattered))["seeds_needed"] > row["seeds_needed"]).all()


@pytest.mark.parametrize(("factor", "verdict"), [(1.05, "reproduced"), (2.0, "not reproduced"), (1.25, "undecided")])
def test_equivalence(factor, verdict):
    row = one(claim("equivalence", margin=1.25), made(bce=STEADY, kl=times(factor, STEADY)))
    assert (row["verdict"], row["method"]) == (verdict, "TOST, paired")
    assert row["level"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(2.0, "reproduced"), (1.0, "reproduced"), (1 / 1.1, "undecided"), (0.5, "not reproduced")],
)
def test_no_benefit(factor, verdict):
    """No more than a tenth lower: higher is fine, and equal is, which a difference would not be."""
    row = one(claim("no_benefit"), made(bce=STEADY, kl=times(factor, STEADY)))
    assert (row["verdict"], row["method"], row["scale"]) == (verdict, "paired t", "ratio")
    assert exp(row["margin"]) == pytest.approx(1 / 1.1)
    assert one(claim("no_benefit"), made(bce=[DIVERGED] * 5, kl=STEADY))["verdict"] == "not reproduced"


REGIMES = {"variants": ["bce", "kl", "pearson"], "arms": ["released", "stabilised"]}


@pytest.mark.parametrize(
    ("arm", "loss", "verdict"), [(9.0, 1.2, "reproduced"), (1.05, 3.0, "not reproduced"), (1.5, 1.35, "undecided")]
)
def test_outweighs(arm, loss, verdict):
    """Which of two factors moves runs further: each run is its arm's factor times its loss's, and noise."""
    noise = np.exp(np.random.default_rng(0).normal(0, 0.2, (6, 7)))
    names = [f"{variant}{own}" for variant in REGIMES["variants"] for own in ("", "__released")]
    sizes = [loss**place * other for place in range(3) for other in (1.0, arm)]
    runs = made(**{name: [50 * size * x for x in row] for name, size, row in zip(names, sizes, noise, strict=True)})
    row = one(claim("outweighs", **REGIMES), runs)
    assert (row["verdict"], row["n_x"], row["arm"], row["scale"]) == (verdict, 7, "", "share")


def test_outweighs_counts_places_by_hand_and_failed_runs_share_the_last():
    """Released 4, 5.5, 5.5 (both lost), stabilised 1, 2, 3: arms 3, 3.5, 2.5 apart, losses 1.5, 1.5, 0 and 1, 2, 1."""
    lost = {"kl__released": [DIVERGED] * 5, "pearson__released": [DIVERGED] * 5}
    runs = made(bce=[1.0] * 5, kl=[2.0] * 5, pearson=[3.0] * 5, bce__released=[9.0] * 5, **lost)
    row = one(claim("outweighs", **REGIMES), runs)
    assert (row["effect"], row["verdict"], row["seeds_needed"]) == (1.0, "undecided", 6), (
        "five seeds cannot give p < 0.05"
    )
    assert row["method"] == "sign test, 1.83 places further in the mean" and round(3 - 7 / 6, 2) == 1.83
    assert evidence(row).startswith(
        "share of seeds at which arms are further apart than losses 1.00 [0.478, 1.00] at 95 %"
    )
    names = [f"{variant}{own}" for variant in REGIMES["variants"] for own in ("", "__released")]
    level = made(**{name: [1.0] * 5 for name in names})
    assert one(claim("outweighs", **REGIMES), level)["reason"] == "at all of 5 seeds both are as far apart"
    runs.loc[runs["seed"] == 4, "fid"], runs.loc[runs["seed"] == 4, "outcome"] = 1.0, "finished"
    row = one(claim("outweighs", **REGIMES), runs)
    assert (row["n_x"], row["reason"]) == (4, "1 of 5 seeds with no difference left out")
    unrun = one(claim("outweighs", **REGIMES), made(bce=STEADY))
    assert unrun["reason"].startswith("not run in this study: bce.released, kl.released, kl.stabilised")


def test_equal_runs_at_equal_seeds_are_compared_at_different_seeds():
    """Otherwise identical runs would be "the same" with no width, whatever the noise."""
    row = one(claim("equivalence", margin=1.25), made(bce=STEADY, kl=STEADY))
    assert (row["n_x"], row["n_y"], row["method"]) == (3, 2, "TOST, unpaired")
    assert row["low"] < row["high"]
    assert row["reason"].startswith("equal runs at equal seeds")
    noisy = [20.0, 60.0, 30.0, 100.0, 45.0]
    assert one(claim("equivalence", margin=1.25), made(bce=noisy, kl=noisy))["verdict"] == "undecided"


def test_seeds_that_only_one_side_has_are_all_used_for_equivalence():
    runs = made({"kl": [0, 5, 6, 7, 8]}, bce=STEADY, kl=[STEADY[0], 51.0, 49.5, 50.5, 48.5])
    row = one(claim("equivalence", margin=1.25), runs)
    assert (row["n_x"], row["n_y"], row["verdict"]) == (5, 4, "reproduced")


def test_same_weights():
    runs = made(bce=STEADY, kl=STEADY, kl__released=STEADY, bce__released=STEADY)
    files = {key: key.rpartition("-")[2] for key in runs["key"]}
    rows = judged(claim("same_weights"), runs, checksums=files | {"kl.released-s3": "other"}).set_index("arm")
    assert rows.loc["stabilised", "verdict"] == "reproduced"
    assert rows.loc["released", "verdict"] == "not reproduced"
    assert [evidence(row) for row in rows.to_dict("records")] == [
        "equal weights at 5 of 5 seeds",
        "equal weights at 4 of 5 seeds",
    ]
    assert one(claim("same_weights"), made(bce=STEADY, kl=STEADY))["verdict"] == "undecided", "no weights, no verdict"


def test_what_else_two_trainings_differ_in_qualifies_the_verdict_on_their_losses():
    runs = made(bce=STEADY, kl=times(2.0, STEADY)).assign(steps=6000)
    assert one(claim("difference"), runs)["reason"] == ""
    ours = runs["variant"] == "kl.stabilised"
    runs.loc[ours, "regulariser"], runs.loc[ours, "steps"] = "spectral norm", 3000
    row = one(claim("difference"), runs)
    assert (row["verdict"], row["reason"]) == (
        "reproduced",
        "regulariser: spectral norm against none; steps: 3000 against 6000",
    )


@pytest.mark.parametrize("column", ["generator_loss", "regulariser"])
def test_same_weights_are_not_asked_of_runs_that_differ_otherwise(column):
    runs = made(bce=STEADY, kl=STEADY)
    runs.loc[runs["variant"] == "kl.stabilised", column] = "another"
    row = one(claim("same_weights"), runs, checksums=dict.fromkeys(runs["key"], "equal"))
    assert (row["verdict"], row["reason"].split(":")[0]) == ("not comparable", column.replace("_", " "))


VALUE = {"variant": "kl", "published": "released-kl"}  # 441.18


@pytest.mark.parametrize(("around", "verdict"), [(430.0, "reproduced"), (300.0, "not reproduced")])
def test_value(around, verdict):
    row = one(claim("value", **VALUE), made(kl=[around * fid / 50 for fid in STEADY]))
    assert (row["verdict"], row["published"], row["scale"], row["level"]) == (verdict, 441.18, "value", 0.95)
    assert row["low"] < row["effect"] < row["high"]


def test_a_value_is_judged_against_one_further_run_not_against_the_mean():
    """441 lies outside the mean's interval of these runs, [402, 436], and inside that of a further run, [378, 464]."""
    fids = [401.0, 436.0, 417.0, 405.0, 436.0]
    row = one(claim("value", **VALUE), made(kl=fids))
    half = 2.776445 * np.std(np.log(fids), ddof=1)  # t(0.975, 4) from tables
    assert np.mean(np.log(fids)) + half / 5**0.5 < log(441.18)
    assert log(row["high"]) == pytest.approx(np.mean(np.log(fids)) + half * (1 + 1 / 5) ** 0.5, abs=1e-5)
    assert row["verdict"] == "reproduced"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"features": "digits"}, "features: digits here, inception there"),
        ({"n_samples": 500}, "samples: 500 here, 10000 there"),
        ({"training_images": {"kl.stabilised": 2500}}, "training images: 2500 here, 60000 or 10000 there"),
    ],
)
def test_a_value_is_not_comparable_with_a_reason(changed, reason):
    row = one(claim("value", **VALUE), made(kl=times(9.0, STEADY)), **changed)
    assert (row["verdict"], row["reason"]) == ("not comparable", reason)
    assert np.isnan([row["low"], row["high"], row["p"]]).all()


def test_a_value_of_another_objective_is_not_comparable():
    row = one(claim("value", variant="bce", published="released-kl"), made(bce=STEADY))
    assert (row["verdict"], row["reason"]) == ("not comparable", "objective: bce here, kl there")


def test_fewer_than_five_runs_do_not_judge_a_value():
    row = one(claim("value", **VALUE), made(kl=[440.0, 441.0, 442.0]))
    assert (row["verdict"], row["seeds_needed"]) == ("undecided", 5)
    assert "3 runs: fewer than 5" in row["reason"]


ORDER = {"variants": ["bce", "pearson", "kl"], "published": ["released-bce", "released-pearson", "released-kl"]}


@pytest.mark.parametrize(
    ("factors", "verdict"), [((1, 4, 9), "reproduced"), ((9, 4, 1), "not reproduced"), ((1.2, 1, 1.1), "undecided")]
)
def test_order(factors, verdict):
    a, b, c = factors
    mixed = [c * fid * k for fid, k in zip(STEADY, (0.7, 1.4, 0.9, 1.3, 0.8), strict=True)]
    runs = made(bce=times(a, STEADY), pearson=times(b, STEADY), kl=mixed)
    row = one(claim("order", margin=0.0, **ORDER), runs)
    assert (row["verdict"], row["scale"], row["n_x"]) == (verdict, "tau", 5)


@pytest.mark.parametrize(
    ("fids", "verdict"),
    [
        ([20.0, 60.0, 25.0, 80.0, 30.0, 90.0], "reproduced"),
        ([50.0, 50.5, 49.8, 50.1, 50.2, 50.0], "not reproduced"),
        ([50.0, 50.0, 50.0, 65.0, 50.0, 55.0], "undecided"),
    ],
)
def test_seeds(fids, verdict):
    row = one(claim("seeds", variants=["bce", "kl"]), made(bce=fids, kl=fids[::-1]))
    assert (row["verdict"], row["n_x"]) == (verdict, 6), "six runs of two variants are six pairs with no run twice"


@pytest.mark.parametrize(
    ("direction", "wide", "verdict"),
    [
        ("higher", [10.0, 100.0, 20.0, 300.0, 40.0], "reproduced"),
        ("lower", [10.0, 100.0, 20.0, 300.0, 40.0], "not reproduced"),
        ("higher", times(1.0, STEADY), "undecided"),
    ],
)
def test_spread(direction, wide, verdict):
    row = one(claim("spread", direction=direction, margin=1.0), made(bce=STEADY, kl=wide))
    assert (row["verdict"], row["method"]) == (verdict, "F")


def test_failures():
    ten, none, half = [50.0] * 10, [DIVERGED] * 10, [50.0] * 8 + [DIVERGED] * 2
    more, fewer = claim("failures"), claim("failures", direction="lower")
    assert one(more, made(bce=ten, kl=none))["verdict"] == "reproduced"
    assert one(fewer, made(bce=ten, kl=none))["verdict"] == "not reproduced"
    assert one(more, made(bce=ten, kl=ten))["verdict"] == "undecided"
    row = one(more, made(bce=ten, kl=half))
    assert row["verdict"] == "undecided"
    assert row["seeds_needed"] > 10
    assert "2 of 10 against 0 of 10" in evidence(row)


def test_definitions_and_what_nobody_can_measure():
    true = claim("definition", property="conjugate", objectives=["pearson"])
    false = claim("definition", property="conjugate", objectives=["pearson_as_published"])
    mute = claim("none", unmeasurable="no people were asked")
    idle = claim("definition", property="takes_part_in_training", samplers=["drs"])
    rows = judged([true, false, mute, idle], made(bce=STEADY))
    verdicts = ["reproduced", "not reproduced", "could not have been measured", "not reproduced"]
    assert list(rows["verdict"]) == verdicts
    assert list(rows["arm"]) == ["", "", "", ""]
    assert "wrong below t = -2" in rows["reason"][1]
    assert rows["reason"][2] == "no people were asked"
    assert rows["reason"][3] == "DRS draws from finished networks, and leaves every weight as it was"


# --- arms and pairs


def test_a_claim_is_judged_in_every_arm_that_has_its_variant():
    runs = made(
        bce=STEADY, kl=times(2, STEADY), bce__released=STEADY, kl__released=times(0.5, STEADY), kl__alone=STEADY
    )
    rows = judged(claim("difference"), runs).set_index("arm")
    assert list(rows["verdict"]) == ["reproduced", "not reproduced", "not run"]
    assert rows.loc["alone", "reason"] == "not run in this arm: bce"
    row = one(claim("difference", variant="kl.released", against="bce.stabilised"), runs)
    assert (row["arm"], row["verdict"]) == ("released", "not reproduced")


@pytest.mark.parametrize(
    "test", ["difference", "equivalence", "no_benefit", "same_weights", "spread", "failures", "value", "order"]
)
def test_a_variant_that_was_not_run_is_told(test):
    own = {"value": VALUE, "order": ORDER | {"margin": 0.0}, "equivalence": {"margin": 1.25}}
    row = one(claim(test, **own.get(test, {})), made(bce=STEADY, pearson=STEADY))
    assert (row["verdict"], row["reason"], row["arm"]) == ("not run", "not run in this study: kl", "")


def test_only_common_seeds_are_paired():
    runs = made({"kl": [3, 4, 5, 6]}, bce=STEADY, kl=[102.0, 98.0, 5000.0, 0.1])
    row = one(claim("difference"), runs)
    assert (row["n_x"], row["method"], exp(row["effect"])) == (2, "paired t", pytest.approx(2.0, rel=1e-9))


def test_without_common_seeds_nothing_is_paired():
    runs = made({"kl": [5, 6, 7, 8]}, bce=STEADY, kl=times(2, STEADY)[:4])
    row = one(claim("difference"), runs)
    assert (row["n_x"], row["n_y"], row["method"], row["verdict"]) == (4, 5, "Welch t", "reproduced")


def test_one_run_a_side_decides_nothing():
    row = one(claim("difference"), made(bce=[50.0], kl=[500.0]))
    assert (row["verdict"], row["seeds_needed"]) == ("undecided", 2)
    assert np.isnan(row["p"])


# --- runs that failed


def test_a_failed_run_is_worse_than_any():
    lost = [*times(2, STEADY)[:4], DIVERGED]
    row = one(claim("difference"), made(bce=STEADY, kl=lost))
    assert (row["method"], row["n_x"], row["high"]) == ("exact worst-rank", 5, inf)
    assert row["verdict"] == "reproduced"
    assert one(claim("difference"), made(bce=lost, kl=STEADY))["verdict"] == "not reproduced"


@pytest.mark.parametrize("change", [{"outcome": "collapsed"}, {"fid": np.nan}, {"fid": inf}])
def test_collapsed_runs_and_missing_fids_are_failures_too(change):
    runs = made(bce=STEADY, kl=STEADY)
    ((column, value),) = change.items()
    runs.loc[runs["variant"] == "kl.stabilised", column] = value
    row = one(claim("failures"), runs)
    assert (row["effect"], row["verdict"]) == (1.0, "reproduced")


def test_five_lost_runs_are_above_five_finished_ones():
    row = one(claim("difference"), made(bce=STEADY, kl=[DIVERGED] * 5))
    assert (row["verdict"], row["effect"]) == ("reproduced", inf)


@pytest.mark.parametrize(
    ("test", "own"), [("spread", {"margin": 1.0, "direction": "lower"}), ("seeds", {"variants": ["bce", "kl"]})]
)
def test_where_a_failed_run_has_no_number_nothing_is_refuted_without_it(test, own):
    """Without the failure KL would be refuted: it scatters less than BCE is claimed to, or not at all with the seed."""
    calm, calmer = [50.0, 52.0, 48.0, 51.0, 49.0, 50.0], [50.0, 50.01, 50.0, 50.01, 50.0, 50.01]
    own = own | ({"variant": "bce", "against": "kl"} if test == "spread" else {})
    both = {"bce": calm if test == "spread" else calmer, "kl": calmer}
    assert one(claim(test, **own), made(**both))["verdict"] == "not reproduced"
    worse = {"kl": [*calmer[:5], DIVERGED]}
    row = one(claim(test, **own), made(**both | worse))
    assert row["verdict"] == "undecided"
    assert "failed run" in row["reason"]
    assert inf in (row["high"], -row["low"])
    assert row["p"] == 1.0


def test_a_value_with_a_failed_run_has_no_prediction():
    row = one(claim("value", **VALUE), made(kl=[440.0, 441.0, 442.0, 443.0, DIVERGED]))
    assert (row["verdict"], row["reason"]) == ("undecided", "1 of 5 runs failed: no interval holds a further run")


# --- other metrics, and variants as samplers draw them


def measured(name: str, **values: list[float | None]) -> pd.DataFrame:
    """A runs table with another metric; in its FIDs all variants are equal."""
    runs = made(**{variant: [fid and 50.0 for fid in own] for variant, own in values.items()})
    return runs.assign(**{name: [value or 0.9 for own in values.values() for value in own]})


PRECISE = [0.50, 0.52, 0.48, 0.51, 0.49]


@pytest.mark.parametrize(
    ("direction", "factor", "verdict"),
    [
        ("higher", 1.5, "reproduced"),
        ("higher", 0.7, "not reproduced"),
        ("higher", 1.1, "undecided"),
        ("lower", 0.7, "reproduced"),
        ("lower", 1.5, "not reproduced"),
    ],
)
def test_a_difference_of_precision(direction, factor, verdict):
    runs = measured("precision", bce=PRECISE, kl=times(factor, PRECISE))
    row = one(claim("difference", metric="precision", direction=direction), runs)
    assert (row["verdict"], row["metric"], row["method"]) == (verdict, "precision", "paired t")
    assert row["low"] < row["effect"] < row["high"]
    assert exp(row["effect"]) == pytest.approx(factor, rel=0.02)
    assert row["verdict"] == verdict_of(row, direction)
    assert evidence(row).startswith("precision ")


def test_a_metric_is_judged_as_its_reciprocal_is():
    """Precision is turned to judge it: the same numbers as an FID's reciprocal give the mirrored interval."""
    up = one(claim("difference", metric="precision"), measured("precision", bce=PRECISE, kl=times(1.2, PRECISE)))
    other = made(bce=[1 / p for p in PRECISE], kl=[1 / p for p in times(1.2, PRECISE)])
    down = one(claim("difference", direction="lower"), other)
    assert [up["effect"], up["low"], up["high"]] == pytest.approx([-down["effect"], -down["high"], -down["low"]])
    assert (up["p"], up["verdict"]) == (pytest.approx(down["p"]), down["verdict"])


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_a_run_without_precision_is_worse_than_any(factor):
    """Whatever a diverged run had, and a precision of 0 is the least there is."""
    lost = measured("precision", bce=PRECISE, kl=[*times(factor, PRECISE)[:4], DIVERGED])
    none = measured("precision", bce=PRECISE, kl=times(factor, PRECISE))
    none.loc[none["key"] == "kl.stabilised-s4", "precision"] = 0.0
    for runs in (lost, none):
        row = one(claim("difference", metric="precision", margin=1.0), runs)
        assert (row["method"], row["n_x"], row["low"]) == ("exact worst-rank", 5, -inf)
        assert row["verdict"] == "undecided"


@pytest.mark.parametrize(("factor", "verdict"), [(1.05, "reproduced"), (0.5, "not reproduced"), (1.25, "undecided")])
def test_an_equivalence_of_recall(factor, verdict):
    runs = measured("recall", bce=PRECISE, kl=times(factor, PRECISE))
    row = one(claim("equivalence", metric="recall", margin=1.25), runs)
    assert (row["verdict"], row["metric"]) == (verdict, "recall")
    assert (row["effect"] > 0) == (factor > 1)


@pytest.mark.parametrize("test", ["difference", "equivalence"])
def test_a_metric_that_the_study_lacks_is_undecided(test):
    row = one(claim(test, metric="coverage", margin=1.2), made(bce=STEADY, kl=STEADY))
    assert (row["verdict"], row["reason"]) == ("undecided", "coverage was not measured in this study")


def published_as(features: str, name: str) -> pd.DataFrame:
    table = PUBLISHED.copy()
    table.loc[table["id"] == name, ["features", "n_samples", "training_images"]] = [features, "10000", "10000"]
    return table


@pytest.mark.parametrize(("around", "verdict"), [(0.38, "reproduced"), (0.6, "not reproduced")])
def test_a_value_is_of_the_metric_that_was_published(around, verdict):
    name = "latentrs-after-precision"
    runs = measured("precision", bce=[around * p / 0.5 for p in PRECISE])
    asked = claim("value", variant="bce", published=name)
    row = one(asked, runs, published=published_as("inception", name))
    assert (row["verdict"], row["metric"], row["published"]) == (verdict, "precision", 0.38)
    assert row["low"] < row["effect"] < row["high"] < 1
    assert evidence(row).startswith("precision 0.")
    row = one(asked, runs)
    assert row["verdict"] == "not comparable"
    assert "features: inception here, not stated there" in row["reason"]


def as_drawn(runs: pd.DataFrame, **fids: list[float]) -> pd.DataFrame:
    """Runs, and their variants "bce" as these samplers draw them, in every arm."""
    parts = [runs]
    for name, values in fids.items():
        own = runs[runs["objective"] == "bce"].assign(key=lambda t, name=name: t["key"] + "/" + name)
        own["variant"] = "bce/" + name + "." + own["arm"]
        parts.append(own.assign(fid=[value for _ in own["arm"].unique() for value in values]))
    return pd.concat(parts, ignore_index=True)


SAMPLED = {"variant": "bce/drs", "against": "bce", "direction": "lower"}


def test_a_variant_as_a_sampler_draws_it_is_judged_in_every_arm_that_has_it():
    runs = as_drawn(made(bce=STEADY, bce__released=STEADY, kl__alone=STEADY), drs=[fid / 2 for fid in STEADY])
    rows = judged(claim("difference", **SAMPLED), runs)
    assert list(rows["arm"]) == ["stabilised", "released"]
    assert set(rows["verdict"]) == {"reproduced"}
    assert rows["effect"].to_numpy() == pytest.approx(-log(2))
    row = one(claim("difference", **SAMPLED | {"variant": "bce/drs.released"}), runs)
    assert (row["arm"], row["verdict"]) == ("released", "reproduced")
    row = one(claim("difference", **SAMPLED | {"variant": "bce/obrs"}), runs)
    assert (row["arm"], row["reason"]) == ("", "not run in this study: bce/obrs")
    rows = judged(claim("difference", **SAMPLED | {"against": "bce/obrs"}), runs)
    assert set(rows["reason"]) == {"not run in this arm: bce/obrs"}


def test_a_value_of_a_sampler_knows_what_its_generator_was_trained_on():
    runs = as_drawn(made(bce=STEADY), drs=[fid * 46 / 50 for fid in STEADY])
    asked = claim("value", variant="bce/drs", published="latentrs-after-fid")
    images = {"bce.stabilised": 10000}
    assert one(asked, runs, training_images=images)["verdict"] == "reproduced"
    row = one(asked, runs, training_images={"bce.stabilised": 2500})
    assert (row["verdict"], row["reason"]) == ("not comparable", "training images: 2500 here, 60000 or 10000 there")


# --- Holm


def test_holm_runs_over_a_family_in_an_arm_and_no_further():
    rng = np.random.default_rng(3)
    some = {name: [float(f) for f in 60 * np.exp(0.1 * rng.normal(size=5))] for name in ("kl", "pearson", "gan")}
    runs = made(bce=STEADY, bce__released=STEADY, **some, **{f"{name}__released": own for name, own in some.items()})
    claims = [claim("difference", id=name, variant=name, family="together") for name in some]
    alone = claim("difference", id="alone", variant="kl", family="alone")
    exact = claim("none", id="exact", family="together", unmeasurable="for a reason")
    rows = judged([*claims, alone, exact], runs)
    for _, own in rows[rows["family"] == "together"].groupby("arm"):
        p = own["p"].sort_values().to_numpy()
        if np.isnan(p).all():
            continue
        assert sorted(own["p_adjusted"])[0] == pytest.approx(3 * p[0])
        assert own["level"].max() == pytest.approx(1 - 0.05 / 3)
    single = rows[rows["family"] == "alone"]
    assert (single["p"] == single["p_adjusted"]).all()
    assert np.allclose(single["level"], 0.95)
    assert rows[rows["id"] == "exact"]["p_adjusted"].isna().all()


# --- whatever the runs: the table says what its own numbers say


def verdict_of(row: dict[str, Any], direction: str) -> str:
    """Read from the printed row alone."""
    low, high, margin = row["low"], row["high"], row["margin"]
    if row["test"] == "equivalence":
        inside, outside = -margin < low and high < margin, low > margin or high < -margin
        return "reproduced" if inside else "not reproduced" if outside else "undecided"
    higher, lower = low > margin, high < margin
    yes, no = (higher, lower) if direction == "higher" else (lower, higher)
    return "reproduced" if yes else "not reproduced" if no else "undecided"


CLAIMS = [
    claim("difference", id="up"),
    claim("difference", id="down", direction="lower"),
    claim("difference", id="pearson", variant="pearson"),
    claim("equivalence", id="same", margin=1.25),
    claim("spread", id="spread", margin=1.0),
    claim("failures", id="failures"),
    claim("seeds", id="seeds", variants=["bce", "kl"]),
    claim("order", id="order", margin=0.0, **ORDER),
]


@pytest.mark.parametrize("draw", range(25))
def test_the_verdict_follows_from_the_printed_interval(draw):
    rng = np.random.default_rng(draw)
    fids: dict[str, list[float | None]] = {}
    for name in ("bce", "kl", "pearson"):
        values = 50 * np.exp(rng.normal(0, 0.5) + rng.choice([0.02, 0.2, 0.6]) * rng.normal(size=rng.integers(2, 9)))
        lost = rng.random(len(values)) < rng.choice([0, 0, 0.4])
        fids[name] = [DIVERGED if gone else float(fid) for fid, gone in zip(values, lost, strict=True)]
    rows = judged(CLAIMS, made(**fids)).to_dict("records")
    for row in rows:
        assert row["verdict"] in VERDICTS
        if np.isnan(row["p"]):
            assert row["verdict"] == "undecided"
            assert row["reason"]
            continue
        assert row["verdict"] == verdict_of(row, row["direction"] or "higher"), row
        told = row["p_adjusted"] < 0.05
        if row["test"] == "equivalence":
            assert told == (row["verdict"] == "reproduced"), row
        else:
            assert told == (row["verdict"] != "undecided"), row
        assert evidence(row)
        assert "nan" not in evidence(row)


def test_every_test_is_judged_and_every_column_there():
    assert set(TESTS) == set(DECLARED)
    rows = judged(CLAIMS, made(bce=STEADY, kl=STEADY, pearson=STEADY))
    assert list(rows.columns) == COLUMNS
    assert list(rows["id"]) == [own.id for own in CLAIMS]


def test_the_projects_claims_on_runs_in_the_published_order():
    scale = {"bce": 1, "jensen_shannon": 1.6, "pearson": 4, "reverse_kl": 4.7, "squared_hellinger": 6.5, "kl": 9}
    runs = made(gan=times(1, STEADY), **{name: times(factor, STEADY) for name, factor in scale.items()})
    rows = judged(read(ROOT / "claims.yaml"), runs, features="digits").set_index("id")
    assert set(rows[rows["family"] == "table-2-order"]["verdict"]) == {"reproduced"}
    assert rows.loc["table-2-in-order", "verdict"] == "reproduced"
    values = rows[(rows["test"] == "value") & (rows["arm"] != "")]
    assert set(values["verdict"]) == {"not comparable"}
    assert rows.loc["gan-is-not-negative", "verdict"] == "not reproduced"
    assert rows.loc["table-1-pearson-conjugate", "verdict"] == "not reproduced"
    assert rows.loc["drs-takes-part-in-training", "verdict"] == "not reproduced"
    theory = rows[rows["family"] == "theory"].drop(["gan-is-not-negative", "table-1-pearson-conjugate"])
    assert set(theory["verdict"]) == {"reproduced"}


@pytest.mark.parametrize("test", ["difference", "equivalence"])
def test_two_variants_of_which_every_run_failed_are_neither_above_nor_the_same(test):
    (row,) = judged(claim(test), made(kl=[DIVERGED] * 5, bce=[DIVERGED] * 5)).to_dict("records")
    assert row["verdict"] == "undecided"
    assert "all runs of both failed" in row["reason"]


def test_an_order_of_variants_without_common_seeds_is_that_of_their_first_runs_their_second_and_so_on():
    claimed = claim("order", variants=["bce", "kl"], published=["released-bce", "released-kl"], margin=0.2)
    seeds = {"bce": [0, 1, 2], "kl": [0, 8, 9]}
    (row,) = judged(claimed, made(seeds, bce=[50.0, 52.0, 51.0], kl=[80.0, 90.0, 85.0])).to_dict("records")
    assert (row["n_x"], row["effect"], row["verdict"]) == (3, 1.0, "reproduced")
