"""Stacked digits: three digits as the channels of one image, 1,000 classes (Metz et al. 2017, section 3.3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from divergan.data.reading import RawData
from divergan.data.splits import largest_remainder, split
from divergan.lazy import lazy
from divergan.randomness import derived_seed

if TYPE_CHECKING:
    import numpy as np
    import torch
else:
    np, torch = lazy("numpy"), lazy("torch")

CHANNELS = 3
PLACES = (100, 10, 1)  # of the channels' digits in an image's class


def stacked(raw: RawData, sizes: Mapping[str, int], seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images (n, 3, H, W) uint8 and classes (n,) int16 of each split, triples of its own digits, with replacement.

    No digit stands in two splits. Each split has a part of the digits in proportion to its size; where there is a test
    set, evaluation has all of that. Deterministic in (sizes, seed).
    """
    digits = split(raw, parts(raw, sizes), seed)
    return {name: triples(*own, sizes[name], seed, name) for name, own in digits.items()}


def parts(raw: RawData, sizes: Mapping[str, int]) -> dict[str, int]:
    """How many single digits each split draws its triples from."""
    tested = {"evaluation": len(raw.test_labels)} if len(raw.test_labels) and "evaluation" in sizes else {}
    names = [name for name in sizes if name not in tested]
    shares = largest_remainder(np.array([sizes[name] for name in names]), len(raw.training_labels))
    return dict(zip(names, shares.tolist(), strict=True)) | tested


def triples(images: np.ndarray, labels: np.ndarray, count: int, seed: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    rows = np.random.default_rng(derived_seed(seed, "stack", name)).integers(len(images), size=(count, CHANNELS))
    return images[rows, 0], (labels[rows].astype(np.int16) * PLACES).sum(axis=1, dtype=np.int16)


def unstacked(images: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The single digits (3n, 1, H, W) and their labels (3n,) of stacked images (n, 3, H, W) and classes (n,)."""
    digits = [classes // place % 10 for place in PLACES]
    return images.flatten(0, 1).unsqueeze(1), torch.stack(digits, dim=1).flatten()
