"""Splits are exact, disjoint and even; bytes survive the way to a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from divergan import data
from divergan.data import splits
from made_data import EMBEDDED_SIZES, identities, numbered

CASES = {
    "embedded": ([500] * 10, (), EMBEDDED_SIZES),
    "uneven, everything used": ([7, 31, 2, 60], (), {"gan": 53, "classifier": 17, "tuning": 13, "evaluation": 17}),
    "odd sizes": ([50] * 10, (), {"gan": 123, "classifier": 77, "tuning": 3, "evaluation": 41}),
    "test set, part": ([40, 50, 60], (20, 30, 10), {"gan": 75, "classifier": 15, "tuning": 60, "evaluation": 31}),
    "test set, whole": ([40, 50, 60], (20, 30, 10), {"gan": 9, "evaluation": 60}),
}


@pytest.mark.parametrize("case", CASES)
def test_splits_are_exact_disjoint_and_stratified(case):
    counts, test_counts, sizes = CASES[case]
    raw = numbered(counts, test_counts)
    parts = data.split(raw, sizes, 3)
    assert {name: len(images) for name, (images, _) in parts.items()} == sizes
    drawn = [identity for images, _ in parts.values() for identity in identities(images)]
    assert len(set(drawn)) == sum(sizes.values())
    for name, (images, labels) in parts.items():
        from_test = bool(test_counts) and name == "evaluation"
        origin = raw.test_labels if from_test else raw.training_labels
        assert all(mark == from_test for mark, _ in identities(images))
        np.testing.assert_array_equal(labels, [origin[index] for _, index in identities(images)])
        pool = np.array(test_counts if from_test else counts)
        # Below one image: no integer counts can promise less where the shares are not whole.
        assert np.abs(np.bincount(labels, minlength=len(pool)) - pool * sizes[name] / pool.sum()).max() < 1


def test_whole_shares_are_met_exactly(embedded):
    for name, (images, labels) in data.split(embedded, EMBEDDED_SIZES, 0).items():
        assert images.shape == (EMBEDDED_SIZES[name], 1, 28, 28)
        assert images.dtype == labels.dtype == np.uint8
        assert np.bincount(labels).tolist() == [EMBEDDED_SIZES[name] // 10] * 10


@pytest.mark.parametrize("seed", range(20))
def test_any_sizes_that_fit_are_served(seed):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(10), rng.integers(1, 40, 10))
    cuts = np.sort(rng.choice(np.arange(1, len(labels)), 3, replace=False))
    sizes = dict(zip(data.SPLITS, np.diff([0, *cuts, len(labels)]).tolist(), strict=True))
    chosen = splits.split_indices(labels, sizes, rng)
    assert sorted(np.concatenate(list(chosen.values()))) == list(range(len(labels)))
    assert {name: len(at) for name, at in chosen.items()} == sizes
    for name, at in chosen.items():
        share = np.bincount(labels) * sizes[name] / len(labels)
        # Two: each split is within one of its share of what was left, and what was left within one of even.
        assert np.abs(np.bincount(labels[at], minlength=10) - share).max() < 2


def testlargest_remainder_by_hand():
    # Shares of 10 over 6:3:4 (13 in all) are 4.62, 2.31, 3.08: floors 4, 2, 3 and the one left to the .62.
    assert splits.largest_remainder(np.array([6, 3, 4]), 10).tolist() == [5, 2, 3]
    assert splits.largest_remainder(np.array([2, 2, 2]), 4).tolist() == [2, 1, 1]


def test_splits_are_deterministic_and_follow_the_seed():
    raw = numbered([50] * 10)
    sizes = {"gan": 250, "classifier": 100, "tuning": 50, "evaluation": 100}
    first, again, reordered = (data.split(raw, s, 0) for s in (sizes, sizes, dict(reversed(sizes.items()))))
    other = data.split(raw, sizes, 1)
    for name in sizes:
        assert identities(first[name][0]) == identities(again[name][0]) == identities(reordered[name][0])
        assert set(identities(first[name][0])) != set(identities(other[name][0]))
        assert (np.diff(first[name][1].astype(int)) < 0).any(), "sorted by class: its head would be one class alone"


def test_the_size_of_evaluation_does_not_move_the_other_splits():
    raw = numbered([50] * 10, (20,) * 10)
    small, large = (data.split(raw, {"gan": 100, "tuning": 50, "evaluation": n}, 0) for n in (10, 200))
    for name in ("gan", "tuning"):
        assert identities(small[name][0]) == identities(large[name][0])


@pytest.mark.parametrize(
    ("sizes", "complaint"),
    [
        ({"gan": 20, "evaluation": 11}, r"gan 20 \+ evaluation 11 = 31 .* 30 images"),
        ({"gan": 5, "train": 5}, "no split is named train"),
        ({"gan": 5, "tuning": 0}, "'tuning': 0"),
        ({"gan": -5, "tuning": 30}, "'gan': -5"),
    ],
)
def test_impossible_sizes_are_refused(sizes, complaint):
    with pytest.raises(data.DataError, match=complaint):
        data.split(numbered([10, 10, 10]), sizes, 0)


@pytest.mark.parametrize("sizes", [{"gan": 31, "evaluation": 5}, {"gan": 5, "evaluation": 7}])
def test_sizes_are_held_against_their_own_pool(sizes):
    with pytest.raises(data.DataError, match=r"= (31 .* 30|7 .* 6) images"):
        data.split(numbered([10, 10, 10], (2, 2, 2)), sizes, 0)


def test_splits_survive_their_file(tmp_path):
    parts = data.split(numbered([50] * 10), {"gan": 250, "classifier": 100, "tuning": 50, "evaluation": 100}, 0)
    data.save_splits(tmp_path / "splits.safetensors", parts)
    data.save_splits(tmp_path / "again.safetensors", parts)
    loaded = data.load_splits(tmp_path / "splits.safetensors")
    assert set(loaded) == {f"{name}.{kind}" for name in data.SPLITS for kind in ("images", "labels")}
    for name, (images, labels) in parts.items():
        for kind, values in (("images", images), ("labels", labels)):
            assert loaded[f"{name}.{kind}"].dtype == torch.uint8
            np.testing.assert_array_equal(loaded[f"{name}.{kind}"].numpy(), values)
    assert (tmp_path / "splits.safetensors").read_bytes() == (tmp_path / "again.safetensors").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2, "no temporary file stays"


def test_a_splits_file_that_is_not_whole_is_named(tmp_path):
    path = tmp_path / "splits.safetensors"
    with pytest.raises(data.DataError, match=r"splits\.safetensors .*`divergan data`"):
        data.load_splits(path)
    data.save_splits(path, data.split(numbered([5] * 10), {"gan": 50}, 0))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(data.DataError, match=r"splits\.safetensors .*`divergan data`"):
        data.load_splits(path)


def test_training_images_are_gan_alone_or_all_but_evaluation():
    loaded = data.tensors(data.split(numbered([50] * 10), EMBEDDED_SIZES | dict.fromkeys(EMBEDDED_SIZES, 100), 0))
    assert torch.equal(data.training_images(loaded, "gan"), loaded["gan.images"])
    everything = data.training_images(loaded, "all")
    assert everything.shape == (300, 1, 28, 28)
    assert not set(identities(everything.numpy())) & set(identities(loaded["evaluation.images"].numpy()))
    with pytest.raises(data.DataError, match=r"'evaluation'.*gan, all"):
        data.training_images(loaded, "evaluation")


@pytest.mark.parametrize("which", ["gan", "all", 40])
def test_training_labels_are_those_of_the_training_images(which):
    raw = numbered([50] * 10)
    label_of = dict(zip(identities(raw.training_images), raw.training_labels.tolist(), strict=True))
    loaded = data.tensors(data.split(raw, EMBEDDED_SIZES | dict.fromkeys(EMBEDDED_SIZES, 100), 0))
    found = [label_of[number] for number in identities(data.training_images(loaded, which).numpy())]
    assert data.training_labels(loaded, which).tolist() == found


def test_every_byte_survives_the_network_range():
    values = torch.arange(256, dtype=torch.uint8)
    network = data.to_network(values)
    assert network.dtype == torch.float32
    assert (network[0], network[255]) == (-1, 1)
    assert data.to_uint8(network).dtype == torch.uint8
    assert torch.equal(data.to_uint8(network), values)


def test_to_uint8_rounds_to_the_nearest_and_clamps():
    step = 2 / 255
    values = torch.tensor([-1 + 0.49 * step, -1 + 0.51 * step, 1 - 0.49 * step, -1.7, 1.7])
    assert data.to_uint8(values).tolist() == [0, 1, 255, 0, 255]


def test_half_precision_is_widened_before_it_is_scaled():
    # In bfloat16 (x + 1) * 127.5 would keep 8 bits and miss by a level near white.
    values = torch.linspace(-1, 1, 1001).bfloat16()
    assert torch.equal(data.to_uint8(values), data.to_uint8(values.float()))
