"""Disjoint supports: the divergence in closed form, gradients against finite differences, θ that reaches the data."""

from __future__ import annotations

from copy import deepcopy
from math import inf, isnan, log, nan, sqrt

import numpy as np
import pandas as pd
import pytest
import torch

from divergan.chapters.critics import Critics
from divergan.chapters.supports import (
    ARMS,
    Supports,
    compute,
    critic_step,
    ending,
    farthest,
    fitted,
    learned,
    looked,
    parts,
    places,
    ratio_along,
    steepness_above_one,
    tables,
    uniform,
)
from divergan.objectives import OBJECTIVES, objective
from divergan.randomness import generator
from divergan.report.supports import power, vanishing
from followed import Followed

pytestmark = pytest.mark.xdist_group("supports")  # one worker, for what the module makes once

SETTINGS = {
    "objectives": ["bce"],
    "slope_at_most_one": [],
    "seeds": [0, 1],
    "start": 3.0,
    "hidden": 16,
    "batch": 64,
    "looks": [10, 300],
    "critic_learning_rate": 5e-3,
    "steps": 60,
    "adam_rate": 0.05,
    "descent_rate": 0.1,
    "penalty": 10.0,
}


def part(name: str = "bce", **changes) -> dict:
    settings = SETTINGS | {"objectives": [name]} | changes
    return next(iter(parts(Supports(**settings)))).settings


def critics(**changes) -> Critics:
    settings = SETTINGS | changes
    return Critics(settings["seeds"], "test", 1, settings["hidden"], torch.tanh)


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "bce": 2 * log(2), "jensen_shannon": 2 * log(2), "squared_hellinger": 2, "hinge": 2, "total_variation": 1,
        "kl": inf, "reverse_kl": inf, "pearson": inf, "neyman": inf, "jeffreys": inf, "spherical": 2 - sqrt(2),
    }.items(),
)  # fmt: skip
def test_the_divergence_of_what_shares_no_place(name, expected):
    assert farthest(objective(name)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("theta", [0.3, 1.0, 2.5])
def test_it_is_the_integral_over_both_intervals(theta):
    """∫ q f(p/q) piece by piece, in the limits p → 0 and q → 0 by 1e-12; linear in θ up to 1, flat beyond."""
    tiny = 1e-12
    for name in ("bce", "squared_hellinger", "hinge", "brier"):
        own = objective(name)
        f = [float(own.f(torch.tensor(u, dtype=torch.float64))) for u in (tiny, 1 / tiny, 1.0)]
        apart = min(theta, 1)
        found = apart * f[0] + apart * tiny * f[1] + (1 - apart) * f[2] - f[2]
        assert found == pytest.approx(apart * farthest(own), abs=1e-4)  # Hellinger nears its limits as √1e-12


def test_w1_grows_on_and_has_no_farthest():
    assert isnan(farthest(objective("wasserstein")))


@pytest.mark.parametrize("name", ["bce", "kl", "squared_hellinger", "hinge", "wasserstein"])
def test_what_is_looked_at_is_a_finite_difference_of_the_loss(name):
    """dL/dθ by moving all generated points, dL/dv by raising all their scores; 2 % for float32 at a step of 1e-2."""
    own, of, settings = objective(name), critics(), part(name)
    z = ((torch.arange(200) + 0.5) / 200).expand(2, -1)
    rows = looked(own, of, settings)
    with torch.no_grad():
        v_real = of(z[..., None])
        for row in rows:
            i, loss = settings["seeds"].index(row["seed"]), own.generator_loss(row["generator_loss"])

            def at(move: float, lift: float, i=i, loss=loss) -> float:
                return float(loss((of((z + 3 + move)[..., None]) + lift)[i].double(), v_real[i].double()))

            assert row["gradient"] == pytest.approx((at(0.01, 0) - at(-0.01, 0)) / 0.02, rel=0.02, abs=1e-4)
            assert row["pull"] == pytest.approx((at(0, 0.01) - at(0, -0.01)) / 0.02, rel=0.02, abs=1e-4)
            assert row["bound"] == pytest.approx(float(own.divergence(v_real[i], of((z + 3)[..., None])[i])), rel=1e-5)


def test_the_lectures_two_losses_as_the_critic_wins():
    """-log D: dL/dv → -1, and the gradient stays; log(1 - D): dL/dv → 0, and the gradient goes with it."""
    _, rows = fitted(objective("bce"), critics(), part(looks=[10, 400]), Followed())
    last = pd.DataFrame(rows).query("step == 400").set_index(["generator_loss", "seed"])
    assert (last.loc["alternative", "pull"] < -0.97).all()
    assert (last.loc["bound", "pull"].abs() < 0.03).all()
    assert (last.loc["alternative", "gradient"].abs() > 0.3).all()
    assert (last.loc["bound", "gradient"].abs() < 0.03).all()
    assert (last.loc["alternative", "gradient"] > 0).all()  # descent lowers θ, toward the data


def test_the_bound_rises_toward_the_divergence_and_not_above_it():
    _, rows = fitted(objective("bce"), critics(), part(looks=[10, 60, 400]), Followed())
    bounds = pd.DataFrame(rows).groupby("step")["bound"].mean()
    assert bounds.is_monotonic_increasing
    assert 0.97 * 2 * log(2) < bounds.iloc[-1] < 2 * log(2)


def test_the_learned_ratio_is_finite_rises_toward_the_data_and_jumps_nowhere():
    own, settings = objective("bce"), part(looks=[400])
    of, _ = fitted(own, critics(), settings, Followed())
    x, lines = places(3.0), torch.tensor(ratio_along(own, of, settings))
    assert (x[0], x[-1], lines.shape) == (-1, 5, (2, len(x)))
    assert (lines[:, (x > 0) & (x < 1)] > 2).all()
    assert (lines[:, (x > 3) & (x < 4)] < -2).all()
    assert lines.diff().abs().max() < 0.25 * (lines.max() - lines.min())


def test_the_line_holds_the_log_ratio_and_not_the_score():
    own, of, settings = objective("squared_hellinger"), critics(), part("squared_hellinger")
    v = of(places(3.0).expand(2, -1)[..., None])
    np.testing.assert_allclose(ratio_along(own, of, settings), 2 * v.detach().numpy(), rtol=1e-6)


def test_only_slopes_above_one_are_penalised():
    x = torch.linspace(-2, 6, 50).expand(1, -1)
    for slope, expected in ((0.4, 0.0), (-0.9, 0.0), (3.0, 4.0), (-3.0, 4.0)):
        found = steepness_above_one(lambda points, slope=slope: slope * points[..., 0], x)
        assert float(found) == pytest.approx(expected, abs=1e-6)


def test_a_penalised_critic_finds_the_distance():
    """W1 is 3; a penalty of weight 10 lets the slope be 1 + 1/20 about, more where few points lie."""
    settings = part("wasserstein", slope_at_most_one=["wasserstein"], looks=[300], hidden=32)
    _, rows = fitted(objective("wasserstein"), critics(hidden=32), settings, Followed())
    assert all(2.9 < row["bound"] < 3.8 for row in rows)
    assert all(0.9 < row["gradient"] < 1.3 for row in rows)


def test_the_penalty_is_where_it_is_asked_for():
    found = []
    for asked in ([], ["bce"]):
        of = critics()
        settings = part(slope_at_most_one=asked, penalty=100.0)
        player = torch.optim.Adam(of.parameters, lr=0.05)
        rngs = [generator(seed, "test") for seed in settings["seeds"]]
        for _ in range(60):
            critic_step(objective("bce"), of, player, 3 + uniform(rngs, 64), rngs, settings)
        line = of(torch.linspace(0, 4, 200).expand(2, -1)[..., None]).detach()
        found.append(float(line.diff().abs().max()) * 199 / 4)
    assert found[0] > 2 * found[1]


def test_theta_reaches_the_data_where_kl_is_infinite():
    for name in ("kl", "bce"):
        settings = part(name, steps=200)
        for path in learned(objective(name), critics(), "bound", "adam", settings):
            assert path[0] == 3
            assert abs(np.mean(path[-25:])) < 0.5


def test_adam_and_descent_step_by_their_own_rates():
    """Adam's first step has the size of its rate, descent's that of the gradient times its rate."""
    for rate in (0.01, 0.1):
        settings = part(steps=1, adam_rate=rate, descent_rate=rate)
        of = critics()
        for path in learned(objective("bce"), deepcopy(of), "alternative", "adam", settings):
            assert abs(path[1] - path[0]) == pytest.approx(rate, rel=1e-2)
    gentle, strong = (
        learned(objective("bce"), critics(), "alternative", "descent", part(steps=1, descent_rate=rate))[0]
        for rate in (0.1, 1.0)
    )
    assert strong[1] - strong[0] == pytest.approx(10 * (gentle[1] - gentle[0]), rel=1e-3)
    assert 0 < abs(gentle[1] - gentle[0]) < 0.02


def test_an_end_is_told_from_the_path():
    falling = [3 - 3 * i / 100 for i in range(101)]
    told = ending([*falling, *[0.1] * 20])
    assert (told["outcome"], told["overlaps"], told["near"]) == ("finished", True, True)
    assert told["distance"] == pytest.approx(0.1)
    assert ending([3.0] * 50)["overlaps"] is False
    assert ending([3.0, 0.5, *[1.5] * 48]) == ending([3.0, 0.5, *[1.5] * 48]) | {"overlaps": True, "near": False}
    assert ending([3.0, -0.5, *[-1.5] * 48])["distance"] == pytest.approx(1.5)
    assert ending([3.0, *[-1.5] * 49])["overlaps"] is False  # one step over the data
    assert ending([3.0, nan]) == {"outcome": "diverged"}


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return compute(part(looks=[5, 20], steps=12), Followed())


def test_a_trained_critic_is_that_of_the_last_look_and_a_fresh_one_is_untouched(rows):
    runs = pd.DataFrame([row for row in rows if row["kind"] == "learning"])
    assert len(runs) == 2 * len(ARMS) == 16
    settings = part(looks=[5, 20], steps=12)
    fresh = Critics([0, 1], "supports critic", 1, 16, torch.tanh)
    trained, _ = fitted(objective("bce"), deepcopy(fresh), settings, Followed())
    for start, of in (("fresh", fresh), ("trained", trained)):
        path = learned(objective("bce"), deepcopy(of), "alternative", "descent", settings)[0]
        own = runs[runs["critic"] == start].query("rule == 'descent' and generator_loss == 'alternative' and seed == 0")
        assert own["path"].item()[-1] == pytest.approx(path[-1], rel=1e-5)


def test_a_seed_is_the_same_alone_and_again(rows):
    assert compute(part(looks=[5, 20], steps=12), Followed()) == rows
    alone = compute(part(looks=[5, 20], steps=12, seeds=[1]), Followed())
    both = [row for row in rows if row["seed"] == 1]
    for name, kind in (("gradient", "look"), ("distance", "learning")):
        a, b = ([row[name] for row in of if row["kind"] == kind] for of in (alone, both))
        assert a == pytest.approx(b, rel=1e-3, abs=1e-6)


def test_tables_hold_means_of_sizes_counts_and_medians(rows):
    changed = [dict(row) for row in rows]
    runs = [row for row in changed if row["kind"] == "learning"]
    runs[0] |= {"near": True, "overlaps": True, "path": [1.0] * len(runs[0]["path"])}
    lost = {"outcome": "diverged", "overlaps": None, "near": None, "distance": None, "path": None, "every": None}
    runs[3] |= lost
    looks = [row for row in changed if row["kind"] == "look" and row["step"] == 20 and row["generator_loss"] == "bound"]
    looks[0]["gradient"] = -abs(looks[0]["gradient"])
    made = tables(pd.DataFrame(changed))
    first, second = made["supports_learning"].iloc[0], made["supports_learning"].iloc[1]
    assert (first["n"], first["near"], first["overlaps"]) == (2, 1, 1)
    assert (second["n"], second["n_runs"]) == (1, 2)
    paths = made["supports_paths"].query("critic == 'fresh' and rule == 'adam' and generator_loss == 'alternative'")
    assert paths["theta"].iloc[-1] == pytest.approx((1 + runs[1]["path"][-1]) / 2)
    assert made["supports_looks"]["step"].dtype == int
    row = made["supports_looks"].query("step == 20 and generator_loss == 'bound'").iloc[0]
    assert row["gradient"] == pytest.approx(np.mean([abs(look["gradient"]) for look in looks]))
    assert row["exact"] == pytest.approx(2 * log(2))


def test_what_vanishes_is_told_by_its_cause():
    looks = pd.DataFrame(
        [
            {"objective": name, "generator_loss": "bound", "step": step, "gradient": size, "pull": pull, "n": n}
            for name, step, size, pull, n in (
                ("a", 1, 1.0, -1.0, 5), ("a", 2, 0.01, -0.01, 5), ("b", 1, 1.0, -1.0, 5), ("b", 2, 0.01, -1.0, 5),
                ("c", 1, 1.0, -1.0, 5), ("c", 2, 0.5, -1.0, 5), ("d", 1, 1.0, -1.0, 5), ("d", 2, nan, nan, 0),
            )
        ]
    )  # fmt: skip
    assert vanishing(looks) == {"all": 3, "gone": 2, "by_score": 1, "by_slope": 1}


@pytest.mark.parametrize(
    ("value", "printed"), [(1.6e29, "10²⁹"), (-3e31, "\N{MINUS SIGN}10³¹"), (2951.0, ""), (nan, ""), (-0.5, "")]
)
def test_large_numbers_are_powers_of_ten(value, printed):
    assert power(value) == printed


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"objectives": ["mmd_energy"]}, "its own scores alone"),
        ({"objectives": ["relativistic_bce"]}, "its own scores alone"),
        ({"objectives": ["misclassification"]}, "its own scores alone"),
        ({"looks": [10, 5]}, "rising numbers"),
        ({"slope_at_most_one": ["kl"]}, "some of the objectives"),
        ({"start": 0.5}, "greater than 1"),
    ],
)
def test_what_cannot_be_asked_is_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        Supports(**SETTINGS | changes)


def test_every_objective_is_taken_or_refused():
    for name, own in OBJECTIVES.items():
        if own.f is not None and not own.untrainable and not own.flaw:
            assert farthest(own) > 0, name
