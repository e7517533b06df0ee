"""Holm's procedure: its errors by simulation, its levels against its decisions."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from divergan.statistics import StatisticsError, difference, holm, holm_levels


def test_holm_agrees_with_values_computed_by_hand():
    # sorted 0.005, 0.01, 0.03, 0.04, times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04, and the last no less than 0.06
    p_values = [0.01, 0.04, 0.03, 0.005]
    assert holm(p_values) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    # 0.005 < 0.05/4, 0.01 < 0.05/3, 0.03 > 0.05/2: the third stops, and the fourth keeps its level
    assert holm_levels(p_values) == pytest.approx([1 - 0.05 / 3, 0.975, 0.975, 1 - 0.05 / 4])
    assert holm_levels([0.2, 0.001], alpha=0.1) == pytest.approx([0.9, 0.95])


def test_adjusted_p_values_are_those_of_statsmodels():
    random = np.random.default_rng(0)
    for k in range(1, 30):
        p_values = np.round(random.uniform(0, 1, k) ** 3, 2)  # some of them equal
        assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], rel=1e-12, abs=0)


def test_no_claim_one_claim_and_claims_that_are_no_p_values():
    assert len(holm([])) == len(holm_levels([])) == 0
    assert (holm([0.04])[0], holm_levels([0.04])[0]) == (0.04, 0.95)
    assert list(holm([1.0, 1.0])) == [1.0, 1.0]
    for bad in (float("nan"), 1.5, -0.1):
        with pytest.raises(StatisticsError, match="between 0 and 1"):
            holm([0.1, bad])
        with pytest.raises(StatisticsError, match="between 0 and 1"):
            holm_levels([0.1, bad])


def test_levels_decide_as_adjusted_p_values_do():
    """p-values that lie around Holm's thresholds, some of them equal."""
    random = np.random.default_rng(0)
    for _ in range(1000):
        p_values = np.round(random.uniform(0, 0.06, random.integers(1, 8)) ** random.choice([1, 1.5]), 4) + 3e-6
        assert list(p_values < 1 - holm_levels(p_values)) == list(holm(p_values) < 0.05)


def test_a_p_value_equal_to_its_level_is_no_rejection():
    for equal in (0.025, np.nextafter(0.025, 0)):  # or is equal but for rounding
        assert holm_levels([equal, 0.03]) == pytest.approx([0.975, 0.975])


def families(effects: list[float], draws: int, seed: int) -> list[list]:
    """Each variant of a family against one shared reference, five seeds each, as in a table of the study."""
    random = np.random.default_rng(seed)
    reference = random.normal(0, 1, (draws, 5))
    variants = random.normal(0, 1, (draws, len(effects), 5)) + np.array(effects)[:, None]
    return [
        [difference(runs, shared, paired=False) for runs in family]
        for family, shared in zip(variants, reference, strict=True)
    ]


@pytest.mark.parametrize("effects", [[0.0] * 6, [0.0, 4.0, 0.0, 4.0, 0.0, 4.0]], ids=["global null", "partial null"])
def test_the_family_wise_error_is_at_most_five_percent(effects: list[float]):
    draws = 600
    null = np.array(effects) == 0
    any_false, any_false_unadjusted = 0, 0
    for family in families(effects, draws, seed=1):
        p_values = np.array([result.p_value for result in family])
        rejected = holm(p_values) < 0.05
        ends = [result.interval(level) for result, level in zip(family, holm_levels(p_values), strict=True)]
        assert [not low <= 0 <= high for low, high in ends] == list(rejected)
        any_false += rejected[null].any()
        any_false_unadjusted += (p_values[null] < 0.05).any()
    four_errors = 4 * np.sqrt(0.05 * 0.95 / draws)  # 0.036
    assert any_false / draws <= 0.05 + four_errors
    if null.all():
        assert any_false_unadjusted / draws > 0.05 + four_errors  # what goes wrong without Holm, about 0.17
