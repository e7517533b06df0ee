"""Precision, recall, density and coverage against a loop over the definitions, ties included, and torch-fidelity."""

import math

import pytest
import torch

from divergan.metrics import distances
from divergan.metrics.distances import distances as all_distances
from divergan.metrics.distances import nearest_distance, neighbour_distances
from divergan.metrics.neighbours import coverage, density, precision, recall


def four(generated, reference):
    cross = all_distances(generated, reference)
    own, theirs = neighbour_distances(generated, 5), neighbour_distances(reference, 5)
    return precision(cross, theirs), recall(cross, own), density(cross, theirs), coverage(cross, theirs)


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
@pytest.mark.parametrize("block", [7, 1024], ids=["blocks", "one block"])
def test_definitions_with_ties_and_copies(monkeypatch, seed, block):
    monkeypatch.setattr(distances, "BLOCK", block)
    generated, reference = integer_points(30, seed, 2, 9), integer_points(25, 100 + seed)
    reference[3] = reference[4]
    assert four(generated, reference) == pytest.approx(four_by_loops(generated, reference), abs=1e-12)


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


@pytest.mark.parametrize("block", [7, 1024], ids=["blocks", "one block"])
def test_distances(monkeypatch, block):
    monkeypatch.setattr(distances, "BLOCK", block)
    x, y = (torch.randn(n, 5, generator=torch.Generator().manual_seed(n)) for n in (20, 30))
    y[4] = x[11]
    expected = (x[:, None].double() - y[None].double()).norm(dim=2)
    assert torch.allclose(all_distances(x, y).double(), expected, rtol=1e-6)  # one rounding to float32
    assert torch.equal(all_distances(x, y), all_distances(y, x).T)
    assert all_distances(x, y)[11, 4] == 0
    assert torch.allclose(nearest_distance(x, y).double(), expected.min(dim=1).values, rtol=1e-6)
    assert nearest_distance(x, y)[11] == 0


def test_copies_are_at_zero_among_large_features():
    """|x|^2 + |y|^2 - 2 x.y of a copy is zero up to rounding only, here 1e-10 and of either sign."""
    x = torch.randn(60, 128, generator=torch.Generator().manual_seed(0)) + 20
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    assert (all_distances(x, x[order])[order, torch.arange(60)] == 0).all()
    assert (all_distances(x, x + 1e-3) > 0).all()
