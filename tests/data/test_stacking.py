"""Stacked digits: every channel a digit of the split's own, the class their triple."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from divergan import data
from divergan.data.stacking import parts, triples
from made_data import identities, numbered

SIZES = {"gan": 300, "classifier": 100, "tuning": 50, "evaluation": 90}


def digits_of(images: np.ndarray) -> list[list[tuple[int, int]]]:
    return [identities(images[:, [channel]]) for channel in range(3)]


@pytest.mark.parametrize("test_counts", [(), (20,) * 10])
def test_no_digit_stands_in_two_splits_and_each_channel_carries_its_own(test_counts):
    raw = numbered([50] * 10, test_counts)
    made = data.stacked(raw, SIZES, 0)
    seen = {}
    for name, (images, classes) in made.items():
        assert (images.shape, images.dtype, classes.dtype) == ((SIZES[name], 3, 28, 28), np.uint8, np.int16)
        from_test = bool(test_counts) and name == "evaluation"
        origin = raw.test_labels if from_test else raw.training_labels
        channels = digits_of(images)
        labels = [[int(origin[index]) for _, index in channel] for channel in channels]
        assert classes.tolist() == [100 * a + 10 * b + c for a, b, c in zip(*labels, strict=True)]
        assert channels[0] != channels[1]
        seen[name] = {identity for channel in channels for identity in channel}
        assert all(mark == from_test for mark, _ in seen[name])
    assert sum(map(len, seen.values())) == len(set().union(*seen.values()))


def test_a_split_has_digits_in_proportion_and_evaluation_all_of_the_test_set():
    assert parts(numbered([54] * 10), SIZES) == SIZES  # 540 digits for 540 images
    with_test = parts(numbered([45] * 10, (20,) * 10), SIZES)
    assert with_test == {"gan": 300, "classifier": 100, "tuning": 50, "evaluation": 200}


def test_triples_are_independent_and_follow_the_seed():
    raw = numbered([50] * 10)
    one, again, other = (data.stacked(raw, SIZES | {"gan": 20_000}, seed)["gan"] for seed in (0, 0, 1))
    assert (one[0] == again[0]).all()
    assert not np.array_equal(one[1], other[1])
    pairs = np.histogram2d(one[1] // 100, one[1] % 10, bins=10)[0]
    assert np.abs(pairs - 200).max() < 5 * 200**0.5  # 20,000 over 100 cells, five standard deviations


def test_unstacking_gives_back_the_digits_and_their_labels():
    raw = numbered([50] * 10)
    images, classes = map(torch.from_numpy, data.stacked(raw, SIZES, 0)["tuning"])
    digits, labels = data.unstacked(images, classes)
    assert digits.shape == (150, 1, 28, 28)
    assert torch.equal(digits[3:6, 0], images[1])
    assert labels.tolist() == [int(raw.training_labels[index]) for _, index in identities(digits.numpy())]


def test_a_stacked_set_has_its_bases_files_and_no_others(tmp_path):
    declared = data.data_set("stacked_mnist")
    assert (declared.shape, declared.classes, declared.stacks) == ((3, 28, 28), 1000, "mnist")
    assert declared.files == data.data_set("mnist").files
    told: list[str] = []
    data.fetch("stacked_embedded", tmp_path, told.append)
    assert told == ["embedded: nothing to fetch, 0 files verified"]


def test_each_split_draws_by_a_generator_of_its_own():
    raw = numbered([50] * 10)
    one, other = (triples(raw.training_images, raw.training_labels, 100, 0, name)[1] for name in ("gan", "tuning"))
    assert not np.array_equal(one, other)
