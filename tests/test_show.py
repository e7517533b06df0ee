"""One run in a terminal: what is told of it, the picture on a terminal alone, and one JSON document for machines."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from divergan import jobs, portrait, store
from divergan.errors import DivergaNError
from divergan.plan import Plan, Step
from tiny_study import divergan, environment
from tiny_training import trained

RUN = "kl.stabilised-s0"
ESCAPE = "\x1b["
SUMMARY = "variant,metric,n,mean,low,high\nkl.stabilised,fid,2,100.5,90,111\nbce.stabilised,fid,2,1,1,1\n"


def place(plan: Plan, verb: str, key: str, **files: str) -> Step:
    """A step with files of our own, where making the real ones would take minutes."""

    def work(folder: Path) -> dict:
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text)
        return {"commit": None, "environment": {}}

    step = plan.step(verb, key)
    store.make(Path(), step, work)
    return step


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A real training with its real samples, and an evaluation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIVERGAN_TRACKING", "off")
        root = tmp_path_factory.mktemp("show") / "project"
        trained(root, RUN)
        patch.chdir(root)
        plan = Plan(Path("params.yaml"))
        jobs.make(Path(), plan.step("sample", f"{RUN}.prior"), "cpu", 1)
        own = json.dumps({"density": 0.25, "fid": 99.875, "precision": 0.5})
        curve = json.dumps([{"step": s, "fid": f} for s, f in ((0, 800.0), (20, None), (40, 100.0), (60, 99.875))])
        place(plan, "evaluate", f"{RUN}.prior", metrics__json=own, over_training__json=curve)
        place(plan, "evaluate", "real", metrics__json=json.dumps({"fid": 7.5, "precision": 0.9}))
        place(plan, "compare", "tables", summary__csv=SUMMARY)
    return root


@pytest.fixture(autouse=True)
def _there(root, monkeypatch):
    monkeypatch.chdir(root)


def found() -> dict:
    return portrait.portrait(Path(), Plan(Path("params.yaml")), RUN)


def test_metrics_stand_beside_the_floor_and_the_variants_interval():
    fid, precision, density = found()["metrics"]
    assert fid == {"metric": "fid", "value": 99.875, "floor": 7.5, "mean": 100.5, "low": 90.0, "high": 111.0, "n": 2.0}
    assert (precision["metric"], precision["value"], precision["floor"], precision["mean"]) == (
        "precision",
        0.5,
        0.9,
        None,
    )
    assert density["floor"] is None


def test_facts_and_places():
    told = found()
    assert (told["run"], told["outcome"], told["at_step"], told["objective"], told["seed"]) == (
        RUN,
        "finished",
        None,
        "kl",
        0,
    )
    assert told["steps"] == 60
    assert Path(told["picture"]).name == "prior.png"
    assert Path(told["picture"]).is_file() and Path(told["recipe"]).is_file()
    assert told["mlflow"] is None, "MLflow has not seen it"
    assert [row["step"] for row in told["fid_over_training"]] == [0, 20, 40, 60]


def test_in_a_pipe_there_are_no_colours_and_no_picture(root):
    done = divergan(root, "show", RUN, FORCE_COLOR="", COLORTERM="truecolor", TERM="xterm-256color")
    assert done.returncode == 0
    assert ESCAPE not in done.stdout and portrait.HALF not in done.stdout
    assert re.search(r"FID ↓ +99\.88 +7\.5 +100\.5 \[90, 111\] \(n = 2\)", done.stdout)
    assert "FID over training  █▁▁  800 at step 0, 99.88 at step 60" in done.stdout
    assert "picture  results/smoke/samples/" in done.stdout


def on_a_terminal(root: Path, **variables: str) -> str:
    """What `divergan show` writes to a terminal of 140 columns."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from divergan.cli import main; main()", "show", RUN]
    own = environment(TERM="xterm-256color", COLORTERM="truecolor", COLUMNS="140", LINES="50", **variables)
    process = subprocess.Popen(command, cwd=root, env=own, stdout=theirs, stderr=theirs)
    os.close(theirs)
    text = b""
    while True:
        try:
            text += (part := os.read(ours, 65536))
        except OSError:  # how Linux tells of the other end's closing
            break
        if not part:
            break
    os.close(ours)
    assert process.wait() == 0, text
    return text.decode()


def test_on_a_terminal_the_samples_are_drawn_in_their_own_colours(root):
    text = on_a_terminal(root)
    assert text.count(portrait.HALF) > 1000
    with Image.open(found()["picture"]) as image:
        shade = image.convert("RGB").getpixel((0, 0))
    assert f"38;2;{shade[0]};{shade[1]};{shade[2]};48;2;" in text


def test_without_colours_a_terminal_gets_no_picture(root):
    text = on_a_terminal(root, NO_COLOR="1")
    assert portrait.HALF not in text
    assert "38;2;" not in text
    assert "FID over training" in text


@pytest.mark.parametrize(
    ("values", "line"), [([1.0, 2.0, 3.0], "▁▅█"), ([5.0], "▁"), ([2.0, 2.0], "▁▁"), ([0.0, 100.0, 50.0], "▁█▅")]
)
def test_sparkline(values, line):
    assert portrait.sparkline(values) == line


def test_the_first_rows_of_the_grid_fit_the_terminal(tmp_path):
    path = tmp_path / "grid.png"
    Image.new("RGB", (242, 242), "#ff0000").save(path)
    rows = portrait.drawn(path, 100).plain.splitlines()
    assert {len(row) for row in rows} == {100}
    assert len(rows) == 24, "half of the grid's height, two pixels a row"


def test_as_json_it_is_one_document(root):
    done = divergan(root, "show", RUN, "--json")
    assert json.loads(done.stdout) == found()


def test_a_run_that_is_not_made_is_an_error(root):
    with pytest.raises(DivergaNError, match=r"bce\.stabilised-s0 is not made yet: `divergan status`"):
        portrait.portrait(Path(), Plan(Path("params.yaml")), "bce.stabilised-s0")
    done = divergan(root, "show", "nonsense")
    assert (done.returncode, done.stdout) == (2, "")
    assert "plans no train 'nonsense'" in done.stderr
