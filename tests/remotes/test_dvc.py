"""A study pushed to a folder or an S3 endpoint, and pulled by a fresh clone, whole or in part. `make remotes`."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkout import PARAMS, ROOT, Project, copied
from local_servers import s3

pytestmark = [pytest.mark.remotes, pytest.mark.xdist_group("dvc")]

BUCKET = "divergan"
SECRET = "never-in-a-file"


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=test", "-c", "user.email=test@test.invalid")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> Project:
    """The smoke study as a repository of its own, made and committed by git and DVC."""
    project = copied(ROOT, tmp_path_factory.mktemp("origin") / "origin", ".gitignore")
    (project.folder / ".dvc").mkdir()
    for name in (".dvc/config", ".dvc/.gitignore"):
        shutil.copy2(ROOT / name, project.folder / name)
    (project.folder / "params.yaml").write_text((ROOT / PARAMS).read_text())
    git(project.folder, "init", "-q", "-b", "main")
    project.run("dvc", "repro")
    git(project.folder, "add", ".")
    git(project.folder, "commit", "-q", "-m", "smoke")
    return project


@pytest.fixture
def folder(tmp_path) -> Iterator[list[tuple[str, ...]]]:
    """How a person tells DVC of the remote, command by command."""
    yield [("remote", "add", "--default", "shelf", str(tmp_path / "remote"))]


@pytest.fixture
def bucket(tmp_path, monkeypatch) -> Iterator[list[tuple[str, ...]]]:
    import boto3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with s3(tmp_path) as endpoint:
        boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=BUCKET)
        yield [
            ("remote", "add", "--default", "shelf", f"s3://{BUCKET}/smoke"),
            ("remote", "modify", "shelf", "endpointurl", endpoint),
        ]


@pytest.mark.parametrize("remote", ["folder", "bucket"])
def test_a_fresh_clone_pulls_in_part_then_all_and_has_nothing_to_do(remote, origin, tmp_path, request):
    commands = request.getfixturevalue(remote)
    (origin.folder / ".dvc/config.local").unlink(missing_ok=True)
    for command in commands:
        origin.run("dvc", *command, "--local")
    print("\n", origin.run("dvc", "push").strip().splitlines()[-1])
    clone = Project(tmp_path / "clone")
    git(tmp_path, "clone", "-q", str(origin.folder), str(clone.folder))
    for command in commands:
        clone.run("dvc", *command, "--local")

    metrics = "reports/smoke/metrics.json"
    clone.run("dvc", "pull", metrics)
    assert files(clone) == {metrics: files(origin)[metrics]}
    assert "kl.stabilised.fid" in clone.run("dvc", "metrics", "show")

    variant = clone.run("divergan", "where", "kl.stabilised-s0", "kl.stabilised-s1").split()
    clone.run("dvc", "pull", *variant)
    assert len(variant) == 2
    assert set(files(clone)) == {name for name in files(origin) if name == metrics or name.startswith(tuple(variant))}

    print(clone.run("dvc", "pull").strip().splitlines()[-1])
    assert files(clone) == files(origin)
    assert "Nothing to be done" in clone.run("snakemake", "--cores", "2")
    assert "up to date" in clone.run("dvc", "status")
    assert not [path for path in (origin.folder / ".dvc").glob("config*") if SECRET in path.read_text()]


def files(project: Project) -> dict[str, str]:
    """File of the study's results and reports -> its SHA-256."""
    kept = [path for name in ("results/smoke", "reports/smoke") for path in (project.folder / name).rglob("*")]
    return {
        str(path.relative_to(project.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(kept)
        if path.is_file() and path.name not in (".gitignore", ".snakemake_timestamp")
    }
