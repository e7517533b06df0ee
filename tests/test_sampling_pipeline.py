"""The verbs reweight and sample on a real toy study: pairing, reruns, kills, controls, what is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from divergan import checkpoints, jobs, pipeline, store, tracking
from divergan.errors import DivergaNError
from divergan.pipeline import sampling
from divergan.pipeline.files import load_arrays, samples_file
from divergan.plan import Plan, Step
from tiny_study import sampled_project

RUN = "kl.stabilised-s0"
SAMPLES = f"{RUN}.sampling"


@pytest.fixture(autouse=True)
def untracked(monkeypatch) -> None:
    monkeypatch.setenv("DIVERGAN_TRACKING", "off")


def made(verb: str, key: str) -> Path:
    """The folder of a step of the study in the present folder, made if it is not there."""
    step = Plan(Path("params.yaml")).step(verb, key)
    jobs.make(Path(), step, "cpu", 1)
    return store.place(Path(), step)


def prepared() -> None:
    """What the samplers of RUN rest on."""
    plan = Plan(Path("params.yaml"))
    for step in plan.step("sample", SAMPLES).inputs:
        for needed in (*step.inputs, step):
            jobs.make(Path(), needed, "cpu", 1)
    jobs.make(Path(), plan.step("sample", f"{RUN}.prior"), "cpu", 1)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    folder = sampled_project(tmp_path_factory.mktemp("sampled") / "project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DIVERGAN_TRACKING", "off")
        prepared()
        made("sample", SAMPLES)
    return folder


@pytest.fixture
def here(study, monkeypatch) -> Iterator[Path]:
    monkeypatch.chdir(study)
    yield study


def remade(step: Step, out: Path) -> Path:
    """The step's work again, in a folder of its own."""
    out.mkdir()
    getattr(pipeline, step.verb)(job_of(step, out))
    return out


def job_of(step: Step, out: Path) -> pipeline.Job:
    return pipeline.Job(step=step, root=Path(), out=out, device="cpu", live=tracking.Live())


def checksums(folder: Path) -> dict[str, str]:
    return {path.name: store.sha256(path) for path in sorted(folder.glob("[!.]*.safetensors"))}


def sets(folder: Path) -> dict[str, dict]:
    return store.read_json(folder / "run.json")["sets"]


def test_every_sampler_has_its_images_or_says_why_not(here):
    folder = made("sample", SAMPLES)
    found = sets(folder)
    assert list(found) == sorted(Plan(Path("params.yaml")).study.sampling_of("kl.stabilised"))
    for name, facts in found.items():
        if facts["outcome"] == "drawn":
            images = load_arrays(samples_file(folder, name))["images"]
            assert (images.shape, str(images.dtype)) == ((200, 1, 28, 28), "uint8")
            assert facts["reason"] == ""
        else:
            assert facts["outcome"] == "stuck"
            assert "accepted" in facts["reason"]
            assert not samples_file(folder, name).exists()
    assert sum(facts["outcome"] == "drawn" for facts in found.values()) >= 11
    assert set(store.read_json(folder / "timing.samplers.json")) == set(found)


def test_samplers_share_the_priors_latents(here):
    """What latentRS accepts of the first proposals are the prior's images at those places."""
    prior = load_arrays(samples_file(made("sample", f"{RUN}.prior"), "prior"))["images"]
    for name in ("latent_rs", "random_rejection", "drs", "obrs"):
        file = load_arrays(samples_file(made("sample", SAMPLES), name))
        shared = file["proposals"] < len(prior)
        assert shared.sum() > 10
        assert (file["images"][shared] == prior[file["proposals"][shared]]).all()


def test_the_released_design_draws_from_the_generator_that_it_moved(here):
    prior = load_arrays(samples_file(made("sample", f"{RUN}.prior"), "prior"))["images"]
    file = load_arrays(samples_file(made("sample", SAMPLES), "latent_rs_released"))
    shared = file["proposals"] < len(prior)
    assert (file["images"][shared] != prior[file["proposals"][shared]]).any()


def test_sampling_again_gives_the_same_files(here, tmp_path):
    step = Plan(Path("params.yaml")).step("sample", SAMPLES)
    assert checksums(remade(step, tmp_path / "again")) == checksums(store.place(Path(), step)) != {}


def test_a_killed_sampling_keeps_its_finished_sets_and_ends_with_the_same_files(here, tmp_path, monkeypatch):
    step = Plan(Path("params.yaml")).step("sample", SAMPLES)
    draw, drawn = sampling.draw, []

    def dies_at_the_fourth(*arguments):
        if len(drawn) == 3:
            raise KeyboardInterrupt
        drawn.append(arguments)
        return draw(*arguments)

    monkeypatch.setattr(sampling, "draw", dies_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        remade(step, tmp_path / "killed")
    before = {path.name: path.stat().st_ino for path in (tmp_path / "killed").glob("*.safetensors")}
    assert len(before) == 3
    monkeypatch.setattr(sampling, "draw", draw)
    assert pipeline.sample(job_of(step, tmp_path / "killed"))["sets"] == sets(store.place(Path(), step))
    assert checksums(tmp_path / "killed") == checksums(store.place(Path(), step))
    assert all((tmp_path / "killed" / name).stat().st_ino == inode for name, inode in before.items())


@pytest.mark.parametrize("weights", ["learned", "released"])
def test_a_killed_re_weighting_goes_on_and_ends_with_the_same_files(weights, here, tmp_path, monkeypatch):
    step = Plan(Path("params.yaml")).step("reweight", f"{RUN}.{weights}")
    save = checkpoints.save_state

    def dies_after_it(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save_state", dies_after_it)
    with pytest.raises(KeyboardInterrupt):
        remade(step, tmp_path / "killed")
    monkeypatch.setattr(checkpoints, "save_state", save)
    assert checksums(tmp_path / "killed") == {}
    pipeline.reweight(job_of(step, tmp_path / "killed"))
    undisturbed = store.place(Path(), step)
    assert checksums(tmp_path / "killed") == checksums(undisturbed) != {}
    assert store.sha256(tmp_path / "killed/history.parquet") == store.sha256(undisturbed / "history.parquet")


def test_training_on_is_the_same_as_training_longer(here, tmp_path, monkeypatch):
    """The control goes on with the run's optimisers, latents and data order; so it ends where a longer run does."""
    onward = Plan(Path("params.yaml")).step("train", f"{RUN}.as_long_as.learned")
    steps = onward.settings["training"]["steps"]
    assert steps > 60
    objective = ("objective: kl\n", f"objective: kl\n        steps: {steps}\n")
    longer = sampled_project(tmp_path / "longer", objective)
    monkeypatch.chdir(longer)
    plan = Plan(Path("params.yaml"))
    jobs.make(Path(), plan.of("data")[0], "cpu", 1)
    whole = made("train", RUN)
    for name in ("generator.safetensors", "critic.safetensors"):
        assert store.sha256(whole / name) == store.sha256(here / store.place(Path(), onward) / name)


def test_a_proposal_that_is_never_accepted_is_recorded_and_the_others_go_on(here, tmp_path, monkeypatch):
    """One proposal a chain is too few for 200 chains that start at real images."""
    never = sampled_project(
        tmp_path / "never",
        ("{sampler: mh, chain: 3}", "{sampler: mh, chain: 1}"),
        ("most_draws: 500 ", "most_draws: 1 "),
    )
    monkeypatch.chdir(never)
    prepared()
    found = sets(made("sample", SAMPLES))
    assert found["mh"]["outcome"] == "stuck"
    assert "MH-GAN accepted" in found["mh"]["reason"]
    assert found["truncation"]["outcome"] == found["trained_on"]["outcome"] == "drawn"


def test_a_sampler_is_drawn_by_hand(here, tmp_path):
    from divergan.looking import draw_to_file

    plan = Plan(Path("params.yaml"))
    told = draw_to_file(Path(), plan, RUN, "latent_rs", 5, 0, tmp_path / "a.png")
    assert "5 images from kl.stabilised-s0 by latent_rs, " in told
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(DivergaNError, match=r"does not sample kl.stabilised-s0 by 'sir_w', but by prior, truncation"):
        draw_to_file(Path(), plan, RUN, "sir_w", 5, 0, None)


def test_a_sample_set_that_a_killed_job_left_damaged_is_drawn_again(here, tmp_path):
    step = Plan(Path("params.yaml")).step("sample", f"{RUN}.prior")
    folder = tmp_path / "killed"
    folder.mkdir()
    pipeline.sample(job_of(step, folder))
    whole = checksums(folder)
    for path in [p for p in folder.iterdir() if not p.name.startswith("timing.")]:
        for content in (path.read_bytes()[:-9], path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1])):
            path.write_bytes(content)
            pipeline.sample(job_of(step, folder))
            assert checksums(folder) == whole, path
