"""The form of a network's declaration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Shape = tuple[int, int, int]  # C, H, W


@dataclass(frozen=True, kw_only=True)
class Generator:
    name: str  # key in params.yaml
    label: str  # as the report prints it
    source: str  # BibTeX key, then the place in it
    build: Callable[[int, Sequence[int], Shape], torch.nn.Module]  # (latent size, hidden sizes, image shape)


@dataclass(frozen=True, kw_only=True)
class Critic:
    name: str
    label: str
    source: str
    build: Callable[[Shape, Sequence[int], bool], torch.nn.Module]  # (image shape, hidden sizes, spectral norm)
