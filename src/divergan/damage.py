"""Which file a step failed on, where it failed on one that is not what the run.json beside it tells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from divergan import store
from divergan.errors import DivergaNError


@contextmanager
def named(folders: Iterable[Path]) -> Iterator[None]:
    """Where the block fails and a file in the folders that it reads is damaged, one error that names the file."""
    try:
        yield
    except Exception as error:
        read = list(folders)
        if fault := next((fault for folder in read for fault in faults(folder)), fit(error, read)):
            raise DivergaNError(f"{fault}: remove that folder and run again, it is then made anew") from error
        raise


def faults(folder: Path) -> Iterator[str]:
    """Each file of a folder that its run.json lists and that is not so, or that claims to hold more than it does."""
    from safetensors import SafetensorError, safe_open

    try:
        listed = dict(store.read_json(folder / store.RUN)["files"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        yield f"{folder / store.RUN} cannot be read ({error})"
        return
    for path, expected in ((folder / name, expected) for name, expected in listed.items()):
        if not path.is_file():
            yield f"{path} is missing"
        elif (found := store.sha256(path)) != expected:
            yield f"{path} has the SHA-256 {found}, and {store.RUN} beside it lists {expected}"
        elif path.suffix == ".safetensors":
            try:
                with safe_open(path, framework="np"):
                    pass
            except SafetensorError as error:
                yield f"{path} is no safetensors file ({error})"


def fit(error: Exception, folders: list[Path]) -> str:
    """What torch says of weights that are not a network's; empty for any other error."""
    if "loading state_dict" not in str(error):
        return ""
    first = " ".join(str(error).split())
    return f"{', '.join(map(str, folders))}: the weights there are not of the recipe's network ({first:.200})"
