"""Parameter files written in many ways, and spoilt in many: for the property tests of test_fuzz.py."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from divergan.strict_yaml import load, plain
from tiny_study import ROOT, SAMPLERS, SMOKE

SHOWN_IN_ORDER = {"arms", "variants", "samplers", "weights", "targets"}  # whose keys' order is that of tables and pages
SEED = st.integers(0, 2**32)


def document(path: Path) -> dict[str, Any]:
    return plain(load(path))


STUDY = document(ROOT / "params/smoke.yaml")
FILES = {"params.yaml": SMOKE, "params/smoke.yaml": SMOKE, "samplers.yaml": SAMPLERS,
         "theory.yaml": (ROOT / "params/theory.yaml").read_text("utf-8")}  # fmt: skip
DOCUMENTS = [STUDY, document(ROOT / "params/smoke_samplers.yaml"), document(ROOT / "params/theory.yaml")]
NAMES_AND_TEXT = {"study", "title", "question", "label", "name", "objective", "device", "images", "generator_loss"}


# --- one meaning, written in many ways


def written(value: Any, rng: random.Random, reorder: bool = True, level: int = 0, flow: bool = False) -> str:
    """`value` as YAML, in a form that `rng` chooses: order, block or flow, quotes, kinds of numbers, comments."""
    if isinstance(value, dict) and value:
        pairs = list(value.items())
        if reorder:
            rng.shuffle(pairs)
        flow = flow or (level > 0 and rng.random() < 0.5)
        parts = [f"{text(key, rng)}: {written(own, rng, may_shuffle(key), level + 1, flow)}" for key, own in pairs]
        if flow:
            return "{" + ", ".join(parts) + "}"
        return "".join(f"\n{'  ' * level}{part}{rng.choice(('', '  # a comment', '', ''))}" for part in parts)
    if isinstance(value, list):
        return "[" + ", ".join(written(item, rng, True, level + 1, True) for item in value) + "]"
    return scalar(value, rng)


def may_shuffle(key: str) -> bool:
    return key not in SHOWN_IN_ORDER


def scalar(value: Any, rng: random.Random) -> str:
    if value is None:
        return rng.choice(("null", "~", "Null"))
    if isinstance(value, bool):
        return rng.choice(("true", "True")) if value else rng.choice(("false", "False"))
    if isinstance(value, float):
        ways = [repr(value), f"{value:.17e}", f"{value:+.17g}"]
        return rng.choice([*ways, str(int(value))] if value.is_integer() else ways)
    if isinstance(value, int):
        return rng.choice((str(value), f"0x{value:x}", f"0o{value:o}", f"+{value}"))
    return text(value, rng)


def text(value: str, rng: random.Random) -> str:
    bare = [value] if value.replace("_", "").isalpha() and value not in ("null", "true", "false") else []
    return rng.choice([*bare, json.dumps(value), "'" + value.replace("'", "''") + "'"])


def with_defaults(document: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """The same study with some defaults stated, and some that are stated left out."""
    changed = json.loads(json.dumps(document))
    for key, place, default in (
        *(("conditional", place, False) for place in trainings(changed)),
        *(("precision", place, "float32") for place in trainings(changed)),
        ("others", changed["features"], []),
        ("weights", changed["features"], None),
        ("reference", changed["evaluation"], "evaluation"),
        ("reweighting", changed, None),
    ):
        if key not in place or place[key] == default:
            place.pop(key, None)
            if rng.random() < 0.5:
                place[key] = default
    return changed


def trainings(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield document["training"]
    for arm in document["arms"].values():
        yield from arm["variants"].values()


# --- another meaning


def leaves(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    for key, own in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if isinstance(own, dict | list):
            yield from leaves(own, (*place, key))
        else:
            yield (*place, key), own


def replaced(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy of the document with another value at a place."""
    copy = json.loads(json.dumps(document))
    inner = copy
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return copy


def nudged(value: float, rng: random.Random) -> float:
    """Another number of the same kind, near enough to be accepted mostly."""
    if isinstance(value, int):
        return max(0, value + rng.choice((-2, -1, 1, 2)))
    return rng.choice((math.nextafter(value, 1), value * 1.5, value / 2))


# --- no meaning at all

JUNK: list[Any] = [
    *(None, True, 0, -1, 1, 2**31, 2**63, 2**64, 10**30, 0.0, -0.0, 1e-320, 1e308, math.nan, math.inf, -math.inf, ""),
    *(" ", ".", "..", "../x", "/", "a/b", "\\", "con", "~", "null", "kl", "bce", "gan", "alpha(0.5)", "alpha(nan)"),
    *("alpha(1e400)", "alpha(0)", "skewed(", "mlp", "identity", "digits", "inception", "é", "ﬁ", "\u202e", "\x00"),
    *("\ud800", "a" * 10_000, [], [[]], [None], [0], ["kl"], {}, {"": 0}, {"kl": None}, {"objective": "kl"}),
]
FRAGMENTS = [
    *("&a ", "*a", "<<: *a", "<<: ", "!!python/name:os.system ", "!x ", "[", "]", "{", "}", "- ", "? ", ": ", "|", ">"),
    *(
        "%YAML 1.1\n",
        "---\n",
        "...\n",
        "\t",
        "\n",
        "#",
        "'",
        '"',
        ".nan",
        "1e999",
        "0x",
        "0o8",
        "1_0",
        "12:30",
        "=",
        "@",
    ),
    *("\ufeff", "\x00", "\x85", "\u2028", "🎲", "null: 1\n", "1: 2\n", "2020-13-45", "2020-01-01T00:00:00+99:99", "~"),
]
SPOILT_TEXT = st.tuples(st.sampled_from(sorted(FILES)), SEED)


def spoilt_text(file: str, seed: int) -> bytes:
    """A valid file with one to four bytes, lines or fragments changed."""
    rng = random.Random(seed)
    content = FILES[file].encode()
    for _ in range(rng.randint(1, 4)):
        content = rng.choice(SPOILERS)(content, rng)
    return content


def _cut(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start + rng.choice((1, 5, 50, len(content))) :]


def _flip(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(max(1, len(content)))
    return content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :]


def _insert(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice(FRAGMENTS).encode() * rng.choice((1, 1, 1, 30)) + content[place:]


def _swap_lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return b"\n".join(lines)


def _move_text(content: bytes, rng: random.Random) -> bytes:
    start, place = rng.randrange(len(content) + 1), rng.randrange(len(content) + 1)
    return content[:place] + content[start : start + rng.choice((3, 20, 200))] + content[place:]


SPOILERS: list[Callable[[bytes, random.Random], bytes]] = [_cut, _flip, _insert, _insert, _swap_lines, _move_text]


def spoilt_document(seed: int) -> Any:
    """A valid document with one to three of its values, keys or mappings replaced by something else."""
    rng = random.Random(seed)
    spoilt = rng.choice(DOCUMENTS)
    for _ in range(rng.randint(1, 3)):
        places = list(nodes(spoilt))
        place = rng.choice(places)
        if isinstance(place[-1], str) and rng.random() < 0.2:
            spoilt = renamed(spoilt, place, rng)
        else:
            spoilt = replaced(spoilt, place, rng.choice(JUNK))
    return spoilt


def nodes(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, own in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*place, key)
        yield from nodes(own, (*place, key))


def renamed(document: Any, place: tuple[Any, ...], rng: random.Random) -> Any:
    copy = json.loads(json.dumps(document))
    inner = copy
    for key in place[:-1]:
        inner = inner[key]
    name = rng.choice([own for own in JUNK if isinstance(own, str)] + [place[-1] + "x", place[-1].upper()])
    inner[name] = inner.pop(place[-1])
    return copy
