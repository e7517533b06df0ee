"""The fenced blocks of README.md and docs/, and a clone in which they are followed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from checkout import BIN, ROOT
from divergan.params import Study, merged, read
from divergan.strict_yaml import load, plain

DOCS = ROOT / "docs"
TUTORIAL = sorted((DOCS / "tutorial").glob("*.md"))
OTHERS = [*sorted((DOCS / "how-to").glob("*.md")), *sorted((DOCS / "explanation").glob("*.md"))]
OTHERS += [ROOT / "README.md", DOCS / "index.md", DOCS / "cluster.md"]
KINDS = ("bash", "python", "yaml", "diff", "text")

NOT_RUN = re.compile(r"<!-- not run: (.+?) -->", re.DOTALL)
NOTHING_RUN = re.compile(r"<!-- not run on this page: (.+?) -->", re.DOTALL)
EXIT_CODE = re.compile(r"<!-- exit code: (\d+) -->")
SAVED = re.compile(r"Save this(?: one)? as\s+`([^`]+)`[^`]*:$")


@dataclass(frozen=True)
class Block:
    """`told` is what stands directly before it: a paragraph, or a comment that a reader of the page does not see."""

    page: Path
    line: int
    kind: str
    text: str
    told: str
    nothing_run: str  # why no block of the page is run

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def not_run(self) -> str:
        """Why it is not run, empty where it is."""
        marked = NOT_RUN.search(self.told)
        return " ".join((marked[1] if marked else self.nothing_run).split())

    @property
    def exit_code(self) -> int:
        marked = EXIT_CODE.search(self.told)
        return int(marked[1]) if marked else 0

    @property
    def saved_as(self) -> str:
        """The file that a reader is told to make of it, empty where there is none."""
        marked = SAVED.search(self.told)
        return marked[1] if marked else ""


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    nothing_run, told = NOTHING_RUN.search(text), ""
    for token in MarkdownIt().enable("table").parse(text):
        if token.type in ("inline", "html_block"):
            told = token.content.strip()
        elif token.type == "fence":
            line = (token.map or [0])[0] + 1
            yield Block(page, line, token.info, token.content, told, nothing_run[1] if nothing_run else "")
            told = ""


class Clone:
    """A clone of the project, with what is not committed yet, in which a reader types what a page says."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.output = ""  # of the last command
        git = ["git", "-C", str(ROOT)]
        subprocess.run(["git", "clone", "--quiet", "--local", str(ROOT), str(folder)], check=True)
        for listed in (["diff", "--name-only", "HEAD"], ["ls-files", "--others", "--exclude-standard"]):
            for name in subprocess.run([*git, *listed], capture_output=True, text=True, check=True).stdout.splitlines():
                if (ROOT / name).is_file():
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(ROOT / name, folder / name)

    def follow(self, page: Path) -> None:
        for block in blocks(page):
            if block.not_run:
                self.output = ""
            else:
                self.do(block)

    def do(self, block: Block) -> None:
        if block.saved_as:
            (self.folder / block.saved_as).write_text(block.text, "utf-8")
        elif block.kind == "yaml":
            valid(block, self.folder)
        elif block.kind == "text":
            assert self.output, f"{block.name}: what is it the output of?"
            missing = [line for line in filter(None, block.text.splitlines()) if not said(line, self.output)]
            assert not missing, f"{block.name}: nothing says {missing} in\n{self.output}"
        elif block.kind == "diff":
            self.run(block, "git", "apply", "-")
        else:
            self.run(block, *{"bash": ("bash", "-euo", "pipefail", "-s"), "python": ("python", "-")}[block.kind])

    def run(self, block: Block, *command: str) -> None:
        own = {"PYTHONPATH": str(self.folder / "src"), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
               "OMP_NUM_THREADS": "1", "DIVERGAN_TRACKING": "off"}  # fmt: skip
        done = subprocess.run(
            command, cwd=self.folder, env={**os.environ, **own}, input=block.text, text=True, timeout=600,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == block.exit_code, f"{block.name}: exit code {done.returncode}\n{done.stdout}"
        self.output = done.stdout


def said(line: str, output: str) -> bool:
    """Whether a line of the output holds this one, in which … stands for anything and spaces are alike."""
    pattern = re.compile(".*".join(re.escape(" ".join(part.split())) for part in line.split("…")))
    return any(pattern.search(" ".join(told.split())) for told in output.splitlines())


def valid(block: Block, folder: Path) -> None:
    """Raise where a fragment of a parameter file fits nowhere: sections of a study, or variants of an arm."""
    from ruamel.yaml import YAML

    fragment: dict[str, Any] = plain(YAML(typ="rt").load(block.text))
    if set(fragment) <= set(Study.model_fields):
        document = merged(plain(load(folder / "params/smoke.yaml")), fragment)
    else:
        document = merged(plain(load(folder / "params/demo.yaml")), {"arms": {"stabilised": {"variants": fragment}}})
    path = folder / "params/fragment.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(document, file)
    here = Path.cwd()
    os.chdir(folder)
    try:
        read(Path("params/fragment.yaml"))
    finally:
        os.chdir(here)
        path.unlink()
