"""The chapter `reweighting` in the plan: each sampler's needs are wired, and a change redoes just what rests on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from divergan.plan import Plan
from tiny_study import SAMPLERS, edited, sampled_project

RUN = "kl.stabilised-s0"
SETS = {"sample kl.sampling", "evaluate kl.sampling"}
SHOWN = {"compare tables", "figures figures", "report report"}
WEIGHTS = {"reweight kl.learned", "reweight kl.released"}
ONWARD = {"train kl.as_long_as.learned"}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    folder = sampled_project(tmp_path / "project")
    monkeypatch.chdir(folder)
    return folder


def planned(*pairs: tuple[str, str]) -> Plan:
    Path("params.yaml").write_text(edited(SAMPLERS, *pairs), "utf-8")
    return Plan(Path("params.yaml"))


def named(plan: Plan) -> dict[str, str]:
    """ "verb key" -> hash of the steps of seed 0, with short keys."""
    return {
        f"{step.verb} {step.key.replace('.stabilised-s0', '')}": step.hash
        for step in plan.steps
        if "-s1" not in step.key
    }


def changed(*pairs: tuple[str, str]) -> set[str]:
    before, after = named(planned()), named(planned(*pairs))
    return {name for name, value in after.items() if before.get(name) != value}


def test_a_run_has_its_weights_its_control_and_one_step_of_sample_sets():
    plan = planned()
    step = plan.step("sample", f"{RUN}.sampling")
    assert [(needed.verb, needed.key) for needed in step.inputs] == [
        ("train", RUN),
        ("reweight", f"{RUN}.learned"),
        ("reweight", f"{RUN}.released"),
        ("train", f"{RUN}.as_long_as.learned"),
        ("data", "embedded"),
    ]
    evaluation = plan.step("evaluate", f"{RUN}.sampling")
    assert evaluation.input("sample") is step
    assert len(evaluation.inputs_of("features")) == 1
    assert step in plan.of("figures")[0].inputs
    assert evaluation in plan.of("compare")[0].inputs


def test_a_sampler_brings_only_what_it_needs():
    alone = SAMPLERS[SAMPLERS.index("sampling: [") : SAMPLERS.index("latent_rs_released]") + len("latent_rs_released]")]
    plan = planned((alone, "sampling: [truncation, drs]"))
    assert [step.verb for step in plan.step("sample", f"{RUN}.sampling").inputs] == ["train", "data"]
    assert plan.of("reweight") == []


def test_a_variant_without_samplers_has_none():
    plan = planned(("      kl:\n", "      bce: {objective: bce}\n      kl:\n"))
    assert not [step for step in plan.of("sample") if step.key.startswith("bce") and "sampling" in step.key]


CHANGES = {
    "a sampler's setting": (("{sampler: mh, chain: 3}", "{sampler: mh, chain: 4}"), SETS | SHOWN),
    "the calibration": (("calibration: logistic", "calibration: none"), SETS | SHOWN),
    "all weights": (("lambda_norm: 10.0", "lambda_norm: 9.0"), {"oracle two_modes"} | WEIGHTS | SETS | SHOWN),
    "how long they learn": (
        ("    steps: 40", "    steps: 80"), WEIGHTS | ONWARD | SETS | SHOWN),
    "one set of weights": (
        ("as_printed, output: sigmoid", "as_printed, output: relu"), {"reweight kl.released"} | SETS | SHOWN),
    "their label": (('label: "learned"', 'label: "found"'), SHOWN),
    "the oracle's seeds": (("    seeds: [0]", "    seeds: [1]"), {"oracle two_modes"} | SHOWN),
    "the oracle's training": (("fresh, steps: 20", "fresh, steps: 30"), {"oracle two_modes"} | SHOWN),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_meaning_gives_just_its_steps_another_recipe(name):
    edit, expected = CHANGES[name]
    assert changed(edit) == expected


def test_the_chapter_leaves_the_recipes_of_the_other_chapters_alone():
    with_it = named(planned())
    head, _ = SAMPLERS.split("\nreweighting:")
    alone = head[head.index("        sampling:") : head.index("\nevaluation:")]
    Path("params.yaml").write_text(head.replace(alone, ""), "utf-8")
    without = named(Plan(Path("params.yaml")))
    same = {name for name, value in without.items() if with_it.get(name) == value}
    assert set(without) - same == SHOWN


def test_the_control_takes_the_arithmetic_of_the_weights():
    plan = planned()
    run, onward = plan.step("train", RUN), plan.step("train", f"{RUN}.as_long_as.learned")
    more = onward.settings["training"]["steps"] - run.settings["training"]["steps"]
    twice = planned(("    steps: 40", "    steps: 80")).step("train", f"{RUN}.as_long_as.learned")
    assert more > 0
    assert twice.settings["training"]["steps"] - run.settings["training"]["steps"] in (2 * more, 2 * more - 1)
    assert onward.input("train") is run
