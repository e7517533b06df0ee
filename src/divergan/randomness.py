"""Every random number has an owner: a generator seeded from (seed, purpose)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from divergan.lazy import lazy

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


def derived_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose of one run: independent of every other purpose's."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator on `device` that belongs to one purpose of one run."""
    return torch.Generator(device).manual_seed(derived_seed(seed, *purpose))
