"""`divergan verify`: a whole study passes; a flipped byte in each kind of file is named, and made good by --repair."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from divergan import jobs, publishing, store, verifying
from divergan.plan import FOLDERS, Plan, Step
from divergan.processes import Processes
from synthetic_page import Read, decoded
from tiny_study import SMALL, divergan, project

pytestmark = pytest.mark.xdist_group("verifying")  # one worker, for what the module makes once


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A whole small study with its report."""
    folder = project(tmp_path_factory.mktemp("verifying") / "project", *SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DIVERGAN_TRACKING", "off")
        made(Plan(Path("params.yaml")))
    return folder


def made(plan: Plan) -> None:
    """As Snakemake does: the jobs whose run.json is not there, in their order, and the report where its id is not."""
    for step in Processes(plan.steps).made_in:
        if not store.exists(Path(), step) and step.verb != "report":
            jobs.make(Path(), step, "cpu", 1)
    if not publishing.identity(Path(), plan).is_file():
        jobs.make(Path(), plan.of("report")[0], "cpu", 1)
        publishing.publish(Path(), plan)


@pytest.fixture
def plan(finished, tmp_path, monkeypatch) -> Plan:
    shutil.copytree(finished, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("DIVERGAN_TRACKING", "off")
    return Plan(Path("params.yaml"))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def kinds(plan: Plan) -> list[Path]:
    """One file of every kind: of each verb each name, seeds and variants aside; of the store; of the report."""
    first: dict[tuple[str, str], Path] = {}
    for step in plan.steps:
        folder = store.place(Path(), step)
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            first.setdefault((step.verb, path.name), path)
    published = {
        path.suffix: path for path in sorted(Path("reports").rglob("*")) if path.suffix in (".pdf", ".html", ".svg")
    }
    return [*first.values(), store.shelf(Path(), plan.of("train")[0]) / "generator.safetensors", *published.values()]


def test_the_page_made_again_from_the_same_results_is_the_same_bytes_and_its_links_lead_to_files(plan):
    page = Path("reports/smoke/index.html")
    before, step = page.read_bytes(), plan.of("report")[0]
    for folder in (store.place(Path(), step), store.shelf(Path(), step)):
        shutil.rmtree(folder)
    publishing.identity(Path(), plan).unlink()
    page.unlink()
    made(plan)
    assert page.read_bytes() == before
    links = [element.attributes["href"] for element in Read(before.decode()).all("a")]
    files = [link for link in links if not link.startswith(("#", "http://127.0.0.1"))]
    assert len(files) > len(plan.of("train"))
    assert [link for link in files if not (page.parent / link).is_file()] == []


def test_the_page_holds_the_first_images_of_every_run_and_a_walk_of_every_variant(plan):
    page = Read(Path("reports/smoke/index.html").read_text("utf-8"))
    data = json.loads(next(e.text for e in page.all("script") if e.attributes.get("id") == "data"))
    assert sorted(own["run"] for own in data["sets"]) == sorted(step.key for step in plan.of("train"))
    for own in data["sets"]:
        step = next(s for s in plan.of("sample") if s.input("train").key == own["run"])
        images = load_file(store.place(Path(), step) / "prior.safetensors")["images"][:40, 0]
        pixels = decoded(own["image"]).reshape(5, 28, 8, 28).swapaxes(1, 2).reshape(40, 28, 28)
        assert (pixels == images).all()
    assert [walk["run"].rsplit("-s", 1)[0] for walk in data["walks"]] == list(plan.trained.variants())
    for walk in data["walks"]:
        frames = decoded(walk["image"]).reshape(24, 28, 8 * 28).astype(int)
        jumps = abs(frames - np.roll(frames, 1, axis=0)).mean(axis=(1, 2))
        assert jumps.min() > 0, "every frame is another"
        assert jumps[0] < 3 * np.median(jumps), "closed: the last frame is beside the first"


def test_a_whole_study_passes(plan, capsys):
    assert verifying.verify(Path(), plan)
    assert capsys.readouterr().out.startswith(f"params.yaml: {len(plan.steps)} steps, ")
    done = divergan(Path(), "verify")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)


def test_a_flipped_byte_in_every_kind_of_file_is_named(plan, capsys):
    files = kinds(plan)
    assert {path.parts[2] for path in files if path.parts[1] == "smoke"} >= set(FOLDERS.values()) - {
        "weights", "oracles", "chapters",
    }  # fmt: skip
    assert len(files) > 40
    runs = [path for path in files if path.name == "run.json"]  # without it, nothing is known of its neighbours
    published = [path for path in files if path.parts[0] == "reports"]  # compared with what they are copies of
    for together in (runs, published, [path for path in files if path not in (*runs, *published)]):
        whole = {path: path.read_bytes() for path in together}
        for path in together:
            flip(path)
        assert not verifying.verify(Path(), plan)
        told = capsys.readouterr().out
        assert [path for path in together if str(path) not in told] == []
        for path, content in whole.items():
            path.write_bytes(content)
    assert verifying.verify(Path(), plan)


def test_repair_and_another_run_make_everything_as_it_was(plan, capsys):
    before = content()
    for step in (plan.of("data")[0], plan.of("train")[0], plan.of("sample")[1], plan.of("evaluate")[2], report(plan)):
        for folder in {store.place(Path(), step), store.shelf(Path(), step)}:
            flip(max(folder.glob("[!t]*.*"), key=lambda path: (path.suffix in (".safetensors", ".pdf"), path.name)))
    flip(Path("reports/smoke/metrics.json"))
    assert not verifying.verify(Path(), plan)
    assert "problems; `divergan verify --repair`, then `snakemake`" in capsys.readouterr().out
    verifying.repair(Path(), plan)
    made(plan)
    assert verifying.verify(Path(), plan)
    assert content() == before
    assert len(list(Path("results/.quarantine").iterdir())) == 10


def report(plan: Plan) -> Step:
    return plan.of("report")[0]


def content() -> dict[str, str]:
    """Path -> SHA-256 of all that a study holds, what tells of its making aside."""
    files = [p for folder in ("results/smoke", "reports") for p in Path(folder).rglob("*") if p.is_file()]
    return {str(p): store.sha256(p) for p in files if not p.name.startswith("timing.") and p.name != "run.json"}


def test_what_is_not_there_or_should_not_be_is_named(plan, capsys):
    run = store.place(Path(), plan.of("train")[0])
    (run / "notes.txt").write_text("mine")
    (run / "history.parquet").unlink()
    shutil.rmtree(store.place(Path(), plan.of("sample")[0]))
    Path("reports/smoke/report.pdf").unlink()
    assert not verifying.verify(Path(), plan)
    out = capsys.readouterr().out
    for told in ("notes.txt is no part of the result", "history.parquet is missing", "report.pdf is missing"):
        assert told in out
    assert f"1 of {len(plan.steps)} steps are not here" in out


def test_a_result_under_the_name_of_another_is_named(plan, capsys):
    one, other = plan.of("train")[:2]
    shutil.rmtree(store.place(Path(), one))
    shutil.copytree(store.place(Path(), other), store.place(Path(), one))
    assert not verifying.verify(Path(), plan)
    assert f"was made by the recipe {other.hash}, not by {one.hash}" in capsys.readouterr().out


def test_other_data_and_other_parameters_are_another_study(plan, capsys):
    with Path("claims.yaml").open("a") as file:
        file.write("# read again\n")
    assert not verifying.verify(Path(), Plan(Path("params.yaml")))
    assert f"3 of {len(plan.steps)} steps are not here" in capsys.readouterr().out


def test_damaged_raw_data_and_kept_weights_are_named(plan, monkeypatch, capsys):
    from divergan import data
    from divergan.errors import DivergaNError

    def damaged(*_: object) -> None:
        raise DivergaNError("data/raw/digits: checksum")

    monkeypatch.setattr(data, "raw_images", damaged)
    assert not verifying.verify(Path(), plan)
    assert "data/raw/digits: checksum" in capsys.readouterr().out
