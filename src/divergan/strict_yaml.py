"""A YAML 1.2 file as plain mappings, lists and scalars with their lines; anything cleverer is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from divergan.errors import DivergaNError

MOST_LEVELS = 20  # of nesting; a study needs six
MOST_VALUES = 100_000  # with every alias written out: a few lines of aliases can stand for more than memory holds


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
    except (YAMLError, ValueError) as error:  # ruamel lets a date in month 13 or an endless number out as ValueError
        raise ParameterError(f"{path} is no YAML 1.2: {str(error).splitlines()[0]}") from None
    if not isinstance(document, dict):
        found = {"NoneType": "nothing", "CommentedSeq": "a list"}.get(type(document).__name__, f"just {document!r:.40}")
        raise ParameterError(f"{path} holds {found}, expected a mapping of parameters (`study: ...`), see params.yaml")
    if values > MOST_VALUES:
        raise ParameterError(f"{path}: its aliases (*name) stand for more than {MOST_VALUES} values: write them out")
    return document


def text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise ParameterError(
            f"there is no parameter file {path}; `ls params.yaml params/` shows those there are"
        ) from None
    except OSError as error:
        raise ParameterError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ParameterError(f"{path} is no UTF-8 text (byte {error.start}): save it as UTF-8") from None


def refused(events: Any) -> Any:
    """Line and reason, for every event that a parameter file has no use for: a tag, endless nesting."""
    from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

    depth = 0
    for event in events:
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if getattr(event, "tag", None):
            yield f"{event.start_mark.line + 1}: the tag {event.tag} is not accepted, expected a plain value"
        if depth > MOST_LEVELS:
            yield f"{event.start_mark.line + 1}: more than {MOST_LEVELS} levels of nesting"


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
