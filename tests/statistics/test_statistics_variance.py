"""Shares of the variance: against statsmodels' analysis of variance, and by simulation of known shares."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from divergan.statistics import variance_shares
from divergan.statistics.variance import _drawn_again


def crossed(levels: dict[str, int], seeds: int) -> pd.DataFrame:
    names = [*levels, "seed"]
    return pd.DataFrame(product(*map(range, [*levels.values(), seeds])), columns=names)


def test_shares_agree_with_statsmodels_in_an_unbalanced_design():
    random = np.random.default_rng(0)
    table = crossed({"a": 4, "b": 3}, 5).sample(frac=0.7, random_state=0)
    table["y"] = table["a"] + (table["b"] == 1) * table["a"] + random.normal(0, 1, len(table))
    anova = anova_lm(ols("y ~ C(a) * C(b)", table).fit(), typ=2)
    error = anova.loc["Residual", "sum_sq"] / anova.loc["Residual", "df"]
    total = ((table["y"] - table["y"].mean()) ** 2).sum()
    expected = (anova["sum_sq"] - anova["df"] * error) / (total + error)
    found = {row["factor"]: row["share"] for row in variance_shares(table, "y", ["a", "b"], draws=10)}
    assert list(found) == ["a", "b", "interactions", "seed"]
    for factor, line in (("a", "C(a)"), ("b", "C(b)"), ("interactions", "C(a):C(b)")):
        assert found[factor] == pytest.approx(expected[line])
    assert found["seed"] == pytest.approx(len(table) * error / (total + error))


def test_shares_agree_with_values_computed_by_hand():
    # cells (0, 2) and (4, 6): total 20, between 16 with 1 degree of freedom, within 4 with 2, so MSE 2
    table = pd.DataFrame({"a": ["p", "p", "q", "q"], "y": [0.0, 2.0, 4.0, 6.0]})
    factor, seed = variance_shares(table, "y", ["a"], draws=10)
    assert (factor["factor"], seed["factor"]) == ("a", "seed")
    assert factor["share"] == pytest.approx((16 - 2) / 22)
    assert seed["share"] == pytest.approx(4 * 2 / 22)


def test_interactions_of_three_factors_are_not_taken_for_the_seed():
    table = crossed({"a": 2, "b": 2, "c": 2}, 3)
    table["y"] = 10.0 * (table["a"] ^ table["b"] ^ table["c"]) + np.random.default_rng(0).normal(0, 1, len(table))
    found = {row["factor"]: row["share"] for row in variance_shares(table, "y", ["a", "b", "c"], draws=10)}
    assert found["interactions"] > 0.9
    assert found["seed"] < 0.1
    assert sum(found.values()) == pytest.approx(1, abs=0.05)  # clipping at 0 only


def simulated(effects: np.ndarray, seeds: int, draws: int) -> pd.DataFrame:
    """Shares and interval ends for cells with means `effects`, shape (a, b), and scatter 1 over seeds."""
    random = np.random.default_rng(5)
    table = crossed({"a": effects.shape[0], "b": effects.shape[1]}, seeds)
    mean = effects[table["a"], table["b"]]
    rows = []
    for _ in range(draws):
        table["y"] = mean + random.normal(0, 1, len(table))
        rows += variance_shares(table, "y", ["a", "b"], draws=200, seed=1)
    return pd.DataFrame(rows)


def test_shares_are_nearly_unbiased_and_their_intervals_cover_nine_in_ten():
    """Shares 0.4, 0.1, 0.1 and 0.4 of a design of 7 by 2 with five seeds, the study's own size."""
    a = np.linspace(-1, 1, 7)[:, None] / np.linspace(-1, 1, 7).std()
    b = np.array([[-0.5, 0.5]])
    both = 0.5 * np.array([1, -1, 1, -2, 1, -1, 1])[:, None] * np.array([[-1, 1]])
    both = (both - both.mean(axis=0)) / (both - both.mean(axis=0)).std() * 0.5
    draws = 300
    rows = simulated(a + b + both, 5, draws)
    for factor, share in (("a", 0.4), ("b", 0.1), ("interactions", 0.1), ("seed", 0.4)):
        found = rows[rows["factor"] == factor]
        # four standard errors, and 0.01 because the mean of a ratio is not the ratio of the means
        assert found["share"].mean() == pytest.approx(share, abs=0.01 + 4 * found["share"].std() / np.sqrt(draws))
        covered = found["low"].le(share) & found["high"].ge(share)
        assert covered.mean() >= 0.9 - 4 * np.sqrt(0.9 * 0.1 / draws)
    assert ((rows["low"] <= rows["share"]) & (rows["share"] <= rows["high"])).all()


def test_factors_without_effect_get_hardly_a_share():
    rows = simulated(np.zeros((7, 2)), 5, 150)
    mean = rows.groupby("factor")["share"].mean()
    assert mean["seed"] > 0.95
    assert max(mean["a"], mean["b"], mean["interactions"]) < 0.04  # eta squared would give 6 / 69 = 0.09 to a
    truth = (rows["factor"] == "seed").astype(float)
    covered = (rows["low"].le(truth) & rows["high"].ge(truth)).groupby(rows["factor"]).mean()
    # the plain percentiles, not moved by what drawing again adds, cover 0.74 of the seed's share
    assert covered.min() >= 0.95 - 4 * np.sqrt(0.95 * 0.05 / 150)


def test_drawing_again_keeps_each_cells_mean_and_variance():
    y, cells = np.array([0.0, 2.0, 10.0, 14.0, 12.0, 7.0]), np.array([0, 0, 1, 1, 1, 2])
    drawn = _drawn_again(y, cells, 20000, np.random.default_rng(0))
    assert drawn.mean(axis=1) == pytest.approx([1, 1, 12, 12, 12, 7], abs=4 * 2 / np.sqrt(20000))
    # variances (n - 1) are 2 and 4; four standard errors of a variance of 4, 4 √(2 / 20000) * 4
    assert drawn.var(axis=1) == pytest.approx([2, 2, 4, 4, 4, 0], abs=0.16)


def test_failed_runs_are_left_out_and_a_seed_that_nothing_repeats_is_not_guessed():
    table = crossed({"a": 3}, 4)
    table["y"] = [1.0, 2, 3, 2, 4, 5, 6, 5, 2, 1, 2, 3]
    failed = pd.concat([table, table.head(2).assign(y=np.inf)])
    assert variance_shares(failed, "y", ["a"], draws=50) == variance_shares(table, "y", ["a"], draws=50)
    assert variance_shares(table[table["seed"] == 0], "y", ["a"]) == []
    assert variance_shares(table.assign(y=3.0), "y", ["a"]) == []
    assert variance_shares(table.assign(y=np.inf), "y", ["a"]) == []


def test_a_factor_with_one_level_has_no_share():
    table = crossed({"a": 3}, 4).assign(arm="one", y=np.arange(12.0))
    found = {row["factor"]: row["share"] for row in variance_shares(table, "y", ["a", "arm"], draws=10)}
    assert found["arm"] == pytest.approx(0, abs=1e-12)
    assert "interactions" not in found
