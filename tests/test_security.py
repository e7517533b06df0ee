"""What SECURITY.md promises: nothing unpickled, nothing written outside, nobody let in, nobody told."""

from __future__ import annotations

import ast
import configparser
import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from divergan import params, store, tracking
from divergan.errors import DivergaNError
from divergan.plan import Plan
from tiny_study import ROOT, divergan, environment, project
from tiny_training import noise

# --- what can run code that is not ours

# Calls, imports and bases that can; a file of ours has one where it says here why that is safe.
CAN_RUN = {
    *("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle", "imp"),
    *("__import__", "exec_module", "system", "popen", "getoutput", "read_pickle", "read_hdf"),
    *("torch.load", "hub.load", "np.load", "numpy.load", "Unpickler", "FeatureExtractorInceptionV3"),
    *("unpack_archive", "extractall", "unsafe_load", "full_load", "YAML(typ='unsafe')"),
}
BUILTINS = {"eval", "exec", "compile"}  # by the bare name alone: networks have an eval() and re a compile()
OPTIONS = {"allow_pickle", "shell"}  # where they are True
SAFE = {
    ("data/pickled.py", "pickle"): "its Unpickler admits three globals, those of an array",
    ("data/pickled.py", "Unpickler"): "the class itself; fetching compares the SHA-256 first",
    (
        "features/inception.py",
        "torch.load",
    ): "weights_only=True, after the SHA-256, before torch-fidelity reads it",
    ("features/inception.py", "FeatureExtractorInceptionV3"): "reads what the restricted reader has just accepted",
    ("objectives/definitions.py", "eval"): "formulas in our own declarations, without builtins",
    ("objectives/checking.py", "exec_module"): "`divergan check FILE.py` is asked to run that file",
}


def dangers(tree: ast.AST) -> Iterator[str]:
    """The names of CAN_RUN that a file imports, calls, inherits from or passes as an option."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = [(node.module or "").split(".")[0]] if isinstance(node, ast.ImportFrom) else []
            yield from CAN_RUN & {*module, *(alias.name.split(".")[0] for alias in node.names)}
        if isinstance(node, ast.Call):
            whole = ast.unparse(node.func)
            last_two = ".".join(whole.split(".")[-2:])
            yield from CAN_RUN & {whole, last_two, whole.split(".")[-1], ast.unparse(node)}
            yield from BUILTINS & {whole}
            yield from OPTIONS & {own.arg for own in node.keywords if ast.unparse(own.value) == "True"}
        if isinstance(node, ast.ClassDef):
            yield from CAN_RUN & {ast.unparse(base).split(".")[-1] for base in node.bases}


def test_nothing_can_run_what_was_read_but_where_it_is_said_why():
    sources = ROOT / "src/divergan"
    found = {
        (path.relative_to(sources).as_posix(), name)
        for path in sources.rglob("*.py")
        for name in dangers(ast.parse(path.read_text("utf-8")))
    }
    assert found == set(SAFE)


@pytest.mark.parametrize(
    "line",
    ["import pickle", "from joblib import load", "torch.load(p)", "np.load(p, allow_pickle=True)", "pd.read_pickle(p)",
     "os.system('x')", "subprocess.run('x', shell=True)", "shutil.unpack_archive(p)", "zipfile.ZipFile(p).extractall()",
     "class Own(pickle.Unpickler): pass", "eval(x)", "YAML(typ='unsafe')"],
)  # fmt: skip
def test_what_the_sources_are_searched_for_is_found(line):
    assert list(dangers(ast.parse(line)))


# --- nothing outside the project's folder


def test_a_forged_recipe_in_a_run_json_moves_and_removes_nothing_outside(tmp_path, monkeypatch):
    monkeypatch.chdir(project(tmp_path / "project"))
    plan = Plan(Path("params.yaml"))
    store.make(Path(), plan.of("data")[0], noise(plan.study.data.splits.model_dump()))
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "thesis.txt").write_text("years")
    for recipe in (f"../../../{victim.name}", str(victim), "..", "", 7, ["x"]):
        forged = Path("results/smoke/runs/forged-00000000")
        forged.mkdir(parents=True)
        store.write_json(forged / "run.json", {"recipe": recipe, "files": {}})
        assert store.tidy(Path(), plan) == [forged]
        assert (victim / "thesis.txt").read_text() == "years"
        assert store.exists(Path(), plan.of("data")[0])
        assert [path.name for path in Path("results/.store").iterdir()] == [plan.of("data")[0].hash]


@pytest.mark.parametrize("path", ["../out.safetensors", "/tmp/out.safetensors", "linked/out.safetensors", r"..\out"])
def test_kept_weights_and_like_stay_in_the_project(tmp_path, monkeypatch, path):
    monkeypatch.chdir(project(tmp_path / "project", ("weights: null", f"weights: {path}")))
    Path("linked").symlink_to(tmp_path)
    with pytest.raises(DivergaNError, match=r"line 17: features\.weights: .*inside the project's folder"):
        params.read(Path("params.yaml"))
    Path("params.yaml").write_text(f"like: {{study: {path}, arm: x}}\n")
    with pytest.raises(DivergaNError, match=r"line 1: like\.study = .*inside the project's folder"):
        params.read(Path("params.yaml"))


def test_inception_weights_are_a_persons_own_wherever_they_lie(tmp_path, monkeypatch):
    own = ("name: digits ", "name: inception "), ("weights: null", "weights: /mnt/x.pth")
    monkeypatch.chdir(project(tmp_path / "project", *own))
    assert params.read(Path("params.yaml")).features.weights == "/mnt/x.pth"


# --- nobody let in, nobody told


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening(process: psutil.Process) -> dict[str, int]:
    """The addresses at which a process and its children listen, with the port."""
    found = {}
    for own in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):  # a child that has just ended
            listens = (c for c in own.net_connections("inet") if c.status == psutil.CONN_LISTEN)
            found |= {connection.laddr.ip: connection.laddr.port for connection in listens}
    return found


def test_the_ui_listens_on_this_machine_alone_and_keeps_the_password_to_itself(tmp_path):
    port, database = free_port(), f"sqlite:///{tmp_path}/mlflow.db?password=s3cret"
    command = [sys.executable, "-c", "from divergan.cli import main; main()", "ui", "--port", str(port)]
    started = psutil.Popen(
        command, cwd=project(tmp_path / "project"), env=environment(MLFLOW_TRACKING_URI=database),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        end = time.monotonic() + 120
        while not (found := listening(started)):
            assert started.poll() is None and time.monotonic() < end, "the server does not start"
            time.sleep(0.2)
        servers = [child for child in started.children(recursive=True) if "mlflow" in " ".join(child.cmdline())]
        assert found == {"127.0.0.1": port}
        assert servers
        for server in servers:
            assert "s3cret" not in " ".join(server.cmdline())
            assert server.environ()["MLFLOW_DISABLE_TELEMETRY"] == server.environ()["DO_NOT_TRACK"] == "true"
    finally:
        for process in [*started.children(recursive=True), started]:
            process.kill()


def test_mlflow_tells_nobody_of_what_we_start():
    code = "from divergan import tracking; tracking.import_mlflow()\n"
    code += "from mlflow.telemetry.utils import is_telemetry_disabled as off; print(off())"
    deciding = ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "CI", "PYTEST_CURRENT_TEST")
    without = {name: value for name, value in os.environ.items() if name not in deciding}
    done = subprocess.run([sys.executable, "-c", code], env=without, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_dvc_tells_nobody_and_asks_for_no_newer_version():
    config = configparser.ConfigParser()
    config.read_string("\n".join(line.strip() for line in (ROOT / ".dvc/config").read_text().splitlines()))
    assert config["core"]["analytics"] == config["core"]["check_update"] == "false"


@pytest.mark.parametrize(
    "uri",
    [
        "http://me:s3cret@127.0.0.1:1",
        "postgresql://me:s3cret@127.0.0.1:1/runs",
        "mysql://127.0.0.1:1/x?password=s3cret",
    ],
)
def test_a_password_in_the_address_of_the_runs_is_shown_nowhere(tmp_path, monkeypatch, capfd, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("DIVERGAN_TRACKING", "on")
    run = {"experiment": "e", "name": "n", "recipe": "r", "kind": "train", "params": {}, "tags": {}}
    study = tracking.Study(name="e", title="", question="", recipes=frozenset(), comparison="")
    with pytest.raises(DivergaNError, match="cannot be tracked in") as caught:
        tracking.record(tmp_path, study, [(run, dict)])
    with tracking.run(tmp_path, **run):
        pass
    told = capfd.readouterr()
    assert "warning: tracking stops" in told.err
    assert "s3cret" not in str(caught.value) + told.out + told.err


def test_a_password_stands_in_no_result(tmp_path):
    root = project(tmp_path / "project")
    uri = f"sqlite:///{tmp_path}/runs.db?password=s3cret"
    done = divergan(root, "data", "embedded", MLFLOW_TRACKING_URI=uri, MLFLOW_TRACKING_TOKEN="s3cret")
    assert done.returncode == 0, done.stderr
    texts = [path.read_bytes() for path in root.rglob("*") if path.is_file()]
    assert len(texts) > 4
    assert not any(b"s3cret" in text for text in texts)


def test_addresses_are_told_without_their_secrets():
    for uri, shown in {
        "http://me:pw@host:5000/x": "http://***@host:5000/x",
        "mysql+x://me:p%40w@h/db?a=1&ssl_password=pw": "mysql+x://***@h/db?a=1&ssl_password=***",
        "sqlite:////tmp/runs.db": "sqlite:////tmp/runs.db",
        "https://host/?access_token=pw": "https://host/?access_token=***",
    }.items():
        assert tracking.without_secrets(uri) == shown


# --- the audit of the lock


def audit():
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci/audit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LOOKED_UP = {"name": "a", "version": "1", "vulns": []}
FAULTY = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"], "aliases": []}]}
SKIPPED = {"name": "c", "skip_reason": "Dependency not found on PyPI and could not be audited: c (3)"}


@pytest.mark.parametrize(
    ("packages", "code", "told"),
    [
        ([LOOKED_UP], 0, "1 packages, no known vulnerability"),
        ([LOOKED_UP, FAULTY], 1, "b 2: PYSEC-1, fixed in 3"),
        ([LOOKED_UP, SKIPPED], 3, "not audited: no advisories can be had for 1 of 2 packages (c)"),
        ([FAULTY, SKIPPED], 1, "not audited"),
        ([], 3, "not audited"),
    ],
)
def test_what_was_not_looked_up_was_not_audited(packages, code, told):
    found = audit().judged(json.dumps({"dependencies": packages, "fixes": []}))
    assert found[0] == code
    assert told in found[1]


@pytest.mark.parametrize("output", ["", "Traceback", "[]", "null"])
def test_an_audit_that_failed_is_none(output):
    assert audit().judged(output) == (3, "not audited: no network, or pip-audit failed")
