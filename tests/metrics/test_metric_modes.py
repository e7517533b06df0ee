"""Class histograms, covered classes and their divergence, by hand."""

import math

import pytest
import torch

from divergan.features import FeatureSet
from divergan.metrics.modes import class_divergence, class_histogram, divergence_from_equal, modes_covered, modes_found


def of_classes(labels, classes=10):
    probabilities = 0.9 * torch.eye(classes)[labels] + 0.1 / classes
    images = torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8)
    return FeatureSet(features=torch.zeros(len(labels), 3), probabilities=probabilities, images=images)


def test_histogram_has_every_class():
    shares = class_histogram(of_classes([0, 0, 1, 3]))
    assert shares.tolist() == [0.5, 0.25, 0, 0.25, 0, 0, 0, 0, 0, 0]


def test_a_class_is_covered_from_one_percent_on():
    labels = [0] * 985 + [1] * 10 + [2] * 5  # 1 % counts, 0.5 % may be the classifier's mistakes
    assert modes_covered(class_histogram(of_classes(labels))) == 2


def test_the_threshold_follows_the_number_of_classes():
    assert modes_covered(torch.tensor([0.975, 0.025]).double()) == 1  # a tenth of one half is 5 %


def test_divergence_by_hand():
    generated, reference = torch.tensor([0.5, 0.5, 0.0]).double(), torch.tensor([0.25, 0.5, 0.25]).double()
    assert class_divergence(generated, reference) == pytest.approx(0.5 * math.log(2), abs=1e-12)
    assert class_divergence(reference, reference) == 0
    assert class_divergence(reference, generated) == math.inf


def test_a_mode_is_found_by_one_image():
    assert modes_found(class_histogram(of_classes([0] * 998 + [1, 7]))) == 3


def test_divergence_from_equal_shares_by_hand():
    assert divergence_from_equal(torch.tensor([0.5, 0.5, 0.0, 0.0]).double()) == pytest.approx(math.log(2), abs=1e-12)
    assert divergence_from_equal(torch.full((1000,), 1e-3, dtype=torch.float64)) == pytest.approx(0, abs=1e-12)
    only = torch.zeros(1000).double()
    only[3] = 1
    assert divergence_from_equal(only) == pytest.approx(math.log(1000), abs=1e-12)


def test_finite_samples_of_equal_modes_lie_where_the_docstring_says():
    """(K - 1) / 2N to first order; its spread over draws is about the root of K / 2 over N."""
    drawn = torch.randint(1000, (26_000,), generator=torch.Generator().manual_seed(0))
    found = divergence_from_equal(torch.bincount(drawn, minlength=1000).double() / len(drawn))
    assert found == pytest.approx(999 / 52_000, abs=4 * 500**0.5 / 26_000)
