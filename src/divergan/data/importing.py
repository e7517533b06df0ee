"""A folder of a person's own images, packed once: afterwards no result depends on the folder or on Pillow."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from divergan.data.reading import tensors_sha256
from divergan.data.sets import DATASETS, DataError
from divergan.lazy import lazy
from divergan.names import RESERVED

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy("numpy")

NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")  # as params.Name
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff")
LEAST_SIDE, MOST_SIDE = 8, 1024  # pixels; no network here makes more
NAMED = 10  # so many files or classes are named, and the others counted


@dataclass(frozen=True, kw_only=True, eq=False)
class Packed:
    """The readable images of a folder, at one size."""

    images: np.ndarray  # uint8 (N, C, S, S)
    labels: np.ndarray  # (N,), uint8 up to 256 classes and int32 beyond
    sizes: list[tuple[int, int]]  # (width, height) of each file's image
    unreadable: list[str]  # "file: why"


def import_folder(
    folder: Path,
    name: str,
    size: int,
    grey: bool,
    out: Path,
    report: Callable[[str], None],
    *,
    skip_unreadable: bool = False,
    force: bool = False,
) -> Path:
    """Pack the images in `folder` as the data set `name` and return `out/<name>.safetensors`; `report` gets the lines.

    Each image is cropped to its central square and resized once to `size` x `size` with Pillow's Lanczos filter, which
    widens with the step down and so does not alias (Parmar et al. 2022 show what FID makes of filters that do). Colour
    is kept if any image has it and `grey` is not asked for. Images in subfolders have the first subfolder as their
    class, as in torchvision's ImageFolder; a folder without subfolders is one class. Links and hidden files are not
    followed or read.

    The file holds `images` uint8 (N, C, size, size) and `labels` (N,), in the order of the files' names. Beside it
    `out/<name>.json` says what they are (see `sets.own_data_set`). DataError for a wrong name or size, a name that is
    taken (unless `force`), fewer than two images, and files that cannot be read (unless `skip_unreadable`).
    """
    target = out / f"{name}.safetensors"
    _check(folder, name, size, target.with_suffix(".json"), force)
    files, left_out = image_files(folder)
    classes, labels = classes_of(folder, files, name)
    packed = pack(folder, files, labels, size, grey, name)
    if packed.unreadable and not skip_unreadable:
        raise DataError(
            f"{len(packed.unreadable)} of the {len(files)} images in {folder} cannot be read: "
            f"{_listed(packed.unreadable)}: mend or remove them, or leave them out with --skip-unreadable"
        )
    if len(packed.images) < 2:
        links = f" ({left_out} links were not followed)" if left_out else ""
        raise DataError(
            f"{folder} holds {len(packed.images)} images that can be read{links}, and a data set needs two or more: "
            f"give a folder of {', '.join(SUFFIXES)} files"
        )
    told = description(name, classes, packed)
    _write(target, packed, told)
    for line in summary(told, packed, left_out):
        report(f"{name}: {line}")
    report(f"{name}: written to {target}")
    return target


def _check(folder: Path, name: str, size: int, described: Path, force: bool) -> None:
    if not NAME.fullmatch(name):
        raise DataError(f"the name {name!r} should be up to 64 small letters, digits and underscores: choose another")
    if name in RESERVED:
        raise DataError(f"the name {name!r} is that of a device on Windows: choose another")
    if name in DATASETS:
        raise DataError(f"the name {name!r} is that of a data set of divergan's: choose another")
    if described.exists() and not force:
        raise DataError(f"{described} exists: choose another name, or replace that data set with --force")
    if size < LEAST_SIDE:
        raise DataError(f"images of {size}x{size} pixels are too small: give a --size of {LEAST_SIDE} or more")
    if size > MOST_SIDE:
        raise DataError(f"images of {size}x{size} pixels are too large: give a --size of {MOST_SIDE} or less")
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: give the folder that holds the images")


def image_files(folder: Path) -> tuple[list[Path], int]:
    """The image files under `folder`, by the ends of their names and in the order of their names, and the links seen.

    No link is followed: one that leads out would pack what is not in the folder, one that leads inside a copy.
    """
    found, links = [], 0

    def unlisted(error: OSError) -> None:
        raise DataError(f"{error.filename} cannot be listed ({error.strerror}): allow it to be read")

    for parent, folders, names in os.walk(folder, onerror=unlisted):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(parent, name) for name in names if not name.startswith(".") and name.lower().endswith(SUFFIXES)]
        links += sum(path.is_symlink() for path in [*paths, *(Path(parent, name) for name in folders)])
        found += [path for path in paths if path.is_file() and not path.is_symlink()]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix()), links


def classes_of(folder: Path, files: Sequence[Path], name: str) -> tuple[list[str], list[int]]:
    """The names of the classes in alphabetical order, and the class of each file; `name` is that of a sole class."""
    parts = [path.relative_to(folder).parts for path in files]
    if all(len(own) == 1 for own in parts):
        return [name], [0] * len(files)
    if loose := [own[0] for own in parts if len(own) == 1]:
        raise DataError(
            f"{folder} holds images in subfolders, which are taken for classes, and {len(loose)} beside them "
            f"({_listed(loose)}): move those into a subfolder"
        )
    classes = sorted({own[0] for own in parts})
    index = {own: number for number, own in enumerate(classes)}
    return [printable(own) for own in classes], [index[own[0]] for own in parts]


def pack(folder: Path, files: Sequence[Path], labels: Sequence[int], size: int, grey: bool, name: str) -> Packed:
    """Every file's image as `square` gives it, and their labels; with a progress bar."""
    from divergan.data.decoding import opened, square
    from divergan.progress import shown

    shape = (len(files), 1 if grey else 3, size, size)
    try:
        images = np.empty(shape, np.uint8)
    except MemoryError:
        gigabytes = math.prod(shape) / 1e9
        raise DataError(f"{len(files)} images take {gigabytes:.0f} GB, more than there is: lower --size") from None
    kept: list[int] = []
    sizes: list[tuple[int, int]] = []
    unreadable: list[str] = []
    with shown(f"import {name}", len(files), "images") as bar:
        for number, path in enumerate(files):
            try:
                image = opened(path)
                images[len(kept)] = square(image, size, grey)
            except Exception as error:  # each of Pillow's decoders raises its own on a broken file
                unreadable.append(f"{printable(path.relative_to(folder))}: {_why(error)}")
            else:
                kept.append(labels[number])
                sizes.append(image.size)
            bar.update(number + 1)
    images = images[: len(kept)]
    if not (images != images[:, :1]).any():  # no colour anywhere
        images = np.ascontiguousarray(images[:, :1])
    dtype = np.uint8 if max(labels, default=0) < 256 else np.int32
    return Packed(images=images, labels=np.array(kept, dtype), sizes=sizes, unreadable=unreadable)


def description(name: str, classes: list[str], packed: Packed) -> dict[str, object]:
    """What `<name>.json` holds."""
    import PIL

    count, channels, size, _ = packed.images.shape
    smallest, largest = (f"{width}x{height}" for width, height in extremes(packed.sizes))
    return {
        "name": name,
        "label": name,
        "channels": channels,
        "size": size,
        "count": count,
        "classes": classes,
        "sha256": tensors_sha256(packed.images, packed.labels),
        "resized": f"centre-cropped to a square and resized once to {size}x{size} pixels with the antialiased Lanczos "
        f"filter of Pillow {PIL.__version__}, from {smallest} to {largest} pixels",
        "left_out": len(packed.unreadable),
        "copies": copies(packed.images),
    }


def extremes(sizes: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The sizes of the fewest and of the most pixels."""
    ordered = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    return ordered[0], ordered[-1]


def copies(images: np.ndarray) -> int:
    """How many images are exact copies of an earlier one."""
    return len(images) - len({hashlib.sha256(image.tobytes()).digest() for image in images})


def summary(told: dict[str, object], packed: Packed, links: int) -> list[str]:
    """The lines that a person should read once: what was packed, and what to mind."""
    classes, size, channels = told["classes"], packed.images.shape[-1], packed.images.shape[1]
    assert isinstance(classes, list)
    counts = Counter(packed.labels.tolist())
    named = _listed([f"{own} {counts[number]}" for number, own in enumerate(classes)])
    lines = [
        f"{len(packed.images)} {'colour' if channels == 3 else 'grey'} images in {len(classes)} "
        f"{'class' if len(classes) == 1 else 'classes'} ({named})",
        str(told["resized"]),
    ]
    enlarged = sum(min(own) < size for own in packed.sizes)
    notes = {
        f"{enlarged} images were smaller and are enlarged": enlarged,
        f"{told['copies']} images are exact copies of others and may fall into different splits": told["copies"],
        f"left out, for they cannot be read: {_listed(packed.unreadable)}": packed.unreadable,
        f"{links} links were not followed": links,
        "one class alone: choose the feature set random_convolutions": len(classes) == 1,
        f"4 does not divide {size}: choose the feature set random_convolutions": size % 4,
    }
    return lines + [note for note, holds in notes.items() if holds]


def _write(target: Path, packed: Packed, told: dict[str, object]) -> None:
    """Both files whole or not at all; the description last, for a set exists by it."""
    import tempfile

    from safetensors.numpy import save_file

    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.parent) as scratch:
        tensors, description = Path(scratch, "tensors"), Path(scratch, "description")
        save_file({"images": packed.images, "labels": packed.labels}, tensors)
        description.write_text(json.dumps(told, indent=2) + "\n", "utf-8")
        os.replace(tensors, target)
        os.replace(description, target.with_suffix(".json"))


def printable(name: object) -> str:
    """A file's name, with ? for bytes that are not UTF-8."""
    return str(name).encode("utf-8", "replace").decode()


def _why(error: Exception) -> str:
    if type(error).__name__ == "UnidentifiedImageError":  # its text repeats the whole path
        return "no image of a known format"
    return str(error) or type(error).__name__


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
