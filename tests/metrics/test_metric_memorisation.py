"""The distance to the nearest training image, in pixels."""

import pytest
import torch

from divergan.features import FeatureSet
from divergan.metrics import Pair, copied_share, memorisation, nearest_training_distances
from divergan.metrics.memorisation import NEAREST_TRAINING_DISTANCE, nearest_distance


def of_images(images):
    return FeatureSet(features=torch.zeros(len(images), 3), probabilities=None, images=images)


def distance(generated, training):
    return NEAREST_TRAINING_DISTANCE.compute(
        Pair(generated=of_images(generated), reference=of_images(generated[:0]), training=of_images(training))
    )


def random_images(count, seed):
    owner = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 1, 28, 28), generator=owner, dtype=torch.uint8)


def test_copies_are_at_zero():
    training = random_images(50, 0)
    assert distance(training[10:30], training) == 0


def test_unit_is_pixels_from_zero_to_one():
    black, white = (torch.full((5, 1, 4, 4), level, dtype=torch.uint8) for level in (0, 255))
    assert distance(white, black) == pytest.approx(4.0, rel=1e-6)  # the root of 16 pixels of difference 1


def test_median_over_generated_of_the_nearest():
    training, generated = random_images(40, 0), random_images(31, 1)
    differences = generated[:, None].double() - training[None].double()
    expected = differences.flatten(2).norm(dim=2).min(dim=1).values.median() / 255
    assert distance(generated, training) == pytest.approx(float(expected), rel=1e-5)  # float32 pixels


@pytest.mark.parametrize("rows", [7, 512], ids=["blocks", "one block"])
def test_nearest_distance(monkeypatch, rows):
    monkeypatch.setattr(memorisation, "ROWS", rows)
    x, y = (torch.randn(n, 5, generator=torch.Generator().manual_seed(n)) for n in (20, 30))
    y[4] = x[11]
    expected = (x[:, None].double() - y[None].double()).norm(dim=2).min(dim=1).values
    assert torch.allclose(nearest_distance(x, y).double(), expected, rtol=1e-6)  # one rounding to float32
    assert nearest_distance(x, y)[11] == 0


def test_copied_share_of_copies_of_unseen_and_of_far_images():
    training, held_out = random_images(200, 0), random_images(500, 1)
    near = (training.int() // 8 * 8).to(torch.uint8)  # training images in 32 grey levels
    far = torch.full((50, 1, 28, 28), 255, dtype=torch.uint8)
    beside = nearest_training_distances(of_images(held_out), of_images(training))

    def share(images):
        return copied_share(nearest_training_distances(of_images(images), of_images(training)), beside)

    assert share(near) == 1
    assert share(far) == 0
    assert share(held_out) == pytest.approx(0.01, abs=1 / 500)  # by construction, a tie at the quantile aside
