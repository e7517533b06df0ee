"""Two groups of runs: sizes and coverage by simulation, reference values, failed runs and degenerate ones."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log, nan

import numpy as np
import pytest
from scipy import stats

from divergan.statistics import (
    Result,
    StatisticsError,
    difference,
    equivalence,
    failure_difference,
    order_agreement,
    sign_test,
    spread_ratio,
)
from divergan.statistics.shift import WorstRank, mann_whitney_cdf


def four_errors(share: float, draws: int) -> float:
    """Four standard errors of a share that was simulated."""
    return 4 * np.sqrt(share * (1 - share) / draws)


def covered(results: list[Result], truth: float, level: float = 0.95) -> float:
    return float(np.mean([low <= truth <= high for low, high in (result.interval(level) for result in results)]))


def rejected(results: list[Result], alpha: float = 0.05) -> float:
    return float(np.mean([result.p_value < alpha for result in results]))


# --- a difference, all runs finished


def test_the_paired_test_is_scipys():
    x, y = np.random.default_rng(0).normal(0, 1, (2, 6))
    found, expected = difference(x, y, paired=True), stats.ttest_rel(x, y)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.interval(0.9) == pytest.approx(expected.confidence_interval(0.9))
    assert found.effect == pytest.approx(np.mean(x - y))
    assert (found.n, found.method) == ((6, 6), "paired t")
    assert difference(x + 0.3, y, margin=0.3, paired=True).p_value == pytest.approx(found.p_value)


def test_the_unpaired_test_is_scipys():
    random = np.random.default_rng(0)
    x, y = random.normal(0, 3, 4), random.normal(1, 1, 9)
    found, expected = difference(x, y, paired=False), stats.ttest_ind(x, y, equal_var=False)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.interval(0.9) == pytest.approx(expected.confidence_interval(0.9))
    assert (found.n, found.method) == ((4, 9), "Welch t")
    assert difference(x + 0.3, y, margin=0.3, paired=False).p_value == pytest.approx(found.p_value)


@pytest.mark.parametrize(
    ("n", "m", "sd", "paired"), [(5, 5, 1.0, True), (5, 5, 1.0, False), (3, 12, 4.0, False)], ids=str
)
def test_the_difference_covers_and_rejects_as_often_as_it_says(n: int, m: int, sd: float, paired: bool):
    """The last has a small group with the larger scatter, where the pooled degrees of freedom would cover 0.8."""
    random = np.random.default_rng(n * m)
    draws = 2000
    results = [
        difference(2.0 + random.normal(0, sd, n), random.normal(0, 1, m), margin=2.0, paired=paired)
        for _ in range(draws)
    ]
    # Welch's test is approximate: 0.01 for that
    assert covered(results, 2.0) == pytest.approx(0.95, abs=four_errors(0.95, draws) + 0.01 * (not paired))
    assert rejected(results) == pytest.approx(0.05, abs=four_errors(0.05, draws) + 0.01 * (not paired))


def test_pairs_that_share_a_cause_are_compared_more_sharply():
    random = np.random.default_rng(1)
    shared = random.normal(0, 5, 8)
    x, y = shared + 1 + random.normal(0, 0.3, 8), shared + random.normal(0, 0.3, 8)
    assert difference(x, y, paired=True).p_value < 0.01 < difference(x, y, paired=False).p_value


# --- failed runs


def test_dropping_failed_runs_would_turn_the_verdict_round():
    """x fails in eight of ten runs, and the two survivors are better than all of y."""
    x, y = [1.0, 1.01] + [inf] * 8, np.linspace(1.4, 1.6, 10)
    found = difference(x, y, paired=False)
    assert (found.effect, found.method, found.n) == (inf, "exact worst-rank", (10, 10))
    assert found.p_value < 0.05
    assert found.interval(0.95)[0] > 0
    survivors = difference(x[:2], y, paired=False)
    assert survivors.p_value < 0.05
    assert survivors.interval(0.95)[1] < 0


def test_the_distribution_of_u_is_scipys():
    random = np.random.default_rng(0)
    for n, m in ((1, 1), (2, 5), (5, 5), (7, 4)):
        x, y = random.normal(0, 1, n), random.normal(0.5, 1, m)
        u = int((x[:, None] > y).sum())
        assert mann_whitney_cdf(n, m)[u] == pytest.approx(
            stats.mannwhitneyu(x, y, alternative="less", method="exact").pvalue
        )
    assert mann_whitney_cdf(2, 2) == pytest.approx([1 / 6, 2 / 6, 4 / 6, 5 / 6, 1])


def test_the_worst_rank_test_without_ties_is_scipys_mann_whitney():
    x, y = [1.0, 5.0, 6.0, inf], [0.5, 0.7, 2.0, 3.0, 0.1]
    found = difference(x, y, paired=False)
    assert found.p_value == pytest.approx(stats.mannwhitneyu([1, 5, 6, 99], y, method="exact").pvalue)
    assert difference(y, x, paired=False).p_value == pytest.approx(found.p_value)
    assert difference(y, x, paired=False).effect == -found.effect


def test_worst_ranks_agree_with_values_computed_by_hand():
    # 3 against 3: 20 orders, P(U = 0) = 1/20, so level 0.89 cuts nothing but U = 0: smallest to largest difference
    found = difference([10.0, 12.0, inf], [1.0, 3.0, 4.0], paired=False)
    assert found.p_value == pytest.approx(0.1)
    assert found.interval(0.89) == (6.0, inf)
    assert found.interval(0.79) == (7.0, inf)  # P(U <= 1) = 2/20: the second smallest; 6, 7, 8, 9, 9, 11, inf x 3
    assert found.interval(0.95) == (-inf, inf)
    assert found.effect == 9.0
    # the other way round the interval is the mirror image
    assert difference([1.0, 3.0, 4.0], [10.0, 12.0, inf], paired=False).interval(0.79) == (-inf, -7.0)


def test_two_failed_runs_are_equal():
    found = difference([inf] * 5, [inf] * 5, paired=True)
    assert (found.effect, found.p_value, found.interval(0.95)) == (0, 1, (0, 0))
    assert equivalence([inf] * 5, [inf] * 5, margin=0.1, paired=True).p_value < 0.05
    found = difference([inf] * 5, [1.0] * 5, paired=False)
    assert (found.effect, found.interval(0.95)) == (inf, (inf, inf))
    assert found.p_value == pytest.approx(2 / 252)


def test_the_worst_rank_interval_covers_exactly_as_often_as_its_order_statistics_say():
    """5 against 5: P(U <= 2) = 4/252 is below 0.025 and P(U <= 3) = 7/252 is not, so 1 - 8/252 = 0.968."""
    draws = 6000
    values = np.random.default_rng(0).normal(0, 1, (draws, 2, 5))
    differences = np.sort((2.0 + values[:, 0, :, None] - values[:, 1, None, :]).reshape(draws, -1))
    ends = [WorstRank(differences=row, n=5, m=5).interval(0.95) for row in differences]
    share = np.mean([low <= 2.0 <= high for low, high in ends])
    assert share == pytest.approx(1 - 8 / 252, abs=four_errors(8 / 252, draws))


@pytest.mark.parametrize("failing", [0.1, 0.4, 0.9])
def test_the_worst_rank_test_is_conservative_whatever_the_share_of_failures(failing: float):
    random = np.random.default_rng(0)
    draws = 1500
    values = np.where(random.random((draws, 2, 6)) < failing, inf, random.normal(0, 1, (draws, 2, 6)))
    values[:, 0, 0] = np.where(np.isinf(values).any(axis=(1, 2)), values[:, 0, 0], inf)
    results = [difference(x, y, paired=True) for x, y in values]
    assert {result.method for result in results} == {"exact worst-rank"}
    assert covered(results, 0.0) >= 0.95 - four_errors(0.95, draws)
    assert rejected(results) <= 0.05 + four_errors(0.05, draws)


def test_the_worst_rank_interval_covers_a_shift_when_the_worst_runs_of_one_side_fail():
    draws = 1500
    values = np.random.default_rng(0).normal(0, 1, (draws, 2, 7))
    x, y = np.where(values[:, 0] > 1.0, inf, values[:, 0]) + 3.0, np.minimum(values[:, 1], 1.0)
    some = np.isinf(x).any(axis=1)
    results = [difference(a, b, paired=False) for a, b in zip(x[some], y[some], strict=True)]
    assert covered(results, 3.0) >= 0.95 - four_errors(0.95, int(some.sum()))


# --- the same within a margin


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("edge", [1.0, -1.0])
def test_the_size_of_tost_is_five_percent_at_the_edge(paired: bool, edge: float):
    random = np.random.default_rng(2)
    draws = 2000
    results = [
        equivalence(edge + random.normal(0, 0.3, 8), random.normal(0, 0.3, 8), margin=1.0, paired=paired)
        for _ in range(draws)
    ]
    assert rejected(results) == pytest.approx(0.05, abs=four_errors(0.05, draws))
    inside = [low > -1 and high < 1 for low, high in (result.interval(0.95) for result in results)]
    assert inside == [result.p_value < 0.05 for result in results]


def test_the_size_of_tost_stays_below_five_percent_with_failed_runs_and_with_wide_scatter():
    random = np.random.default_rng(3)
    draws = 1000
    x, y = random.normal(1.0, 0.3, (draws, 8)), random.normal(0, 0.3, (draws, 8))
    x[:, 0] = inf
    assert rejected([equivalence(a, b, margin=1.0, paired=False) for a, b in zip(x, y, strict=True)]) <= 0.05
    x, y = random.normal(1.0, 3, (draws, 8)), random.normal(0, 3, (draws, 8))
    assert rejected([equivalence(a, b, margin=1.0, paired=False) for a, b in zip(x, y, strict=True)]) <= 0.05


def test_tost_is_the_larger_of_two_tests_of_scipy():
    x, y = np.random.default_rng(0).normal(0, 1, (2, 9))
    one = stats.ttest_rel(x + 0.7, y, alternative="greater").pvalue
    other = stats.ttest_rel(x - 0.7, y, alternative="less").pvalue
    found = equivalence(x, y, margin=0.7, paired=True)
    assert found.p_value == pytest.approx(max(one, other))
    assert found.interval(0.95) == pytest.approx(difference(x, y, paired=True).interval(0.9))
    assert found.method == "TOST"


def test_one_failed_run_of_five_is_not_the_same_as_none():
    x, y = [1.0, 1.01, 0.99, 1.0, inf], [1.0, 1.01, 0.99, 1.0, 1.0]
    assert equivalence(y, y[::-1], margin=0.1, paired=False).p_value < 0.05
    assert equivalence(x, y, margin=0.1, paired=False).p_value > 0.05
    assert equivalence([*x[:4]], y[:4], margin=0.1, paired=False).p_value < 0.05  # what dropping it would say


def test_an_equivalence_margin_is_positive():
    for margin in (0.0, -1.0, nan):
        with pytest.raises(StatisticsError, match="above 0"):
            equivalence([1.0], [1.0], margin=margin, paired=True)


# --- spread and failures


def test_the_spread_covers_and_rejects_as_often_as_it_says():
    random = np.random.default_rng(4)
    draws = 2000
    results = [spread_ratio(random.normal(0, 2, 5), random.normal(5, 1, 8), margin=log(2)) for _ in range(draws)]
    assert covered(results, log(2)) == pytest.approx(0.95, abs=four_errors(0.95, draws))
    assert rejected(results) == pytest.approx(0.05, abs=four_errors(0.05, draws))


def test_the_spread_agrees_with_values_computed_by_hand():
    # variances 4 and 1 on 2 and 2 degrees of freedom: F = 4, P(F(2, 2) > f) = 1 / (1 + f) = 0.2
    found = spread_ratio([0.0, 2.0, 4.0], [5.0, 6.0, 7.0, inf])
    assert found.effect == pytest.approx(log(2))
    assert found.p_value == pytest.approx(0.4)
    # quantiles of F(2, 2) are q / (1 - q): 39 and 1/39
    assert found.interval(0.95) == pytest.approx((log(2) - log(39) / 2, log(2) + log(39) / 2))
    assert (found.n, found.method) == ((3, 3), "F")


def test_the_spread_of_unequal_groups_is_that_of_the_tables():
    # upper 2.5 % points of F from tables: F(2, 10) = 5.456, F(10, 2) = 39.40
    x, y = [0.0, 2.0, 4.0], np.arange(11.0)  # variances 4 and 11
    low, high = spread_ratio(x, y).interval(0.95)
    assert (low, high) == pytest.approx((log(4 / 11 / 5.456) / 2, log(4 / 11 * 39.40) / 2), abs=1e-4)
    assert spread_ratio(x, y).p_value == pytest.approx(2 * stats.f.cdf(4 / 11, 2, 10))


def test_the_spread_of_too_few_or_identical_runs():
    for x, y in (([1.0], [1.0, 2.0]), ([1.0, inf], [1.0, 2.0]), ([1.0, 1.0], [0.1, 0.1]), ([], [])):
        found = spread_ratio(x, y)
        assert np.isnan(found.effect)
        assert (found.p_value, found.interval(0.95)) == (1, (-inf, inf))
    found = spread_ratio([1.0, 1.0], [1.0, 2.0])
    assert (found.effect, found.p_value, found.interval(0.95)) == (-inf, 0, (-inf, -inf))


def test_failures_agree_with_fisher_and_newcombe():
    # Newcombe (1998), Statistics in Medicine 17, 873-890, Table II, method 10
    for table, expected in (((56, 70, 48, 80), (0.0524, 0.3339)), ((9, 10, 3, 10), (0.1705, 0.8090))):
        assert failure_difference(*table).interval(0.95) == pytest.approx(expected, abs=5e-5)
    # 5 of 5 against 0 of 5: 2 of the 252 tables with these margins
    found = failure_difference(5, 5, 0, 5)
    assert found.p_value == pytest.approx(2 / 252)
    assert (found.effect, found.n, found.method) == (1, (5, 5), "Fisher")
    assert found.interval(0.999)[0] == 0
    assert failure_difference(0, 5, 0, 5).p_value == 1


def test_the_interval_of_failures_decides_as_fisher_does():
    for nx, ny in ((3, 3), (5, 5), (4, 7), (10, 6)):
        for fx in range(nx + 1):
            for fy in range(ny + 1):
                found = failure_difference(fx, nx, fy, ny)
                for level in (0.9, 0.95, 0.99, 0.998):
                    low, high = found.interval(level)
                    assert low <= found.effect <= high
                    assert (low > 0 or high < 0) == (found.p_value < 1 - level)


def test_no_runs_and_impossible_failures():
    found = failure_difference(0, 0, 1, 2)
    assert (found.p_value, found.interval(0.95)) == (1, (-1, 1))
    for counts in ((3, 2, 0, 2), (0, 2, -1, 2)):
        with pytest.raises(StatisticsError, match="impossible"):
            failure_difference(*counts)


# --- what holds for every result

X, Y = np.random.default_rng(7).normal([[0.8], [0.0]], 1, (2, 6))
FAILED = np.append(X[:5], inf)
TABLES = np.array([[1.0, 2, 4, 3], [2, 1, 3, 4], [1, 3, 2, 4], [1, 4, 3, 2]])
TESTS: dict[str, Callable[[float], Result]] = {
    "paired": lambda margin: difference(X, Y, margin=margin, paired=True),
    "Welch": lambda margin: difference(X, Y, margin=margin, paired=False),
    "one failed": lambda margin: difference(FAILED, Y, margin=margin, paired=False),
    "one failed each": lambda margin: difference(FAILED, np.append(Y[:5], inf), margin=margin, paired=False),
    "spread": lambda margin: spread_ratio(3 * X, Y, margin=margin),
    "order": lambda margin: order_agreement([1, 2, 3, 4], TABLES, margin=margin),
}


@pytest.mark.parametrize("name", TESTS)
def test_an_interval_excludes_the_margin_exactly_where_p_says_so(name: str):
    levels = np.linspace(0.003, 0.9987, 60)  # not a level at which an exact p-value is on the edge
    decisions = set()
    for margin in (-2.0, -0.71, 0.0, 0.13, 0.55, 0.9, 1.8, 4.0):
        result = TESTS[name](margin)
        assert 0 <= result.p_value <= 1
        for level in levels:
            low, high = result.interval(level)
            assert low <= high
            excluded = not low <= np.clip(margin, -1, 1) <= high if name == "order" else not low <= margin <= high
            if name != "order" or abs(margin) < 1:
                assert excluded == (result.p_value < 1 - level)
            decisions.add(excluded)
    assert decisions == {True, False}


def test_an_exact_p_value_on_the_edge_is_not_below_it():
    found = difference([10.0, 12.0, inf], [1.0, 3.0, 4.0], paired=False)  # p = 2/20, and 1 - 0.9 is a little less
    assert found.interval(0.9) == (-inf, inf)


@pytest.mark.parametrize("paired", [True, False])
def test_identical_runs_are_certain(paired: bool):
    same = [0.1, 0.1, 0.1]
    found = difference(same, [0.3, 0.3, 0.3], paired=paired)
    assert (found.p_value, found.interval(0.95)) == (0, (0.1 - 0.3, 0.1 - 0.3))
    found = difference(same, same, paired=paired)
    assert (found.effect, found.p_value, found.interval(0.95)) == (0, 1, (0, 0))
    assert equivalence(same, same, margin=1e-6, paired=paired).p_value == 0
    assert equivalence([1.0] * 3, [0.0] * 3, margin=1.0, paired=paired).p_value == 1


def test_equal_pairs_that_vary_over_seeds_are_certain_too():
    """Two declarations of one objective, with the same weights at each seed."""
    found = difference(X, X.copy(), paired=True)
    assert (found.effect, found.p_value, found.interval(0.999)) == (0, 1, (0, 0))
    assert equivalence(X, X.copy(), margin=0.01, paired=True).p_value == 0


@pytest.mark.parametrize("paired", [True, False])
def test_one_run_and_no_run_say_nothing(paired: bool):
    found = difference([1.0], [3.0], paired=paired)
    assert (found.effect, found.p_value, found.interval(0.95)) == (-2, 1, (-inf, inf))
    assert equivalence([1.0], [1.0], margin=9, paired=paired).p_value == 1
    found = difference([], [], paired=paired)
    assert np.isnan(found.effect)
    assert (found.p_value, found.interval(0.95), found.n) == (1, (-inf, inf), (0, 0))
    assert difference([inf], [1.0], paired=paired).p_value == 1


def test_runs_that_are_no_runs_are_refused():
    for bad in ([nan, 1.0], [-inf, 1.0], [[1.0, 2.0]]):
        with pytest.raises(StatisticsError, match=r"give a failed run the value \+inf"):
            difference(bad, [1.0, 2.0], paired=False)
    with pytest.raises(StatisticsError, match="2 runs of x cannot be paired with 3"):
        difference([1.0, 2.0], [1.0, 2.0, 3.0], paired=True)


@pytest.mark.parametrize("n", [1, 5, 6, 9])
def test_the_sign_test_is_the_binomial_one_and_its_interval_agrees(n: int):
    for won in range(n + 1):
        found = sign_test(won, n)
        assert found.p_value == pytest.approx(stats.binomtest(won, n).pvalue)
        assert found.effect == won / n
        for level in (0.5, 0.9, 0.95, 0.99, 1 - found.p_value):  # the last is the edge, where p is not below 1 - level
            low, high = found.interval(level)
            assert (low <= 0.5 <= high) == (found.p_value >= (1 - level) * (1 - 1e-9))
    assert sign_test(5, 5).p_value == pytest.approx(2 / 2**5), "five seeds never give p < 0.05"
    assert sign_test(6, 6).interval(0.95)[0] > 0.5


def test_the_sign_test_of_nothing_and_of_the_impossible():
    found = sign_test(0, 0)
    assert (found.p_value, found.interval(0.95)) == (1, (0, 1))
    with pytest.raises(StatisticsError, match="impossible"):
        sign_test(3, 2)
