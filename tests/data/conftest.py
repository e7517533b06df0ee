"""A made data set, and the real embedded digits read once."""

from __future__ import annotations

import dataclasses
import types
from pathlib import Path

import numpy as np
import pytest

from divergan import data
from divergan.data import reading
from made_data import idx_files


@pytest.fixture
def made(monkeypatch, tmp_path):
    """A made data set of 20 + 10 images, `made`, of raw IDX files; and its contents by file name."""
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (n, 28, 28), np.uint8) if k else np.arange(n, dtype=np.uint8) % 10
              for n in (20, 10) for k in (True, False)]  # fmt: skip
    names = [file.name for file in data.DATASETS["mnist"].files]
    contents = {name: reading.to_idx(array) for name, array in zip(names, arrays, strict=True)}
    files = idx_files(contents, [a.shape for a in arrays], sha256=True)
    declared = dataclasses.replace(data.DATASETS["mnist"], name="made", files=files, torchvision=None, wheel=None)
    monkeypatch.setitem(data.DATASETS, "made", declared)
    return types.SimpleNamespace(declared=declared, contents=contents, arrays=arrays, raw=tmp_path)


@pytest.fixture(scope="session")
def embedded():
    return data.raw_images("embedded", Path("nowhere"))
