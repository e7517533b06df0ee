"""README.md and docs/: every fenced block is followed in a clone, what they list is there."""

from __future__ import annotations

import csv
import fnmatch
import re
import subprocess

import pytest

from checkout import ROOT
from documented import DOCS, KINDS, OTHERS, TUTORIAL, Clone, blocks, said

pytestmark = pytest.mark.xdist_group("docs")
ALL = [block for page in (*TUTORIAL, *OTHERS) for block in blocks(page)]


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Clone:
    """A clone in which a newcomer has followed the whole tutorial, page by page."""
    clone = Clone(tmp_path_factory.mktemp("docs") / "divergan")
    for page in TUTORIAL:
        clone.follow(page)
    return clone


def test_the_tutorial_can_be_followed(reader):
    assert (reader.folder / "reports/first/report.pdf").read_bytes().startswith(b"%PDF")
    rows = csv.DictReader((reader.folder / "reports/first/tables/runs.csv").open())
    assert {row["objective"] for row in rows} == {"bce", "kl", "cubic"}
    assert (reader.folder / "pen.png").is_file()


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_can_be_followed_after_the_tutorial(page, reader):
    reader.follow(page)


@pytest.mark.parametrize("block", [b for b in ALL if b.not_run and b.kind != "text"], ids=lambda block: block.name)
def test_blocks_that_are_not_run(block):
    pytest.skip(block.not_run)


def test_most_blocks_are_run_and_each_is_of_a_kind():
    assert not [block.name for block in ALL if block.kind not in KINDS]
    own = [block for block in ALL if block.page.name != "cluster.md" and block.kind in ("bash", "python")]
    assert sum(bool(block.not_run) for block in own) < len(own) / 3


def test_the_files_page_names_what_a_study_makes(reader):
    page = (DOCS / "reference/files.md").read_text("utf-8")
    named = set(re.findall(r"`([^`]+)`", page)) | set(re.findall(r"[a-z_0-9.]+", page))
    for table in (reader.folder / "reports/first/tables").glob("*.csv"):
        columns = next(csv.reader(table.open()), [])
        assert {table.stem, *columns} - named == set(), table.name
    for folder in (reader.folder / "results/first").iterdir():
        (row,) = re.findall(rf"^\| `\w+` \| `{folder.name}/` \| (.*) \|$", page, re.MULTILINE)
        told = [re.sub("…|<[a-z]+>", "*", name) for name in re.findall(r"`([^`]+)`", row)]
        made = {path.name for path in next(folder.iterdir()).iterdir() if path.is_file()} - {"recipe.json", "run.json"}
        if folder.name not in ("figures", "comparison"):  # named one by one, or by their tables
            assert not [
                name for name in made if not any(fnmatch.fnmatch(name, each) for each in [*told, "timing.json"])
            ]


def test_the_readmes_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text("utf-8"))
    assert len(links) > 30
    assert not [link for link in links if not (ROOT / link).is_file()]


def tree() -> str:
    return (ROOT / "README.md").read_text("utf-8").split("## The tree")[1].split("```")[1]


def tracked() -> list[str]:
    listed = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    return subprocess.run(listed, capture_output=True, text=True, check=True).stdout.splitlines()


def test_what_the_readmes_tree_names_is_there():
    files = [f"/{name}" for name in tracked()]
    named = re.findall(r"[\w.*-]+/(?:[\w.*-]+/?)*|[\w*-]+\.(?:py|md|yaml|toml|yml|csv|lock|typ)\b", tree())
    made = ("results/", "reports/")
    assert len(named) > 70
    assert not [each for each in named if each not in made and not fnmatch.filter(files, f"*/{each.rstrip('/')}*")]


def test_the_readmes_tree_names_every_part():
    words = set(re.findall(r"[\w.*-]+", tree()))
    top = {name.split("/")[0] for name in tracked() if not name.startswith((".git", ".dvc"))}
    package = {name.split("/")[2] for name in tracked() if name.startswith("src/divergan/")}
    known = {"LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md", "__init__.py"}  # by their names
    assert not [
        part for part in top | package if part not in known and not any(fnmatch.fnmatch(part, w) for w in words)
    ]


def test_an_output_is_compared_line_by_line():
    output = "train    kl.mine   2\n9 of 18 steps to make: about 40 s of one core's time"
    assert said("train … kl.mine … 2", output)
    assert said("9 of 18 steps to make: about …", output)
    assert not said("8 of 18 steps to make: about …", output)
    assert not said("train … bce.mine", output)
