"""A checkpoint is what was written, or it is not gone on from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from divergan import checkpoints, jobs, pipeline, store, tracking
from divergan.checkpoints import Damaged, State
from divergan.plan import Plan, Step
from tiny_study import SMALL, project

RUN = "bce.stabilised-s0"


def state() -> State:
    network = nn.Linear(3, 2)
    optimiser = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    return State(
        networks={"network": network},
        optimisers={"optimiser": optimiser},
        generators={"latents": torch.Generator().manual_seed(7)},
    )


def test_every_flipped_byte_and_every_length_is_noticed_before_anything_moves(tmp_path):
    path, beside = tmp_path / "a.safetensors", tmp_path / "below" / "step-1.png"
    beside.parent.mkdir()
    beside.write_bytes(b"picture")
    checkpoints.save_state(path, state(), {"step": 5}, [beside])
    whole, other = path.read_bytes(), state()
    before = {name: value.clone() for name, value in other.networks["network"].state_dict().items()}
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        if not spared(path, whole):
            with pytest.raises(Damaged, match=r"a\.safetensors"):
                checkpoints.restore_state(path, other)
    for length in (0, 1, 7, 8, 9, 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(Damaged, match=r"a\.safetensors cannot be read"):
            checkpoints.restore_state(path, other)
    assert all(torch.equal(before[name], value) for name, value in other.networks["network"].state_dict().items())

    path.write_bytes(whole)
    for content in (b"picturf", b"", None):
        beside.unlink()
        if content is not None:
            beside.write_bytes(content)
        with pytest.raises(Damaged, match=r"step-1\.png does not match"):
            checkpoints.restore_state(path, other)
        beside.write_bytes(b"picture")
    assert checkpoints.restore_state(path, other)["step"] == 5


def spared(path: Path, whole: bytes) -> bool:
    """Whether a changed header says the same: a blank of its padding, a letter of a key that nothing reads."""
    try:
        tensors, facts = checkpoints.read(path)
    except Damaged:
        return False
    path.write_bytes(whole)
    written, told = checkpoints.read(path)
    return facts == told and all(torch.equal(tensors[name], written[name]) for name in written)


def test_shape_and_type_are_in_the_digest():
    value = torch.arange(6, dtype=torch.float32)
    same = [value, value.view(2, 3), value.view(torch.int32), torch.tensor(0.0)]
    assert len({checkpoints.digest({"a": tensor}, "") for tensor in same}) == 4
    assert checkpoints.digest({"a": value}, "") != checkpoints.digest({"b": value}, "")
    assert checkpoints.digest({"a": value.view(2, 3).T}, "") != checkpoints.digest({"a": value.view(3, 2)}, "")


@pytest.fixture
def run(tmp_path, monkeypatch) -> Step:
    """A training that died after its first checkpoint."""
    monkeypatch.chdir(project(tmp_path / "project", *SMALL))
    monkeypatch.setenv("DIVERGAN_TRACKING", "off")
    plan = Plan(Path("params.yaml"))
    jobs.make(Path(), plan.of("data")[0], "cpu", 1)
    step = plan.step("train", RUN)
    save = checkpoints.save

    def dies_after_it(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", dies_after_it)
        with pytest.raises(KeyboardInterrupt):
            jobs.make(Path(), step, "cpu", 1)
    return step


@pytest.mark.parametrize("name", [".state.safetensors", "step-*.safetensors", "step-*.png"])
@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_a_training_with_a_damaged_checkpoint_starts_anew_and_ends_the_same(run, capsys, name, how):
    left = store.partial(Path(), run)
    undamaged = Path("undamaged")
    shutil.copytree(left, undamaged)
    pipeline.train(pipeline.Job(step=run, root=Path(), out=undamaged, device="cpu", live=tracking.Live()))

    (path,) = left.rglob(name)
    content = path.read_bytes()
    path.write_bytes({"flipped": content[:-1] + bytes([content[-1] ^ 1]), "cut": content[:-5], "gone": b""}[how])
    if how == "gone":
        path.unlink()
    folder = store.place(Path(), run)
    jobs.make(Path(), run, "cpu", 1)
    told = capsys.readouterr().err
    if (name, how) != (".state.safetensors", "gone"):  # then there is nothing to go on from, and nothing damaged
        assert f"results/.quarantine/{run.hash}.1; {RUN} starts anew" in told
    assert store.sha256(folder / "players.safetensors") == store.sha256(undamaged / "players.safetensors")
    assert store.sha256(folder / "history.parquet") == store.sha256(undamaged / "history.parquet")
    assert not store.damage(folder)
