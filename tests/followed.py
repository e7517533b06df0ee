"""Progress that is looked at: what the tests of chapters give to `compute`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from divergan.chapters.declaration import Part, Rows


class Followed:
    """A progress that may not go back."""

    def __init__(self) -> None:
        self.done = 0

    def update(self, done: int) -> None:
        assert done >= self.done
        self.done = done


def every_row(parts: Iterable[Part], compute: Callable[..., Rows]) -> Rows:
    """The rows of all parts; each part's progress ends within the steps that it announces."""
    rows = []
    for part in parts:
        progress = Followed()
        rows += compute(part.settings, progress)
        assert 0 < progress.done <= part.steps
    return rows
