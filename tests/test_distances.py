"""Learned distances: exact values against closed forms and simulation, and what holds a critic."""

from __future__ import annotations

from itertools import pairwise
from math import exp, pi, sqrt

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm

from divergan.chapters import lipschitz, relaxation, sampled
from divergan.chapters.bounds import drawn as bounds_drawn
from divergan.chapters.critics import Critics
from divergan.chapters.distances import Distances, compute, parts, tables
from divergan.chapters.lipschitz import ON_A_LINE, penalised, shifted
from divergan.objectives import objective
from divergan.randomness import generator
from followed import Followed, every_row

pytestmark = pytest.mark.xdist_group("distances")  # one worker, for what the module makes once

KERNELS = ("mmd_gaussian", "mmd_rational_quadratic", "mmd_energy")
SETTINGS = {
    "seeds": [0, 1],
    "distance": 1.5,
    "dimensions": [1, 3],
    "learned": {
        "hidden": 32, "batch": 64, "steps": 120, "looks": 2, "learning_rate": 5e-3, "clips": [0.01], "penalty": 10.0,
    },
    "plug_in": {"points": [5, 40], "draws": 30},
    "discrepancy": {"kernels": list(KERNELS), "points": [5, 20], "draws": 100},
    "relaxed": {
        "objectives": ["bce"], "restrictions": list(relaxation.RESTRICTIONS), "dimension": 5, "points": 60,
        "hidden": 32, "batch": 64, "steps": 200, "looks": 2, "learning_rate": 5e-3, "penalty": 10.0, "clip": 0.05,
        "clip_end": 0.5, "noise": 1.0,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def made() -> dict[str, pd.DataFrame]:
    return tables(pd.DataFrame(every_row(parts(Distances(**SETTINGS)), compute)))


# --- exact W1


def test_w1_of_shifted_normals_is_their_distance():
    assert shifted(1.5).distance == pytest.approx(1.5, abs=1e-8)


def test_w1_of_two_widths_is_that_of_their_quantiles():
    """E|G⁻¹(U) - F⁻¹(U)| = E|0.5 + Z|: a folded normal."""
    folded = sqrt(2 / pi) * exp(-1 / 8) + 0.5 * (1 - 2 * norm.cdf(-0.5))
    assert ON_A_LINE["scale"].distance == pytest.approx(folded, abs=1e-8)


@pytest.mark.parametrize("pair", [shifted(1.5), *ON_A_LINE.values()], ids=lambda pair: pair.name)
def test_w1_is_that_of_many_points(pair):
    """Of 100,000 points a side; the deviations of a mean of slopes of 1 are about 0.005."""
    assert sampled.plug_in(pair, 100_000, 1, 0) == pytest.approx(pair.distance, abs=0.025)


def test_points_in_the_plane_are_matched_at_least_cost():
    from scipy.optimize import linear_sum_assignment

    pair = shifted(2.0)
    rng = generator(4, "distances plug-in", "shift", 2, 30)
    x, y = (side.sample(30, 2, rng).double().numpy() for side in (pair.p, pair.q))
    cost = np.linalg.norm(x[:, None] - y, axis=2)
    assert sampled.plug_in(pair, 30, 2, 4) == pytest.approx(cost[linear_sum_assignment(cost)].mean(), rel=1e-10)


@pytest.mark.parametrize("d", [1, 4])
def test_points_lie_where_their_mixture_says(d):
    pair = ON_A_LINE["zigzag"]
    x = lipschitz.drawn(pair, [generator(0, "test")], 100_000, d)[0]
    along = x.sum(1) / d**0.5
    for points, side in zip(along.chunk(2), (pair.p, pair.q), strict=True):
        mean = sum(share * m for share, m in zip(side.shares, side.means, strict=True))
        square = sum(share * m**2 for share, m in zip(side.shares, side.means, strict=True)) + side.std**2
        assert float(points.mean()) == pytest.approx(mean, abs=0.03)
        assert float(points.square().mean()) == pytest.approx(square, rel=0.02)
        below = side.below(np.array([-0.5, 0.3, 1.2]))
        measured = [float((points < edge).double().mean()) for edge in (-0.5, 0.3, 1.2)]
        assert measured == pytest.approx(below, abs=0.01)


@pytest.mark.parametrize("pair", [shifted(1.5), *ON_A_LINE.values()], ids=lambda pair: pair.name)
def test_the_points_of_the_penalty_have_their_density(pair):
    rng = np.random.default_rng(0)
    torch_rng = generator(0, "test")
    x, y = (side.sample(200_000, 1, torch_rng)[:, 0].numpy() for side in (pair.p, pair.q))
    t = rng.random(200_000)
    counts, edges = np.histogram((1 - t) * x + t * y, bins=30, range=(-3, 3))
    centres = np.linspace(-3, 3, 3001)
    density = lipschitz.density_between(pair, centres)
    wanted = [density[(centres >= a) & (centres <= b)].mean() * 0.2 for a, b in pairwise(edges)]
    assert counts / 200_000 == pytest.approx(wanted, abs=0.005)


@pytest.mark.parametrize("pair", [shifted(1.5), *ON_A_LINE.values()], ids=lambda pair: pair.name)
def test_no_slope_is_better_than_the_penalised_optimum(pair):
    """The penalised value is concave in the slope: at the stated one no direction gains, and its estimate is told."""
    weight, x = 3.0, np.linspace(*pair.ends, 8001)
    gap, between = np.abs(pair.p.below(x) - pair.q.below(x)), lipschitz.density_between(pair, x)
    slope = 1 + gap / (2 * weight * np.maximum(between, 1e-200))

    def value(slopes: np.ndarray) -> float:
        return float(np.trapezoid(gap * slopes - weight * between * (slopes - 1) ** 2, x))

    for direction in (np.ones_like(x), np.cos(x), np.sin(3 * x)):
        assert max(value(slope + size * direction) for size in (-0.01, 0.01)) < value(slope)
    assert penalised(pair, weight) == pytest.approx(np.trapezoid(gap * slope, x), rel=1e-9)
    assert penalised(pair, weight) / pair.distance > 1 + pair.distance / (2 * weight)  # by Cauchy and Schwarz
    assert penalised(pair, 1e9) == pytest.approx(pair.distance, rel=1e-5)


# --- critics


def critics(seeds=(0, 1), d=3, hidden=16) -> Critics:
    return Critics(list(seeds), "test", d, hidden, torch.relu)


def test_spectral_norms_are_the_largest_singular_values():
    own = critics()
    vectors = lipschitz.directions(own, [0, 1])
    assert vectors[1].norm(dim=2).flatten().tolist() == pytest.approx([1, 1], abs=1e-6)
    for _ in range(300):
        held = lipschitz.normalised(own, vectors)
    for weight, divided in zip(own.weights, held.weights, strict=True):
        largest = torch.linalg.matrix_norm(weight, ord=2)[:, None, None]
        torch.testing.assert_close(divided, weight / largest, rtol=1e-4, atol=1e-5)
    x = torch.randn(2, 500, 3, generator=generator(0, "test"))
    assert lipschitz.slopes(held, x, graph=False).max() <= 1 + 1e-4
    assert own.weights[0] is not held.weights[0]


def test_the_gradient_goes_through_the_spectral_norm():
    """A weight divided by its norm does not change along itself: neither does what it gives."""
    own = critics(seeds=(0,))
    own.biases = [torch.zeros_like(bias) for bias in own.biases]
    vectors = lipschitz.directions(own, [0])
    for _ in range(300):
        held = lipschitz.normalised(own, vectors)
    held(torch.randn(1, 50, 3, generator=generator(0, "test"))).square().sum().backward()
    for weight in own.weights:
        along, whole = (weight.grad * weight).sum().item(), (weight.grad.norm() * weight.norm()).item()
        assert abs(along) < 1e-3 * whole


def test_clipped_weights_are_within_their_limit():
    own = critics()
    lipschitz.clip(own, 0.02)
    assert max(weight.abs().max().item() for weight in own.parameters) == pytest.approx(0.02)


def test_slopes_are_difference_quotients():
    own, x, step = critics(), torch.randn(2, 40, 3, generator=generator(0, "test")).double(), 1e-6
    own.weights, own.biases = ([w.detach().double() for w in side] for side in (own.weights, own.biases))
    moved = [(own(x + step * axis) - own(x - step * axis)) / (2 * step) for axis in torch.eye(3).double()]
    found = lipschitz.slopes(own, x, graph=False)
    assert found.flatten().tolist() == pytest.approx(torch.stack(moved).norm(dim=0).flatten().tolist(), abs=1e-5)


class Line:
    """A critic of known slope."""

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.slope * x[..., 0]


@pytest.mark.parametrize(("slope", "sides", "wanted"), [(0.4, "two", -0.6), (0.4, "one", 0), (1.7, "one", 0.7)])
def test_the_penalty_acts_on_its_sides(slope, sides, wanted):
    x = torch.randn(2, 20, 3, generator=generator(0, "test"))
    rngs = [generator(seed, "test") for seed in (0, 1)]
    found = lipschitz.excess(Line(slope), x, rngs, sides)
    assert found.shape == (2, 10)
    assert found.flatten().tolist() == pytest.approx([wanted] * 20, abs=1e-5)


def test_the_penalty_is_taken_between_the_sides():
    """Slopes of v = x²/2 are the points' places: between 2 and 3 where the sides are there."""

    def parabola(x: torch.Tensor) -> torch.Tensor:
        return x[..., 0].square() / 2

    x = torch.tensor([2.0] * 500 + [3.0] * 500).view(1, 1000, 1)
    places = lipschitz.excess(parabola, x, [generator(0, "test")], "two") + 1
    assert 2 < float(places.min()) < 2.05
    assert 2.95 < float(places.max()) < 3
    assert float(places.mean()) == pytest.approx(2.5, abs=0.06)


def test_the_estimate_and_the_steepest_slope_are_those_of_the_points():
    """v = x²/2 has the slope |x|, and E_P v - E_Q v of points at ±3 and ±1 is 9/2 - 1/2."""

    def parabola(x: torch.Tensor) -> torch.Tensor:
        return x[..., 0].square() / 2

    fresh = torch.tensor([3.0, -3.0, 1.0, -1.0]).view(1, 4, 1)
    (found,) = lipschitz.judged(parabola, objective("wasserstein"), fresh)
    assert (found["estimate"], found["slope"]) == pytest.approx((4, 3))


def test_learned_w1_by_way(made):
    """On a line after few steps: near W1 by penalty and spectral norm, nowhere near by clipping; slopes as held."""
    last = made["distances_learned_summary"].query("step == 120 and pair == 'shift' and dimension == 1")
    at = last.set_index("way")
    assert (at.loc[["one_sided", "spectral_norm"], "ratio"].between(0.8, 1.25)).all()  # the two-sided may zigzag
    assert at.loc["clip_0.01", "ratio"] < 0.1
    assert at.loc["spectral_norm", "slope"] < 1.05
    assert at.loc["two_sided", "foretold"] == pytest.approx(penalised(shifted(1.5), 10.0) / 1.5)
    assert at.loc["spectral_norm", "foretold"] == 1
    assert np.isnan(at.loc["clip_0.01", "foretold"])


# --- from samples


def test_w1_between_points_is_above_the_exact_one_and_falls(made):
    rows = made["distances_plug_in"].query("dimension == 3").set_index("points")
    assert rows.loc[5, "low"] > rows.loc[5, "exact"]
    assert rows.loc[5, "mean"] > rows.loc[40, "mean"] > rows.loc[40, "exact"]
    assert (rows["std"] > 0).all()


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("d", [1, 2, 7])
def test_mean_kernels_are_those_of_many_points(name, d):
    """Of 400,000 differences: 5 standard errors."""
    kernel, distance = objective(name), 1.5
    z = torch.randn(400_000, d, generator=generator(0, "test", d), dtype=torch.float64) * 2**0.5 + distance / d**0.5
    values = kernel.kernel(z.square().sum(1))
    error = float(values.std()) / 400_000**0.5
    assert sampled.mean_kernel(kernel, d, distance) == pytest.approx(float(values.mean()), abs=5 * error)


def test_mean_kernels_on_the_line_by_quadrature():
    z = np.linspace(-30, 30, 600_001)
    for name in KERNELS:
        kernel = objective(name)
        values = kernel.kernel(torch.from_numpy(z) ** 2).numpy()
        for distance in (0.0, 1.5):
            direct = np.trapezoid(values * norm.pdf(z, loc=distance, scale=sqrt(2)), z)
            assert sampled.mean_kernel(kernel, 1, distance) == pytest.approx(direct, rel=1e-6)


def test_the_energy_distance_on_a_line_is_twice_the_squared_gap():
    """2 ∫ (F - G)² (Székely): another way to the same number."""
    x = np.linspace(-15, 17, 400_001)
    direct = 2 * np.trapezoid((norm.cdf(x) - norm.cdf(x - 1.5)) ** 2, x)
    assert sampled.exact_discrepancy(objective("mmd_energy"), 1, 1.5) == pytest.approx(direct, rel=1e-8)


def test_many_dimensions_stay_finite():
    for name in KERNELS:
        assert np.isfinite(sampled.exact_discrepancy(objective(name), 1000, 1.5))


def test_the_v_statistic_counts_every_pair_and_the_other_none_twice():
    kernel = objective("mmd_energy")
    x, y = torch.randn(2, 6, 2, generator=generator(0, "test"), dtype=torch.float64)

    def mean(a: torch.Tensor, b: torch.Tensor, own: bool) -> float:
        pairs = [float((p - q).norm()) for i, p in enumerate(a) for j, q in enumerate(b) if not own or i != j]
        return sum(pairs) / len(pairs)

    unbiased, biased = sampled.estimates(kernel, x, y)
    assert biased == pytest.approx(2 * mean(x, y, False) - mean(x, x, False) - mean(y, y, False), abs=1e-5)
    assert unbiased == pytest.approx(2 * mean(x, y, False) - mean(x, x, True) - mean(y, y, True), abs=1e-5)


def test_estimates_lie_around_their_exact_means(made):
    """A mean of 100 draws: 5 standard errors; the V-statistic's bias is resolved."""
    for row in made["distances_discrepancy"].to_dict("records"):
        error = row["unbiased_std"] / 10
        assert abs(row["unbiased_mean"] - row["exact"]) < 5 * error
        assert abs(row["biased_mean"] - row["exact"] - row["exact_bias"]) < 5 * row["biased_std"] / 10
        assert row["unbiased_low"] < row["unbiased_mean"] < row["unbiased_high"]
    energy = made["distances_discrepancy"].query("kernel == 'mmd_energy' and dimension == 3 and points == 5").iloc[0]
    assert energy["exact_bias"] > 10 * energy["biased_std"] / 10


# --- relaxed


@pytest.mark.parametrize(
    ("schedule", "wanted"), [("held", [1, 1, 1]), ("relaxed", [0.99, 0.5, 0]), ("none", [0, 0, 0])]
)
def test_strength_falls_in_a_line(schedule, wanted):
    assert [relaxation.strength(schedule, step, 100) for step in (1, 50, 100)] == pytest.approx(wanted)


@pytest.mark.parametrize("restriction", ["gradient_penalty", "instance_noise"])
def test_a_restriction_of_no_strength_changes_no_loss(restriction):
    own, settings = objective("bce"), SETTINGS["relaxed"] | {"distance": 1.5}
    rngs = [generator(seed, "test") for seed in (0, 1)]
    x = bounds_drawn(rngs, 30, settings)
    network = critics(d=5)
    for weight in network.weights:
        weight.data.mul_(5)  # steeper than 1, for the penalty to have a grip

    def loss(name: str, share: float) -> float:
        return float(relaxation.restricted_loss(own, network, x, rngs, name, share, settings))

    free = loss("none", 0.0)
    assert loss(restriction, 0.0) == free
    assert abs(loss(restriction, 1.0) - free) > 1e-3
    if restriction == "gradient_penalty":
        states = [rng.get_state() for rng in rngs]
        whole = loss(restriction, 1.0) - free
        for rng, state in zip(rngs, states, strict=True):
            rng.set_state(state)
        assert loss(restriction, 0.5) - free == pytest.approx(whole / 2, rel=1e-4)
        assert whole > 0


def test_instance_noise_blurs_by_its_share():
    seen = []

    def spy(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return x.sum(2)

    own, settings = objective("bce"), SETTINGS["relaxed"] | {"noise": 2.0}
    x = torch.zeros(1, 20_000, 5)
    relaxation.restricted_loss(own, spy, x, [generator(0, "test")], "instance_noise", 0.25, settings)
    assert float(seen[0].std()) == pytest.approx(0.5, rel=0.02)


def test_a_held_restriction_keeps_the_bound_where_a_free_critic_learns_by_heart(made):
    last = made["distances_relaxed_summary"].query("step == 200").set_index(["restriction", "schedule"])
    free = last.loc[("none", "none")]
    assert free["share_seen"] > 1.3
    assert free["share"] < 0
    for name in relaxation.RESTRICTIONS:
        assert last.loc[(name, "held"), "share"] > free["share"] + 0.5
        assert last.loc[(name, "held"), "share_seen"] < free["share_seen"]
    clipped = last.loc["weight_clipping"]
    assert clipped.loc["relaxed", "share_seen"] > clipped.loc["held", "share_seen"]  # as its limit has grown


def test_schedules_differ_by_the_restriction_alone(made):
    """A seed's points and start are the same in all."""
    rows = made["distances_relaxed"]
    assert rows.groupby("schedule")["exact"].nunique().eq(1).all()
    part = next(p for p in parts(Distances(**SETTINGS)) if p.key == "bce.gradient_penalty")
    again = pd.DataFrame(compute(part.settings, Followed()))
    first = rows.query("restriction == 'gradient_penalty'")
    assert again["bound"].to_numpy() == pytest.approx(first["bound"].to_numpy(), rel=0, abs=0)


def test_a_diverged_critic_is_counted_and_in_no_mean(made):
    from divergan.chapters.distances import RELAXED, summary

    rows = made["distances_relaxed"].query("restriction == 'none' and step == 200").copy()
    rows.loc[rows.index[0], ["outcome", "bound"]] = ["diverged", np.nan]
    (row,) = summary(rows, RELAXED, {"share": ("bound", True)}).to_dict("records")
    assert (row["n"], row["n_runs"]) == (1, 2)
    assert row["share"] == pytest.approx(rows["bound"].iloc[1] / rows["exact"].iloc[1])


@pytest.mark.parametrize(
    ("section", "name", "value", "told"),
    [
        ("discrepancy", "kernels", ["wasserstein"], "mmd_gaussian"),
        ("relaxed", "objectives", ["hinge"], "identifies p/q"),
        ("relaxed", "restrictions", ["dropout"], "weight_clipping"),
        ("plug_in", "draws", 1, "draws"),
    ],
)
def test_what_has_no_exact_answer_is_refused(section, name, value, told):
    with pytest.raises(ValueError, match=told):
        Distances(**SETTINGS | {section: SETTINGS[section] | {name: value}})
