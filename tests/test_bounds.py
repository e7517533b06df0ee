"""Bounds and ratios of normals: exact values in closed form, critics that approach them."""

from __future__ import annotations

from math import exp, sqrt

import numpy as np
import pandas as pd
import pytest
import torch

from divergan.chapters.bounds import Bounds, compute, divergence, drawn, judged, parts, picked, tables
from divergan.objectives import OBJECTIVES, objective
from divergan.randomness import generator
from followed import every_row

SETTINGS = {
    "objectives": ["kl"],
    "dimensions": [2],
    "points": [0],
    "hidden": [32],
    "seeds": [0, 1],
    "distance": 1.2,
    "batch": 128,
    "steps": 200,
    "looks": 4,
    "learning_rate": 2e-3,
}


def rows(**changes) -> pd.DataFrame:
    return pd.DataFrame(every_row(parts(Bounds(**SETTINGS | changes)), compute))


@pytest.mark.parametrize("distance", [0.5, 1.2])
def test_divergences_of_two_normals_in_closed_form(distance):
    expected = {
        "kl": distance**2 / 2,
        "reverse_kl": distance**2 / 2,
        "pearson": exp(distance**2) - 1,
        "squared_hellinger": 2 - 2 * exp(-(distance**2) / 8),
        "exponential": 2 - 2 * exp(-(distance**2) / 8),
    }
    for name, value in expected.items():
        assert divergence(objective(name), distance) == pytest.approx(value, rel=1e-8)


@pytest.mark.parametrize("name", [n for n, o in OBJECTIVES.items() if o.log_ratio and o.f and not o.flaw])
def test_the_exact_ratio_attains_the_divergence(name):
    """A critic that scores the exact ratio, on fresh points: its bound is the divergence, its error nothing."""
    own, settings = objective(name), SETTINGS | {"dimension": 2}
    fresh = drawn([generator(0, "test")], 100_000, settings).double()
    near, far = torch.linspace(-30, 30, 400_001), torch.linspace(30, 3000, 400_001)[1:]  # Pearson: v = 2(u - 1)
    grid = torch.cat((near, far)).double()
    ratios = own.log_ratio(grid)
    m = settings["distance"]
    exact = m**2 / 2 - m * fresh.sum(2) / sqrt(2)
    keep = ratios.isfinite()
    v = torch.from_numpy(np.interp(exact[0].numpy(), ratios[keep].numpy(), grid[keep].numpy()))[None]
    (found,) = judged(own, lambda points: v, fresh, None, settings)
    assert found["ratio_error"] < 2e-3
    assert found["bound"] == pytest.approx(divergence(own, m), rel=0.03)  # 100,000 points a side


def test_q_lies_where_its_density_says():
    x = drawn([generator(3, "test")], 200_000, SETTINGS | {"dimension": 3})[0]
    assert x[:200_000].mean(0).tolist() == pytest.approx([0, 0, 0], abs=0.01)
    assert x[200_000:].mean(0).tolist() == pytest.approx([1.2 / sqrt(3)] * 3, abs=0.01)
    assert x.std(0).tolist() == pytest.approx([sqrt(1 + 1.2**2 / 12)] * 3, rel=0.01)


def test_a_batch_of_kept_points_keeps_the_sides_apart():
    kept = torch.cat((torch.zeros(1, 50, 2), torch.ones(1, 50, 2)), dim=1)
    batch = picked([generator(0, "test")], kept, 20)
    assert (batch[0, :20].sum(), batch[0, 20:].sum()) == (0, 40)


def test_the_bound_rises_toward_the_divergence_and_the_ratio_is_learned():
    found = rows(steps=400).groupby("step")[["bound", "ratio_error", "exact"]].mean()
    assert found["bound"].is_monotonic_increasing or found["bound"].iloc[-1] > found["bound"].iloc[0]
    assert 0.85 < found["bound"].iloc[-1] / found["exact"].iloc[-1] < 1.05
    assert found["ratio_error"].iloc[-1] < 0.5 * found["ratio_error"].iloc[0]


def test_few_points_are_learned_by_heart():
    """The bound on them is above the divergence; that on fresh ones falls below it."""
    found = rows(points=[30], steps=800, hidden=[64], dimensions=[10]).query("step == 800")
    assert (found["bound_seen"] > found["exact"]).all()
    assert (found["bound"] < 0.5 * found["exact"]).all()


def test_a_seed_is_the_same_alone_and_again():
    together = rows(steps=20)
    pd.testing.assert_frame_equal(rows(steps=20), together)
    alone = rows(steps=20, seeds=[1])
    assert alone["bound"].to_numpy() == pytest.approx(together.query("seed == 1")["bound"].to_numpy(), abs=1e-5)


def test_the_summary_counts_what_diverged():
    made = rows(steps=8, looks=1)
    made.loc[0, ["outcome", "bound"]] = ["diverged", np.nan]
    row = tables(made)["bounds_summary"].iloc[0]
    assert (row["n"], row["n_runs"]) == (1, 2)
    assert row["gap"] == pytest.approx(1 - made.loc[1, "bound"] / made.loc[1, "exact"])


@pytest.mark.parametrize("name", ["hinge", "wasserstein", "nothing"])
def test_an_objective_without_a_ratio_is_refused(name):
    with pytest.raises(ValueError, match=r"identifies p/q|there is no"):
        Bounds(**SETTINGS | {"objectives": [name]})
