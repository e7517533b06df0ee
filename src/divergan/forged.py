"""Files whose checksums fit, and that hold something else than a step can read: no accident makes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from divergan.errors import DivergaNError


@contextmanager
def named(folders: Iterable[Path]) -> Iterator[None]:
    """Where the block fails on such a file in the folders that it reads, one error that names it."""
    try:
        yield
    except DivergaNError:
        raise
    except Exception as error:
        read = list(folders)
        if fault := next((fault for folder in read for fault in unreadable(folder)), misfit(error, read)):
            raise DivergaNError(f"{fault}: do not trust that folder: remove it and make it anew") from error
        raise


def unreadable(folder: Path) -> Iterator[str]:
    """Each safetensors file that claims to hold other than it does."""
    from safetensors import SafetensorError, safe_open

    for path in sorted(folder.rglob("*.safetensors")):
        try:
            with safe_open(path, framework="np"):
                pass
        except (OSError, SafetensorError) as error:
            yield f"{path} is no safetensors file ({error})"


def misfit(error: Exception, folders: list[Path]) -> str:
    """What torch says of weights that are not a network's; empty for any other error."""
    if "loading state_dict" not in str(error):
        return ""
    first = " ".join(str(error).split())
    return f"{', '.join(map(str, folders))}: the weights there are not of the recipe's network ({first:.200})"
