"""Recipes: the same meaning has the same recipe, a change of meaning another, for just the steps that it touches."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from divergan.errors import DivergaNError
from divergan.plan import FOLDERS, REAL, Plan, UnknownKey
from tiny_study import ROOT, SMOKE, edited, environment, project

Hashes = dict[tuple[str, str], str]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """A project's folder to be in, as commands are."""
    folder = project(tmp_path / "project")
    monkeypatch.chdir(folder)
    return folder


def planned(text: str) -> Plan:
    path = Path("params.yaml")
    path.write_text(text, "utf-8")
    return Plan(path)


def hashes(text: str) -> Hashes:
    return {(step.verb, step.key): step.hash for step in planned(text).steps}


def changed(*pairs: tuple[str, str]) -> set[str]:
    """The steps, "verb key" without seed, that an edit of smoke.yaml gives another recipe, or a first one."""
    before, after = hashes(SMOKE), hashes(edited(SMOKE, *pairs))
    return {
        f"{verb} {re.sub('-s[01]', '', key)}"
        for (verb, key), value in after.items()
        if before.get((verb, key)) != value
    }


BCE, KL = "bce.stabilised", "kl.stabilised"
SHOWN = {"compare tables", "figures figures", "report report"}
TRAINED = {f"train {BCE}", f"train {KL}"}
SAMPLED = {f"sample {BCE}.prior", f"sample {KL}.prior"}
EVALUATED = {f"evaluate {BCE}.prior", f"evaluate {KL}.prior"}
FROM_RUNS = TRAINED | SAMPLED | EVALUATED | SHOWN
FROM_FEATURES = {"features digits", f"evaluate {REAL}"} | EVALUATED | SHOWN

CHANGES = {
    "one variant": (
        ("{objective: bce}", "{objective: bce, steps: 40}"),
        {step for step in FROM_RUNS if "kl" not in step},
    ),
    "all runs": (("batch: 32 ", "batch: 33 "), FROM_RUNS),
    "an overridden value": (
        ("generator_loss: alternative", "generator_loss: bound"),
        {s for s in FROM_RUNS if "kl" not in s},
    ),
    "how often the history is read": (("history_every: 5 ", "history_every: 6 "), FROM_RUNS),
    "a network": (("  regularisers:\n", "  regularisers:\n    spectral_norm: {}\n"), FROM_RUNS),
    "threads": (("threads: 1 ", "threads: 2 "), FROM_RUNS | FROM_FEATURES),
    "device": (("device: auto", "device: cpu"), set()),
    "the split": (
        ("  seed: 0                     # of the split", "  seed: 1"),
        FROM_RUNS | FROM_FEATURES | {"data embedded"},
    ),
    "the classifier": (("epochs: 5", "epochs: 6"), FROM_FEATURES),
    "another feature set": (
        ("  learning_rate: 2.0e-3", "  others: [{name: digits, seed: 1}]\n  learning_rate: 2.0e-3"),
        {"features digits.1", f"evaluate {REAL}"} | EVALUATED | SHOWN,
    ),
    "the reference": (
        ("samples: 200 ", "reference: tuning\n  samples: 100 "),
        SAMPLED | EVALUATED | {f"evaluate {REAL}"} | SHOWN,
    ),
    "training images": (("images: gan", "images: 500"), FROM_RUNS),
    "samples": (("  samples: 200 ", "  samples: 150 "), SAMPLED | EVALUATED | {f"evaluate {REAL}"} | SHOWN),
    "the question": (('question: "Does', 'question: "How does'), {"report report"}),
    "the title": (('title: "Smoke', 'title: "A smoke'), {"report report"}),
    "an arm's label": (('label: "Stabilised"', 'label: "Stable"'), SHOWN),
    "the study's name": (("study: smoke ", "study: other "), {"report report"}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_meaning_gives_just_its_steps_another_recipe(name):
    edit, expected = CHANGES[name]
    assert changed(edit) == expected


def test_the_same_meaning_has_the_same_recipe():
    first = hashes(SMOKE)
    reordered = edited(SMOKE, ("{gan: 600, classifier: 300, ", "{classifier: 300, gan: 600, "), ("device: auto", ""))
    reordered = edited(
        reordered, ("threads: 1 ", "threads: 1\ndevice: auto # "), ("learning_rate: 2.0e-3", "learning_rate: 0.002")
    )
    reordered = edited(reordered, ("5.0e-4", "0.0005"), ("name: mlp, hidden: [64, 32]", "hidden: [64, 32], name: mlp"))
    reordered = edited(
        reordered,
        ("    r1: {gamma: 0.1, every: 8}", "    # a comment\n    r1: {every: 8, gamma: 1e-1}"),
        ('label: "Stabilised"', "label: Stabilised"),
    )
    assert hashes(reordered) == first
    assert hashes(edited(SMOKE, ("gamma: 0.1", "gamma: 1"))) == hashes(edited(SMOKE, ("gamma: 0.1", "gamma: 1.0")))


def test_where_a_value_is_said_does_not_matter():
    """A value of a variant that says again what the study's `training` says is the same run."""
    said = "{objective: kl, generator_loss: bound}"
    explicit = edited(SMOKE, (said, "{objective: kl, generator_loss: bound, batch: 32, critic: {name: mlp}}"))
    assert hashes(explicit) == hashes(SMOKE)


def test_another_seed_adds_runs_and_leaves_those_there_alone():
    before, after = hashes(SMOKE), hashes(edited(SMOKE, ("seeds: [0, 1]", "seeds: [0, 1, 2]")))
    kept = {place for place in before if after.get(place) == before[place]}
    assert set(before) - kept == {("compare", "tables"), ("figures", "figures"), ("report", "report")}
    assert {key for verb, key in set(after) - set(before) if verb == "train"} == {f"{BCE}-s2", f"{KL}-s2"}


def test_another_variant_leaves_those_there_alone():
    before = hashes(SMOKE)
    after = hashes(edited(SMOKE, ("      kl: {", "      gan: {objective: gan}\n      kl: {")))
    assert {verb for verb, key in before if after[verb, key] != before[verb, key]} == {"compare", "figures", "report"}
    assert len(after) == len(before) + 2 * 3


def test_a_variant_may_have_seeds_of_its_own():
    own = edited(SMOKE, ("{objective: bce}", "{objective: bce, seeds: [1, 7]}"))
    runs = {key: value for (verb, key), value in hashes(own).items() if verb == "train"}
    assert set(runs) == {f"{BCE}-s1", f"{BCE}-s7", f"{KL}-s0", f"{KL}-s1"}
    assert runs[f"{BCE}-s1"] == hashes(SMOKE)["train", f"{BCE}-s1"]  # where a seed stands does not matter


@pytest.mark.parametrize("file", ["data/published.csv", "claims.yaml"])
def test_published_numbers_and_claims_are_part_of_what_compares_with_them(here, file):
    before = hashes(SMOKE)
    with (here / file).open("a") as opened:
        opened.write("\n")
    assert {place[0] for place, value in hashes(SMOKE).items() if before[place] != value} == {
        "compare",
        "figures",
        "report",
    }


def test_kept_weights_are_known_by_their_stated_checksum(here):
    text = edited(SMOKE, ("weights: null", "weights: data/features/kept.safetensors"))
    with pytest.raises(DivergaNError, match=r"kept\.safetensors\.sha256 should state the SHA-256"):
        hashes(text)
    stated = here / "data/features/kept.safetensors.sha256"
    stated.parent.mkdir()
    found = []
    for digest in ("ab", "cd"):
        stated.write_text(f"{digest * 32}  kept.safetensors\n")
        found.append(hashes(text)["features", "digits"])
    assert len({*found, hashes(SMOKE)["features", "digits"]}) == 3


def test_every_step_comes_after_its_inputs_and_its_recipe_names_them():
    steps = planned(SMOKE).steps
    for number, step in enumerate(steps):
        assert all(needed in steps[:number] for needed in step.inputs)
        assert step.recipe["inputs"] == {f"{s.verb} {s.key}": s.hash for s in step.inputs}
        assert json.loads(json.dumps(step.recipe)) == step.recipe
    assert len({step.hash for step in steps}) == len(steps)
    assert [step.verb for step in steps if step.verb not in ("train", "sample", "evaluate")] == [
        "data", "features", "compare", "figures", "report",
    ]  # fmt: skip


def test_names_are_safe_in_paths_urls_and_shells():
    for step in planned(SMOKE).steps:
        assert re.fullmatch(r"[a-z]+/[a-z0-9_.-]+-[0-9a-f]{8}", step.folder)
        assert step.folder.startswith(FOLDERS[step.verb])
        assert ".." not in step.folder


def test_a_step_is_found_by_its_key_its_folder_and_a_path_to_it():
    plan = planned(SMOKE)
    run = plan.of("train")[1]
    for name in (run.key, run.folder, f"results/smoke/{run.folder}", f"./results/smoke/{run.folder}/"):
        assert plan.step("train", name) is run


@pytest.mark.parametrize("key", ["kl", "kl.stabilised", "kl.stabilised-s2", "", "..", "kl.stabilised-s0-00000000"])
def test_unknown_key_is_refused_with_what_there_is(key):
    with pytest.raises(UnknownKey) as caught:
        planned(SMOKE).step("train", key)
    expected = f"params.yaml plans no train {key!r}; it plans {BCE}-s0, {BCE}-s1, {KL}-s0, {KL}-s1"
    assert str(caught.value) == expected


def test_a_folder_that_is_no_project_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DivergaNError, match=r"published\.csv cannot be read .*run divergan in the project's folder"):
        _ = Plan(ROOT / "params/smoke.yaml").steps


HEAVY = ("torch", "torch._C", "numpy", "pandas", "scipy", "mlflow", "matplotlib", "torchvision", "pyarrow", "snakemake")
TELL = """
import atexit, sys
loaded = lambda name: name in sys.modules and type(sys.modules[name]).__name__ != "_LazyModule"
atexit.register(lambda: print("LOADED", *filter(loaded, {heavy})))
from divergan.cli import main
main()
"""


def started(*arguments: str, seed: str = "0") -> str:
    done = subprocess.run(
        [sys.executable, "-c", TELL.format(heavy=HEAVY), *arguments],
        env=environment(PYTHONHASHSEED=seed), capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize("arguments", ["--help", "train --help", "plan", "plan --keys", f"where {KL}-s0"])
def test_planning_and_help_load_nothing_heavy(arguments):
    output, _, loaded = started(*arguments.split()).rpartition("LOADED")
    assert loaded.split() == []
    assert output.strip()


def test_recipes_are_equal_in_another_process_with_other_hashes_of_strings():
    tables = [started("plan", "--keys", seed=seed) for seed in ("1", "2")]
    assert tables[0] == tables[1]
    here = [f"{step.verb}\t{step.key}\tresults/smoke/{step.folder}\tto make" for step in planned(SMOKE).steps]
    assert tables[0].splitlines()[: len(here)] == here
