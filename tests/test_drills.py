"""The quick ones of tests/drills.py, a few times each; `make drill` runs them all, hundreds of times."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from drilling.damaged import damaged_checkpoint, damaged_results
from drilling.killed import kills
from drilling.machine import disk_full
from drilling.study import STUDY, Drills

pytestmark = pytest.mark.xdist_group("workflow")  # beside the other tests that run Snakemake


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Iterator[Drills]:
    return Drills(tmp_path_factory.mktemp("drills"), seed=1)


@pytest.mark.parametrize(
    "drill",
    [kills, disk_full, damaged_checkpoint, damaged_results],
    ids=lambda d: d.__name__,
)
def test_what_was_broken_ends_as_if_it_had_not_been(prepared, drill):
    if drill is disk_full and os.getuid() != 0:
        pytest.skip("a file system in memory needs root")
    assert drill(prepared, 1).total() >= 1


def test_a_drill_notices_what_differs_what_is_missing_and_what_is_half_made(prepared):
    for fault in (
        lambda run: (run / "history.parquet").write_bytes(b"other"),
        lambda run: (run / "critic.safetensors").unlink(),
        lambda run: (run / ".critic.safetensors.1.tmp").write_bytes(b"half"),
    ):
        broken = prepared.project()
        with pytest.raises(AssertionError), broken as project:
            fault(next((project.folder / STUDY / "runs").iterdir()))
