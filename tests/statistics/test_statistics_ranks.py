"""The order of variants: ranks, one-run tables and agreement with a published order."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from scipy import stats

from divergan.statistics import StatisticsError, one_run, order_agreement, ranks


def test_ranks_share_ties_and_put_failures_last():
    values = {"lucky": [0.0, inf], "b": [3.0, 1.0], "a": [2.0, 2.0], "best": [1.0, 0.0], "worst": [inf, inf]}
    found = {name: rank for name, rank, _, _ in ranks(values, draws=10, seed=0)}
    assert found == {"best": 1, "a": 2.5, "b": 2.5, "lucky": 4.5, "worst": 4.5}


def test_rank_intervals_show_what_the_seeds_leave_open():
    values = {"first": [0.0, 0.1, 0.2], "x": [5.0, 6.0, 7.0], "y": [5.5, 6.5, 6.6], "failing": [0.0, inf, 0.1]}
    found = {name: (low, high) for name, _, low, high in ranks(values, draws=2000, seed=0)}
    assert found["x"] == found["y"] == (2, 4)  # 4 where the resampled `failing` has no failed run, (2/3)^3
    assert found["first"] == (1, 2)
    assert found["failing"] == (1, 4)
    assert ranks(values, draws=50, seed=3) == ranks(values, draws=50, seed=3)


def test_ties_share_their_rank_in_the_interval_too():
    values = {"a": [1.0, 1.0], "b": [1.0, 1.0], "c": [inf, inf], "d": [inf, inf]}
    assert [row[1:] for row in ranks(values, draws=20, seed=0)] == [(1.5,) * 3, (1.5,) * 3, (3.5,) * 3, (3.5,) * 3]


def test_a_single_run_leaves_every_rank_without_interval():
    (_, rank, *ends), *_ = ranks({"a": [1.0], "b": [2.0, 3.0]}, draws=10, seed=0)
    assert rank == 1
    assert np.isnan(ends).all()
    assert ranks({}, draws=10, seed=0) == []


def test_one_run_agrees_with_probabilities_computed_by_hand():
    """a is 0 or 3, b always 1: all runs say b < a. One run of a says so half the time, two on average in 3 of 4."""
    rows = one_run({"a": [0.0, 3.0], "b": [1.0, 1.0]}, [1, 2], draws=20000, seed=0)
    four_errors = 4 * 0.5 / np.sqrt(20000)  # 0.014
    assert [row["seeds"] for row in rows] == [1, 2]
    for row, expected in zip(rows, (0.5, 0.75), strict=True):
        assert [row["pair"], row["best"], row["order"]] == pytest.approx([expected] * 3, abs=four_errors)


def test_one_run_counts_ties_as_half_and_failures_as_worst():
    # a is 1 or 3, b always 1: one run ties in half the draws. With failures for 3 the same.
    for high in (3.0, inf):
        (row,) = one_run({"a": [1.0, high], "b": [1.0, 1.0]}, [1], draws=20000, seed=0)
        assert [row["pair"], row["best"], row["order"]] == pytest.approx([0.75] * 3, abs=0.014)  # as above


def test_one_run_leaves_out_pairs_that_all_runs_leave_tied():
    values = {"a": [0.0, 0.0], "b": [inf, 1.0], "c": [inf, inf]}
    (row,) = one_run(values, [1], draws=2000, seed=0)
    assert (row["pair"], row["best"], row["order"]) == (1, 1, 1)
    (row,) = one_run({"b": [inf, 1.0], "c": [inf, inf]}, [1], draws=10, seed=0)
    assert np.isnan([row["pair"], row["best"], row["order"]]).all()


def test_one_run_grows_with_the_runs_and_the_whole_order_is_harder_than_a_pair():
    random = np.random.default_rng(0)
    values = {str(i): random.normal(i, 2, 10) for i in range(5)}
    rows = one_run(values, [1, 3, 10], draws=2000, seed=0)
    for measure in ("pair", "best", "order"):
        assert rows[0][measure] < rows[1][measure] < rows[2][measure] < 1
    assert all(row["order"] < row["best"] and row["order"] < row["pair"] for row in rows)
    # normal differences of mean 1 to 4 and standard deviation about 2 √2: Phi(i / 2.83), weighted 4, 3, 2, 1
    by_theory = np.average(stats.norm.cdf(np.arange(1, 5) / np.sqrt(8)), weights=[4, 3, 2, 1])
    assert rows[0]["pair"] == pytest.approx(by_theory, abs=0.1)  # ten runs a variant stand for the population


def test_order_agreement_is_kendalls_tau_a_seed():
    # 3 pairs: all agree (1), one disagrees (1/3), all disagree (-1)
    result = order_agreement([10, 20, 30], np.array([[1.0, 2, 3], [1, 3, 2], [3, 2, 1]]))
    assert result.effect == pytest.approx((1 + 1 / 3 - 1) / 3)
    assert (result.n, result.method) == ((3, 1), "Kendall")
    expected = stats.ttest_1samp([1, 1 / 3, -1], 0)
    assert result.p_value == pytest.approx(expected.pvalue)
    assert result.interval(0.5) == pytest.approx(tuple(expected.confidence_interval(0.5)))
    assert result.interval(0.95) == (-1, 1)  # Student's ends lie outside


def test_failed_runs_are_the_last_of_a_table_and_ties_are_tau_b():
    # pairs (1,2) and (1,3) agree, (2,3) is tied in ours: tau-b = 2 / sqrt(3 * 2)
    rows = np.array([[1.0, inf, inf], [1.0, 5.0, 5.0]])
    assert order_agreement([1, 2, 3], rows).effect == pytest.approx(2 / np.sqrt(6))
    assert order_agreement([1, 2, 3], np.array([[inf] * 3, [2.0] * 3])).effect == 0


def test_order_agreement_covers_its_mean():
    """Six variants one standard deviation apart, five seeds."""
    random = np.random.default_rng(0)
    published = np.arange(6)
    taus = np.array([stats.kendalltau(published, published + random.normal(0, 2, 6)).statistic for _ in range(2000)])
    draws = 500
    ends = [order_agreement(published, published + random.normal(0, 2, (5, 6))).interval(0.95) for _ in range(draws)]
    covered = np.mean([low <= taus.mean() <= high for low, high in ends])
    assert covered == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / draws))


def test_orders_without_information():
    one_seed = order_agreement([1, 2, 3], np.array([[1.0, 2, 3]]))
    assert (one_seed.effect, one_seed.p_value, one_seed.interval(0.95)) == (1, 1, (-1, 1))
    same = order_agreement([1, 2, 3], np.array([[1.0, 2, 3]] * 4))
    assert (same.effect, same.p_value, same.interval(0.95)) == (1, 0, (1, 1))
    assert order_agreement([1, 2, 3], np.array([[1.0, 2, 3]] * 4), margin=1.0).p_value == 1
    for published, ours in (
        ([1, 2], [[1.0, 2, 3]]),
        ([1, 1], [[1.0, 2]]),
        ([1, 2], [[1.0, np.nan]]),
        ([1, 2], [1.0, 2]),
    ):
        with pytest.raises(StatisticsError, match="published values"):
            order_agreement(published, np.array(ours))
