"""Bilinear games: eigenvalues in closed form, what a path does, where one stops, what never rises."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pandas as pd
import pytest
import torch

from divergan.chapters.bilinear import (
    UPDATES,
    Bilinear,
    bent,
    compute,
    eigenvalues,
    first_below,
    followed,
    foretold_outcome,
    game,
    hausdorff,
    lyapunov,
    outcome,
    parts,
    singular_values,
    slopes,
    start,
    steps_foretold,
    stopped,
    tables,
)
from followed import every_row

SETTINGS = {
    "rules": list(UPDATES),
    "dimensions": [3],
    "conditions": [2.0],
    "step_sizes": [0.3],
    "seeds": [0, 1],
    "steps": 800,
    "tolerance": 1e-3,
    "gamma": 0.5,
}


def made(**changes) -> pd.DataFrame:
    return pd.DataFrame(every_row(parts(Bilinear(**SETTINGS | changes)), compute))


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return made()


def test_a_game_has_its_singular_values_and_each_seed_another():
    a = game(6, 10.0, 0)
    assert torch.linalg.svdvals(a).tolist() == pytest.approx(singular_values(6, 10.0).tolist(), rel=1e-12)
    assert singular_values(6, 10.0)[[0, -1]].tolist() == pytest.approx([1, 0.1])
    assert not torch.allclose(a, game(6, 10.0, 1))
    assert torch.allclose(game(6, 1.0, 2) @ game(6, 1.0, 2).T, torch.eye(6, dtype=torch.float64), atol=1e-12)


def test_directions_have_no_preference():
    """A Haar orthogonal matrix has a mean of nothing: without the signs of R its diagonal would lean to one side."""
    total = torch.stack([game(2, 1.0, seed) for seed in range(400)]).mean(0)
    assert total.abs().max() < 4 / sqrt(2 * 400)


def test_slopes_are_the_gradients_of_the_payoff():
    """Autograd of θᵀAψ: the generator descends it, the critic descends its negative."""
    a = game(4, 3.0, 0)
    theta, psi = (torch.randn(4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    (down,) = torch.autograd.grad(theta @ a @ psi, theta)
    (up,) = torch.autograd.grad(-(theta @ a @ psi), psi)
    assert torch.allclose(slopes(a) @ torch.cat((theta, psi)).detach(), torch.cat((down, up)))


def played(rule: str, a: torch.Tensor, z: torch.Tensor, before: torch.Tensor, step: float, gamma: float):
    """One update of both players by the words of its definition, player by player and by autograd."""
    n = len(z) // 2

    def xi(place: torch.Tensor) -> torch.Tensor:
        return torch.cat((a @ place[n:], -a.T @ place[:n]))

    if rule == "alternating":
        psi = z[n:] + step * a.T @ z[:n]
        return torch.cat((z[:n] - step * a @ psi, psi))
    if rule == "extragradient":
        return z - step * xi(z - step * xi(z))
    if rule == "optimistic":
        return z - 2 * step * xi(z) + step * xi(before)
    jacobian = torch.func.jacrev(xi)(z)
    extra = {"consensus": jacobian.T @ xi(z), "symplectic": ((jacobian - jacobian.T) / 2).T @ xi(z)}
    return z - step * (xi(z) + gamma * extra.get(rule, torch.zeros_like(z)))


@pytest.mark.parametrize("rule", UPDATES)
def test_an_update_is_what_its_rule_says(rule):
    a, z, before = game(3, 5.0, 0), torch.randn(6, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
    update = UPDATES[rule](slopes(a), 0.3, 0.7)
    state = torch.cat((z, before)) if len(update) == 12 else z
    after = update @ state
    assert torch.allclose(after[:6], played(rule, a, z, before, 0.3, 0.7), atol=1e-12)
    if len(update) == 12:
        assert torch.equal(after[6:], z)


@pytest.mark.parametrize("step", [0.1, 0.4, 1.5, 2.5])
@pytest.mark.parametrize("rule", UPDATES)
def test_eigenvalues_in_closed_form_are_those_of_the_matrix(rule, step):
    computed = torch.linalg.eigvals(UPDATES[rule](slopes(game(5, 7.0, 1)), step, 0.6))
    foretold = eigenvalues(rule, singular_values(5, 7.0), step, 0.6)
    assert len(computed) == len(foretold)
    assert hausdorff(foretold, computed) < 1e-9


def test_known_radii():
    """|1 + iησ| grows; alternating steps turn up to ησ = 2; extragradient shrinks up to ησ = 1; optimistic to 1/√3."""
    one = torch.ones(1, dtype=torch.float64)

    def radius(rule: str, step: float) -> float:
        return float(eigenvalues(rule, one, step, 0.5).abs().max())

    assert radius("simultaneous", 0.3) == pytest.approx(sqrt(1 + 0.09))
    assert radius("alternating", 1.99) == pytest.approx(1)
    assert radius("alternating", 2.1) > 1.1
    assert radius("extragradient", 0.99) < 1 < radius("extragradient", 1.01)
    assert radius("optimistic", 1 / sqrt(3) - 0.01) < 1 < radius("optimistic", 1 / sqrt(3) + 0.01)
    assert radius("consensus", 0.3) == pytest.approx(sqrt((1 - 0.15) ** 2 + 0.09))


def test_hausdorff_sees_a_missing_eigenvalue_on_either_side():
    a, b = torch.tensor([1 + 0j, 2j]), torch.tensor([1 + 0j])
    assert hausdorff(a, b) == hausdorff(b, a) == pytest.approx(sqrt(5))


def test_paths_end_as_the_radius_foretells(rows):
    assert (rows["outcome"] == rows["foretold"]).all()
    assert dict(rows.groupby("rule")["foretold"].first()) == {
        "simultaneous": "diverges", "alternating": "circles", "extragradient": "converges",
        "optimistic": "converges", "consensus": "converges", "symplectic": "converges",
    }  # fmt: skip
    assert rows["eigenvalue_error"].max() < 1e-9
    same = [rows.loc[rows["rule"] == rule, "distance"].to_numpy() for rule in ("consensus", "symplectic")]
    assert same[0] == pytest.approx(same[1], rel=1e-6)


def test_the_number_of_steps_is_foretold(rows):
    """Normal updates shrink each direction by its own factor: at most as many steps as the slowest alone needs."""
    converged = rows[rows["rule"].isin(["extragradient", "consensus"])]
    assert (converged["reached"] <= converged["reached_foretold"]).all()
    assert (converged["reached"] > 0.5 * converged["reached_foretold"]).all()
    assert steps_foretold(0.5, 1e-3) == 10
    assert steps_foretold(1.0, 1e-3) is None


def test_a_small_gradient_stops_within_the_condition_number(rows):
    """σ_min |z| <= |ξ| <= |z|: never too late, and too early by no more than the condition, 2."""
    converged = rows[rows["foretold"] == "converges"]
    ratio = converged["gradient_distance"].astype(float) / 1e-3
    assert (ratio < 2.001).all()
    assert ratio.max() > 1
    assert (converged["gradient_stop"].astype(float) <= converged["reached"].astype(float)).all()
    assert rows.loc[rows["foretold"] != "converges", "gradient_stop"].isna().all()


def test_where_one_stops():
    watched, distances = torch.tensor([1.0, 0.2, 0.05, 0.3]), torch.tensor([4.0, 3.0, 2.0, 1.0])
    assert stopped("x", watched, distances, 0.1) == {"x_stop": 2, "x_distance": 2.0}
    assert stopped("x", watched, distances, 0.01) == {"x_stop": None, "x_distance": None}
    assert first_below(torch.tensor([0.5, float("nan")]), 0.1) is None


def test_a_payoff_near_nothing_says_nothing():
    """One dimension: alternating steps go round, and every quarter turn the payoff is near 0."""
    own = made(rules=["alternating"], dimensions=[1], conditions=[1.0], step_sizes=[0.01], tolerance=0.1, steps=700)
    assert own["payoff_distance"].notna().all()
    assert (own["payoff_distance"].astype(float) > 0.5).all()


def test_what_never_rises(rows):
    names = dict(rows.groupby("rule")["lyapunov"].first())
    assert names == {
        "simultaneous": "none", "alternating": "bent energy", "extragradient": "energy", "optimistic": "solved",
        "consensus": "energy", "symplectic": "energy",
    }  # fmt: skip
    assert rows["rises"].max() < 1e-9
    assert rows.loc[rows["lyapunov"] == "solved", "lyapunov_condition"].between(1, 1e4).all()
    assert (rows.loc[rows["lyapunov"] == "none", "norm"] > 1).all()


def test_alternating_steps_conserve_the_bent_energy_and_not_the_plain_one():
    a = game(4, 3.0, 0)
    update = UPDATES["alternating"](slopes(a), 0.8, 0.0)
    assert torch.allclose(update.T @ bent(a, 0.8) @ update, bent(a, 0.8), atol=1e-12)
    assert torch.linalg.eigvalsh(bent(a, 0.8)).min() > 0
    assert not torch.allclose(update.T @ update, torch.eye(8, dtype=torch.float64), atol=0.1)


def test_a_solved_form_falls_by_the_square_of_the_place():
    """UᵀPU - P = -I on a diagonal update: P = 1/(1 - λ²), whose condition is known."""
    update = torch.diag(torch.tensor([0.5, 1e-9], dtype=torch.float64))
    update[0, 1] = 3.0  # not normal: the plain distance rises at first
    found = lyapunov("optimistic", update, torch.zeros(1, 1, dtype=torch.float64), 0.1, torch.ones(2, 2).double())
    assert found["lyapunov"] == "solved"
    assert found["norm"] > 3
    assert found["lyapunov_condition"] > 9


def test_outcomes_have_words():
    assert outcome(torch.tensor([1.0, float("nan")]), 1e-3) == outcome(torch.tensor([1.0, 11.0]), 1e-3) == "diverges"
    assert outcome(torch.tensor([1.0, 1e-4]), 1e-3) == "converges"
    assert outcome(torch.tensor([1.0, 0.9, 0.8, 0.95]), 1e-3) == "circles"
    assert outcome(torch.linspace(1, 0.5, 8), 1e-3) == "shrinks"
    assert [foretold_outcome(r) for r in (0.99, 1.0, 1.01)] == ["converges", "circles", "diverges"]


def test_starts_are_at_distance_one_and_paths_begin_there():
    z = start([0, 1], 7)
    assert z.norm(dim=1).tolist() == pytest.approx([1, 1])
    assert not torch.allclose(z[0], z[1])
    path = followed(UPDATES["optimistic"](slopes(game(7, 2.0, 0))[None].expand(2, -1, -1), 0.1, 0.0), z, 3)
    assert path.shape == (4, 2, 14)
    assert torch.equal(path[0], z)


def test_tables(rows):
    found = tables(rows)
    summary = found["bilinear_summary"].set_index("rule")
    assert (summary["as_foretold"] == 2).all()
    assert summary.loc["extragradient", "reached_n"] == 2
    assert np.isnan(summary.loc["simultaneous", "reached"])
    assert summary.loc["alternating", "gradient_n"] == 0
    expected = rows.loc[rows["rule"] == "extragradient", "gradient_distance"].astype(float).mean() / 1e-3
    assert summary.loc["extragradient", "gradient"] == pytest.approx(expected)
    assert len(found["bilinear_eigenvalues"]) == 5 * 6 + 12
    assert "path" not in found["bilinear"]
    first = found["bilinear_paths"].query("step == 0")["distance"].to_numpy()
    assert first == pytest.approx(np.ones(len(first)))


def test_rows_are_the_same_again_and_a_seed_alone():
    own = made(rules=["optimistic"], steps=50)
    pd.testing.assert_frame_equal(made(rules=["optimistic"], steps=50), own)
    alone = made(rules=["optimistic"], steps=50, seeds=[1])
    assert alone["distance"].iloc[0] == pytest.approx(own["distance"].iloc[1], rel=1e-9)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rules": ["sideways"]}, "there is no 'sideways'"),
        ({"conditions": [0.5]}, "greater than or equal to 1"),
        ({"tolerance": 1.5}, "less than 1"),
    ],
)
def test_what_cannot_be_is_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        Bilinear(**SETTINGS | changes)
