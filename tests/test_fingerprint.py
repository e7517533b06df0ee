"""The code fingerprint: a line that computes changes it; a comment, a neighbour or another Python does not."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from divergan.chapters import CHAPTERS
from divergan.fingerprint import EDGES, REGISTRIES, place_of, reached, source
from divergan.objectives import OBJECTIVES
from tiny_study import ROOT, edited

MLP = ("divergan.networks.mlp:MLP_GENERATOR", "divergan.networks.mlp:MLP_CRITIC")
R1 = "divergan.regularisers.penalties:R1"
TRAIN = ("divergan.pipeline:train", "divergan.objectives.f_divergences:KL", *MLP, R1)
SAMPLE = ("divergan.pipeline:sample", *TRAIN[1:], "divergan.samplers:PRIOR")
VERBS = ("data", "features", "train", "sample", "evaluate", "compare", "figures", "report")
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")


class Copy:
    """A copy of the package whose files may be edited; its own fingerprint.py looks at them."""

    def __init__(self, folder: Path):
        self.folder = folder / "divergan"
        shutil.copytree(ROOT / "src/divergan", self.folder, ignore=shutil.ignore_patterns("__pycache__"))

    def edit(self, file: str, *pairs: tuple[str, str]) -> None:
        path = self.folder / file
        path.write_text(edited(path.read_text("utf-8"), *pairs), "utf-8")

    def append(self, file: str, text: str) -> None:
        path = self.folder / file
        path.write_text((path.read_text("utf-8") if path.is_file() else "") + text, "utf-8")

    def module(self) -> ModuleType:
        """fingerprint.py of the copy, read afresh."""
        spec = importlib.util.spec_from_file_location("copied_fingerprint", self.folder / "fingerprint.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        return module

    def of(self, *roots: str) -> str:
        return self.module().fingerprint(roots)


@pytest.fixture
def copy(tmp_path) -> Copy:
    return Copy(tmp_path)


def test_it_is_the_same_in_a_copy(copy):
    from divergan.fingerprint import fingerprint

    assert copy.of(*TRAIN) == fingerprint(TRAIN)


SAME = {
    "comment": (
        "training.py",
        "    std = sum(",
        "    # A comment.\n    std = sum(  # and another\n",
    ),
    "docstring": (
        "training.py",
        '"""One step of the critic on a real batch in [-1, 1]',
        '"""Edited. One step of the critic',
    ),
    "docstring of a class": (
        "training.py",
        '"""All that changes while a run trains',
        '"""Everything that changes while a run trains',
    ),
    "no docstring": (
        "training.py",
        '    """`settings.checkpoints` steps, evenly spaced, the last one the end."""\n',
        "",
    ),
    "formatting": (
        "training.py",
        "    sum(penalties, loss).backward()",
        "    (sum(\n            penalties, loss)\n     .backward())",
    ),
    "argument's annotation": ("training.py", "def adam(network: torch.nn.Module, ", "def adam(network: object, "),
    "annotation that names ours": (
        "training.py",
        "    observer: Observer,\n    classes: torch.Tensor | None = None,\n) -> None:",
        "    observer: Critic,\n    classes: torch.Tensor | None = None,\n) -> None:",
    ),
    "return annotation": (
        "training.py",
        "def spread(images: torch.Tensor) -> float:",
        "def spread(images: torch.Tensor) -> Record:",
    ),
    "blank lines": ("training.py", "def spread(", "\n\n\ndef spread("),
    "unreached neighbour": ("training.py", "def spread(", "def unused():\n    return 1\n\n\ndef spread("),
    "another objective": (
        "objectives/f_divergences.py",
        "REVERSE_KL = FDivergence(",
        "SECRET = 3\nREVERSE_KL = FDivergence(",
    ),
    "a module imported": ("training.py", "import copy\n", "import copy\nimport json\n"),
    "tracking": ("tracking/live.py", "def ", "def added():\n    return 2\n\n\ndef "),
    "progress": ("progress.py", "LINES = 10", "LINES = 20"),
    "a limit on parameters": ("params/training.py", "ge=2", "ge=1"),
    "where results lie": ("store.py", 'RECIPE = "recipe.json"', 'RECIPE = "made_from.json"'),
}


@pytest.mark.parametrize("name", SAME)
def test_what_computes_nothing_changes_nothing(copy, name):
    before = copy.of(*TRAIN)
    file, old, new = SAME[name]
    path = copy.folder / file
    text = path.read_text("utf-8")
    assert old in text, "the test names what is not there"
    path.write_text(text.replace(old, new, 1), "utf-8")
    compile(path.read_text("utf-8"), file, "exec")
    assert copy.of(*TRAIN) == before


OTHER = {
    "the critic's step": ("training.py", "(torch.cat((real, fake)))", "(torch.cat((real, -fake)))"),
    "a constant": ("training.py", "COLLAPSED_SPREAD = 0.01", "COLLAPSED_SPREAD = 0.02"),
    "the record's class": ("training.py", "if spread < COLLAPSED_SPREAD", "if spread <= COLLAPSED_SPREAD"),
    "a helper's helper": ("randomness.py", '"/".join', '"-".join'),
    "the mapping of pixels": ("data/splits.py", "images.float() / 127.5 - 1", "images.float() / 128 - 1"),
    "the base class": ("objectives/declaration.py", "self.activation(v_fake).mean()", "self.activation(v_fake).sum()"),
    "the builder": ("networks/mlp.py", "(latent, *hidden)\n    layers = [layer", "(9, *hidden)\n    layers = [layer"),
    "a constant of the builder": ("networks/mlp.py", "SLOPE = 0.2", "SLOPE = 0.1"),
    "the sampler": ("samplers/prior.py", "    network.eval()\n", ""),
    "a default": ("training.py", "step: int = 0", "step: int = 1"),
    "a keyword": ("training.py", "set_to_none=True)\n        sum", "set_to_none=False)\n        sum"),
    "an added line": ("training.py", "COLLAPSED_SPREAD = 0.01", "COLLAPSED_SPREAD = 0.01\nCOLLAPSED_SPREAD += 1"),
    "a decorator": ("training.py", "@dataclass(kw_only=True)\nclass Record", "@dataclass\nclass Record"),
    "a metaclass's base": ("objectives/declaration.py", "class Objective(ABC):", "class Objective:"),
    "the verb itself": ("pipeline/models.py", "weights(players.average)", "weights(players.generator)"),
    "its own declaration": ("objectives/f_divergences.py", 'name="kl"', 'name="kl "'),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER)
def test_every_line_that_computes_changes_it(copy, name):
    before = copy.of(*TRAIN)
    file, old, new = OTHER[name]
    copy.edit(file, (old, new))
    assert copy.of(*TRAIN) != before


def test_a_new_objective_and_its_entry_change_no_fingerprint(copy):
    roots = [(f"divergan.pipeline:{verb}",) for verb in VERBS] + [TRAIN, SAMPLE]
    before = [copy.of(*root) for root in roots]
    copy.append("objectives/scores.py", '\nSQUARES = Scores(name="squares", real=lambda v: v, fake=lambda v: v)\n')
    copy.edit(
        "objectives/__init__.py",
        ("        BCE,\n", "        BCE,\n        SQUARES,\n"),
        ("    SPHERICAL,\n    W", "    SPHERICAL,\n    SQUARES,\n    W"),
    )
    assert [copy.of(*root) for root in roots] == before
    assert copy.of("divergan.objectives.scores:SQUARES") != copy.of("divergan.objectives.scores:BCE")


def test_a_helper_is_found_through_a_module_its_alias_and_an_import_inside_a_function(copy):
    copy.append(
        "helping.py", "def one():\n    return 1\n\n\ndef two():\n    return 2\n\n\ndef three():\n    return 3\n"
    )
    copy.append("between.py", "from divergan.helping import one as first\n")
    copy.append(
        "user.py",
        "from divergan import helping as h\nfrom divergan.between import first as mine\n\n\n"
        "def entry():\n    from divergan.helping import three\n    return mine() + h.two() + three()\n",
    )
    names = {f"{module}:{name}" for module, name in copy.module().reached(["divergan.user:entry"])}
    assert names == {"divergan.user:entry", *(f"divergan.helping:{name}" for name in ("one", "two", "three"))}
    before = copy.of("divergan.user:entry")
    for number in (1, 2, 3):
        copy.edit("helping.py", (f"return {number}", f"return {number}0"))
        assert copy.of("divergan.user:entry") != before
        copy.edit("helping.py", (f"return {number}0", f"return {number}"))
    assert copy.of("divergan.user:entry") == before


def places(*roots: str) -> set[str]:
    return {f"{module.removeprefix('divergan.')}:{name}" for module, name in reached(roots)}


def test_training_reaches_its_step_its_objective_its_network_and_no_edge():
    found = places(*TRAIN)
    needed = {
        *(
            "pipeline.models:train",
            "training:train",
            "training:critic_step",
            "training:generator_step",
            "regularisers.penalties:r1",
        ),
        *("training:update_average", "training:DataOrder", "training:history_row", "data.splits:to_network"),
        *("objectives.f_divergences:KL", "objectives.declaration:FDivergence", "objectives.declaration:Objective"),
        *("networks.mlp:mlp_generator", "networks.mlp:mlp_critic", "networks.mlp:SLOPE", "randomness:derived_seed"),
        *("samplers.prior:decode", "samplers.declaration:latents", "data.splits:to_uint8"),
        *("training:training_step", "pipeline.files:save_tensors"),
    }
    assert needed <= found
    modules = {place.split(":")[0] for place in found}
    assert not modules & {
        "tracking",
        "progress",
        "params",
        "plan",
        "store",
        "checkpoints",
        "jobs",
        "cli",
        "looking",
        "metrics",
    }
    assert "training:Observer" not in found, "only an annotation names it"


def test_no_verb_follows_an_edge_or_a_registry():
    for verb in VERBS:
        for place in places(f"divergan.pipeline:{verb}"):
            module, name = place.split(":")
            assert name not in REGISTRIES
            assert f"divergan.{module}" not in EDGES


def test_evaluation_does_not_rest_on_training_nor_training_on_metrics():
    assert not {
        place
        for place in places("divergan.pipeline:evaluate")
        if place.startswith(("training:", "networks", "objectives"))
    }
    assert {"metrics.frechet:frechet_distance", "metrics:METRICS"} <= places("divergan.pipeline:evaluate")


def test_every_edge_is_a_module_and_every_registry_a_name():
    assert all(source(module) for module in EDGES)
    texts = "".join(path.read_text("utf-8") for path in (ROOT / "src/divergan").rglob("*.py"))
    assert all(f"\n{name}: dict[" in texts or f"\n{name} = " in texts for name in REGISTRIES)


def test_a_registrys_name_is_no_other_modules_too():
    """What bears it is left out of every fingerprint: a second dictionary of that name would hide what it leads to."""
    texts = {path: path.read_text("utf-8") for path in (ROOT / "src/divergan").rglob("*.py")}
    for name in REGISTRIES:
        places = [path.name for path, text in texts.items() if re.search(rf"^{name}(:| =)", text, re.MULTILINE)]
        assert len(places) == 1, f"{name} is bound in {places}"


def test_a_report_on_theory_rests_on_what_fills_it():
    found = places("divergan.pipeline:report")
    assert {f"report.{name}:{name}" for name in CHAPTERS} <= found


def test_every_top_level_statement_is_one_that_the_fingerprint_understands():
    """A definition inside `if` or `try` would escape it."""
    import ast

    known = (ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom)
    for path in (ROOT / "src/divergan").rglob("*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            text = ast.unparse(node)
            allowed = text.startswith(("if TYPE_CHECKING:", "'", '"'))
            assert isinstance(node, known) or allowed, f"{path.name}: {text[:60]}"
            assert not isinstance(node, ast.ImportFrom) or node.level == 0, f"{path.name}: a relative import"


def test_place_of_finds_every_declaration_and_says_what_has_none():
    for objective in OBJECTIVES.values():
        module, name = place_of(objective, "objectives").split(":")
        assert getattr(sys.modules[module], name) is objective
    with pytest.raises(LookupError, match=r"not bound to a name at the top of a module in divergan\.objectives"):
        place_of(object(), "objectives")


ODD = '''
from __future__ import annotations

WIDTH = 3
NONE = None
BIG = 10**20, 1e400, -0.0, 1j, b"bytes", "\\u00fc\\n", ..., True


class Point:
    """Doc."""

    x: int = 1

    async def later(self, /, a, *, b=None, **rest: object) -> None:
        async with a as c, b:
            yield c


def entry(value, *more, key=lambda q, /, r=WIDTH: q * r):
    """Doc."""
    match value:
        case {"a": [1, *others], **rest} if others:
            return f"{value!r:>{WIDTH}} {'a' 'b'}" "tail" f"{key=}" f"{value:%Y-%m}"
        case Point(x=0) | None:
            return [*more, *(y := [i async for i in value] if NONE else {**rest})]
    try:
        del value[1:2, ::3]
    except* ValueError as error:
        raise KeyError from error
    global BIG
    return (yield from more), not value, a if (a := more) else -value @ value, f"{BIG[0]:{WIDTH}.{WIDTH}}" f"", u"kind"
'''.replace("[i async for i in value]", "[i for i in value]")


def test_it_is_equal_on_every_python(copy):
    """Standard library alone: these Pythons have none of the packages."""
    copy.append("odd.py", ODD)
    roots = [[f"divergan.pipeline:{verb}"] for verb in VERBS] + [
        list(TRAIN),
        list(SAMPLE),
        ["divergan.odd:entry", "divergan.odd:Point"],
    ]
    code = "import json, sys; sys.path.insert(0, sys.argv[1]); from divergan.fingerprint import fingerprint\n"
    code += "print(json.dumps([fingerprint(tuple(r)) for r in json.loads(sys.argv[2])]))"
    expected = [copy.of(*root) for root in roots]
    tried = []
    for name in PYTHONS:
        python = shutil.which(name)
        # Where pyenv keeps several Pythons its shim asks which one; elsewhere the variable means nothing.
        environment = {**os.environ, "PYENV_VERSION": name.removeprefix("python")}
        environment.pop("PYTHONPATH", None)
        if not python or subprocess.run([python, "-V"], env=environment, capture_output=True).returncode:
            continue
        done = subprocess.run(
            [python, "-I", "-S", "-c", code, str(copy.folder.parent), json.dumps(roots)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == expected, name
        tried.append(name)
    if len(tried) < 2:
        pytest.skip(f"only {', '.join(tried) or 'this Python'} is here to compare")
