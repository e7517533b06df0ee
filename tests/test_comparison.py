"""Seeds to statements: against hand-computed values, by simulation, and with runs that failed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from divergan.comparison import ComparisonError, beside_published, ranking, summarise
from divergan.objectives import OBJECTIVES
from divergan.report.wording import source
from synthetic_tables import tables

PUBLISHED = Path(__file__).parents[1] / "data" / "published.csv"


def runs(**fid: list[float | None]) -> pd.DataFrame:
    """A runs table with these FIDs by variant; None is a run that diverged."""
    return pd.DataFrame(
        {
            "key": f"{variant}.arm-s{seed}", "variant": f"{variant}.arm", "objective": variant,
            "label": variant.upper(), "arm": "arm", "seed": seed, "overlapping": False,
            "outcome": "diverged" if value is None else "finished", "fid": 9.9 if value is None else value,
        }
        for variant, values in fid.items()
        for seed, value in enumerate(values)
    )  # fmt: skip


def published() -> pd.DataFrame:
    return pd.read_csv(PUBLISHED, dtype={"n_samples": str, "training_images": str})


def test_summary_agrees_with_values_computed_by_hand():
    # 12, 14, 16: mean 14, standard deviation 2; t(0.975, 2) = 4.302653 from tables, half width 4.302653 * 2 / sqrt(3)
    row = summarise(runs(kl=[12.0, 14.0, 16.0]), ["fid"]).iloc[0]
    assert (row["mean"], row["standard_deviation"], row["n"], row["n_runs"]) == (14.0, 2.0, 3, 3)
    assert row["low"] == pytest.approx(14 - 4.968275, abs=1e-5)
    assert row["high"] == pytest.approx(14 + 4.968275, abs=1e-5)
    assert not row["judged"]


def test_an_interval_ends_where_the_metrics_values_do():
    table = runs(kl=[2.0, 4.0, 6.0]).assign(precision=[0.7, 0.99, 0.98], kid=[0.1, -0.2, 0.4])
    fid, precision, kid = summarise(table, ["fid", "precision", "kid"])[["low", "high"]].to_numpy()
    assert fid[0] == 0 and fid[1] == pytest.approx(4 + 4.968275, abs=1e-5)
    assert precision[1] == 1 and 0 < precision[0] < 0.89
    assert kid[0] < 0, "an unbiased estimate of a square may be negative"


def test_one_run_has_a_mean_and_no_interval():
    row = summarise(runs(kl=[3.0]), ["fid"]).iloc[0]
    assert row["mean"] == 3.0
    assert np.isnan([row["low"], row["high"], row["standard_deviation"]]).all()


def test_runs_that_failed_are_counted_and_enter_no_mean():
    table = runs(kl=[10.0, None, 20.0, None])
    table.loc[3, "outcome"] = "collapsed"
    row = summarise(table, ["fid"]).iloc[0]
    assert (row["n_runs"], row["n"], row["n_diverged"], row["n_collapsed"]) == (4, 2, 1, 1)
    assert row["mean"] == 15.0
    assert row["survivors_only"]


def test_a_variant_without_a_survivor_stays_in_the_table():
    row = summarise(runs(kl=[None, None]), ["fid"]).iloc[0]
    assert (row["n"], row["n_diverged"]) == (0, 2)
    assert np.isnan(row["mean"])


def test_a_finished_run_without_a_finite_value_is_said():
    row = summarise(runs(kl=[10.0, float("inf")]), ["fid"]).iloc[0]
    assert (row["mean"], row["n"], row["survivors_only"]) == (10.0, 1, True)


def test_judged_takes_five_values():
    summary = summarise(runs(kl=[1.0] * 5, gan=[1.0] * 4 + [None]), ["fid"])
    assert list(summary["judged"]) == [True, False]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [("outcome", "crashed", "crashed"), ("seed", 0, "twice"), ("fid", None, "no column")],
)
def test_a_table_that_would_mislead_is_refused(column: str, value: object, message: str):
    table = runs(kl=[1.0, 2.0])
    table = table.drop(columns="fid") if value is None else table.assign(**{column: value})
    with pytest.raises(ComparisonError, match=message):
        summarise(table, ["fid"])


def test_ranking_puts_failures_last_and_ties_together():
    table = runs(worst=[None, None], lucky=[1.0, None], steady=[30.0, 30.0], best=[20.0, 20.0], tied=[30.0, 30.0])
    order = ranking(summarise(table, ["fid"]))
    assert list(order["objective"]) == ["best", "steady", "tied", "lucky", "worst"]
    assert list(order["rank"]) == [1, 2, 2, 4, 5]


def test_ranking_turns_round_where_higher_is_better():
    order = ranking(summarise(runs(a=[1.0], b=[2.0]), ["fid"]), better="higher")
    assert list(order["objective"]) == ["b", "a"]


def test_published_numbers_are_comparable_only_where_all_agrees():
    summary = summarise(runs(kl=[100.0, 110.0]), ["fid"])
    kl = published().query("id == 'table2-kl'")
    same = {"features": "inception", "n_samples": 10000, "training_images": 60000}
    row = beside_published(summary, kl, **same).iloc[0]
    assert (row["comparable"], row["reason"], row["value"], row["ours"]) == (True, "", 441, 105.0)
    assert "60000 or 10000" in row["caveat"]
    assert beside_published(summary, kl, **same | {"training_images": 10000}).iloc[0]["comparable"]
    silent = beside_published(summary, kl.assign(features=np.nan), **same).iloc[0]
    assert (silent["comparable"], silent["reason"]) == (False, "features: inception here, not stated there")
    for changed, word in (("features", "digits"), ("n_samples", 1000), ("training_images", 3000)):
        row = beside_published(summary, kl, **same | {changed: word}).iloc[0]
        assert not row["comparable"]
        assert f"{changed.split('_')[-1]}: {word} here" in row["reason"].replace("training ", "")


def test_published_numbers_meet_the_as_published_form_of_their_objective():
    row = beside_published(
        summarise(runs(pearson_as_published=[1.0]), ["fid"]), published().query("id == 'table2-pearson'"),
        features="inception", n_samples=10000, training_images=10000,
    ).iloc[0]  # fmt: skip
    assert row["variant"] == "pearson_as_published.arm"


def test_published_numbers_without_a_run_or_of_another_quantity_are_kept_and_said():
    table = beside_published(
        summarise(runs(bce=[50.0]), ["fid"]), published(), features="inception", n_samples=10000, training_images=60000
    ).set_index("id")
    assert len(table) == len(published())
    assert table.loc["table2-bce", "comparable"]
    for lonely in ("table2-kl", "latentrs-after-fid", "team1-fid"):
        assert table.loc[lonely, "reason"] == "not run in this study"


def test_published_table_is_that_of_the_report():
    table = published().set_index("id")["value"]
    exact = table[table.index.str.startswith("released-")]
    printed = table[table.index.str.startswith("table2-")]
    assert [round(value) for value in exact] == list(printed)
    assert list(printed) == [49, 441, 230, 196, 319, 79]
    assert set(published()["objective"].dropna()) <= set(OBJECTIVES)
    sources = published()["source"].map(lambda s: source(s)["key"] or s)
    assert set(sources[published()["data"] == "digits"]) == {"benatti2024fdivergences", "other teams' reports"}
    assert set(sources[published()["data"] == "stacked digits"]) == {"lin2018pacgan"}


def test_synthetic_study_summarises():
    summary = summarise(tables(arms=("released", "stabilised"), seeds=5, failing=True).runs, ["fid", "kid"])
    assert len(summary) == 28
    assert summary["n_diverged"].sum() + summary["n_collapsed"].sum() == 2 * 7
