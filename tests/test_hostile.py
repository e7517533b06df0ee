"""Bad inputs and hostile files: one message, no traceback, nothing left behind (the inputs: hostile_table.py)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hostile_table import ALL, IN_PROCESS, NEVER, SNAKEMAKE
from hostile_ways import DRAW, Hostile, files, message, met, project
from tiny_study import ROOT, divergan

pytestmark = pytest.mark.xdist_group("hostile")  # they share the project


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIVERGAN_TRACKING", "off")
        return project(tmp_path_factory.mktemp("hostile") / "project")


@pytest.fixture
def around(made, tmp_path, monkeypatch) -> Path:
    """The folder around a copy of that project, which is the present folder."""
    monkeypatch.chdir(shutil.copytree(made, tmp_path / "project"))
    monkeypatch.setenv("DIVERGAN_TRACKING", "off")
    return tmp_path


def test_there_are_enough_and_no_two_are_one():
    assert len(ALL) >= 60
    assert len({hostile.what for hostile in ALL}) == len(ALL)
    assert f"({len(ALL)} hostile inputs;" in (ROOT / "SECURITY.md").read_text("utf-8")


@pytest.mark.parametrize("hostile", ALL, ids=lambda hostile: hostile.what)
def test_it_is_told_in_a_message_and_leaves_nothing_behind(around, hostile):
    hostile.spoil()
    before = files(around)
    code, told = met(hostile)
    assert hostile.told in message(told)
    assert "Traceback" not in told
    assert code == 1 if hostile in SNAKEMAKE else code in (2, 3)
    assert files(around) == before


SPOKEN = ("a FIFO for a file", "billion laughs", "variant a/b", "own file: claims 4 TB", "a PNG of 4 GB in 100 bytes")


@pytest.mark.parametrize("hostile", [h for h in IN_PROCESS if h.what in SPOKEN], ids=lambda hostile: hostile.what)
def test_in_a_process_of_its_own_it_is_the_same(around, hostile: Hostile):
    hostile.spoil()
    before = files(around)
    done = divergan(Path(), *hostile.command.split()[1:])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert hostile.told in done.stderr
    assert files(around) == before


def test_the_project_itself_is_sound(around):
    """So that what is told above is told of what was done to it."""
    commands = (
        "divergan plan",
        f"divergan {DRAW}",
        "divergan train bce.stabilised-s0",
        "snakemake --cores 1 --dry-run",
    )
    assert [met(Hostile("", NEVER, "", command))[0] for command in commands] == [0] * 4
