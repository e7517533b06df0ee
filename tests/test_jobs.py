"""A job reads what its step needs, makes by the way what is short, lets MLflow watch what lasts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from divergan import jobs, processes, provenance, store, tracking
from divergan.errors import DivergaNError
from divergan.plan import Plan
from tiny_study import SMALL, environment, project

pytestmark = pytest.mark.xdist_group("jobs")  # one worker, for what the module makes once

RUN = "bce.stabilised-s0"


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A project with one trained run, its classifier, and no sample set."""
    folder = project(tmp_path_factory.mktemp("jobs") / "project", *SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DIVERGAN_TRACKING", "off")
        for verb in ("data", "features", "train"):
            made(Plan(Path("params.yaml")).of(verb)[0])
    return folder


@pytest.fixture
def plan(trained, tmp_path, monkeypatch) -> Plan:
    shutil.copytree(trained, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("DIVERGAN_TRACKING", "off")
    return Plan(Path("params.yaml"))


def made(step) -> str:
    return jobs.make(Path(), step, "cpu", 1)


def files(step) -> dict[str, str]:
    return store.read_json(store.place(Path(), step) / store.RUN)["files"]


def test_the_evaluation_draws_its_samples_by_the_way_the_same_as_on_their_own(plan):
    evaluation = plan.step("evaluate", f"{RUN}.prior")
    samples = evaluation.input("sample")
    assert not store.exists(Path(), samples)
    assert made(evaluation).endswith("made")
    assert store.exists(Path(), samples)
    by_the_way = files(samples), files(evaluation)
    shutil.rmtree("results/smoke/samples")
    shutil.rmtree("results/smoke/evaluations")
    shutil.rmtree(store.shelf(Path(), samples))
    shutil.rmtree(store.shelf(Path(), evaluation))
    made(samples)
    made(evaluation)
    assert (files(samples), files(evaluation)) == by_the_way


def test_what_is_taken_from_the_store_brings_what_was_made_by_the_way(plan):
    """A revert of a parameter: Snakemake asks for the evaluation alone, and the study's folder shall hold all."""
    evaluation = plan.step("evaluate", f"{RUN}.prior")
    made(evaluation)
    shutil.rmtree("results/smoke/samples")
    shutil.rmtree("results/smoke/evaluations")
    assert made(evaluation).endswith("taken from the store")
    assert store.exists(Path(), evaluation.input("sample"))


@pytest.mark.skipif(bool(provenance.cuda_devices()), reason="the classifier would find a device")
def test_a_step_that_uses_no_gpu_needs_none_where_the_others_have_one(plan):
    """As on a cluster, which shows a GPU to those jobs alone that ask for one."""
    for verb in ("data", "features"):
        shutil.rmtree(store.shelf(Path(), plan.of(verb)[0]))
        shutil.rmtree(store.place(Path(), plan.of(verb)[0]))
    assert jobs.make(Path(), plan.of("data")[0], "cuda", 1).endswith("made")
    assert store.read_json(store.place(Path(), plan.of("data")[0]) / store.RUN)["environment"]["device"] == "cpu"
    with pytest.raises(DivergaNError, match="torch sees no CUDA device"):
        jobs.make(Path(), plan.of("features")[0], "cuda", 1)


def test_what_is_there_makes_nothing(plan):
    evaluation = plan.step("evaluate", f"{RUN}.prior")
    made(evaluation)
    shutil.rmtree("results/smoke/samples")
    assert made(evaluation).endswith("is there")
    assert not store.exists(Path(), evaluation.input("sample"))


def test_what_a_step_by_the_way_lacks_is_told(plan):
    shutil.rmtree("results/smoke/data")
    shutil.rmtree("results/.store")
    with pytest.raises(DivergaNError, match=r"evaluate kl.stabilised-s1.prior needs .*smoke/data/.*run `divergan data"):
        made(plan.step("evaluate", "kl.stabilised-s1.prior"))
    shutil.rmtree("results/smoke/runs")
    with pytest.raises(DivergaNError, match=r"train kl.stabilised-s1 needs .*smoke/data/.*run `divergan data"):
        made(plan.step("sample", "kl.stabilised-s1.prior"))


def test_a_report_without_tables_trains_nothing_before_it_says_so(plan):
    (report,) = plan.of("report")
    before = sorted(Path("results/smoke/runs").iterdir())
    with pytest.raises(DivergaNError, match=r"report report needs .*comparison/tables-"):
        made(report)
    assert sorted(Path("results/smoke/runs").iterdir()) == before


def test_a_short_training_and_its_samples_are_made_by_the_evaluation_the_same_as_on_their_own(plan):
    evaluation = plan.step("evaluate", f"{RUN}.prior")
    steps = [evaluation.input("train"), evaluation.input("sample"), evaluation]
    made(evaluation)
    apart = list(map(files, steps))
    for step in steps:
        shutil.rmtree(store.place(Path(), step))
        shutil.rmtree(store.shelf(Path(), step))
    made(evaluation)
    assert list(map(files, steps)) == apart


@pytest.mark.parametrize(("seconds", "watched"), [(59.0, []), (61.0, [RUN])])
def test_mlflow_watches_a_training_that_lasts_and_no_other(plan, monkeypatch, seconds, watched):
    opened = []

    @contextmanager
    def run(root, **described):
        opened.append(described["name"])
        yield tracking.Live()

    monkeypatch.setattr(tracking, "run", run)
    monkeypatch.setattr(processes, "core_seconds", lambda step: seconds)
    step = plan.step("train", RUN)
    for folder in (store.place(Path(), step), store.shelf(Path(), step)):
        shutil.rmtree(folder)
    assert made(step).endswith("made")
    assert opened == watched


def test_the_report_brings_every_run_to_mlflow_that_was_not_watched(plan, monkeypatch):
    taken = []

    def record(root, study, runs):
        taken.extend(described["kind"] for described, _ in runs)
        assert study.recipes == {step.hash for step in plan.steps}
        return len(runs)

    monkeypatch.setattr(tracking, "record", record)
    monkeypatch.setattr(store, "exists", lambda root, step: True)
    monkeypatch.setattr(jobs, "finished_run", lambda root, step: jobs.described(step, "commit"))
    assert jobs.track(Path(), plan) == "10 of 10 finished runs of smoke were new to MLflow"
    assert sorted(taken) == ["compare"] + ["evaluate"] * 5 + ["train"] * 4


def test_without_mlflow_the_report_warns(plan, monkeypatch, capfd):
    def refuse(root, study, runs):
        raise DivergaNError("no database")

    monkeypatch.setattr(tracking, "record", refuse)
    jobs.take_over(Path(), plan)
    assert "warning: tracking stops" in capfd.readouterr().err


def flip(step, name: str) -> None:
    """The last bit of a file, and in the store's link to it."""
    for folder in (store.place(Path(), step), store.shelf(Path(), step)):
        content = bytearray((folder / name).read_bytes())
        content[-1] ^= 1
        (folder / name).write_bytes(content)


def test_a_damaged_input_that_is_short_is_made_again_by_the_way(plan, capsys):
    evaluation = plan.step("evaluate", f"{RUN}.prior")
    run = evaluation.input("train")
    before = files(run)
    flip(run, "generator.safetensors")
    made(evaluation)
    told = capsys.readouterr().err
    assert f"{store.place(Path(), run)} is damaged: generator.safetensors does not match its checksum" in told
    assert files(run) == before
    assert not store.damage(store.place(Path(), run))
    assert len(list(Path("results/.quarantine").iterdir())) == 2, "the study's folder and the store's"


def test_a_damaged_input_with_a_job_of_its_own_is_asked_for(plan):
    data = plan.of("data")[0]
    flip(data, "splits.safetensors")
    with pytest.raises(DivergaNError, match="which is not made: run `divergan data embedded` first"):
        made(plan.step("evaluate", f"{RUN}.prior"))
    assert not store.exists(Path(), data), "so that Snakemake makes it"
    made(data)
    made(plan.step("evaluate", f"{RUN}.prior"))


COUNTED = """
import ast, sys
from collections import Counter
parsed, whole = Counter(), ast.parse
ast.parse = lambda text, *more, **named: parsed.update([text]) or whole(text, *more, **named)
from pathlib import Path
from divergan import fingerprint, params
reads, read = [], params.read
params.read = lambda file: reads.append(file) or read(file)
from divergan.plan import Plan
plan = Plan(Path("params.yaml"))
{work}
print(len(reads), max(parsed.values()), len(parsed), fingerprint.fingerprint.cache_info().misses)
"""


def counted(work: str) -> list[int]:
    """(parameter files read, most often that a source was parsed, sources parsed, fingerprints taken) of `work`."""
    command = [sys.executable, "-c", COUNTED.format(work=work)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


def test_a_plan_reads_each_source_once_and_takes_a_fingerprint_a_kind_of_step(plan):
    reads, most, sources, fingerprints = counted("[step.hash for step in plan.steps]")
    assert (reads, most) == (1, 1)
    # data, features; two variants of train, sample and evaluate's one (of real images, too); tables, figures, report
    assert fingerprints == 2 + 2 + 2 + 1 + 3
    assert sources > 60


def test_a_job_reads_what_its_own_step_and_those_before_it_reach(plan):
    name = Path(plan.step("train", "kl.stabilised-s1").folder).name
    for key in ("kl.stabilised-s1", name, f"results/smoke/runs/{name}"):
        reads, most, sources, fingerprints = counted(f"plan.step('train', {key!r}).hash")
        assert (reads, most, fingerprints) == (1, 1, 2), "the data's and the training's"
    everything = counted("[step.hash for step in plan.steps]")[2]
    assert sources < 0.6 * everything


def test_the_report_reads_its_parameter_file_once(plan, monkeypatch):
    from divergan import params, publishing
    from divergan.commands import pipeline as commands

    reads, read = [], params.read
    monkeypatch.setattr(params, "read", lambda file: reads.append(file) or read(file))
    monkeypatch.setattr(jobs, "make", lambda *_: "made")
    monkeypatch.setattr(publishing, "publish", lambda *_: None)
    monkeypatch.setenv("DIVERGAN_TRACKING", "off")
    commands.report("report", Path("params.yaml"))
    assert len(reads) == 1
