"""The command line: what a person can put right is one message, and what is asked of a study is answered."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from divergan import cli, store
from divergan.plan import Plan
from tiny_study import SMALL, divergan, edited, environment, project
from tiny_training import noise, trained

RUN = "kl.stabilised-s0"
Told = tuple[int, str, str]


@pytest.fixture(scope="module")
def with_a_run(tmp_path_factory) -> Path:
    """A project in which the data and one training are made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIVERGAN_TRACKING", "off")
        root = tmp_path_factory.mktemp("cli") / "project"
        trained(root, RUN)
    return root


@pytest.fixture
def root(with_a_run, tmp_path, monkeypatch) -> Path:
    """A copy of that project, to be in."""
    shutil.copytree(with_a_run, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("DIVERGAN_TRACKING", "off")
    return Path()


@pytest.fixture
def call(root, monkeypatch, capsys) -> Callable[..., Told]:
    """`divergan ...` in that project: exit code, standard output and standard error."""

    def called(*arguments: str) -> Told:
        monkeypatch.setattr(sys, "argv", ["divergan", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        return ended.value.code or 0, told.out, told.err

    return called


def refusal(told: Told, code: int = 2) -> str:
    """The message, after what every message has in common."""
    assert told[0] == code
    lines = [line for line in told[2].splitlines() if "steps/s" not in line]
    assert lines[0].startswith("error: ")
    assert "Traceback" not in told[2]
    return "\n".join(lines)


# --- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train nonsense", "params.yaml plans no train 'nonsense'; it plans bce.stabilised-s0, bce.stabilised-s1, kl"),
        ("train kl.stabilised-s9", "plans no train 'kl.stabilised-s9'"),
        ("data mnist", "plans no data 'mnist'; it plans embedded"),
        ("train kl.stabilised-s0 --params none.yaml", "there is no parameter file none.yaml"),
        ("plan --params data", "data cannot be read: Is a directory"),
        ("where nonsense", "plans no 'nonsense'; its runs are bce"),
        ("explain data", "data is no result: it has no recipe.json and run.json; `divergan where KEY` finds one"),
        ("explain none", "none is no result"),
        (f"sample {RUN} --n 4 --out a.jpg", "--out a.jpg: expected a name that ends in .png"),
        ("sample bce.stabilised-s0 --n 4", "bce.stabilised-s0 is not made yet"),
        (f"sample {RUN}", "plans no sample 'kl.stabilised-s0'; it plans bce.stabilised-s0.prior"),
        ("evaluate bce.stabilised-s0.prior", "needs results/smoke/features/digits-"),
        ("evaluate real", "run `divergan features digits` first"),
        ("report", "which is not made: run `divergan "),
    ],
)
def test_what_a_person_can_put_right_is_one_message(call, arguments, message):
    told = refusal(call(*arguments.split()))
    assert message in told
    assert len(told.splitlines()) == 1


def test_wrong_parameter_is_told_by_every_command(call, root):
    path = root / "params.yaml"
    path.write_text(edited(path.read_text(), ("threads: 1 ", "treads: 1 ")))
    for command in (["plan"], ["train", RUN], ["where", RUN], ["tidy"], ["prune", "--yes"], ["report"]):
        assert "treads = 1: is not a parameter; did you mean 'threads'?" in refusal(call(*command))
    assert not store.damage(next(Path("results/.store").iterdir())), "prune removed nothing"


@pytest.mark.parametrize(
    "arguments", ["nonsense", "train", "train kl --threads many", "sample kl --n 0", "plan --seed 3"]
)
def test_wrong_arguments_are_told_by_the_parser(call, arguments):
    code, _, told = call(*arguments.split())
    assert code == 2
    assert "Usage: " in told
    assert "Traceback" not in told


def refusing(code: int, name: str | None = None) -> Callable[..., None]:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code), name)

    return refuse


def as_safetensors_tells(*_: object, **__: object) -> None:
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


def as_copytree_tells(*_: object, **__: object) -> None:
    raise shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")])


FULL_DISKS = {
    "renaming": (os, "replace", refusing(errno.ENOSPC, "results/a")),
    "over quota": (os, "replace", refusing(errno.EDQUOT)),
    "safetensors": ("safetensors.torch", "save_file", as_safetensors_tells),
    "linking": (shutil, "copytree", as_copytree_tells),
}


NO_MEMORY = {
    "python": MemoryError(),
    "torch": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes."),
    "cuda": RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
}


@pytest.mark.parametrize("name", NO_MEMORY)
def test_no_memory_is_one_message_and_leaves_nothing_under_a_real_name(call, monkeypatch, name):
    def refuse(*_: object, **__: object) -> None:
        raise NO_MEMORY[name]

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        told = refusal(call("train", "bce.stabilised-s0"), code=3)
    assert told.startswith("error: out of memory. Run fewer jobs at once")
    assert not list(Path("results/smoke/runs").glob("bce*"))


@pytest.mark.parametrize("name", FULL_DISKS)
def test_a_full_disk_is_one_message_and_leaves_nothing_under_a_real_name(call, monkeypatch, name):
    module, function, refuse = FULL_DISKS[name]
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[module] if isinstance(module, str) else module, function, refuse)
        told = refusal(call("train", "bce.stabilised-s0"), code=3)
    assert told.startswith("error: the disk is full")
    assert not list(Path("results/smoke/runs").glob("bce*"))
    assert not list(Path("results").rglob("*.tmp"))
    code, out, _ = call("train", "bce.stabilised-s0")  # space was freed
    assert code == 0
    assert not store.damage(Path(out.split()[0]))


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_results_that_may_not_be_written_are_one_message(call, monkeypatch, code):
    monkeypatch.setattr(os, "mkdir", refusing(code, "results/.partial/x"))
    told = refusal(call("train", "bce.stabilised-s0"), code=3)
    assert told.startswith(f"error: may not write (results/.partial/x): {os.strerror(code)}")


def test_an_unforeseen_error_keeps_its_traceback(call, monkeypatch):
    monkeypatch.setattr(os, "replace", refusing(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        call("train", "bce.stabilised-s0")


def test_damaged_kept_weights_are_told_before_anything_is_trained(call, root):
    path = root / "params.yaml"
    path.write_text(edited(path.read_text(), ("weights: null", "weights: data/features/kept.safetensors")))
    assert "kept.safetensors.sha256 should state the SHA-256" in refusal(call("features", "digits"))
    kept = root / "data/features/kept.safetensors"
    kept.parent.mkdir()
    kept.with_name("kept.safetensors.sha256").write_text(f"{'ab' * 32}  kept.safetensors\n")
    assert f"{kept} is missing, expected {'ab' * 32}" in refusal(call("features", "digits"))
    kept.write_bytes(b"damaged")
    told = refusal(call("features", "digits"))
    assert f"{kept} has the SHA-256 {store.sha256(kept)}, expected {'ab' * 32}" in told
    assert f"`git checkout -- {kept}`" in told


def test_ctrl_c_while_modules_are_imported_is_one_line(with_a_run):
    """The command is stopped as early as it can be: when its own file is loaded."""
    code = "import builtins, os, signal, divergan.cli as cli\nreal = builtins.__import__\n"
    code += "def stopped(name, *rest):\n    if name == 'divergan.commands': os.kill(os.getpid(), signal.SIGINT)\n"
    code += "    return real(name, *rest)\nbuiltins.__import__ = stopped\ncli.main()"
    done = subprocess.run([sys.executable, "-c", code, "plan"], cwd=with_a_run, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "stopped: the same command goes on from what is there\n"


def test_ctrl_c_ends_the_ui_and_all_its_processes(tmp_path):
    """A server of its own stands for MLflow's, which takes half a minute to start here."""
    script = tmp_path / "server.py"
    script.write_text(
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\ntime.sleep(60)\n"
    )
    code = "import os, sys; from divergan.commands import app, asking\nfrom divergan import cli, tracking\n"
    code += f"tracking.ui_command = lambda root, port: ([sys.executable, {str(script)!r}], {{}})\ncli.main()"
    for stop in (signal.SIGINT, signal.SIGTERM):
        ui = subprocess.Popen(
            [sys.executable, "-c", code, "ui"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        child = Path("/proc", ui.stdout.readline().strip())
        assert child.exists()
        ui.send_signal(stop)
        _, err = ui.communicate(timeout=30)
        assert (ui.returncode, err) == (130, "stopped: the same command goes on from what is there\n")
        assert not child.exists() or "Z" in (child / "stat").read_text().split()[2]


def test_an_error_in_a_process_of_its_own_is_the_same(with_a_run):
    done = divergan(with_a_run, "train", "nonsense")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: params.yaml plans no train 'nonsense'")


# --- answers


def rows(output: str) -> dict[str, list[str]]:
    """verb and variant -> the words after them in the plan's table."""
    words = [line.split() for line in output.splitlines() if line.startswith("  ") and line.split()]
    return {" ".join(line[:2]): line[2:] for line in words}


def test_plan_counts_what_is_made_in_the_store_and_to_make(call, root):
    code, out, _ = call("plan")
    assert code == 0
    table = rows(out)
    assert table["data embedded"][:2] == ["1", "1"]
    assert table["train bce.stabilised"][:2] == ["2", "2"]
    assert table["train kl.stabilised"][:3] == ["2", "1", "1"]
    assert table["train bce.stabilised"][-1] == "new"
    assert "16 of 18 steps to make: about" in out

    shutil.rmtree(next((root / "results/smoke/runs").iterdir()))
    lines = call("plan", "--keys")[1].splitlines()
    assert [line.split("\t")[-1] for line in lines].count("in the store") == 1
    assert lines[0].split("\t")[0::3] == ["data", "made"]
    assert call("train", RUN)[1].strip().endswith("taken from the store")
    assert call("train", RUN)[1].strip().endswith("is there")


def test_plan_says_why_a_step_would_run_again(call, root):
    path = root / "params.yaml"
    path.write_text(edited(path.read_text(), ("batch: 32 ", "batch: 16 "), ("gamma: 0.1", "gamma: 1.0")))
    reason = next(line for line in call("plan")[1].splitlines() if "train" in line and "kl.stabilised" in line)
    assert "training.batch 32 -> 16; training.regularisers.r1.gamma 0.1 -> 1.0" in reason


def test_a_title_is_printed_as_it_is(call, root):
    path = root / "params.yaml"
    path.write_text(edited(path.read_text(), ("Smoke test: the pipeline", "Ours [/b] and [red]theirs: the pipeline")))
    code, out, _ = call("plan")
    assert code == 0
    assert "Ours [/b] and [red]theirs" in out


def test_where_prints_the_folder_of_each_key(call, root):
    code, out, _ = call("where", RUN, "embedded", f"{RUN}.prior", "real", "report")
    folders = [Path(line) for line in out.splitlines()]
    assert code == 0
    assert [folder.parent.name for folder in folders] == ["runs", "data", "samples", "evaluations", "report"]
    assert [folder.is_dir() for folder in folders] == [True, True, False, False, False]


def test_explain_tells_what_made_a_folder_and_whether_it_is_intact(call, root):
    (folder,) = (root / "results/smoke/runs").iterdir()
    code, out, _ = call("explain", str(folder))
    words = " ".join(out.split())
    assert code == 0
    assert f"train {RUN} recipe {store.read_json(folder / 'run.json')['recipe']} finished" in words
    for fact in (
        "settings.training.objective kl",
        "settings.seed 0",
        "input data embedded",
        "files intact yes",
        "cpu, 1 threads",
    ):
        assert fact in words
    with (folder / "generator.safetensors").open("ab") as file:
        file.write(b"!")
    assert "files intact NO" in " ".join(call("explain", str(folder))[1].split())


def test_tidy_says_what_it_moved(call, root):
    (folder,) = (root / "results/smoke/runs").iterdir()
    path = root / "params.yaml"
    path.write_text(edited(path.read_text(), ("batch: 32 ", "batch: 16 ")))
    assert call("tidy")[1] == f"{folder} is not in the plan: taken out (what is complete is in the store)\n"
    assert call("tidy")[1] == ""


def test_prune_shows_asks_and_removes_what_no_parameter_file_refers_to(call, root, monkeypatch):
    assert "Nothing to remove: params.yaml refer" in call("prune")[1]
    path, before = root / "params.yaml", sorted((root / "results/.store").iterdir())
    (root / "params").mkdir()
    shutil.copy(path, root / "params/other.yaml")
    path.write_text(edited(path.read_text(), ("batch: 32 ", "batch: 16 ")))
    assert "Nothing to remove" in call("prune")[1], "params/other.yaml refers to it"
    (root / "params/other.yaml").unlink()

    monkeypatch.setattr("typer.confirm", lambda question: False)
    code, out, _ = call("prune")
    assert code == 0
    assert f"train {RUN}" in out
    assert sorted((root / "results/.store").iterdir()) == before
    assert call("prune", "--yes")[0] == 0
    (left,) = (root / "results/.store").iterdir()
    assert store.read_json(left / "recipe.json")["verb"] == "data"


def test_prune_without_a_parameter_file_removes_nothing(call, root):
    (root / "params.yaml").unlink()
    assert "there is no params.yaml" in refusal(call("prune", "--yes"))
    assert len(list((root / "results/.store").iterdir())) == 2


def test_sample_draws_by_hand_the_same_for_the_same_seed(call, root):
    import numpy as np

    for name in ("a.npz", "b.npz"):
        code, out, _ = call("sample", RUN, "--n", "5", "--out", name)
        assert (code, out) == (0, f"{name}: 5 images from {RUN}\n")
    call("sample", RUN, "--n", "5", "--out", "c.npz", "--seed", "1")
    a, b, c = (np.load(root / name, allow_pickle=False)["images"] for name in ("a.npz", "b.npz", "c.npz"))
    assert (a.shape, a.dtype) == ((5, 1, 28, 28), np.uint8)
    assert (a == b).all()
    assert (a != c).any()
    assert call("sample", RUN, "--n", "9")[1] == f"{RUN}.png: 9 images from {RUN}\n"
    assert (root / f"{RUN}.png").read_bytes().startswith(b"\x89PNG")


def test_inputs_that_the_store_has_are_taken_from_it(call, root):
    shutil.rmtree(root / "results/smoke")
    code, out, _ = call("train", "bce.stabilised-s1")
    assert (code, out.split()[1]) == (0, "made")


def test_help_lists_the_verbs_in_order(call):
    out = call("--help")[1]
    verbs = ["data", "features", "train", "sample", "evaluate", "compare", "figures", "report"]
    places = [out.index(f"│ {verb} ") for verb in verbs]
    assert places == sorted(places)
    others = ["plan", "status", "show", "claims", "where", "explain", "verify", "ui", "prune", "tidy", "track"]
    for verb in (*verbs, *others):
        code, text, _ = call(verb, "--help")
        assert code == 0
        told = " ".join(text.partition("Usage: ")[2].partition("\n")[2].split())
        assert f": divergan {verb}" in told, f"{verb} has no example"
    assert "\x1b[" not in out, "nor colours in a pipe"


def test_two_studies_share_what_they_have_in_common(tmp_path, monkeypatch):
    """The same data step under another study's name is a link, not a second making."""
    monkeypatch.chdir(project(tmp_path / "project", *SMALL))
    Path("other.yaml").write_text(edited(Path("params.yaml").read_text(), ("study: smoke ", "study: other ")))
    ours, theirs = Plan(Path("params.yaml")), Plan(Path("other.yaml"))
    store.make(Path(), ours.of("data")[0], noise(ours.study.data.splits.model_dump()))
    assert store.adopt(Path(), theirs.of("data")[0])
    assert store.tidy(Path(), ours) == [], "and tidying one leaves the other alone"
    assert store.exists(Path(), theirs.of("data")[0])


# --- for machines


def test_json_is_one_document_a_command(call, root):
    (folder,) = (root / "results/smoke/runs").iterdir()

    def document(*arguments: str, code: int = 0) -> Any:
        found = call(*arguments, "--json")
        assert found[0] == code, found
        return json.loads(found[1])

    plan = document("plan", "--cores", "3")
    assert (plan["study"], plan["cores"], len(plan["steps"])) == ("smoke", 3, 18)
    assert {step["state"] for step in plan["steps"]} == {"made", "to make"}
    made = next(step for step in plan["steps"] if step["key"] == RUN and step["verb"] == "train")
    assert (made["folder"], made["why"]) == (str(folder), None)
    assert 0 < plan["seconds"] <= plan["core_seconds"]
    assert document("where", RUN, "embedded")[RUN] == str(folder)
    explained = document("explain", str(folder))
    assert (explained["recipe"]["key"], explained["run"]["verb"], explained["damaged"]) == (RUN, "train", [])
    verified = document("verify", code=1)
    assert (verified["whole"], verified["problems"], len(verified["absent"])) == (False, [], 16)
    assert {entry["name"] for entry in document("objectives")} >= {"kl", "bce"}
    assert document("status")["waiting"] == 16


def test_with_json_an_error_is_on_standard_error_alone(call):
    for arguments in (["claims"], ["where", "nonsense"], ["explain", "none"], ["plan", "--params", "none.yaml"]):
        told = call(*arguments, "--json")
        refusal(told)
        assert told[1] == ""


# --- completion


def completed(folder: Path, *words: str) -> list[str]:
    """What bash is given for the last word of a command line."""
    own = {"_DIVERGAN_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(("divergan", *words))}
    own["COMP_CWORD"] = str(len(words))
    code = "import sys; sys.argv[0] = 'divergan'; from divergan.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment(**own), capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("train", "kl"), ["kl.stabilised-s0", "kl.stabilised-s1"]),
        (("show", "bce.stabilised-s"), ["bce.stabilised-s0", "bce.stabilised-s1"]),
        (("where", "re"), ["real", "report"]),
        (("sample", "kl.stabilised-s0"), ["kl.stabilised-s0", "kl.stabilised-s0.prior"]),
        (("check", "jensen_shannon_"), ["jensen_shannon_as_published"]),
        (("train", "--params", "par"), ["params.yaml"]),
        (("train", "--params", "none.yaml", "kl"), []),
        (("sta",), ["status"]),
    ],
)
def test_a_shell_completes(with_a_run, words, found):
    assert sorted(completed(with_a_run, *words)) == sorted(found)
