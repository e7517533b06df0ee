"""A fingerprint of the code that computes a result: the definitions it reaches, not their neighbours in the file.

From a few roots ("module:name") every top-level function, class and constant of this package that is named on the way
is collected, and its syntax tree is written without positions, comments, docstrings and annotations of arguments, in a
form that is equal on every supported Python (`ast.dump` is not). So a comment, a new neighbour or a newer Python
changes nothing; a line of the training step does.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

PACKAGE = "divergan"
ROOT = Path(__file__).parent

# Modules whose code cannot change a result: parameters (their values stand in the recipe), how a file is fetched (its
# checksum stands in the recipe), where a result is kept, who is told, what is shown.
EDGES = frozenset(
    f"{PACKAGE}.{name}"
    for name in (
        *("params", "kinds", "strict", "plan", "data.fetching", "data.pickled", "store", "checkpoints"),
        *("provenance", "tracking", "progress", "errors", "lazy"),
    )
)
# A registry leads to every entry; a recipe names the entries that it uses instead, so that a new one changes nothing.
REGISTRIES = frozenset(
    (
        *("OBJECTIVES", "FAMILIES", "REGULARISERS", "GENERATORS", "CRITICS"),
        *("SAMPLERS", "DATASETS", "FEATURE_SETS", "TARGETS", "CHAPTERS"),
    )
)
IGNORED_FIELDS = frozenset({"ctx", "type_comment", "kind", "returns", "type_params"})

Place = tuple[str, str]  # (module, name of a top-level definition)


@dataclass
class Module:
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, tuple[str, str | None]] = field(default_factory=dict)  # alias -> (module, name or None)


@cache
def fingerprint(roots: tuple[str, ...]) -> str:
    """SHA-256 over the canonical trees of all that the roots ("module:name") reach."""
    return hashlib.sha256("\n".join(text(place) for place in sorted(reached(roots))).encode()).hexdigest()


def reached(roots: Iterable[str]) -> set[Place]:
    """Every definition that the roots name, directly or through others."""
    waiting = {place for root in roots if (place := resolved(*root.split(":")))}
    found: set[Place] = set()
    while waiting:
        place = waiting.pop()
        found.add(place)
        waiting |= neighbours(place) - found
    return found


@cache
def text(place: Place) -> str:
    """A definition in its canonical form, under its name."""
    return f"{place[0]}:{place[1]}={[canonical(node) for node in definition(place)]!r}"


@cache
def neighbours(place: Place) -> set[Place]:
    """The definitions that a definition names, registries aside."""
    found = {resolved(module, name) for module, name in set(named(place[0], definition(place)))}
    return {place for place in found if place is not None and place[1] not in REGISTRIES}


def definition(place: Place) -> list[ast.stmt]:
    return load(place[0]).definitions[place[1]]


def place_of(declaration: object, package: str) -> str:
    """The "module:NAME" at which an entry of a registry is declared."""
    for name in loaded_modules(package, len(sys.modules)):
        if (variable := declared_names(name).get(id(declaration))) is not None:
            return f"{name}:{variable}"
    raise LookupError(f"{declaration!r} is not bound to a name at the top of a module in {PACKAGE}.{package}")


@cache
def loaded_modules(package: str, count: int) -> list[str]:
    """Our modules in a package, of the `count` modules that are loaded: where more are, they are looked for again."""
    return [name for name in sys.modules if name.startswith(f"{PACKAGE}.{package}")]


@cache
def declared_names(module: str) -> dict[int, str]:
    """The `id` of what a loaded module of ours defines at its top -> its name there."""
    bound_here = vars(sys.modules[module])
    return {id(bound_here[name]): name for name in reversed(load(module).definitions) if name in bound_here}


@cache
def resolved(module: str, name: str) -> Place | None:
    """Where `name` of `module` is defined, through re-exports; None for what is not ours or no definition."""
    if is_edge(module) or not source(module):
        return None
    known = load(module)
    if name in known.definitions:
        return module, name
    if name in known.imports and known.imports[name][1] is not None:
        return resolved(known.imports[name][0], str(known.imports[name][1]))
    return None


def is_edge(module: str) -> bool:
    """Whether a module, or a package that it lies in, is one of the edges."""
    return any(module == edge or module.startswith(f"{edge}.") for edge in EDGES)


def named(module: str, nodes: list[ast.stmt]) -> Iterator[Place]:
    """The places that a definition's names and `alias.attribute`s may mean."""
    aliases = dict(load(module).imports)
    walked = [node for statement in nodes for node in computing(statement)]
    for node in walked:
        if isinstance(node, ast.Import | ast.ImportFrom):
            aliases.update(imported(node))
    for node in walked:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            yield from attribute(*aliases[node.value.id], node.attr)
        elif isinstance(node, ast.Name):
            if node.id in aliases and aliases[node.id][1] is not None:
                yield aliases[node.id][0], str(aliases[node.id][1])
            elif node.id not in aliases:
                yield module, node.id


def computing(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a tree that `canonical` keeps: what is named in an argument's annotation alone computes nothing."""
    waiting = [node]
    for found in waiting:  # grows on the way; a generator that calls itself takes three times as long
        yield found
        for _, value in kept_fields(found):
            children = value if isinstance(value, list) else [value]
            waiting += [child for child in children if isinstance(child, ast.AST)]


def attribute(module: str, name: str | None, attr: str) -> Iterator[Place]:
    """`alias.attr`, where the alias is a module of ours; an alias of a definition is yielded by its own name."""
    target = module if name is None else f"{module}.{name}"
    if source(target):
        yield target, attr


@cache
def load(module: str) -> Module:
    """The top-level definitions and imports of one of our modules."""
    path = source(module)
    assert path is not None, module
    loaded = Module()
    for node in ast.parse(path.read_text("utf-8")).body:
        for name in bound(node):
            loaded.definitions.setdefault(name, []).append(node)
        if isinstance(node, ast.Import | ast.ImportFrom):
            loaded.imports.update(imported(node))
    return loaded


def bound(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    one = [node.target] if isinstance(node, ast.AnnAssign | ast.AugAssign) else []
    targets = node.targets if isinstance(node, ast.Assign) else one
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


def imported(node: ast.Import | ast.ImportFrom) -> dict[str, tuple[str, str | None]]:
    """What an import of ours binds; relative imports are not used in this package."""
    if isinstance(node, ast.ImportFrom):
        ours = (node.module or "").split(".")[0] == PACKAGE
        return {a.asname or a.name: (str(node.module), a.name) for a in node.names} if ours else {}
    return {a.asname: (a.name, None) for a in node.names if a.asname and a.name.split(".")[0] == PACKAGE}


@cache
def source(module: str) -> Path | None:
    """The file of one of our modules, None for anything else."""
    first, *rest = module.split(".")
    if first != PACKAGE:
        return None
    path = ROOT.joinpath(*rest)
    return next((p for p in (path / "__init__.py", path.with_suffix(".py")) if p.is_file()), None)


def canonical(node: object) -> object:
    """A syntax tree as nested lists: no positions, no docstrings, no empty fields, argument annotations dropped."""
    if isinstance(node, list):
        return [canonical(item) for item in node if not is_docstring(item)]
    if not isinstance(node, ast.AST):
        return [type(node).__name__, repr(node)]
    return [type(node).__name__, *([name, canonical(value)] for name, value in kept_fields(node))]


def kept_fields(node: ast.AST) -> list[tuple[str, object]]:
    if isinstance(node, ast.JoinedStr):  # Python 3.12 alone ends a format within a format with an empty constant
        return [("values", [part for part in node.values if not (isinstance(part, ast.Constant) and part.value == "")])]
    fields = [(name, getattr(node, name, None)) for name in field_names(node._fields, isinstance(node, ast.arg))]
    return [(name, value) for name, value in fields if value is not None and value != []]


@cache
def field_names(fields: tuple[str, ...], of_argument: bool) -> list[str]:
    """Those that compute something, in alphabetical order."""
    ignored = IGNORED_FIELDS | ({"annotation"} if of_argument else set())
    return [name for name in sorted(fields) if name not in ignored]


def is_docstring(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
