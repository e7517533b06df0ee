"""Sources as a page names them: "Nowozin et al. 2016, Table 1"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from divergan.report.wording import BIBLIOGRAPHY


def source_text(source: Mapping[str, str | None]) -> str:
    """A declaration's source (report.wording.source) by authors and year, then the place in it."""
    authors = _authors().get(source["key"] or "", source["key"])
    return ", ".join(part for part in (authors, source["place"]) if part)


@cache
def _authors() -> dict[str, str]:
    """key -> "Goodfellow et al. 2014" of each entry of the bibliography."""
    entries = re.split(r"^@\w+\{", BIBLIOGRAPHY.read_text("utf-8"), flags=re.MULTILINE)[1:]
    return {entry.partition(",")[0]: f"{_names(_field(entry, 'author'))} {_field(entry, 'year')}" for entry in entries}


def _field(entry: str, name: str) -> str:
    found = re.search(rf"^\s*{name}\s*=\s*\{{(.*)\}},?$", entry, re.MULTILINE)
    return re.sub(r"[{}]", "", found[1]) if found else ""


def _names(authors: str) -> str:
    surnames = [author.partition(",")[0].strip() for author in authors.split(" and ")]
    return f"{surnames[0]} et al." if len(surnames) > 2 else " and ".join(surnames)
