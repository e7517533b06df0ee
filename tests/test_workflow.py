"""The real DAG on params/smoke.yaml: what an edit, a revert, a kill, a clone and `dvc repro` do and do not."""

from __future__ import annotations

import json
import os
import re
import shutil

import pytest

from checkout import PARAMS, ROOT, Project, copied

pytestmark = pytest.mark.xdist_group("workflow")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Project:
    """The smoke study, run once from nothing."""
    project = copied(ROOT, tmp_path_factory.mktemp("smoke") / "project")
    project.snakemake()
    return project


@pytest.fixture
def project(fresh, tmp_path) -> Project:
    """A copy of the finished study without .snakemake, as a clone with its results would be."""
    return copied(fresh.folder, tmp_path / "copy", "results", "reports")


def test_everything_is_made_and_then_there_is_nothing_to_do(fresh):
    assert (fresh.folder / "reports/smoke/report.pdf").read_bytes().startswith(b"%PDF")
    assert len(fresh.made()) == 4
    assert "Nothing to be done" in fresh.snakemake()


def test_the_chapter_of_samplers_is_made_printed_and_follows_an_edit(project):
    params = "params/smoke_samplers.yaml"
    project.snakemake(params=params)
    (values,) = project.folder.glob("results/smoke_samplers/report/*/values.json")
    printed = json.loads(values.read_text())
    assert len(printed["reweighting"]["methods"]) == 13
    assert {"planar", "sampler_effects", "frontier", "weight_training"} <= set(printed["figures"])
    assert (project.folder / "reports/smoke_samplers/report.pdf").read_bytes().startswith(b"%PDF")
    assert "Nothing to be done" in project.snakemake(params=params)

    project.edit(params, "{sampler: dot, steps: 2, ", "{sampler: dot, steps: 3, ")
    assert project.planned_jobs(params=params) == {
        "evaluate_one": 2, "compare": 1, "report": 1, "all": 1,
    }  # fmt: skip


def test_a_fault_in_the_claims_is_told_before_anything_is_made(project):
    shutil.rmtree(project.folder / "results")
    project.edit("claims.yaml", "id: kl-above-bce\n", "id: kl-above-bce\n    directoin: higher\n")
    output = project.snakemake("--dry-run", ok=False)
    assert re.search(r"claims\.yaml, line \d+: .*directoin = 'higher': is not a parameter; did you mean", output)
    assert "Traceback" not in output


def test_a_copy_without_snakemakes_metadata_has_nothing_to_do(project):
    assert not (project.folder / ".snakemake").exists()
    assert "Nothing to be done" in project.snakemake()


def test_edit_runs_just_what_follows_and_revert_trains_nothing(project):
    first, before = project.report(), project.made()
    edit = ("bce: {objective: bce}", "bce: {objective: bce, steps: 40}")
    project.edit(PARAMS, *edit)
    assert project.planned_jobs("train") == {"train_one": 2, "train": 1}
    assert project.planned_jobs() == {
        "evaluate_one": 2, "compare": 1, "report": 1, "all": 1,
    }  # fmt: skip
    project.snakemake()
    after = project.made()
    assert len(after) == 4
    assert [name for name in after if name.startswith("kl")] == [name for name in before if name.startswith("kl")]
    assert not set(after) & {name for name in before if name.startswith("bce")}
    assert project.report() != first

    project.edit(PARAMS, *reversed(edit))
    shutil.rmtree(project.folder / ".snakemake")
    shutil.rmtree(project.folder / "logs")
    project.snakemake()
    assert project.made() == before
    assert project.report() == first
    logs = [path.read_text() for path in (project.folder / "logs").rglob("*.log")]
    assert logs
    assert all("made" not in text for text in logs), "the store had everything"


def test_new_objective_and_edited_comment_run_nothing_but_a_line_of_the_step_trains_all(project):
    scores, training = "src/divergan/objectives/scores.py", "src/divergan/training.py"
    with (project.folder / scores).open("a") as file:
        file.write('\nSQUARES = Scores(\n    name="squares", label="Squares", source="none, here",\n')
        file.write("    real=lambda v: (v - 1) ** 2, fake=lambda v: v**2,\n")
        file.write("    formula='-u/(1 + u)', f=lambda u: -u / (1 + u),\n")
        file.write("    log_ratio=lambda v: v.clamp(0.01, 0.99).logit(),\n)\n")
    project.edit("src/divergan/objectives/__init__.py", "    SPHERICAL,\n    W", "    SPHERICAL,\n    SQUARES,\n    W")
    project.edit(
        "src/divergan/objectives/__init__.py", "        WASSERSTEIN,\n", "        WASSERSTEIN,\n        SQUARES,\n"
    )
    project.edit(
        training, "# Losses are read back every so often only", "# Edited: losses are read back every so often only"
    )
    assert "Nothing to be done" in project.snakemake()

    project.edit(training, "answers = players.critic(torch.cat((real", "answers = players.critic(torch.cat((-real")
    assert project.planned_jobs("train")["train_one"] == 4


def test_unknown_config_key_is_refused(project):
    output = project.run("snakemake", "--cores", "1", "--config", "steps=3", ok=False)
    assert "--config knows the key 'params' alone, not steps" in output


def test_bad_parameter_stops_before_any_job(project):
    project.edit(PARAMS, "bce: {objective: bce}", "bce: {objective: bec}")
    output = project.snakemake(ok=False)
    assert "did you mean 'bce'" in output
    assert "Traceback" not in output


def test_killed_snakemake_goes_on_where_it_was(fresh, tmp_path):
    """SIGKILL of everything mid-way; then the same command ends with the same report."""
    project = copied(fresh.folder, tmp_path / "killed")
    running = project.start(*project.dag())
    wait_for(lambda: any((project.folder / "results/.partial").glob("*/checkpoints/step-00000020.png")))
    os.killpg(running.pid, 9)
    running.wait()
    project.snakemake("--unlock")
    project.snakemake()
    assert weights(project) == weights(fresh)


def wait_for(condition, seconds: float = 240) -> None:
    import time

    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.05)


def weights(project: Project) -> dict[str, str]:
    """Run -> SHA-256 of its generator."""
    runs = (project.folder / "results/smoke/runs").iterdir()
    return {run.name: json.loads((run / "run.json").read_text())["files"]["generator.safetensors"] for run in runs}


@pytest.fixture(scope="module")
def versioned(fresh, tmp_path_factory) -> Project:
    """The smoke study as the project's params.yaml, under git and DVC, its results committed to DVC's cache."""
    project = copied(fresh.folder, tmp_path_factory.mktemp("dvc") / "origin", "results", ".gitignore")
    shutil.copy2(project.folder / PARAMS, project.folder / "params.yaml")
    project.run("dvc", "init", "--no-scm")
    for option in (("core.analytics", "false"), ("cache.type", "reflink,copy")):
        project.run("dvc", "config", *option)
    project.run("dvc", "repro")
    return project


def test_dvc_records_what_the_dag_made(versioned):
    assert "up to date" in versioned.run("dvc", "status")
    assert (versioned.folder / "reports/smoke/report.pdf").is_file()
    assert "kl.stabilised.fid" in versioned.run("dvc", "metrics", "show")
    versioned.run("dvc", "plots", "show")
    assert '"fid"' in (versioned.folder / "dvc_plots/index.html").read_text()


def test_clone_after_dvc_checkout_has_nothing_to_do_and_repro_follows_an_edit(versioned, tmp_path):
    clone = copied(versioned.folder, tmp_path / "clone", "params.yaml", "dvc.lock")
    clone.run("dvc", "init", "--no-scm")
    clone.run("dvc", "config", "cache.dir", str(versioned.folder / ".dvc/cache"))
    clone.run("dvc", "config", "cache.type", "reflink,copy")
    clone.run("dvc", "checkout")
    assert "Nothing to be done" in clone.run("snakemake", "--cores", "2")
    assert "up to date" in clone.run("dvc", "status")
    lock = (clone.folder / "dvc.lock").read_text()
    before, report = clone.made(), clone.report()

    clone.edit("params.yaml", "bce: {objective: bce}", "bce: {objective: bce, steps: 40}")
    clone.run("dvc", "repro")
    after = clone.made()
    assert [name for name in after if name.startswith("kl")] == [name for name in before if name.startswith("kl")]
    assert len(after) == 4
    assert after != before
    assert "steps: 40" in (clone.folder / "dvc.lock").read_text()

    clone.edit("params.yaml", "bce: {objective: bce, steps: 40}", "bce: {objective: bce}")
    clone.run("dvc", "repro")
    assert (clone.folder / "dvc.lock").read_text() == lock
    assert (clone.made(), clone.report()) == (before, report)


def test_a_chapter_on_known_densities_is_made_alone_and_missed_where_there_is_none(project):
    file = project.folder / "params" / "theory.yaml"
    text = file.read_text("utf-8")
    for name, value in {"steps": 20, "last_critic_steps": 5, "batch": 64, "n_critic": 1}.items():
        text = re.sub(rf"^(    {name}:) +[0-9.]+", rf"\1 {value}", text, flags=re.MULTILINE)
    file.write_text(text.replace("seeds: [0, 1, 2, 3, 4]", "seeds: [0, 1]"), "utf-8")
    command = ("snakemake", "--cores", "2", "gaussian", "--config")
    project.run(*command, "params=params/theory.yaml")
    made = list((project.folder / "results/theory").rglob("run.json"))
    assert {path.parent.name.split(".")[0] for path in made} == {"gaussian"}
    assert len(made) == 14
    output = project.run(*command, f"params={PARAMS}", ok=False)
    assert f"{PARAMS} has no chapter gaussian" in output
