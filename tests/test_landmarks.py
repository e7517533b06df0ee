"""Exact minimisers: against an integrator that shares nothing, closed forms, and finer grids."""

from __future__ import annotations

from math import erf, exp, log, pi, sqrt

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from divergan.chapters import gaussian
from divergan.chapters.landmarks import (
    LINE,
    MIXTURES,
    PLANE,
    Target,
    absolute_sum,
    candidates,
    energy,
    f_divergence,
    grid_of,
    landmarks,
    log_mixture,
    mean_norm,
    minimum,
    same_divergence,
    sobolev,
    total_variation,
    wasserstein,
)
from divergan.objectives import objective

NORMAL = Target(
    name="normal", label="", shares=(0.5, 0.5), means=((0.3, -0.2),) * 2, variances=((1.2, 0.4),) * 2,
    ends=((-8.0, 8.0), (-6.0, 6.0)), points=(201, 201), kinked_points=(401, 81),
)  # fmt: skip


def tensor(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def value(cost, target: Target, mean, std, noise: float = 0.0) -> float:
    points = target.kinked_points if cost is total_variation else target.points
    return float(cost(grid_of(target, noise, points), tensor(*mean), tensor(*std)))


@pytest.mark.parametrize("target", MIXTURES.values(), ids=list(MIXTURES))
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_a_grid_holds_the_mixture(target, noise):
    grid = grid_of(target, noise, target.points)
    p = grid.log_p.exp() * grid.volume
    mean, std = target.moments()
    assert float(p.sum()) == pytest.approx(1, abs=1e-9)
    assert (p @ grid.x).tolist() == pytest.approx(mean.tolist(), abs=1e-8)
    assert (p @ grid.x**2).tolist() == pytest.approx((mean**2 + std**2 + noise**2).tolist(), abs=1e-6)


def test_the_line_is_the_mixture_of_the_chapter_gaussian():
    x = np.linspace(-5, 8, 40)
    assert log_mixture(LINE, 0.0, torch.from_numpy(x)[:, None]).numpy() == pytest.approx(gaussian.log_p(x), rel=1e-12)


@pytest.mark.parametrize("name", ["reverse_kl", "pearson"])
def test_on_a_line_minimisers_are_those_of_the_chapter_gaussian(name):
    """There by Nelder and Mead without gradients, and another clipping."""
    f = objective(name).f
    mean, std, least = minimum(f_divergence(f), grid_of(LINE, 0.0, LINE.points))
    assert (mean[0], std[0]) == pytest.approx(gaussian.minimum(f), abs=1e-5)
    assert least == pytest.approx(gaussian.value(f, mean[0], std[0]), abs=1e-9)


def test_divergences_of_two_normals_in_closed_form():
    """P is one normal in the plane, its two halves alike."""
    mean, std = (0.9, 0.1), (1.3, 0.8)
    v, w = np.array([1.2, 0.4]), np.array(std) ** 2
    apart = np.array(mean) - (0.3, -0.2)
    kl = 0.5 * float(np.sum(v / w + apart**2 / w - 1 - np.log(v / w)))
    reverse = 0.5 * float(np.sum(w / v + apart**2 / v - 1 - np.log(w / v)))
    overlap = float(np.prod(np.sqrt(2 * np.sqrt(v * w) / (v + w)) * np.exp(-(apart**2) / (4 * (v + w)))))
    for name, expected in (("kl", kl), ("reverse_kl", reverse), ("squared_hellinger", 2 - 2 * overlap)):
        assert value(f_divergence(objective(name).f), NORMAL, mean, std) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_kls_minimiser_has_the_mixtures_moments_with_noise_or_without(noise):
    """Maximum likelihood of a normal: the same blur on both sides cancels in the variance."""
    for target in MIXTURES.values():
        mean, std, _ = minimum(f_divergence(objective("kl").f), grid_of(target, noise, target.points))
        assert mean == pytest.approx(target.moments()[0], abs=1e-5)
        assert std == pytest.approx(target.moments()[1], abs=1e-5)


@pytest.mark.parametrize("name", ["spherical", "kl", "pearson"])
def test_a_normal_far_too_narrow_is_far_away(name):
    """Where p is e^150 times q, all of p's mass must still count."""
    cost = f_divergence(objective(name).f)
    near = value(cost, LINE, (1.3,), (1.8,))
    assert value(cost, LINE, (-1.0,), (0.05,)) > near + 0.3


def test_total_variation_of_shifted_normals():
    """2 Φ(δ/2) - 1 for unit normals, on a line; in the plane, where only the last or the first axis differs."""
    phi = erf(0.5 / sqrt(2))  # δ = 1
    one = Target(
        name="one", label="", shares=(0.4, 0.6), means=((0.0,),) * 2, variances=((1.0,),) * 2, ends=((-9.0, 9.0),),
        points=(2001,), kinked_points=(301,),
    )  # fmt: skip
    assert value(total_variation, one, (1.0,), (1.0,)) == pytest.approx(phi, abs=1e-8)
    stds = tuple(np.sqrt(NORMAL.variances[0]))
    for axis in (0, 1):
        mean = list(NORMAL.means[0])
        mean[axis] += stds[axis]
        assert value(total_variation, NORMAL, mean, stds) == pytest.approx(phi, abs=2e-4 if axis == 0 else 1e-8)


def test_total_variation_in_the_plane_is_that_of_a_plain_sum():
    grid = grid_of(PLANE, 0.0, (1201, 1201))
    mean, std = tensor(0.7, 0.4), tensor(1.4, 0.5)
    q = torch.distributions.Normal(mean, std).log_prob(grid.x).sum(1).exp()
    plain = float((grid.log_p.exp() - q).abs().sum() * grid.volume / 2)
    assert value(total_variation, PLANE, mean, std) == pytest.approx(plain, abs=1e-5)


def test_the_sum_of_absolutes_of_a_line_through_zero():
    x = torch.linspace(-1, 2, 8, dtype=torch.float64)  # zero lies within a cell
    assert float(absolute_sum(x)) * 3 / 7 == pytest.approx(0.5 + 2)


def test_w1_is_scipys():
    rng = np.random.default_rng(0)
    n = 400_000
    shares = np.where(rng.random(n) < LINE.shares[0], 0, 1)
    x = np.array(LINE.means)[shares, 0] + np.sqrt(np.array(LINE.variances)[shares, 0]) * rng.standard_normal(n)
    found = stats.wasserstein_distance(x, 0.8 + 1.5 * rng.standard_normal(n))
    assert value(wasserstein, LINE, (0.8,), (1.5,)) == pytest.approx(found, abs=0.012)


def test_w1_of_shifted_normals_is_the_shift():
    one = Target(
        name="one", label="", shares=(0.5, 0.5), means=((0.2,),) * 2, variances=((1.44,),) * 2, ends=((-12.0, 12.0),),
        points=(4001,), kinked_points=(401,),
    )  # fmt: skip
    assert value(wasserstein, one, (0.9,), (1.2,)) == pytest.approx(0.7, abs=1e-9)


def test_sobolev_by_adaptive_quadrature():
    mean, std = 0.8, 1.2

    def integrand(x: float) -> float:
        f_p = sum(s * stats.norm.cdf(x, m[0], sqrt(v[0])) for s, m, v in zip(LINE.shares, LINE.means, LINE.variances))  # noqa: B905
        p = sum(s * stats.norm.pdf(x, m[0], sqrt(v[0])) for s, m, v in zip(LINE.shares, LINE.means, LINE.variances))  # noqa: B905
        return (f_p - stats.norm.cdf(x, mean, std)) ** 2 / p

    found, _ = integrate.quad(integrand, -3.5, 8, points=[-2, -1, 0, 2], limit=400)
    assert value(sobolev, LINE, (mean,), (std,)) == pytest.approx(found, rel=1e-3)


def test_sobolev_is_what_the_best_critic_under_r1_attains():
    """v' = (F_Q - F_P)/(γ p) in E_P v - E_Q v - γ/2 E_P v'² gives the integral over 2γ, and no other slope more."""
    grid, gamma = grid_of(LINE, 0.0, (6001,)), 0.3
    x, p = grid.x[:, 0], grid.log_p.exp()
    q = torch.distributions.Normal(0.8, 1.1).log_prob(x).exp()
    f = torch.cumulative_trapezoid(p - q, x)
    f = torch.cat((f[:1], f))
    half = value(sobolev, LINE, (0.8,), (1.1,)) / (2 * gamma)

    def attained(slope: torch.Tensor) -> float:
        v = torch.cat((torch.zeros(1), torch.cumulative_trapezoid(slope, x)))
        return float(((p - q) * v - gamma / 2 * p * slope**2).sum() * grid.volume)

    inside = (x > -3.5) & (x < 8)  # beyond, f is lost in rounding
    best = torch.where(inside, -f / (gamma * p), 0.0)
    assert attained(best) == pytest.approx(half, rel=1e-3)
    assert attained(1.1 * best) < attained(best) > attained(0.9 * best)


def test_the_mean_norm_of_normals_in_closed_form():
    """Half-normal, Rayleigh, folded normal."""
    assert float(mean_norm(tensor(0)[None], tensor(2.5)[None])[0]) == pytest.approx(sqrt(2 * 2.5 / pi), rel=1e-12)
    assert float(mean_norm(tensor(0, 0)[None], tensor(3, 3)[None])[0]) == pytest.approx(sqrt(pi * 3 / 2), rel=1e-12)
    m, v = 0.7, 0.3
    folded = sqrt(2 * v / pi) * exp(-(m**2) / (2 * v)) + m * erf(m / sqrt(2 * v))
    assert float(mean_norm(tensor(m)[None], tensor(v)[None])[0]) == pytest.approx(folded, rel=1e-12)


def test_the_energy_distance_is_that_of_distribution_functions_on_a_line():
    """2 ∫ (F_P - F_Q)², and 0 between equals."""
    x = np.linspace(-14, 18, 64_001)
    f_p = sum(s * stats.norm.cdf(x, m[0], sqrt(v[0])) for s, m, v in zip(LINE.shares, LINE.means, LINE.variances))  # noqa: B905
    expected = 2 * np.sum((f_p - stats.norm.cdf(x, 0.8, 1.5)) ** 2) * (x[1] - x[0])
    assert value(energy, LINE, (0.8,), (1.5,)) == pytest.approx(expected, abs=1e-6)
    assert value(energy, NORMAL, NORMAL.means[0], np.sqrt(NORMAL.variances[0])) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("target", MIXTURES.values(), ids=list(MIXTURES))
def test_minimisers_have_four_digits(target):
    """On coarser grids they are the same; and nothing near them is lower."""
    wanted = {"Pearson χ²": (2, 3), "α-divergence, α = -2": (2, 3), "Jensen-Shannon": (2, 3)}
    for candidate in candidates(["pearson", "neyman", "jensen_shannon"], target.dimension):
        if candidate.label not in wanted:
            continue
        top, bottom = wanted[candidate.label]
        fine = grid_of(target, 0.0, target.points)
        coarse = grid_of(target, 0.0, tuple(top * (n - 1) // bottom + 1 for n in target.points))
        found, other = minimum(candidate.cost, fine), minimum(candidate.cost, coarse)
        assert found[0] == pytest.approx(other[0], abs=2e-5), candidate.label
        assert found[1] == pytest.approx(other[1], abs=2e-5), candidate.label
        for shift in (0.002, -0.002):
            moved = float(candidate.cost(fine, tensor(*found[0]) + shift, tensor(*found[1])))
            wider = float(candidate.cost(fine, tensor(*found[0]), tensor(*found[1]) + shift))
            assert min(moved, wider) > found[2]


def test_total_variations_minimiser_has_four_digits_on_a_line():
    found, other = (minimum(total_variation, grid_of(LINE, 0.0, (n,))) for n in (4001, 1501))
    assert (found[0][0], found[1][0]) == pytest.approx((other[0][0], other[1][0]), abs=1e-5)


def test_noise_moves_the_minimiser_of_what_it_should():
    """Blurred by hand: the mixture with larger variances, the normal's variance less that of the noise."""
    blurred = Target(
        name="blurred", label="", shares=LINE.shares, means=LINE.means,
        variances=tuple((v[0] + 0.25,) for v in LINE.variances), ends=LINE.ends, points=(9001,), kinked_points=(401,),
    )  # fmt: skip
    cost = f_divergence(objective("reverse_kl").f)
    by_hand, found = minimum(cost, grid_of(blurred, 0.0, (9001,))), minimum(cost, grid_of(LINE, 0.5, (9001,)))
    assert found[0] == pytest.approx(by_hand[0], abs=1e-6)
    assert found[1] ** 2 == pytest.approx(by_hand[1] ** 2 - 0.25, abs=1e-6)


def test_what_is_the_same_divergence():
    f = {name: objective(name).f for name in ("kl", "reverse_kl", "bce", "jensen_shannon", "hinge", "total_variation")}
    assert same_divergence(f["bce"], f["jensen_shannon"])
    assert same_divergence(f["hinge"], f["total_variation"])
    assert not same_divergence(f["kl"], f["reverse_kl"])
    assert not same_divergence(f["kl"], lambda u: -u * u.log())  # the other way up
    assert same_divergence(f["kl"], lambda u: 3 * u * log(2.0) + 2 * u * u.log() - 7)


def test_each_divergence_is_one_candidate_under_its_own_name():
    found = {c.label: c.members for c in candidates(["kl", "reverse_kl", "pearson", "bce", "gan", "wasserstein"], 1)}
    assert found["Kullback-Leibler"] == [("kl", "bound"), ("pearson", "alternative")]
    assert found["Reverse KL"] == [("reverse_kl", "bound"), ("kl", "alternative")]
    assert found["BCE"] == [("bce", "bound"), ("gan", "bound")]
    assert found["Neyman χ²"] == [("reverse_kl", "alternative")]
    assert found["W1"][0] == ("wasserstein", "bound")
    in_the_plane = {c.label for c in candidates(["kl"], 2)}
    assert in_the_plane == {"Kullback-Leibler", "reverse KL", "Energy distance"}


def test_rows_of_landmarks():
    seen: list[int] = []
    rows = landmarks(LINE, 0.0, ["kl"], seen.append)
    assert seen == [1, 2, 3, 4, 5]
    assert rows[0]["members"] == ["kl/bound"]
    assert rows[0]["mean"] == pytest.approx([1.01], abs=1e-5)
    assert [row["landmark"] for row in rows[1:]] == ["reverse KL", "Energy distance", "W1", "Sobolev"]
