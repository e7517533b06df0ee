"""Modules that load at first use, so that planning, `--help` and dry runs never pay for torch."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any


class Lazy(ModuleType):
    """Stands for a module until it is used, and is kept out of `sys.modules`.

    importlib's LazyLoader puts its stand-in there, where Python's `inspect` (called while torch is imported) asks every
    module for its file: each one would be loaded at once by a process that never uses it.
    """

    def __getattr__(self, attribute: str) -> Any:
        return getattr(sys.modules.get(self.__name__) or importlib.import_module(self.__name__), attribute)


def lazy(name: str) -> ModuleType:
    """The module `name`, imported at its first attribute access; the module itself where it is loaded already."""
    if name in sys.modules:
        return sys.modules[name]
    package = name.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        raise ModuleNotFoundError(f"divergan needs the package {package!r}: run `make setup`")
    return Lazy(name)
