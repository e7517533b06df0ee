"""The kernel distance against a loop over pairs, against torch-fidelity, and its mean on equal distributions."""

import pytest
import torch

from divergan.errors import DivergaNError
from divergan.metrics import kernel_distance as module
from divergan.metrics import pairwise


def features(count, seed, dimension=6):
    return torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed))


def kernel_distance(x, y):
    own, theirs = pairwise.within(x), pairwise.within(y)
    return module.kernel_distance(own, theirs, pairwise.across(x, y, own, theirs))


def by_pairs(x, y):
    def k(a, b):
        return (float(a.double() @ b.double()) / len(a) + 1) ** 3

    n, m = len(x), len(y)
    within_x = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_y = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_x + within_y - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


@pytest.mark.parametrize("block", [1, 4, 5, 512], ids=["points", "even", "uneven", "one block"])
def test_every_pair_counts(monkeypatch, block):
    monkeypatch.setattr(pairwise, "BLOCK", block)
    x, y = features(17, 0), 1.5 * features(12, 1) + 0.3
    assert kernel_distance(x, y) == pytest.approx(by_pairs(x, y), abs=1e-12)  # two orders of one float64 sum


def test_agrees_with_torch_fidelity_on_one_subset_of_everything():
    from torch_fidelity.metric_kid import kid_features_to_metric

    x, y = features(90, 0).double(), 1.2 * features(90, 1).double()
    theirs = kid_features_to_metric(x, y, kid_subsets=1, kid_subset_size=90, verbose=False)
    assert kernel_distance(x, y) == pytest.approx(theirs["kernel_inception_distance_mean"], abs=1e-12)


def test_unbiased_on_equal_distributions():
    values = torch.tensor([kernel_distance(features(20, 2 * s), features(20, 2 * s + 1)) for s in range(400)])
    standard_error = float(values.std()) / 20
    assert abs(float(values.mean())) < 3 * standard_error  # the seeds are fixed; the biased estimate is 20 errors away
    assert (values < 0).any()


def test_far_from_zero():
    """Kernels of 1e8 leave of float64's 16 digits nine for their mean, and KID is a difference of such means."""
    x, y = features(40, 0) + 25, features(30, 1) + 24
    assert kernel_distance(x, y) == pytest.approx(by_pairs(x, y), abs=1e-4)


def test_three_images_are_enough():
    assert kernel_distance(features(2, 0), features(3, 1)) == pytest.approx(
        by_pairs(features(2, 0), features(3, 1)), abs=1e-12
    )


def test_one_image_is_refused():
    with pytest.raises(DivergaNError, match="two images"):
        kernel_distance(features(1, 0), features(5, 1))
