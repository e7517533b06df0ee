"""The store: whole or not at all, never a damaged file, nothing lost that was made, nothing made twice."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from divergan import store
from divergan.plan import Plan, Step
from tiny_study import SMOKE, edited, environment, project

STEP = Step(study="tiny", verb="data", key="made", settings={"seed": 3})


def work(folder: Path) -> dict:
    store.write_json(folder / "numbers.json", [1, 2, 3])
    (folder / "below").mkdir(exist_ok=True)
    (folder / "below" / "bytes.bin").write_bytes(bytes(range(256)))
    (folder / "timing.json").write_text("7")
    return {"images": 3}


def real_names(root: Path) -> list[str]:
    """Everything below results/ that stands under a real name, the half-made and locks aside."""
    paths = (p.relative_to(root / "results") for p in (root / "results").rglob("*") if p.is_file())
    return sorted(str(p) for p in paths if p.parts[0] != ".partial")


def test_what_is_made_is_complete_and_says_what_it_is(tmp_path):
    folder = store.make(tmp_path, STEP, work)
    assert folder == tmp_path / "results" / "tiny" / STEP.folder
    assert store.exists(tmp_path, STEP)
    assert store.is_shelved(tmp_path, STEP)
    run = store.read_json(folder / "run.json")
    assert (run["recipe"], run["verb"], run["key"], run["images"]) == (STEP.hash, "data", "made", 3)
    assert sorted(run["files"]) == ["below/bytes.bin", "numbers.json", "recipe.json"], (
        "neither timings nor run.json itself"
    )
    assert run["files"]["numbers.json"] == store.sha256(folder / "numbers.json")
    assert store.read_json(folder / "recipe.json") == STEP.recipe
    assert not store.damage(folder)
    assert not store.partial(tmp_path, STEP).exists()
    shelved = store.shelf(tmp_path, STEP)
    assert (folder / "numbers.json").stat().st_ino == (shelved / "numbers.json").stat().st_ino, "linked, not copied"


def test_work_that_raises_leaves_nothing_under_a_real_name_and_its_files_to_go_on_from(tmp_path):
    def failing(folder: Path) -> dict:
        work(folder)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        store.make(tmp_path, STEP, failing)
    assert real_names(tmp_path) == []
    assert not store.exists(tmp_path, STEP)

    seen = []
    store.make(tmp_path, STEP, lambda folder: seen.extend(os.listdir(folder)) or work(folder))
    assert "numbers.json" in seen
    assert store.exists(tmp_path, STEP)


def test_process_killed_while_it_seals_leaves_nothing_under_a_real_name(tmp_path, monkeypatch):
    """Wherever it dies between the end of the work and the last rename; the next one is whole."""
    steps = ("write_json", "sha256", "put", "link")
    for name in steps:
        root = tmp_path / name
        with monkeypatch.context() as patch:
            patch.setattr(store, name, dying)
            with pytest.raises(KeyboardInterrupt):
                store.make(root, STEP, lambda folder: (folder / "a.txt").write_text("a") and {})
        assert not store.exists(root, STEP)
        assert all(path.startswith(".store") for path in real_names(root))
        again = store.make(root, STEP, lambda folder: (folder / "a.txt").write_text("a") and {})
        assert not store.damage(again)


def dying(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_leftovers_of_a_killed_process_are_no_part_of_the_result(tmp_path):
    left = store.partial(tmp_path, STEP)
    (left / ".partial-x").mkdir(parents=True)
    (left / ".partial-x" / "splits.safetensors").write_text("half")
    (left / "below").mkdir()
    (left / "below" / ".grid.png.123.tmp").write_text("half")
    (left / ".state.safetensors").write_text("to resume from")
    folder = store.make(tmp_path, STEP, work)
    found = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    assert found == ["below/bytes.bin", "numbers.json", "recipe.json", "run.json", "timing.json"]


def forget(root: Path) -> None:
    """As if the study's folder was deleted, or another parameter file planned the same step."""
    shutil.rmtree(root / "results" / "tiny")


def test_what_was_made_is_taken_from_the_store(tmp_path):
    store.make(tmp_path, STEP, work)
    forget(tmp_path)
    assert store.adopt(tmp_path, STEP)
    assert not store.damage(store.place(tmp_path, STEP))
    forget(tmp_path)
    folder = store.make(tmp_path, STEP, dying)
    assert not store.damage(folder)


def flip(path: Path, place: int = 0) -> None:
    """One bit of a file, on a copy of its own where it was linked."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.unlink()
    path.write_bytes(content)


def test_every_flipped_bit_every_missing_byte_and_every_missing_file_is_named(tmp_path):
    folder = store.make(tmp_path, STEP, work)
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        whole, name = path.read_bytes(), str(path.relative_to(folder))
        for place in range(len(whole)):
            flip(path, place)
            found = store.damage(folder)
            assert found == [name] or (name == "run.json" and not found and same_json(path, whole)), place
            path.write_bytes(whole)
        path.write_bytes(whole[:-1])
        assert store.damage(folder) in ([name], [] if name == "run.json" else None), "run.json may lose its line's end"
        path.unlink()
        if name != "run.json":
            assert store.damage(folder) == [name]
        path.write_bytes(whole)
    assert store.damage(folder) == []


def same_json(path: Path, content: bytes) -> bool:
    """A blank that became another, or a key that moved, is no other fact."""
    return store.read_json(path) == json.loads(content)


def test_what_is_damaged_is_read_from_the_store_if_that_has_a_copy_of_its_own(tmp_path, capsys):
    folder = store.make(tmp_path, STEP, work)
    flip(folder / "numbers.json")
    assert store.intact(tmp_path, STEP)
    assert f"{folder} is damaged: numbers.json does not match" in capsys.readouterr().err
    assert store.read_json(folder / "numbers.json") == [1, 2, 3]
    assert (tmp_path / f"results/.quarantine/{folder.name}.1/numbers.json").is_file()
    flip(folder / "numbers.json")
    flip(store.shelf(tmp_path, STEP) / "numbers.json")
    assert not store.intact(tmp_path, STEP)
    assert not folder.exists()
    assert len(list((tmp_path / "results/.quarantine").iterdir())) == 3
    assert not store.intact(tmp_path, STEP), "and nothing is there to be moved again"


@pytest.mark.parametrize("name", ["numbers.json", "below/bytes.bin", "recipe.json", "run.json"])
def test_a_flipped_byte_in_the_store_is_not_adopted(tmp_path, capsys, name):
    store.make(tmp_path, STEP, work)
    forget(tmp_path)
    path = store.shelf(tmp_path, STEP) / name
    flip(path)
    assert not store.adopt(tmp_path, STEP)
    assert f"{name} does not match its checksum" in capsys.readouterr().err
    assert {path.split("/")[0] for path in real_names(tmp_path)} == {".quarantine"}, "out of the way, not gone"
    assert not store.damage(store.make(tmp_path, STEP, work))


def test_a_missing_file_in_the_store_is_not_adopted(tmp_path):
    store.make(tmp_path, STEP, work)
    forget(tmp_path)
    (store.shelf(tmp_path, STEP) / "numbers.json").unlink()
    assert not store.adopt(tmp_path, STEP)


def test_a_store_folder_without_its_run_json_does_not_stand_in_the_way(tmp_path):
    """As a prune leaves it that was killed in the middle."""
    left = store.shelf(tmp_path, STEP)
    left.mkdir(parents=True)
    (left / "numbers.json").write_text("[")
    assert store.read_json(store.make(tmp_path, STEP, work) / "numbers.json") == [1, 2, 3]


def test_nothing_is_adopted_from_an_empty_store(tmp_path):
    assert not store.adopt(tmp_path, STEP)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("error", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_a_file_system_without_hard_links_gets_copies(tmp_path, monkeypatch, error):
    def refusing(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "link", refusing)
    folder = store.make(tmp_path, STEP, work)
    assert not store.damage(folder)
    assert (folder / "numbers.json").stat().st_ino != (store.shelf(tmp_path, STEP) / "numbers.json").stat().st_ino


def test_link_replaces_a_folder_whole_takes_only_what_matches_and_stays_out_of_its_way_when_it_fails(
    tmp_path, monkeypatch
):
    source, target = tmp_path / "source", tmp_path / "target"
    work_in(source, "a.svg", "b.json")
    work_in(target, "old.svg")
    store.link(source, target, only="*.svg")
    assert sorted(os.listdir(target)) == ["a.svg"]

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(OSError, match="No space left"):
        store.link(source, target)
    assert sorted(os.listdir(target)) == ["a.svg"]
    assert sorted(os.listdir(tmp_path)) == ["source", "target"], "no temporary folder is left"


def work_in(folder: Path, *names: str) -> None:
    folder.mkdir()
    for name in names:
        (folder / name).write_text(name)


def test_link_bears_that_another_process_put_the_same_there_just_now(tmp_path, monkeypatch):
    source, target = tmp_path / "source", tmp_path / "target"
    work_in(source, "a")
    work_in(target, "a")
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # the other one comes after this one cleared the way
    store.link(source, target)
    assert os.listdir(target) == ["a"]


def test_written_takes_the_name_at_the_end_alone_and_leaves_no_temporary_file(tmp_path):
    path = tmp_path / "below" / "a.json"
    with store.written(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    with pytest.raises(ZeroDivisionError), store.written(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["a.json"]


def test_json_is_canonical_and_has_no_nan(tmp_path):
    store.write_json(tmp_path / "a.json", {"b": 1, "a": None})
    assert (tmp_path / "a.json").read_text() == '{\n "a": null,\n "b": 1\n}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        store.write_json(tmp_path / "b.json", float("nan"))
    assert os.listdir(tmp_path) == ["a.json"]


TWO = """
import sys, time
from pathlib import Path
from divergan import store
from divergan.plan import Step
def work(folder):
    with open(sys.argv[1] + "/log", "a") as log: log.write("worked\\n")
    time.sleep(0.5)
    (folder / "a.txt").write_text("a")
    return {}
step = Step(study="tiny", verb="data", key="made", settings={"seed": 3})
print(store.make(Path(sys.argv[1]), step, work))
"""


def test_two_processes_make_one_step_once(tmp_path):
    command = [sys.executable, "-c", TWO, str(tmp_path)]
    both = [subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs[0] == outputs[1] == f"{store.place(tmp_path, STEP)}\n"
    assert (tmp_path / "log").read_text() == "worked\n"
    assert not store.damage(store.place(tmp_path, STEP))


def test_a_killed_process_frees_its_lock(tmp_path):
    command = [sys.executable, "-c", TWO.replace("time.sleep(0.5)", "time.sleep(60)"), str(tmp_path)]
    process = subprocess.Popen(command, env=environment())
    end = time.monotonic() + 60
    while not (tmp_path / "log").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert real_names(tmp_path) == []
    assert not store.damage(store.make(tmp_path, STEP, work))


@pytest.fixture
def planned(tmp_path, monkeypatch) -> Plan:
    monkeypatch.chdir(project(tmp_path / "project"))
    return Plan(Path("params.yaml"))


def made(plan: Plan, *places: int) -> list[Step]:
    steps = [plan.steps[place] for place in places]
    for step in steps:
        store.make(Path(), step, work)
    return steps


def test_tidy_moves_what_is_not_planned_to_the_store_and_removes_what_is_not_whole(planned):
    data, run = made(planned, 0, 2)
    study = Path("results/smoke")
    shutil.rmtree("results/.store")  # as in a fresh clone after `dvc pull`
    (study / "runs" / "half-made-00000000").mkdir()
    (study / "runs" / "half-made-00000000" / "history.parquet").write_text("half")
    (study / "runs" / "notes.txt").write_text("a note")
    Path("params.yaml").write_text(edited(SMOKE, ("{objective: bce}", "{objective: bce, steps: 40}")))
    other = Plan(Path("params.yaml"))
    strangers = store.tidy(Path(), other)
    assert sorted(path.name for path in strangers) == sorted([Path(run.folder).name, "half-made-00000000", "notes.txt"])
    assert [str(p) for p in study.glob("*/*")] == [str(store.place(Path(), data))]
    assert not store.damage(store.shelf(Path(), run)), "moved, not deleted"
    assert store.adopt(Path(), run), "so that going back costs nothing"
    assert store.tidy(Path(), planned) == []


def test_tidy_keeps_one_of_two_and_replaces_one_in_the_store_that_is_not_whole(planned):
    (run,) = made(planned, 2)
    place = store.place(Path(), run)
    Path("params.yaml").write_text(edited(SMOKE, ("{objective: bce}", "{objective: bce, steps: 40}")))
    other = Plan(Path("params.yaml"))
    assert store.tidy(Path(), other) == [place]
    assert not store.damage(store.shelf(Path(), run))
    store.adopt(Path(), run)
    (store.shelf(Path(), run) / "run.json").unlink()
    assert store.tidy(Path(), other) == [place]
    assert not store.damage(store.shelf(Path(), run))


def test_unreferenced_is_what_no_plan_has(planned):
    data, run = made(planned, 0, 2)
    Path("params.yaml").write_text(edited(SMOKE, ("{objective: bce}", "{objective: bce, steps: 40}")))
    other = Plan(Path("params.yaml"))
    assert store.unreferenced(Path(), [planned, other]) == store.unreferenced(Path(), [other, planned]) == {}
    half = store.partial(Path(), STEP)
    half.mkdir()
    (half / "bytes.bin").write_bytes(bytes(100))
    bad = store.quarantine(Path(), store.shelf(Path(), data))
    found = store.unreferenced(Path(), [other])
    assert found.pop(bad) > 100
    expected = {store.shelf(Path(), run), half, Path(f"results/.partial/{run.hash}.lock")}
    assert set(found) == expected
    assert found[half] == 100
    assert found[store.shelf(Path(), run)] == sum(
        p.stat().st_size for p in store.shelf(Path(), run).rglob("*") if p.is_file()
    )
    assert store.shelf(Path(), data) not in found
