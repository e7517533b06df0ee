"""What benchmarks share: rounds that alternate between the candidates, medians, and ratios with their range."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from rich.progress import track

from divergan import provenance

ROOT = Path(__file__).parents[1]
Measured = TypeVar("Measured")


def interleaved(candidates: Mapping[str, Callable[[], Measured]], rounds: int, what: str) -> dict[str, list[Measured]]:
    """`rounds` measurements of each candidate, in turn, so that all meet the same load of the machine."""
    found: dict[str, list[Measured]] = {name: [] for name in candidates}
    for _ in track(range(rounds), what, transient=True):
        for name, measure in candidates.items():
            found[name].append(measure())
    return found


def ratio(slower: list[float], faster: list[float]) -> dict[str, float]:
    """Median, least and largest over rounds of slower / faster."""
    ratios = sorted(a / b for a, b in zip(slower, faster, strict=True))
    return {"ratio": statistics.median(ratios), "low": ratios[0], "high": ratios[-1]}


def printed(of: Mapping[str, float]) -> str:
    return f"{of['ratio']:.2f} ({of['low']:.2f} to {of['high']:.2f})"


def write(out: Path, device: str, rounds: int, **facts: object) -> None:
    told = {**facts, "rounds": rounds, "environment": provenance.environment(ROOT, device, 0)}
    out.write_text(json.dumps(told, indent=1) + "\n")
