"""The form of a network's declaration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Shape = tuple[int, int, int]  # C, H, W


def any_fits(hidden: Sequence[int], shape: Shape) -> str | None:
    """No reason to refuse."""
    return None


@dataclass(frozen=True, kw_only=True)
class Generator:
    name: str  # key in params.yaml
    label: str  # as the report prints it
    source: str  # BibTeX key, then the place in it
    build: Callable[[int, Sequence[int], Shape], torch.nn.Module]  # (latent size, hidden sizes, image shape)
    products: Callable[[int, Sequence[int], Shape], int]  # multiplications of its matrix products, an image
    refusal: Callable[[Sequence[int], Shape], str | None] = any_fits  # why these sizes cannot make such images


@dataclass(frozen=True, kw_only=True)
class CriticForm:
    """What the objective and the regularisers want of a critic."""

    outputs: int = 1  # numbers for an image; the scores are (N,) where it is 1, else (N, outputs)
    spectral_norm: bool = False
    dropout: float = 0.0  # share of every hidden layer's outputs that are set to 0 in training


@dataclass(frozen=True, kw_only=True)
class Critic:
    name: str
    label: str
    source: str
    build: Callable[[Shape, Sequence[int], CriticForm], torch.nn.Module]  # (image shape, hidden sizes, form)
    products: Callable[[Shape, Sequence[int]], int]
    refusal: Callable[[Sequence[int], Shape], str | None] = any_fits
