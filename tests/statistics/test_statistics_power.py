"""How many seeds: against statsmodels, and whether the test then has the power that was asked for."""

from __future__ import annotations

import warnings
from math import ceil, inf, nan

import numpy as np
import pytest
from statsmodels.stats.power import TTestIndPower, TTestPower

from divergan.statistics import difference, equivalence, seeds_needed


@pytest.mark.parametrize("size", [0.3, 0.8, 1.5, 4.0])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_the_number_is_that_of_statsmodels(size: float, alpha: float):
    for paired, reference in ((True, TTestPower()), (False, TTestIndPower())):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its search leaves the range in which it is defined
            n = reference.solve_power(effect_size=size, alpha=alpha, power=0.8, nobs1=None) if not paired else (
                reference.solve_power(effect_size=size, alpha=alpha, power=0.8, nobs=None)
            )  # fmt: skip
        # effect 2 sd, margin as far below it as `size` says
        found = seeds_needed(2.0, 0.5, margin=2.0 - 0.5 * size, alpha=alpha, paired=paired)
        assert found == max(2, ceil(np.squeeze(n)))


@pytest.mark.parametrize(("paired", "effect"), [(True, 0.4), (False, 0.0)])
def test_the_test_of_equivalence_then_has_the_power(paired: bool, effect: float):
    n = seeds_needed(effect, 1.0, margin=1.5, alpha=0.05, paired=paired, equivalence=True)
    assert n is not None
    random = np.random.default_rng(0)
    draws = 1000

    def share(n: int) -> float:
        noise = random.normal(0, 1, (draws, 2, n))
        noise[:, 1] *= not paired  # sd is that of the differences where paired
        results = [equivalence(effect + x, y, margin=1.5, paired=paired) for x, y in noise]
        return np.mean([result.p_value < 0.05 for result in results])

    four_errors = 4 * np.sqrt(0.8 * 0.2 / draws)  # 0.051
    assert share(n) >= 0.8 - four_errors
    assert share(n - 1) < 0.8 + four_errors
    assert share(max(2, n // 2)) < 0.8 - four_errors


def test_the_test_of_a_difference_then_has_the_power():
    n = seeds_needed(1.0, 0.8, margin=0.1, alpha=0.01, paired=False)
    assert n is not None
    noise = np.random.default_rng(1).normal(0, 0.8, (1000, 2, n))
    rejected = [difference(1.0 + x, y, margin=0.1, paired=False).p_value < 0.01 for x, y in noise]
    assert np.mean(rejected) == pytest.approx(0.82, abs=0.06)  # 0.8 or the next step above, and four standard errors


def test_what_no_number_of_seeds_decides():
    known = {"alpha": 0.05, "paired": True}
    assert seeds_needed(0.1, 1.0, margin=0.1, **known) is None
    assert seeds_needed(0.101, 1.0, margin=0.1, **known) is None
    assert seeds_needed(0.5, 1.0, margin=0.4, equivalence=True, **known) is None
    for effect, sd in ((inf, 1.0), (1.0, nan), (nan, nan)):
        assert seeds_needed(effect, sd, margin=0.0, **known) is None


def test_runs_without_variance_need_two():
    known = {"alpha": 0.05, "paired": False}
    assert seeds_needed(1.0, 0.0, margin=0.5, **known) == 2
    assert seeds_needed(0.5, 0.0, margin=0.5, **known) is None
    assert seeds_needed(0.4, 0.0, margin=0.5, equivalence=True, **known) == 2
    assert seeds_needed(0.5, 0.0, margin=0.5, equivalence=True, **known) is None


def test_more_seeds_for_more_power_a_nearer_margin_and_a_stricter_level():
    asked = {"margin": 0.0, "alpha": 0.05, "paired": False}
    usual = seeds_needed(0.5, 1.0, **asked)
    assert seeds_needed(0.5, 1.0, power=0.95, **asked) > usual
    assert seeds_needed(0.5, 1.0, **asked | {"margin": 0.2}) > usual
    assert seeds_needed(0.5, 1.0, **asked | {"alpha": 0.01}) > usual
    assert seeds_needed(0.5, 1.0, **asked | {"paired": True}) < usual
