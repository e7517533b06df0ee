"""The chapters by name: experiments on densities that are known, so that what is learned has an exact answer."""

from __future__ import annotations

from divergan.chapters.atlas import ATLAS
from divergan.chapters.bilinear import BILINEAR
from divergan.chapters.bounds import BOUNDS
from divergan.chapters.declaration import Chapter, Part
from divergan.chapters.distances import DISTANCES
from divergan.chapters.dynamics import DYNAMICS
from divergan.chapters.gaussian import GAUSSIAN
from divergan.chapters.likelihood import LIKELIHOOD
from divergan.chapters.modes import MODES
from divergan.chapters.plug_in import PLUG_IN
from divergan.chapters.supports import SUPPORTS

__all__ = ["CHAPTERS", "Chapter", "Part"]

CHAPTERS: dict[str, Chapter] = {
    chapter.name: chapter
    for chapter in (
        *(GAUSSIAN, PLUG_IN, MODES, BOUNDS, DISTANCES, SUPPORTS, LIKELIHOOD),
        *(DYNAMICS, ATLAS, BILINEAR),
    )
}
