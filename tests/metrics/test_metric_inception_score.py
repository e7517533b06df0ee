"""The Inception Score where it is known, and against torch-fidelity."""

import pytest
import torch

from divergan.errors import DivergaNError
from divergan.metrics.inception_score import inception_score


def test_uniform_rows_give_one():
    assert inception_score(torch.full((50, 10), 0.1)) == pytest.approx(1.0, abs=1e-12)


def test_one_hot_rows_of_k_classes_give_k():
    # one split: within a split of a shuffled set the classes are not equally frequent, and the score is below K
    assert inception_score(torch.eye(10).repeat(30, 1), splits=1) == pytest.approx(10.0, abs=1e-12)


def test_one_class_gives_one():
    assert inception_score(torch.eye(10)[:1].repeat(30, 1)) == pytest.approx(1.0, abs=1e-12)


def test_hand_computed():
    p = torch.tensor([[0.75, 0.25], [0.25, 0.75]], dtype=torch.float64)
    divergence = 0.75 * torch.log(torch.tensor(1.5)) + 0.25 * torch.log(torch.tensor(0.5))  # against (1/2, 1/2)
    assert inception_score(p, splits=1) == pytest.approx(float(divergence.exp()), rel=1e-6)  # float32 expectation


@pytest.mark.parametrize("splits", [10, 7])
def test_agrees_with_torch_fidelity(splits):
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = 3 * torch.randn(95, 10, generator=torch.Generator().manual_seed(0)).double()
    logits = logits[logits.argmax(dim=1).argsort()]  # sorted by class: the shuffle matters
    theirs = isc_features_to_metric(logits, splits=splits)["inception_score_mean"]
    assert inception_score(logits.softmax(dim=1), splits) == pytest.approx(theirs, rel=1e-12)


def test_fewer_images_than_splits_are_refused():
    with pytest.raises(DivergaNError, match="got 9 images and needs 10"):
        inception_score(torch.full((9, 10), 0.1))
