"""Devices by number, without a GPU: who gets which, what a killed process frees, whom CUDA_VISIBLE_DEVICES excludes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from divergan import jobs, leases, pipeline, provenance
from divergan.errors import DivergaNError
from divergan.plan import Plan
from divergan.processes import ON_A_GPU
from tiny_study import environment, project

HOLDER = """
import os, sys
from divergan import leases
assert leases.hold(sys.argv[1:]) == leases.hold(sys.argv[1:]) == os.environ["CUDA_VISIBLE_DEVICES"]
print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
sys.stdin.read()
"""


class Holders:
    """Processes that each hold one device until they are ended."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.running: list[tuple[str, subprocess.Popen]] = []

    def start(self, *devices: str) -> str:
        command = [sys.executable, "-c", HOLDER, *devices]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, env=environment(TMPDIR=str(self.folder)), **pipes)
        device = process.stdout.readline().strip()
        self.running.append((device, process))
        return device

    def kill(self, device: str) -> None:
        own = next(entry for entry in self.running if entry[0] == device)
        self.running.remove(own)
        own[1].kill()
        own[1].communicate()

    def load(self) -> Counter[str]:
        return Counter(device for device, _ in self.running)


@pytest.fixture
def holders(tmp_path):
    found = Holders(tmp_path)
    yield found
    for device, _ in list(found.running):
        found.kill(device)


def test_two_jobs_get_two_devices_and_more_share_evenly(holders):
    assert {holders.start("3", "5"), holders.start("3", "5")} == {"3", "5"}
    for _ in range(3):
        holders.start("3", "5")
    assert sorted(holders.load().values()) == [2, 3]


def test_what_a_killed_process_held_is_free_and_goes_first(holders):
    for _ in range(4):
        holders.start("0", "1")
    for _ in range(2):
        holders.kill("1")
    assert [holders.start("0", "1") for _ in range(2)] == ["1", "1"]
    holders.kill("0")
    assert holders.start("0", "1") == "0", "its first slot or a later one: what counts is how many hold the device"
    assert holders.load() == {"0": 2, "1": 2}


def test_devices_by_uuid_and_those_of_others_stay_apart(holders):
    first, second = "GPU-8a/1", "MIG-GPU-8a/1/0"
    assert [holders.start(first, second) for _ in range(2)] == [first, second]
    assert holders.start("7") == "7"


def test_a_folder_that_another_could_write_to_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(leases.tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"divergan-gpus-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DivergaNError, match="is not this user's own folder"):
        leases.own_folder()
    (tmp_path / f"divergan-gpus-{os.getuid()}").unlink()
    assert leases.own_folder().stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("visible", "nodes", "expected"),
    [
        (None, 3, ["0", "1", "2"]),
        (None, 0, []),
        ("", 2, []),
        ("-1", 2, []),
        ("1", 2, ["1"]),
        ("1, 0", 2, ["1", "0"]),
        ("0,7,1", 2, ["0"]),  # CUDA reads up to the first that there is not
        ("1,-1,0", 2, ["1"]),
        ("GPU-8a,MIG-7/1", 1, ["GPU-8a", "MIG-7/1"]),
        ("0,1", 0, []),
    ],
)
def test_the_devices_are_those_that_cuda_would_show(tmp_path, monkeypatch, visible, nodes, expected):
    for number in range(nodes):
        (tmp_path / f"nvidia{number}").touch()
    (tmp_path / "nvidiactl").touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert provenance.cuda_devices(tmp_path) == expected


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_jobs_that_compute_on_a_gpu_hold_one_and_no_other_does(tmp_path, monkeypatch, device):
    monkeypatch.chdir(project(tmp_path / "project"))
    monkeypatch.setenv("DIVERGAN_TRACKING", "off")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(leases.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(provenance, "cuda_devices", lambda: ["3", "5"])
    monkeypatch.setattr(provenance, "prepare_torch", lambda device, threads: None)
    for step in Plan(Path("params.yaml")).steps:
        monkeypatch.setattr(pipeline, step.verb, lambda job: {"device": job.device}, raising=False)
        with monkeypatch.context() as patch:
            patch.setattr(leases, "HELD", {})
            jobs.make(Path(), step, device, 1)
            assert bool(leases.HELD) == (device == "auto" and step.verb in ON_A_GPU), step.verb
            for lock in leases.HELD.values():
                lock.release()
