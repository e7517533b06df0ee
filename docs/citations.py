"""The `source` fields of declarations, as links into one list of references."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path

import divergan.report

BIBLIOGRAPHY = Path(divergan.report.__file__).with_name("references.bib")
ENTRY = re.compile(r"^@\w+\{([\w-]+),\n(.*?)^\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"^\s*(\w+) = \{(.*)\},?$", re.MULTILINE)


@cache
def entries() -> dict[str, dict[str, str]]:
    """Key -> fields, of the report's bibliography."""
    text = BIBLIOGRAPHY.read_text("utf-8")
    return {key: {name: plain(value) for name, value in FIELD.findall(body)} for key, body in ENTRY.findall(text)}


def plain(value: str) -> str:
    """Without TeX's accents and braces."""
    value = re.sub(r"""\\(["'])\{?([a-zA-Z])\}?""", lambda found: accented(found[2], found[1]), value)
    return value.replace("\\o", "ø").replace("{", "").replace("}", "").replace("--", "–").replace("\\&", "&")


def accented(letter: str, accent: str) -> str:
    return unicodedata.normalize("NFC", letter + {'"': "\u0308", "'": "\u0301"}[accent])


def cited(source: str) -> str:
    """Every key in a `source` as a link that reads like "Nowozin et al. 2016"."""
    return re.sub(r"[\w-]+", lambda word: link(word[0]), source)


def link(word: str) -> str:
    return f"[{short(entries()[word])}](#{word})" if word in entries() else word


def short(entry: dict[str, str]) -> str:
    names = [name.split(",")[0] for name in entry["author"].split(" and ")]
    who = names[0] if len(names) == 1 else f"{names[0]} and {names[1]}" if len(names) == 2 else f"{names[0]} et al."
    return f"{who} {entry.get('year', '')}".strip()


def reference_list() -> str:
    """All of them, each with the target that `cited` links to."""
    ordered = sorted(entries().items(), key=lambda item: short(item[1]))
    return "\n".join(f"({key})=\n{full(entry)}\n" for key, entry in ordered)


PLACES = ("booktitle", "journal", "howpublished", "institution", "note")


def full(entry: dict[str, str]) -> str:
    where = next((entry[name] for name in PLACES if name in entry), "unpublished")
    more = f", {entry['url']}" if "url" in entry else ""
    return f"**{short(entry)}.** {entry['author'].replace(' and ', '; ')}. *{entry['title']}*. {where}{more}."
