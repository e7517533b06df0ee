"""Images as PNG sheets inside the page: sample sets, and walks through latent space."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from typing import Any

import numpy as np

ACROSS = 8  # images a row of a sheet
SHOWN = 40  # images of a sample set
MOST_BYTES = 5_000_000  # of PNG in one page: a page larger than 10 MB is slow to open


@dataclass(frozen=True, kw_only=True)
class SampleSet:
    """The first images of a run by one sampler; `proposals` are their latents' places in the stream, where known."""

    run: str  # its key
    order: int  # of its seed among those of its variant: the first seeds of all variants come first
    sampler: str
    label: str
    facts: str
    images: np.ndarray | None  # uint8 (n, H, W[, C]); None where the sampler drew none
    proposals: Sequence[int] | None = None


@dataclass(frozen=True, kw_only=True)
class Walk:
    """Closed walks of one generator, the same latents for every generator of equal latent size."""

    run: str
    images: np.ndarray  # uint8 (frames * walks, H, W[, C]), a frame after the other


def sheet(images: np.ndarray, across: int = ACROSS) -> str:
    """Images side by side without gaps, the places left over black: PNG in base64."""
    from PIL import Image

    n, height, width, *channels = images.shape
    down = -(-n // across)
    padded = np.zeros((down * across, height, width, *channels), np.uint8)
    padded[:n] = images
    rows = padded.reshape(down, across, height, width, *channels).swapaxes(1, 2)
    buffer = BytesIO()
    Image.fromarray(rows.reshape(down * height, across * width, *channels)).save(buffer, "PNG", optimize=True)
    return b64encode(buffer.getvalue()).decode()


def drawn(sets: Iterable[SampleSet]) -> list[dict[str, Any]]:
    """The sample sets as the page holds them: seed after seed of all variants, until the page has enough."""
    kept: list[dict[str, Any]] = []
    size = 0
    for _, seed in groupby(sorted(sets, key=lambda own: own.order), key=lambda own: own.order):
        made = [_drawn(own) for own in seed]
        size += sum(len(own["image"]) * 3 // 4 for own in made)
        if kept and size > MOST_BYTES:
            break
        kept += made
    return kept


def _drawn(own: SampleSet) -> dict[str, Any]:
    return {
        **{name: getattr(own, name) for name in ("run", "sampler", "label", "facts")},
        "image": "" if own.images is None else sheet(own.images[:SHOWN]),
        "places": None if own.proposals is None else places(own.proposals),
    }


def places(proposals: Sequence[int]) -> list[int]:
    """For each of the first latents of the stream, which image of the set it became; -1 where it was rejected."""
    found = {int(proposal): image for image, proposal in enumerate(proposals[:SHOWN])}
    return [found.get(place, -1) for place in range(SHOWN)]
