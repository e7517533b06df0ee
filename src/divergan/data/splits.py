"""Disjoint stratified splits as part of the recipe, their file, and the one mapping between bytes and networks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from divergan.data.reading import RawData
from divergan.data.sets import DataError
from divergan.lazy import lazy
from divergan.randomness import derived_seed

if TYPE_CHECKING:
    import numpy as np
    import torch
else:
    np = lazy("numpy")
    torch = lazy("torch")

SPLITS = ("gan", "classifier", "tuning", "evaluation")

# What a generator may be trained on. "all" is the released code's 60k arm: it overlaps the classifier and tuning
# splits, and must be marked so wherever its numbers stand; never the evaluation split.
TRAINING_ARMS = {"gan": ("gan",), "all": ("gan", "classifier", "tuning")}


def split(raw: RawData, sizes: Mapping[str, int], seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images (n, 1, 28, 28) and labels (n,), uint8, of each split in `sizes`: disjoint, stratified, shuffled.

    `evaluation` comes from the test set where there is one, so the size of one does not move the other splits.
    Deterministic in (sizes, seed). DataError for unknown splits and for sizes beyond what there is.
    """
    _check_sizes(sizes)
    rng = np.random.default_rng(derived_seed(seed, "split"))
    ordered = {name: sizes[name] for name in SPLITS if name in sizes}
    if not len(raw.test_labels):
        chosen = split_indices(raw.training_labels, ordered, rng)
        return {name: (raw.training_images[at], raw.training_labels[at]) for name, at in chosen.items()}
    held_out = {name: ordered.pop(name) for name in ["evaluation"] if name in ordered}
    chosen = split_indices(raw.training_labels, ordered, rng)
    tested = split_indices(raw.test_labels, held_out, rng)
    parts = {name: (raw.training_images[at], raw.training_labels[at]) for name, at in chosen.items()}
    return parts | {name: (raw.test_images[at], raw.test_labels[at]) for name, at in tested.items()}


def _check_sizes(sizes: Mapping[str, int]) -> None:
    if unknown := set(sizes) - set(SPLITS):
        raise DataError(f"no split is named {', '.join(sorted(unknown))}: choose among {', '.join(SPLITS)}")
    if wrong := {name: size for name, size in sizes.items() if size < 1}:
        raise DataError(f"the split sizes {wrong} must be at least 1: raise them, or leave the split out")


def split_indices(labels: np.ndarray, sizes: Mapping[str, int], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Disjoint index arrays into `labels`, one a split, in random order, each as even over the classes as can be.

    Each split takes its share of every class among the images that the splits before it left, by largest remainder
    (ties to the lower label): exact where the shares are whole. DataError where the sizes exceed the images.
    """
    if (asked := sum(sizes.values())) > len(labels):
        parts = " + ".join(f"{name} {size}" for name, size in sizes.items())
        raise DataError(f"the splits {parts} = {asked} ask for more than the {len(labels)} images: lower the sizes")
    classes, left = np.unique(labels, return_counts=True)
    members = [rng.permutation(np.flatnonzero(labels == label)) for label in classes]
    taken = np.zeros_like(left)
    chosen = {}
    for name, size in sizes.items():
        share = largest_remainder(left, size)
        parts_of = [m[t : t + s] for m, t, s in zip(members, taken, share, strict=True)]
        chosen[name] = rng.permutation(np.concatenate(parts_of))
        taken, left = taken + share, left - share
    return chosen


def largest_remainder(counts: np.ndarray, size: int) -> np.ndarray:
    """`size` spread over classes in proportion to `counts`: each the floor or the ceiling of its exact share."""
    # Whole numbers throughout: equal remainders must stay equal, or rounding would break ties.
    share, remainder = np.divmod(counts * size, counts.sum())
    first = np.argsort(-remainder, kind="stable")[: size - share.sum()]
    share[first] += 1
    return share


def tensors(splits: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, torch.Tensor]:
    """`<split>.images` uint8 (n, 1, 28, 28) and `<split>.labels` uint8 (n,) of every split."""
    named = {f"{name}.images": images for name, (images, _) in splits.items()}
    named |= {f"{name}.labels": labels for name, (_, labels) in splits.items()}
    return {key: torch.from_numpy(np.ascontiguousarray(values)) for key, values in named.items()}


def save_splits(path: Path, splits: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Write `tensors(splits)` to the safetensors file `path`, under a temporary name until it is whole."""
    import tempfile

    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory(prefix=".partial-", dir=path.parent) as scratch:
        partial = Path(scratch) / path.name
        save_file(tensors(splits), partial)
        os.replace(partial, path)


def load_splits(path: Path) -> dict[str, torch.Tensor]:
    """What `save_splits` wrote; DataError where the file is missing or not whole."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} is not a whole splits file ({error}): run `divergan data` again") from None


def training_images(splits: Mapping[str, torch.Tensor], which: str | int) -> torch.Tensor:
    """uint8 (n, C, H, W): the images a generator trains on, from `load_splits`.

    `which` is one of TRAINING_ARMS, or a number: the first so many of the gan split, which is shuffled.
    """
    if isinstance(which, int):
        return splits["gan.images"][:which]
    if which not in TRAINING_ARMS:
        raise DataError(f"no training images are named {which!r}: choose one of {', '.join(TRAINING_ARMS)}")
    return torch.cat([splits[f"{name}.images"] for name in TRAINING_ARMS[which]])


def training_labels(splits: Mapping[str, torch.Tensor], which: str | int) -> torch.Tensor:
    """Whole numbers (n,): the labels of `training_images(splits, which)`, in their order."""
    labels = {f"{name}.images": splits[f"{name}.labels"] for name in SPLITS if f"{name}.labels" in splits}
    return training_images(labels, which)


def to_network(images: torch.Tensor) -> torch.Tensor:
    """uint8 in 0..255 to float32 in [-1, 1], any shape: x / 127.5 - 1."""
    return images.float() / 127.5 - 1


def to_uint8(values: torch.Tensor) -> torch.Tensor:
    """Finite float in [-1, 1] to uint8 by rounding, the inverse of `to_network`; values outside are clamped."""
    return ((values.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
