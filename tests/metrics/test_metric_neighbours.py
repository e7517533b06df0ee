"""Precision, recall, density and coverage against the definitions, by loops and whole matrices, ties included.

And against torch-fidelity.
"""

import math

import pytest
import torch

from divergan.features import FeatureSet
from divergan.metrics import Pair, measure_some, pairwise

FOUR = ("precision", "recall", "density", "coverage")
each_block = pytest.mark.parametrize("block", [4, 32, 50, 512], ids=["fewer than k", "even", "uneven", "one block"])


def of_features(features):
    return FeatureSet(features=features, probabilities=None, images=torch.zeros(len(features), 1, 1, 1))


def four(generated, reference):
    sets = of_features(generated), of_features(reference)
    values = measure_some(Pair(generated=sets[0], reference=sets[1], training=sets[1]), FOUR)
    return tuple(values[name] for name in FOUR)


def four_by_matrices(generated, reference):
    """The definitions on all distances at once, each by the difference, in float64 and then rounded to float32."""

    def distances(x, y):
        return (x[:, None].double() - y.double()).norm(dim=2).float()

    def radius(x, k):
        return distances(x, x).fill_diagonal_(torch.inf).sort(dim=1).values[:, k - 1]

    across = distances(generated, reference)
    inside = (across <= radius(reference, 3)).any(dim=1)
    reached = (across <= radius(generated, 3)[:, None]).any(dim=0)
    balls = across < radius(reference, 5)
    shares = inside.double().mean(), reached.double().mean(), balls.double().sum(1).mean() / 5, balls.any(0).double()
    return tuple(float(share.mean()) for share in shares)


def four_by_loops(generated, reference):
    """The definitions, in exact Python arithmetic for integer points."""

    def radius(points, i, k):
        return sorted(math.dist(points[i], p) for j, p in enumerate(points) if j != i)[k - 1]

    g, r = generated.tolist(), reference.tolist()
    r3, r5 = ([radius(r, j, k) for j in range(len(r))] for k in (3, 5))
    g3 = [radius(g, i, 3) for i in range(len(g))]
    inside = sum(any(math.dist(x, y) <= r3[j] for j, y in enumerate(r)) for x in g)
    reached = sum(any(math.dist(x, y) <= g3[i] for i, x in enumerate(g)) for y in r)
    balls = sum(math.dist(x, y) < r5[j] for x in g for j, y in enumerate(r))
    covered = sum(any(math.dist(x, y) < r5[j] for x in g) for j, y in enumerate(r))
    return inside / len(g), reached / len(r), balls / (5 * len(g)), covered / len(r)


def integer_points(count, seed, low=0, high=6, dimension=3):
    owner = torch.Generator().manual_seed(seed)
    return torch.randint(low, high, (count, dimension), generator=owner).float()


@pytest.mark.parametrize("seed", range(5))
@each_block
def test_definitions_with_ties_and_copies(monkeypatch, seed, block):
    monkeypatch.setattr(pairwise, "BLOCK", block)
    generated, reference = integer_points(30, seed, 2, 9), integer_points(25, 100 + seed)
    reference[3] = reference[4]
    assert four(generated, reference) == pytest.approx(four_by_loops(generated, reference), abs=1e-12)


@pytest.mark.parametrize("kind", ["continuous", "quantised", "repeated", "far from 0"])
@each_block
def test_definitions_by_whole_matrices(monkeypatch, kind, block):
    """Counts of the same comparisons: equal to the bit, whatever the block, whether its edge meets the set's or not."""
    monkeypatch.setattr(pairwise, "BLOCK", block)
    owner = torch.Generator().manual_seed(7)
    generated, reference = (1.2 * torch.randn(135, 12, generator=owner)).relu(), torch.randn(128, 12, generator=owner)
    make = {
        "continuous": lambda x: x,
        "quantised": lambda x: (2 * x).round() / 2,
        "repeated": lambda x: x[torch.arange(len(x)) // 2],
        "far from 0": lambda x: x + 100,
    }[kind]
    generated, reference = make(generated), make(reference.relu())
    generated[3:9] = reference[60:66]
    values = four(generated, reference)
    assert values == four_by_matrices(generated, reference)
    assert four(reference, generated) == four_by_matrices(generated=reference, reference=generated)
    assert all(0 < value < 1 for value in values)


def test_ties_matter_here():
    """On the line 0, 1, ..., 9 each comparison with the third or fifth neighbour is a tie."""
    reference = torch.arange(10.0)[:, None]
    generated = torch.tensor([[12.0], [30.0], [31.0], [32.0], [33.0], [34.0]])
    # the ball of 9 has the radius 3 (k = 3): 12 is on its sphere and counts. Its k = 5 radius is 5, that of 8 is 4
    # (8 has 6, 7, 9 and then 5 and 4 before it), so 12 is in the ball of 9 and on the sphere of 8, which does not count
    p, _, d, c = four(generated, reference)
    assert p == pytest.approx(1 / 6)
    assert d == pytest.approx(1 / (5 * 6))
    assert c == pytest.approx(1 / 10)


def test_agrees_with_torch_fidelity():
    from torch_fidelity.metric_prc import prc_features_to_metric

    owner = torch.Generator().manual_seed(0)
    generated, reference = 1.2 * torch.randn(120, 4, generator=owner) + 0.5, torch.randn(150, 4, generator=owner)
    theirs = prc_features_to_metric(generated, reference, verbose=False)
    p, r, _, _ = four(generated, reference)
    assert (p, r) == pytest.approx((theirs["precision"], theirs["recall"]), abs=1e-6)  # theirs is a float32 mean


def test_a_set_with_itself_is_one_exactly():
    """A distance computed across the sets must tie with the same distance computed within one."""
    x = torch.randn(1500, 24, generator=torch.Generator().manual_seed(3)).relu()
    assert four(x, x.clone()) == (1.0, 1.0, 1.0, 1.0)


def test_far_away_is_nothing():
    x = integer_points(30, 0)
    assert four(x + 1000, x) == (0.0, 0.0, 0.0, 0.0)


def test_dropping_half_of_the_data_lowers_diversity_only():
    left, right = integer_points(60, 0), integer_points(60, 1) + 100
    p, r, d, c = four(integer_points(120, 2), torch.cat([left, right]))
    assert p > 0.95 and d > 0.5
    assert r <= 0.5 and c <= 0.5


@each_block
def test_nearest_neighbours(monkeypatch, block):
    monkeypatch.setattr(pairwise, "BLOCK", block)
    x = torch.randn(30, 5, generator=torch.Generator().manual_seed(0))
    x[4] = x[11]
    expected = (x[:, None].double() - x.double()).norm(dim=2).fill_diagonal_(torch.inf).sort(dim=1).values[:, :5]
    found = pairwise.within(x).neighbours
    assert torch.equal(found, expected.float())  # one rounding to float32, and no other
    assert found[4, 0] == found[11, 0] == 0


def test_neighbours_that_are_not_there():
    found = pairwise.within(torch.tensor([[0.0], [1.0], [5.0]])).neighbours
    assert found.tolist() == [[1, 5, *[math.inf] * 3], [1, 4, *[math.inf] * 3], [4, 5, *[math.inf] * 3]]


@each_block
def test_one_point_that_is_nan_is_nobody_s_neighbour(monkeypatch, block):
    monkeypatch.setattr(pairwise, "BLOCK", block)
    x = torch.randn(120, 5, generator=torch.Generator().manual_seed(0))
    spoiled = torch.cat([x[:50], torch.full((1, 5), math.nan), x[50:]])
    found = pairwise.within(spoiled).neighbours
    assert torch.equal(torch.cat([found[:50], found[51:]]), pairwise.within(x).neighbours)


def test_copies_are_at_zero_among_large_features():
    """|x|^2 + |y|^2 - 2 x.y of a copy is zero up to rounding only, here 1e-10 and of either sign."""
    x = torch.randn(60, 128, generator=torch.Generator().manual_seed(0)) + 20
    assert (pairwise.within(x.repeat(2, 1)).neighbours[:, 0] == 0).all()
    assert (pairwise.within(torch.cat([x, x + 1e-3])).neighbours[:, 0] > 0).all()
    alone = x[torch.arange(6).repeat(10)]  # ten copies of six points: balls of radius 0
    assert four(alone, alone) == (1, 1, 0, 0)  # on a sphere of radius 0, which counts for the first two alone
    assert four(x, alone) == (6 / 60, 1, 0, 0)


@pytest.mark.parametrize("radius", [0.0, 1e-3, 1.0, 3.7, 812.5])
def test_edges_part_squares_as_rounded_distances(radius):
    """Around a radius, the distances that round to it, to the float below or above it, on either side of the edges."""
    r = torch.tensor([radius])
    steps = torch.linspace(-3, 3, 601, dtype=torch.float64) * 1.2e-7 * max(radius, 1e-30)
    squared = (r.double() + steps).clamp(min=0).square()
    at_most, below = pairwise._squared_edges(r)
    rounded = squared.sqrt().float()
    assert torch.equal(squared < at_most, rounded <= r)
    assert torch.equal(squared < below, rounded < r)


def test_one_pass_within_each_set_and_one_across(monkeypatch):
    calls = []
    blocks = pairwise._blocks
    monkeypatch.setattr(pairwise, "_blocks", lambda x, y, half=False: calls.append(half) or blocks(x, y, half))
    x, y = of_features(integer_points(20, 0)), of_features(integer_points(20, 1))
    measure_some(Pair(generated=x, reference=y, training=y), ["kid", *FOUR])
    assert sorted(calls) == [False, True, True]
    calls.clear()
    for seed in (2, 3):  # other sample sets, the same reference
        measure_some(Pair(generated=of_features(integer_points(20, seed)), reference=y, training=y), ["kid", *FOUR])
    assert sorted(calls) == [False, False, True, True]
