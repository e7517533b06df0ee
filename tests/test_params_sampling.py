"""The chapter `reweighting`: what is wrong is told with its place, what fits together is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from divergan import params
from divergan.params import ParameterError
from divergan.samplers import SAMPLERS
from tiny_study import SAMPLERS as TEXT
from tiny_study import edited, sampled_project


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    folder = sampled_project(tmp_path / "project")
    monkeypatch.chdir(folder)
    return folder


def read(*pairs: tuple[str, str]) -> params.Study:
    Path("params.yaml").write_text(edited(TEXT, *pairs), "utf-8")
    return params.read(Path("params.yaml"))


def test_every_sampler_of_the_registry_is_sampled_in_the_toy_study():
    study = read()
    entries = [study.reweighting.sampler_of(name)[0].name for name in study.sampling_of("kl.stabilised")]
    assert set(entries) | {"prior"} == set(SAMPLERS)


def test_weights_take_what_they_do_not_say_from_the_chapter_and_the_oracle_its_own():
    chapter = read(("steps: 40", "steps: 41")).reweighting
    assert (chapter.weights_of("learned").sign, chapter.weights_of("released").sign) == ("derived", "as_printed")
    assert chapter.weights_of("released").m == chapter.weights_of("learned").m == 3.0
    assert (chapter.weights_of("learned").steps, chapter.oracle_weights_of("learned", "two_modes").steps) == (41, 20)


# what stands in smoke_samplers.yaml, what replaces it, the key and value told, a part of what would be accepted
WRONG = {
    "no such sampler": (
        "{sampler: truncation, threshold: 1.5}", "{sampler: truncating, threshold: 1.5}",
        "reweighting.samplers.truncation.sampler = 'truncating'", "did you mean 'truncation'?"),
    "a setting that the sampler has not": (
        "{sampler: mh, chain: 3}", "{sampler: mh, chain: 3, percentile: 3}",
        "reweighting.samplers.mh.percentile = 3", "is not a parameter"),
    "a setting that is missing": (
        "{sampler: mh, chain: 3}", "{sampler: mh}", "reweighting.samplers.mh.chain", "is missing"),
    "a setting out of range": (
        "obrs: {sampler: obrs, acceptance: 0.3333}", "obrs: {sampler: obrs, acceptance: 1.5}",
        "reweighting.samplers.obrs.acceptance = 1.5", "less than or equal to 1"),
    "both of two settings": (
        "{sampler: drs, percentile: null, acceptance: 0.3333}", "{sampler: drs, percentile: 95.0, acceptance: 0.3333}",
        "reweighting.samplers.drs", "either percentile or acceptance"),
    "no such weights": (
        "latent_rs: {sampler: latent_rs, weights: learned}", "latent_rs: {sampler: latent_rs, weights: lerned}",
        "reweighting.samplers.latent_rs.weights", "there are no weights 'lerned'"),
    "no entry of that name": (
        "sampling: [truncation,", "sampling: [truncated,", "sampling", "did you mean 'truncation'?"),
    "gradients of an isotonic ratio": (
        "calibration: logistic", "calibration: isotonic",
        "reweighting.samplers.ddls.sampler", "gradients of the ratio, which isotonic calibration has not"),
    "a ceiling below the mean": (
        "    m: 3.0", "    m: 0.5", "reweighting.training.m = 0.5", "greater than or equal to 1"),
    "a window without rows": (
        "    patience: 0", "    patience: 3", "reweighting.training.patience", "fewer than two rows"),
    "an arm's own setting": (
        'label: "learned"', 'label: "learned", sign: plus', "reweighting.weights.learned.sign = 'plus'",
        "'derived' or 'as_printed'"),
    "the oracle's weights": (
        "    weights: [learned]", "    weights: [learnt]", "reweighting.oracle.weights", "no weights 'learnt'"),
    "the oracle's target": (
        "{two_modes: {", "{two_moons: {", "reweighting.oracle.targets", "did you mean"),
    "the oracle's training": (
        "critic: fresh, steps: 20", "critic: fresh, steps: 0",
        "reweighting.oracle.targets.two_modes.steps = 0", "greater than or equal to 1"),
    "the oracle's common training": (
        "    training: {}", "    training: {m: 0.0}", "reweighting.oracle.training.m = 0.0", "greater than or equal"),
    "an entry that is no mapping": (
        "{sampler: mh, chain: 3}", "mh", "reweighting.samplers.mh", "expected a mapping"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_its_place(name):
    old, new, place, accepted = WRONG[name]
    with pytest.raises(ParameterError) as caught:
        read((old, new))
    message = str(caught.value)
    assert place in message
    assert accepted in message
    lines = edited(TEXT, (old, new)).splitlines()
    told = int(message.split("line ")[1].split(":")[0])
    assert any(word in lines[told - 1] for word in (place.split(" = ")[0].split(".")[-1], "drs", "mh", "sampling"))


def test_a_ratio_is_asked_only_of_objectives_that_identify_one(monkeypatch):
    from dataclasses import replace

    from divergan.objectives import OBJECTIVES

    monkeypatch.setitem(OBJECTIVES, "kl", replace(OBJECTIVES["kl"], log_ratio=None))
    with pytest.raises(ParameterError, match=r"sir_ratio needs log p/q, and the critic of kl identifies no ratio"):
        read()
    alone = TEXT[TEXT.index("sampling: [") : TEXT.index("latent_rs_released]") + len("latent_rs_released]")]
    assert read((alone, "sampling: [latent_rs, truncation]")).sampling_of("kl.stabilised") == [
        "latent_rs",
        "truncation",
    ]


@pytest.mark.parametrize(("sampler", "accepted"), [("dot", False), ("latent_rs", False), ("truncation", True)])
def test_what_looks_at_one_score_is_refused_where_the_critic_gives_features(sampler, accepted):
    alone = TEXT[TEXT.index("sampling: [") : TEXT.index("latent_rs_released]") + len("latent_rs_released]")]
    edits = ((alone, f"sampling: [{sampler}]"), ("objective: kl\n", "objective: mmd_gaussian\n"))
    if accepted:
        assert read(*edits).sampling_of("kl.stabilised") == [sampler]
        return
    with pytest.raises(ParameterError, match=f"{sampler} needs a critic with one score, and that of mmd_gaussian"):
        read(*edits)


def test_a_study_without_the_chapter_cannot_name_samplers():
    text = Path("params/smoke.yaml").read_text("utf-8")
    Path("params.yaml").write_text(edited(text, ("{objective: bce}", "{objective: bce, sampling: [drs]}")), "utf-8")
    with pytest.raises(ParameterError, match=r"there is no chapter `reweighting`"):
        params.read(Path("params.yaml"))
