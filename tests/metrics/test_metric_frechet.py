"""The Fréchet distance on samples whose mean and covariance are known exactly."""

import numpy as np
import pytest
import torch

from divergan.errors import DivergaNError
from divergan.metrics.frechet import frechet_distance


def sample(count, mean, covariance, seed=0):
    """`count` points with exactly this sample mean and covariance (divided by count - 1)."""
    mean, covariance = torch.as_tensor(mean).double(), torch.as_tensor(covariance).double()
    draws = torch.randn(count, len(mean), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    draws = draws - draws.mean(dim=0)
    whitened = draws @ torch.linalg.inv(torch.linalg.cholesky(draws.T.cov()).T)
    return whitened @ torch.linalg.cholesky(covariance).T + mean


def test_diagonal_gaussians():
    x = sample(40, [1.0, 2.0, 0.0], torch.diag(torch.tensor([1.0, 4.0, 9.0])))
    y = sample(70, [1.0, 0.0, 0.0], torch.diag(torch.tensor([9.0, 4.0, 1.0])), seed=1)
    # |mean difference|^2 + sum of (standard deviation difference)^2 = 4 + (1-3)^2 + 0 + (3-1)^2
    assert frechet_distance(x, y) == pytest.approx(12.0, abs=1e-10)  # float64 through a few factorisations


def test_covariances_that_do_not_commute():
    a, b = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[1.0, -0.5], [-0.5, 4.0]])
    product = a @ b  # 2x2: tr(sqrt(M))^2 = tr(M) + 2 sqrt(det(M))
    trace_of_root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    expected = np.trace(a) + np.trace(b) - 2 * trace_of_root
    distance = frechet_distance(sample(30, [0.0, 0.0], a), sample(50, [0.0, 0.0], b, seed=1))
    assert distance == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(("counts", "dimension"), [((200, 150), 16), ((12, 9), 16)], ids=["full rank", "N below D"])
def test_agrees_with_torch_fidelity(counts, dimension):
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    owner = torch.Generator().manual_seed(2)
    x, y = (torch.randn(n, dimension, generator=owner).relu() * (1 + i) for i, n in enumerate(counts))
    x[:, 3] = 0  # a dead unit: the covariance is singular
    theirs = fid_statistics_to_metric(*(fid_features_to_statistics(f.double()) for f in (x, y)), verbose=False)
    # the reference takes roots of eigenvalues that are 0 up to rounding, 1e-16: each is off by up to 1e-8
    assert frechet_distance(x, y) == pytest.approx(theirs["frechet_inception_distance"], abs=1e-6)


def test_symmetric_and_zero_on_itself():
    x, y = (torch.randn(60, 20, generator=torch.Generator().manual_seed(s)) + 5 * s for s in (0, 1))
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=1e-12)
    assert frechet_distance(x, x.flip(0)) == pytest.approx(0, abs=1e-10)


def test_one_image_is_refused():
    with pytest.raises(DivergaNError, match="two images"):
        frechet_distance(torch.zeros(1, 3), torch.zeros(5, 3))
