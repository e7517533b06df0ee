"""A YAML 1.2 file as plain mappings, lists and scalars with their lines; anything cleverer is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from divergan.errors import DivergaNError

MOST_BYTES = 100_000  # of a file, ten times the longest there is; reading them takes seconds
MOST_LEVELS = 20  # of nesting; a study needs six
MOST_VALUES = 100_000  # with every alias written out: a few lines of aliases can stand for more than memory holds

UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")  # what a terminal obeys, or no file can hold

RUAMELS_FOLD = "\a"  # where it has joined two lines of a folded (>) text


class ParameterError(DivergaNError):
    """Names the file, the line, the key, the value and what would be accepted."""


def load(path: Path) -> Any:
    """ruamel's document, which knows the lines; ParameterError for what is no plain YAML 1.2 mapping."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    text = text_of(path)
    try:
        for event in refused(YAML(typ="rt").parse(text)):
            raise ParameterError(f"{path}, line {event}")
        document = YAML(typ="rt").load(text)
        values = size(document, {})
    except MarkedYAMLError as error:
        raise ParameterError(f"{path}{told(error)}") from None
    except RecursionError:
        raise ParameterError(f"{path}: its aliases (*name) nest too deeply: write them out") from None
    except ParameterError:
        raise
    except (YAMLError, ValueError) as error:  # ruamel lets a date in month 13 or an endless number out as ValueError
        raise ParameterError(f"{path} is no YAML 1.2: {first_line(error)}") from None
    except Exception:  # and a merge of a mapping with itself as whatever it ran into
        raise ParameterError(f"{path} is no YAML 1.2: check its anchors (&), aliases (*) and merges (<<)") from None
    if not isinstance(document, dict):
        found = {"NoneType": "nothing", "CommentedSeq": "a list"}.get(type(document).__name__, f"just {document!r:.40}")
        raise ParameterError(f"{path} holds {found}, expected a mapping of parameters (`study: ...`), see params.yaml")
    if values > MOST_VALUES:
        raise ParameterError(f"{path}: its aliases (*name) stand for more than {MOST_VALUES} values: write them out")
    for mapping in mappings(document, set()):
        for key in mapping:
            if not isinstance(key, str):
                line = (mapping.lc.data or {}).get(key, (mapping.lc.line,))[0] + 1
                raise ParameterError(f"{path}, line {line}: the key {key!r:.40} is no text: write it in quotes")
    return document


def text_of(path: Path) -> str:
    try:
        if path.exists() and not path.is_dir():
            check_size(path)
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise ParameterError(
            f"there is no parameter file {path}; `ls params.yaml params/` shows those there are"
        ) from None
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise ParameterError(f"{path} is no UTF-8 text (byte {error.start}): save it as UTF-8") from None
        raise ParameterError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def check_size(path: Path) -> None:
    """Raise for what would be read for ever, or for minutes."""
    if not path.is_file():
        raise ParameterError(f"{path} is no regular file: expected a text file of parameters")
    if (found := path.stat().st_size) > MOST_BYTES:
        raise ParameterError(
            f"{path} has {found} bytes, and a parameter file at most {MOST_BYTES}: is it another file?"
        )


def refused(events: Any) -> Any:
    """Line and reason, for every event that a parameter file has no use for: a tag, endless nesting."""
    from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent, DocumentStartEvent, ScalarEvent

    depth = 0
    for event in events:
        if isinstance(event, DocumentStartEvent) and event.version:
            yield f"{event.start_mark.line + 1}: a %YAML line is not accepted: leave it out, this file is YAML 1.2"
        if isinstance(event, ScalarEvent) and (found := UNPRINTABLE.search(text_in(event))):
            yield f"{event.start_mark.line + 1}: the character {found[0]!r} is not accepted, expected text to print"
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if getattr(event, "tag", None):
            yield f"{event.start_mark.line + 1}: the tag {event.tag} is not accepted, expected a plain value"
        if depth > MOST_LEVELS:
            yield f"{event.start_mark.line + 1}: more than {MOST_LEVELS} levels of nesting"


def text_in(scalar: Any) -> str:
    return scalar.value.replace(RUAMELS_FOLD, "") if scalar.style == ">" else scalar.value


def told(error: Any) -> str:
    """Where a syntax error stands and what it is, without ruamel's hints on how to allow it."""
    mark = error.problem_mark or error.context_mark
    line = f", line {mark.line + 1}" if mark else ""
    if "duplicate key" in error.problem:
        return f"{line}: {error.problem}: keep one of them"
    if "'\\t'" in error.problem:
        return f"{line}: a tab: indent with spaces"
    return f"{line}: no YAML 1.2 here ({error.problem}): check indentation, colons, brackets and quotes up to here"


def size(value: Any, known: dict[int, int]) -> int:
    """How many values there are with every alias written out; each collection is counted once."""
    if id(value) not in known:
        items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        known[id(value)] = MOST_VALUES + 1  # while it is open: what contains itself is endless
        known[id(value)] = 1 + sum(size(item, known) for item in items)
    return known[id(value)]


def mappings(value: Any, seen: set[int]) -> Iterator[Any]:
    """Every mapping in a document, once."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from mappings(item, seen)


def first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def plain(value: Any) -> Any:
    """ruamel's annotated values as plain dicts, lists and scalars."""
    from ruamel.yaml.scalarbool import ScalarBoolean

    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    for kind, known in ((bool, (bool, ScalarBoolean)), (int, int), (float, float), (str, str)):
        if isinstance(value, known):
            return kind(value)
    return value


def line_of(document: Any, place: tuple[int | str, ...], exact: bool = False) -> int:
    """The line of a key, or of the nearest mapping around it; 0 where `exact` and the key is not there."""
    line = 1
    for part in place:
        is_key = isinstance(document, dict) and part in document
        if not is_key and not (isinstance(document, list) and isinstance(part, int) and part < len(document)):
            return 0 if exact else line
        position = (document.lc.data or {}).get(part)  # a key that came through a merge (<<) has no line of its own
        line = position[0] + 1 if position else line
        document = document[part]
    return line
