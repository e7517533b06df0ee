"""Small made files in the forms that the real data comes in."""

from __future__ import annotations

import hashlib
import pickle
import pickletools
from pathlib import Path

import numpy as np

from divergan.data import RawData, sets

ROOT = Path(__file__).parents[1]
EMBEDDED_SIZES = {"gan": 2_500, "classifier": 1_000, "tuning": 500, "evaluation": 1_000}


def idx_files(contents: dict[str, bytes], dims: list[tuple[int, ...]], *, sha256: bool) -> tuple[sets.IdxFile, ...]:
    digest = {name: hashlib.sha256(content).hexdigest() if sha256 else None for name, content in contents.items()}
    return tuple(
        sets.IdxFile(name=name, dims=d, md5=hashlib.md5(content).hexdigest(), sha256=digest[name])
        for (name, content), d in zip(contents.items(), dims, strict=True)
    )


def put(made, **changed: bytes) -> Path:
    folder = made.raw / "made"
    folder.mkdir(exist_ok=True)
    for name, content in (made.contents | changed).items():
        (folder / name).write_bytes(content)
    return folder


def python2_pickle(value: object) -> bytes:
    """Arrays as Python 2 with numpy 1 wrote them, which is how the real file is: numpy.core, and str for the bytes."""
    content = bytearray(pickle.dumps(value, protocol=3).replace(b"numpy._core.", b"numpy.core."))
    as_string = {"BINBYTES": ord("T"), "SHORT_BINBYTES": ord("U")}  # the same layout, another opcode
    for opcode, _, position in pickletools.genops(bytes(content)):
        content[position] = as_string.get(opcode.name, content[position])
    return bytes(content)


def parts_of(arrays: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training 14 + 6 and test, as float32 k/256 and int64: the form of the real pickle."""
    train, train_labels, test, test_labels = arrays
    pieces = [(train[:14], train_labels[:14]), (train[14:], train_labels[14:]), (test, test_labels)]
    return [(x.reshape(len(x), 784) / np.float32(256), y.astype(np.int64)) for x, y in pieces]


def numbered(counts: list[int], test_counts: tuple[int, ...] = ()) -> RawData:
    """Images whose first two bytes are their index; in the test set the third is 1."""

    def images(n: int, mark: int) -> np.ndarray:
        out = np.zeros((n, 1, 28, 28), np.uint8)
        out[:, 0, 0, 0], out[:, 0, 0, 1], out[:, 0, 0, 2] = np.arange(n) % 256, np.arange(n) // 256, mark
        return out

    def labels(counts) -> np.ndarray:
        return np.repeat(np.arange(len(counts), dtype=np.uint8), counts)

    return RawData(
        training_images=images(sum(counts), 0),
        training_labels=labels(counts),
        test_images=images(sum(test_counts), 1),
        test_labels=labels(test_counts),
    )


def identities(images: np.ndarray) -> list[tuple[int, int]]:
    low, high, mark = images[:, 0, 0, :3].astype(int).T
    return list(zip(mark.tolist(), (low + 256 * high).tolist(), strict=True))
