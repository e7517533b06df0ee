"""A pickle that asks for anything but arrays is refused before it runs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from divergan import data
from divergan.data import pickled
from made_data import python2_pickle


class Hostile:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_hostile_pickle_never_runs(tmp_path, protocol):
    touched = tmp_path / "touched"
    content = pickle.dumps([np.zeros(2), Hostile(touched)], protocol=protocol)
    with pytest.raises(data.DataError, match="the pickle asks for"):
        pickled.read_arrays(content)
    assert not touched.exists()
    pickle.loads(content)
    assert touched.exists(), "the pickle of this test is not hostile"


@pytest.mark.parametrize("name", ["builtins.eval", "builtins.getattr", "numpy.load", "numpy.core.multiarray.array"])
def test_no_other_global_is_admitted(name):
    module, _, attribute = name.rpartition(".")
    with pytest.raises(data.DataError, match=name):
        pickled.read_arrays(f"c{module}\n{attribute}\n.".encode())


@pytest.mark.parametrize("write", [python2_pickle, lambda value: pickle.dumps(value, protocol=3)])
def test_arrays_are_read_under_both_of_numpys_names(write):
    expected = np.arange(256, dtype=np.float32).reshape(2, 128) / 256
    np.testing.assert_array_equal(pickled.read_arrays(write((expected,)))[0], expected)
