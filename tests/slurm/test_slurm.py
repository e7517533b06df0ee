"""The smoke study on a real Slurm of one node: what it asks for, what it makes, and what it survives. `make slurm`."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator

import pytest

from checkout import PARAMS, ROOT, Project, copied
from slurm.one_node import OneNode, missing

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm")]

OFTEN = ("--seconds-between-status-checks", "3", "--slurm-init-seconds-before-status-checks", "3")
ON_SLURM = ("snakemake", "--workflow-profile", "profiles/slurm", "--slurm-status-command", "squeue", *OFTEN)


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Project:
    """The smoke study, made on this machine without Slurm."""
    project = copied(ROOT, tmp_path_factory.mktemp("local") / "project")
    project.snakemake()
    return project


@pytest.fixture
def node() -> Iterator[OneNode]:
    assert os.geteuid() == 0, "a Slurm needs root to start its daemons"
    assert not missing(), f"{', '.join(missing())} missing: on Debian, apt-get install slurm-wlm munge"
    with OneNode() as node:
        yield node


@pytest.fixture
def fresh(tmp_path) -> Project:
    return copied(ROOT, tmp_path / "project")


def slurm(project: Project, node: OneNode, *arguments: str, ok: bool = True) -> str:
    return project.run(*ON_SLURM, *arguments, "--config", f"params={PARAMS}", ok=ok, **node.environment)


def weights(project: Project) -> dict[str, str]:
    """Run -> SHA-256 of its generator."""
    files = sorted((project.folder / "results/smoke/runs").glob("*/generator.safetensors"))
    return {file.parent.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def tables(project: Project) -> dict[str, str]:
    """Table of the report -> its SHA-256."""
    files = sorted((project.folder / "reports/smoke/tables").glob("*.csv"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def result(project: Project) -> tuple[dict[str, str], dict[str, str]]:
    return weights(project), tables(project)


def asked(job: dict[str, str]) -> tuple[str, str, str, str]:
    return job["JobState"], job["TimeLimit"], job["NumCPUs"], job["MinMemoryNode"]


def show(title: str, jobs: list[dict[str, str]]) -> None:
    print(f"\n{title}")
    for job in jobs:
        facts = ("JobId", "JobState", "Restarts", "TimeLimit", "RunTime", "TRES", "Comment")
        print("  ", *(job.get(fact, "") for fact in facts))


def test_the_smoke_study_on_slurm_equals_the_local_run(node, fresh, local):
    slurm(fresh, node)
    jobs = node.jobs()
    show("every job", jobs)
    assert len(jobs) == 9  # data, features, five evaluations with what they need, tables, report
    assert {asked(job) for job in jobs} == {("COMPLETED", "00:30:00", "1", "4000M")}
    assert (len(weights(local)), len(tables(local)) > 3) == (4, True)
    assert result(fresh) == result(local)
    assert "Nothing to be done" in fresh.snakemake()


def in_a_training(project: Project) -> bool:
    return any((project.folder / "results/.partial").glob("*/checkpoints/step-*.png"))


def on_the_node(node: OneNode) -> set[str]:
    return {job["JobId"] for job in node.jobs() if job["JobState"] == "RUNNING"}


def test_requeued_jobs_and_a_node_that_dies_change_nothing(node, fresh, local):
    running = fresh.start(*ON_SLURM, "--config", f"params={PARAMS}", **node.environment)
    node.wait_for(lambda: in_a_training(fresh), 240)
    requeued = on_the_node(node)
    node.run("scontrol", "requeue", ",".join(requeued))
    node.wait_for(lambda: all(restarts(node, job) == 1 for job in requeued), 60)
    node.wait_for(lambda: on_the_node(node) & requeued, 240)
    lost = on_the_node(node)
    node.stop("slurmd", signal.SIGKILL)
    for job in lost:  # a machine that fails takes its processes along
        node.kill(job)
    node.wait_for(lambda: node.state().startswith("DOWN"), 120)
    node.forget()
    node.start("slurmd", "-D")
    output, _ = running.communicate(timeout=600)
    assert running.returncode == 0, output
    show("after scontrol requeue, and the death of the node", node.jobs())
    assert all(restarts(node, job) == (job in requeued) + 1 for job in lost)
    assert result(fresh) == result(local)


def restarts(node: OneNode, job: str) -> int:
    return next(int(found["Restarts"]) for found in node.jobs() if found["JobId"] == job)


def test_a_job_on_a_gpu_asks_for_one_and_a_retry_for_twice_the_time_and_memory(node, fresh):
    fresh.edit(PARAMS, "device: auto  ", "device: cuda  ")  # on a pretend GPU: the job is granted one and fails
    slurm(fresh, node, "--retries", "1", "prepare", ok=False)
    show("with device: cuda", node.jobs())
    data, *features = node.jobs()
    assert asked(data) == ("COMPLETED", "00:30:00", "1", "4000M")
    assert [asked(job) for job in features] == [
        ("FAILED", "00:30:00", "1", "4000M"),
        ("FAILED", "01:00:00", "1", "8000M"),
    ]
    assert ["TresPerJob" in job for job in (data, *features)] == [False, True, True]
    assert {job["TresPerJob"] for job in features} == {"gres:gpu:1"}
    (log,) = fresh.folder.glob("logs/smoke/features/*.log")
    assert "error: device = cuda, but torch sees no CUDA device here" in log.read_text()
