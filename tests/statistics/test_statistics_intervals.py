"""Intervals of one group of runs: by simulation, against hand-computed values, and on degenerate runs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from divergan.statistics import StatisticsError, mean_interval, prediction_interval, proportion_interval

DRAWS = 3000


def four_errors(share: float, draws: int = DRAWS) -> float:
    """Four standard errors of a share that was simulated."""
    return 4 * np.sqrt(share * (1 - share) / draws)


def holds(interval: tuple[float, float], value: float) -> bool:
    return interval[0] <= value <= interval[1]


def test_intervals_agree_with_values_computed_by_hand():
    # 2, 4, 6: mean 4, standard deviation 2; t(0.975, 2) = 4.302653 from tables
    assert mean_interval([2, 4, 6]) == pytest.approx((4 - 4.968275, 4 + 4.968275), abs=1e-5)  # 4.302653 * 2 / sqrt(3)
    assert prediction_interval([2, 4, 6]) == pytest.approx((4 - 9.936551, 4 + 9.936551), abs=1e-5)  # * sqrt(4)
    # no failure in 10: the upper end u has (1 - u)^10 = 0.025
    assert proportion_interval(0, 10) == pytest.approx((0, 1 - 0.025**0.1), abs=1e-9)


def test_the_mean_interval_is_scipys():
    values = np.random.default_rng(3).normal(5, 2, 7)
    for level in (0.8, 0.95, 0.995):
        expected = stats.t.interval(level, 6, loc=values.mean(), scale=stats.sem(values))
        assert mean_interval(values, level) == pytest.approx(expected)


@pytest.mark.parametrize(("n", "level"), [(3, 0.95), (5, 0.95), (12, 0.8)])
def test_the_mean_and_prediction_intervals_cover_as_often_as_they_say(n: int, level: float):
    random = np.random.default_rng(n)
    values = random.normal(7, 3, (DRAWS, n + 1))
    of_mean = np.mean([holds(mean_interval(runs[:n], level), 7) for runs in values])
    of_run = np.mean([holds(prediction_interval(runs[:n], level), runs[n]) for runs in values])
    assert of_mean == pytest.approx(level, abs=four_errors(level))
    assert of_run == pytest.approx(level, abs=four_errors(level))


def test_the_mean_interval_would_reject_a_third_of_identical_runs():
    """The fault this project exists to avoid: one published run judged against the interval of our mean, n = 5."""
    values = np.random.default_rng(1).normal(7, 3, (DRAWS, 6))
    rejected = np.mean([not holds(mean_interval(runs[:5]), runs[5]) for runs in values])
    exact = 2 * stats.t.sf(stats.t.ppf(0.975, 4) / np.sqrt(6), 4)  # (run - mean) / (s √(6/5)) has Student's t
    assert exact == pytest.approx(0.32, abs=0.005)
    assert rejected == pytest.approx(exact, abs=four_errors(exact))
    rejected = np.mean([not holds(prediction_interval(runs[:5]), runs[5]) for runs in values])
    assert rejected == pytest.approx(0.05, abs=four_errors(0.05))


@pytest.mark.parametrize("runs", [5, 10, 30])
def test_clopper_pearson_covers_at_every_probability_and_little_more_than_it_must(runs: int):
    """Summed over all outcomes, so without simulation error."""
    found = np.array([proportion_interval(failures, runs) for failures in range(runs + 1)])
    probability = np.linspace(0.001, 0.999, 999)[:, None]
    inside = (found[:, 0] <= probability) & (probability <= found[:, 1])
    coverage = (stats.binom.pmf(np.arange(runs + 1), runs, probability) * inside).sum(axis=1)
    assert coverage.min() >= 0.95
    # both ends are as near as they may be: so many failures, or so few, have probability 0.025 there
    failures = np.arange(1, runs)
    assert stats.binom.sf(failures - 1, runs, found[1:-1, 0]) == pytest.approx(0.025)
    assert stats.binom.cdf(failures, runs, found[1:-1, 1]) == pytest.approx(0.025)


def test_clopper_pearson_covers_in_simulation():
    random = np.random.default_rng(2)
    found = [proportion_interval(failures, 8) for failures in range(9)]
    covered = np.mean([holds(found[failures], 0.3) for failures in random.binomial(8, 0.3, DRAWS)])
    assert covered >= 0.95 - four_errors(0.95)


def test_degenerate_runs():
    for interval in (mean_interval, prediction_interval):
        assert interval([0.1] * 3) == (0.1, 0.1)  # numpy's standard deviation of these is not 0
        for values in ([], [3.0], [1.0, 2.0, np.inf], [np.nan, 1.0, 2.0]):
            assert np.isnan(interval(values)).all()
    assert proportion_interval(0, 0) == (0, 1)
    assert proportion_interval(4, 4)[1] == 1
    with pytest.raises(StatisticsError, match="5 failures of 4 runs"):
        proportion_interval(5, 4)


def test_importing_the_package_loads_neither_statsmodels_nor_scipys_statistics():
    code = (
        "import sys, divergan.statistics as s;"
        "print([m for m in ('statsmodels', 'pandas', 'scipy.stats._stats_py') if m in sys.modules]);"
        "print(s.mean_interval([0.0, 0.0]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "(0.0, 0.0)"]
