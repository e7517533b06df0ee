"""Made data sets, and the real embedded digits read once."""

from __future__ import annotations

import dataclasses
import json
import types
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from divergan import data
from divergan.data import reading, sets
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


@pytest.fixture
def own(monkeypatch, tmp_path):
    """A person's own set of 6 made colour images in 2 classes, `own`, as `divergan import` leaves it."""
    monkeypatch.chdir(tmp_path)
    folder = sets.OWN
    folder.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 8), np.uint8)
    labels = np.arange(6, dtype=np.uint8) % 2
    save_file({"images": images, "labels": labels}, folder / "own.safetensors")
    told = {"name": "own", "label": "Own", "channels": 3, "size": 8, "count": 6, "classes": ["a", "b"]}
    told |= {"sha256": reading.tensors_sha256(images, labels), "resized": "once"}
    (folder / "own.json").write_text(json.dumps(told))
    return types.SimpleNamespace(folder=folder, raw=tmp_path / "data/raw", images=images, labels=labels, told=told)


@pytest.fixture(scope="session")
def embedded():
    return data.raw_images("embedded", Path("nowhere"))
