"""A study with a conditional variant: parameters, recipes, sample sets, what is measured, and what is refused."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from divergan import cli, jobs, params, pipeline, tracking
from divergan.data import DATASETS, sets
from divergan.metrics import labels as judged
from divergan.metrics.labels import classification_accuracy_score
from divergan.params import ParameterError
from divergan.plan import REAL, Plan
from divergan.store import place
from tiny_study import SAMPLERS, SMALL, SMOKE, edited, project

BCE = "bce.stabilised-s0"
LABELLED = (("{objective: bce}", "{objective: bce, conditional: true}"), ("seeds: [0, 1]", "seeds: [0]"))
OF_LABELS = ("classification_accuracy_score", "label_accuracy")


@pytest.fixture(autouse=True, scope="module")
def _short_training():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judged, "SEEN", 4_000)
        yield


# --- parameters and recipes


def recipes(folder: Path, *pairs: tuple[str, str]) -> dict[str, str]:
    path = folder / "params.yaml"
    path.write_text(edited(SMOKE, *pairs), "utf-8")
    return {f"{step.verb} {step.key}": step.hash for step in Plan(path).steps}


def test_what_is_not_conditional_has_the_recipe_that_it_had(tmp_path, monkeypatch):
    monkeypatch.chdir(project(tmp_path / "project"))
    before = recipes(tmp_path)
    assert recipes(tmp_path, ("n_critic: 1 ", "conditional: false\n  n_critic: 1 ")) == before
    run = Plan(tmp_path / "params.yaml").of("train")[0]
    assert "conditional" not in run.settings["training"]
    after = recipes(tmp_path, ("{objective: bce}", "{objective: bce, conditional: true}"))
    changed = {key for key in before if before[key] != after[key]}
    shown = {"compare tables", "figures figures", "report report"}
    own = {f"{verb} bce.stabilised-s{s}{end}" for s in (0, 1)
           for verb, end in (("train", ""), ("sample", ".prior"), ("evaluate", ".prior"))}  # fmt: skip
    assert changed == own | shown | {f"evaluate {REAL}"}, "real images get the ceilings, KL stays what it was"


def refusal(folder: Path, text: str) -> str:
    (folder / "params.yaml").write_text(text, "utf-8")
    with pytest.raises(ParameterError) as caught:
        params.read(folder / "params.yaml")
    return str(caught.value)


def test_a_critic_that_gives_features_is_refused_by_its_objective(tmp_path):
    text = edited(SMOKE, ("{objective: bce}", "{objective: mmd_gaussian, conditional: true}"))
    told = refusal(tmp_path, text)
    assert "variants.bce.conditional: " in told and "with mmd_gaussian the critic gives features" in told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"classes": 1}, "embedded has one class"),
        ({"stacks": "mnist"}, "embedded has labels of three"),
        ({"shape": (3, 30, 28)}, "embedded is of 30x28"),
    ],
)
def test_data_without_classes_or_of_a_size_that_cannot_be_judged_is_refused(tmp_path, monkeypatch, changes, told):
    monkeypatch.setitem(DATASETS, "embedded", replace(sets.EMBEDDED, **changes))
    path = tmp_path / "params.yaml"
    path.write_text(SMOKE, "utf-8")
    params.read(path)
    assert told in refusal(tmp_path, edited(SMOKE, *LABELLED))


def test_samplers_that_know_no_labels_are_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params").mkdir()
    (tmp_path / "params/smoke.yaml").write_text(SMOKE, "utf-8")
    told = refusal(
        tmp_path, edited(SAMPLERS, ("        objective: kl\n", "        objective: kl\n        conditional: true\n"))
    )
    assert "kl.sampling" in told and "truncation draws without labels" in told


# --- the study, made


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A project in which everything up to the tables is made: BCE conditional, KL not."""
    folder = project(tmp_path_factory.mktemp("labels") / "project", *SMALL, *LABELLED)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DIVERGAN_TRACKING", "off")
        for step in Plan(Path("params.yaml")).steps:
            if step.verb not in ("figures", "report"):
                jobs.make(Path(), step, "cpu", 1)
    return folder


@pytest.fixture
def plan(made, monkeypatch) -> Plan:
    monkeypatch.chdir(made)
    monkeypatch.setenv("DIVERGAN_TRACKING", "off")
    return Plan(Path("params.yaml"))


def metrics(plan: Plan, key: str) -> dict[str, float]:
    return json.loads((place(Path(), plan.step("evaluate", key)) / "metrics.json").read_text())


def test_the_training_gets_every_image_with_its_label(plan, tmp_path, monkeypatch):
    class Seen(Exception):
        pass

    def looked_at(settings, objective, players, record, images, seed, observer, classes):
        raise Seen(images, classes)

    monkeypatch.setattr(pipeline.models, "train_players", looked_at)
    step = plan.step("train", BCE)
    with pytest.raises(Seen) as caught:
        pipeline.train(pipeline.Job(step=step, root=Path(), out=tmp_path, device="cpu", live=tracking.Live()))
    splits = load_file(place(Path(), plan.of("data")[0]) / "splits.safetensors")
    images, classes = caught.value.args
    assert torch.equal(images, splits["gan.images"])
    assert torch.equal(classes.argmax(1), splits["gan.labels"].long()) and classes.shape == (600, 10)


def test_a_sample_set_holds_the_labels_that_its_images_were_made_as(plan):
    step = plan.step("sample", f"{BCE}.prior")
    saved = load_file(place(Path(), step) / "prior.safetensors")
    assert saved["labels"].tolist() == [i % 10 for i in range(200)]
    unlabelled = load_file(place(Path(), plan.step("sample", "kl.stabilised-s0.prior")) / "prior.safetensors")
    assert set(unlabelled) == {"images"}
    model = pipeline.model_of(Path(), step, "prior", "cpu")
    drawn = pipeline.draw(model, step, "prior", 200, 0, "evaluation samples", saved["labels"])
    assert torch.equal(drawn.images, saved["images"])
    other = pipeline.draw(model, step, "prior", 200, 0, "evaluation samples", (saved["labels"] + 1) % 10)
    assert not torch.equal(other.images, saved["images"]), "labels reach the generator"
    assert torch.equal(other.latents, drawn.latents)


def test_the_latents_are_those_of_a_run_without_labels(plan):
    """So that the samples of variants are compared on equal latents, conditional or not."""
    of = [plan.step("sample", f"{name}.stabilised-s0.prior") for name in ("bce", "kl")]
    drawn = [pipeline.draw(pipeline.model_of(Path(), s, "prior", "cpu"), s, "prior", 20, 0, "x",
                           pipeline.labels_of(s.input("train"), 20)) for s in of]  # fmt: skip
    assert torch.equal(drawn[0].latents, drawn[1].latents)


def test_the_ceiling_is_that_of_real_training_images_with_their_labels(plan):
    splits = load_file(place(Path(), plan.of("data")[0]) / "splits.safetensors")
    own = [splits[f"gan.{part}"][:200] for part in ("images", "labels")]
    held_out = [splits[f"evaluation.{part}"][:200] for part in ("images", "labels")]
    assert metrics(plan, REAL)["classification_accuracy_score"] == classification_accuracy_score(*own, *held_out)
    assert metrics(plan, REAL)["classification_accuracy_score"] > 0.6


def evaluated(plan: Plan, out: Path, images: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """What the verb evaluate would say if the conditional run had drawn these."""
    step = plan.step("evaluate", f"{BCE}.prior")
    path = place(Path(), step.input("sample")) / "prior.safetensors"
    saved = load_file(path)
    path.unlink()  # a hard link of the store's
    try:
        save_file({"images": images.contiguous(), "labels": labels.contiguous()}, path)
        pipeline.evaluate(pipeline.Job(step=step, root=Path(), out=out, device="cpu", live=tracking.Live()))
    finally:
        path.unlink()
        save_file(saved, path)
    return json.loads((out / "metrics.json").read_text())


def test_real_images_reach_the_ceiling_and_with_shuffled_labels_chance(plan, tmp_path):
    splits = load_file(place(Path(), plan.of("data")[0]) / "splits.safetensors")
    images, labels = (splits[f"gan.{part}"][:200] for part in ("images", "labels"))
    (tmp_path / "right").mkdir(), (tmp_path / "wrong").mkdir()
    right = evaluated(plan, tmp_path / "right", images, labels)
    assert {name: right[name] for name in OF_LABELS} == {name: metrics(plan, REAL)[name] for name in OF_LABELS}
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    wrong = evaluated(plan, tmp_path / "wrong", images, labels[order])
    assert all(wrong[name] < 0.3 for name in OF_LABELS), (
        "ten classes: chance is 0.1, with a deviation of a few hundredths"
    )
    assert wrong["fid"] == right["fid"]


def test_tables_have_the_metrics_of_labels_for_the_conditional_alone(plan):
    tables = place(Path(), plan.of("compare")[0])
    runs = pd.read_csv(tables / "runs.csv").set_index("key")
    for name in OF_LABELS:
        assert 0 <= runs.loc[BCE, name] <= 1
        assert np.isnan(runs.loc["kl.stabilised-s0", name]), "nothing was asked of it"
        assert name in set(pd.read_csv(tables / "floors.csv")["metric"])


def test_published_claims_are_about_gans_without_labels(plan):
    tables = place(Path(), plan.of("compare")[0])
    beside = pd.read_csv(tables / "published.csv")
    assert set(beside["variant"].dropna()) == {"kl.stabilised"}
    claims = pd.read_csv(tables / "claims.csv").set_index("id")
    assert claims["reason"].str.contains("not run in this study: bce").any()


# --- a look at it


@pytest.fixture
def sampled(plan, tmp_path, monkeypatch, capsys):
    def called(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["divergan", "sample", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, capsys.readouterr().err

    return called


def test_a_class_can_be_asked_for(sampled, tmp_path):
    out = str(tmp_path / "three.npz")
    assert sampled(BCE, "--n", "30", "--label", "3", "--out", out) == (0, "")
    three = np.load(out)
    assert three["labels"].tolist() == [3] * 30
    assert sampled(BCE, "--n", "30", "--out", out) == (0, "")
    turn = np.load(out)
    assert turn["labels"].tolist() == [i % 10 for i in range(30)]
    same = (turn["images"] == three["images"]).all(axis=(1, 2, 3))
    assert same[turn["labels"] == 3].all() and not same[turn["labels"] != 3].any(), "equal latents, other labels"


@pytest.mark.parametrize(
    ("key", "label", "told"),
    [(BCE, "10", "knows the classes 0 to 9"), ("kl.stabilised-s0", "1", "is not conditional")],
)
def test_a_class_that_there_is_not_is_refused(sampled, tmp_path, key, label, told):
    code, error = sampled(key, "--n", "3", "--label", label, "--out", str(tmp_path / "x.png"))
    assert code == 2 and told in error
