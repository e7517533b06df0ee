"""Modules load when they are used, and not because another library looks around."""

from __future__ import annotations

import subprocess
import sys

import pytest

from divergan.lazy import lazy


def loaded_after(code: str, *names: str) -> list[str]:
    """Which of `names` a fresh process has loaded after `code`."""
    script = f"import sys; {code}; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return eval(done.stdout)


def test_a_module_loads_at_its_first_use():
    assert loaded_after("from divergan.lazy import lazy; colorsys = lazy('colorsys')", "colorsys") == []
    used = "from divergan.lazy import lazy; lazy('colorsys').rgb_to_hsv(0, 0, 0)"
    assert loaded_after(used, "colorsys") == ["colorsys"]


def test_torch_loads_none_of_the_others():
    """While it is imported, torch asks every module in sys.modules for its file."""
    heavy = ("ot", "sklearn", "pandas", "scipy.stats", "torchvision", "matplotlib")
    assert loaded_after("import divergan.pipeline, divergan.planar, torch", "torch", *heavy) == ["torch"]


def test_a_module_that_is_not_installed_is_named():
    with pytest.raises(ModuleNotFoundError, match="divergan needs the package 'no_such_package': run `make setup`"):
        lazy("no_such_package.part")


def test_an_attribute_that_is_not_there_is_an_error():
    with pytest.raises(AttributeError, match="no_such_function"):
        lazy("wave").no_such_function  # noqa: B018
