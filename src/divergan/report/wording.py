"""Numbers, intervals and sources as the report prints them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from math import floor, isfinite, log10
from pathlib import Path
from typing import Any

import pandas as pd

Tables = Mapping[str, pd.DataFrame]  # by name

BIBLIOGRAPHY = Path(__file__).with_name("references.bib")


NONE, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
SUPERSCRIPT = str.maketrans("-0123456789", "\N{SUPERSCRIPT MINUS}⁰¹²³⁴⁵⁶⁷⁸⁹")


def text(value: float | None, like: float | None = None) -> str:
    """A number with three significant digits, or with the decimals that `like` would have; NONE where there is none."""
    if value is None or not isfinite(value):
        return NONE
    scale = value if like is None or not isfinite(like) else like
    magnitude = floor(log10(abs(scale))) if scale else 0
    if magnitude < -4 and value:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa} · 10{str(int(exponent)).translate(SUPERSCRIPT)}".replace("-", MINUS)
    return f"{value:.{max(0, 2 - magnitude)}f}".replace("-", MINUS)


def cell(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A mean with its interval, which has the decimals of the mean."""
    mean = row["mean"]
    return {"mean": text(mean), "low": text(row["low"], mean), "high": text(row["high"], mean), "n": int(row["n"])}


def ranged(row: Mapping[Any, Any], name: str) -> dict[str, str]:
    """A mean with its interval, which has the decimals of the mean."""
    low, high = (text(row[f"{name}_{end}"], row[name]) for end in ("low", "high"))
    return {"mean": text(row[name]), "low": NONE if low == high else low, "high": NONE if low == high else high}


def source(declared: str) -> dict[str, str | None]:
    """A declaration's source, "key, place", for Typst's `cite`; `key` is None where the bibliography has none such."""
    key, _, place = declared.partition(", ")
    return {"key": key, "place": place} if key in _bibliography() else {"key": None, "place": declared}


@cache
def _bibliography() -> frozenset[str]:
    return frozenset(re.findall(r"^@\w+\{(\w+),", BIBLIOGRAPHY.read_text(encoding="utf-8"), re.MULTILINE))
