"""Reference pages that are written from the declarations themselves, so that they cannot go stale."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import parameters_page
from citations import cited, reference_list
from formulas_page import domain, latex, number

from divergan.chapters import CHAPTERS
from divergan.data.sets import DATASETS
from divergan.features import FEATURE_SETS
from divergan.figures import DIVERGENCES as CURVES
from divergan.figures import Tables, render
from divergan.metrics import METRICS
from divergan.networks import CRITICS, GENERATORS
from divergan.objectives import FAMILIES, OBJECTIVES, FDivergence
from divergan.regularisers import REGULARISERS
from divergan.samplers import SAMPLERS

DRAWN = ("kl", "reverse_kl", "pearson", "squared_hellinger", "jensen_shannon", "gan")
KINDS = {"FDivergence": "f-divergence", "Scores": "scores", "KernelDistance": "kernel", "Relativistic": "relativistic"}
F_GAN = [o for o in OBJECTIVES.values() if isinstance(o, FDivergence) and not o.flaw]


def write(folder: Path) -> None:
    """Every generated page and picture into `folder`, anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, text in pages().items():
        (folder / f"{name}.md").write_text(text, "utf-8")
    (folder / "divergences.svg").write_bytes(curves())


def pages() -> dict[str, str]:
    return {
        "objectives": objectives(),
        "f_divergences": f_divergences(),
        "families": families(),
        "alternative": alternative(),
        "metrics": metrics(),
        "samplers": samplers(),
        "regularisers": regularisers(),
        "networks": networks(),
        "features": features(),
        "data_sets": data_sets(),
        "chapters": chapters(),
        "command_line": command_line(),
        "references": reference_list(),
        **parameters_page.pages(),
    }


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; a bar inside a cell does not end it."""
    lines = [list(heads), *(list(map(str, row)) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def math(formula: str) -> str:
    return f"${latex(formula)}$" if formula else ""


def curves() -> bytes:
    """The report's figure of activations and conjugates, of the divergences of f-GAN."""
    import pandas as pd

    shown = [
        o for o in F_GAN if o.name in ("kl", "reverse_kl", "pearson", "squared_hellinger", "jensen_shannon", "gan")
    ]
    tables = Tables(
        runs=pd.DataFrame({"objective": [o.name for o in shown]}),
        floors=pd.DataFrame(),
        metrics=METRICS,
        objectives={o.name: o for o in shown},
    )
    return render(CURVES, tables)


def f_divergences() -> str:
    heads = ("name", "$f(u)$", "domain of $f^*$", "$g_f(v)$", "$f^*(t)$", "$f'(1)$")
    return table(
        heads,
        (
            (
                f"`{o.name}`",
                math(o.formula),
                f"${domain(*o.domain)}$",
                math(o.activation_formula),
                math(o.conjugate_formula),
                f"${number(o.threshold)}$",
            )
            for o in F_GAN
        ),
    )


def objectives() -> str:
    heads = ("name", "as the report prints it", "kind", "$f(u)$", "the best critic tells", "source")
    kinds = {
        "FDivergence": "f-divergence",
        "Scores": "scores",
        "KernelDistance": "kernel",
        "Relativistic": "relativistic",
    }
    return table(
        heads,
        (
            (
                f"`{o.name}`",
                o.label + flawed(o),
                kinds[type(o).__name__],
                math(o.formula),
                o.identifies,
                cited(o.source),
            )
            for o in OBJECTIVES.values()
        ),
    )


def flawed(o: Any) -> str:
    told = o.flaw or o.untrainable
    return f". *{'As published' if o.flaw else 'Not trained'}: {told}.*" if told else ""


def families() -> str:
    return table(
        ("name", "is", "examples", "the best critic tells", "source"),
        (
            (
                f"`{family.name}({family.parameter})`",
                first.label,
                ", ".join(f"`{family.make(each).name}`" for each in family.examples),
                first.identifies,
                cited(first.source),
            )
            for family in FAMILIES.values()
            for first in [family.make(family.examples[0])]
        ),
    )


def alternative() -> str:
    """What the generator minimises with the alternative loss, as the declarations say."""
    sound = [o for o in OBJECTIVES.values() if o.alternative_formula and not o.flaw]
    return table(
        ("objective", "$f(u)$", r"$g(u)$ with $g'' = f''/u$", "which is"),
        ((f"`{o.name}`", math(o.formula), math(o.alternative_formula), o.alternative_label) for o in sound),
    )


def metrics() -> str:
    better = {"lower": "lower is better", "higher": "higher is better", None: "read it beside its floor"}
    return table(
        ("name", "label", "what it is", "unit", "which way", "of equal sets", "needs", "source"),
        (
            (
                f"`{m.name}`",
                m.label,
                first_sentence(m.compute),
                m.unit,
                better[m.better],
                "" if m.at_identity is None else f"{m.at_identity:g}",
                m.needs + (" and labels" if m.of_labels else ""),
                cited(m.source),
            )
            for m in METRICS.values()
        ),
    )


def samplers() -> str:
    return table(
        ("name", "label", "what it does", "needs", "settings", "source"),
        (
            (f"`{s.name}`", s.label, first_sentence(s.draw), ", ".join(sorted(s.needs)) or "nothing",
             settings(s.settings), cited(s.source))
            for s in SAMPLERS.values()
        ),
    )  # fmt: skip


def regularisers() -> str:
    return table(
        ("name", "what it is", "settings", "acts on", "source"),
        (
            (f"`{r.name}`", does(r), settings(r.settings), "the critic" if r.needs else "any game", cited(r.source))
            for r in REGULARISERS.values()
        ),
    )


def does(regulariser: Any) -> str:
    """The first sentence of the first of a regulariser's functions that has one."""
    acts = (regulariser.critic_penalty, regulariser.generator_penalty, regulariser.constrain, regulariser.noise)
    return next((told for act in acts if act and (told := first_sentence(act))), regulariser.kind)


def networks() -> str:
    return table(
        ("name", "player", "what it is", "source"),
        (
            (f"`{n.name}`", player, n.label, cited(n.source))
            for player, registry in (("generator", GENERATORS), ("critic", CRITICS))
            for n in registry.values()
        ),
    )


def features() -> str:
    return table(
        ("name", "what it is", "gives", "source"),
        ((f"`{f.name}`", f.label, ", ".join(sorted(f.provides)), cited(f.source)) for f in FEATURE_SETS.values()),
    )


def data_sets() -> str:
    return table(
        ("name", "training images", "test images", "shape (C, H, W)", "classes"),
        (
            (f"`{d.name}`", f"{d.training_images:,}", f"{d.test_images:,}" if d.test_images else "none",
             " × ".join(map(str, d.shape)), d.classes)
            for d in DATASETS.values()
        ),
    )  # fmt: skip


def chapters() -> str:
    return table(
        ("chapter", "settings"),
        ((f"`{name}`", settings(chapter.settings)) for name, chapter in CHAPTERS.items()),
    )


def settings(model: Any) -> str:
    """A declaration's settings with what each may be."""
    return "<br>".join(f"`{name}`: {kind}" for name, kind in parameters_page.kinds(model).items()) or "none"


def first_sentence(function: Any) -> str:
    """Of its docstring or its module's, as plain text in a table's cell."""
    told = (inspect.getdoc(function) or inspect.getdoc(inspect.getmodule(function)) or "").partition("\n\n")[0]
    return escaped(re.split(r"(?<!et al)(?<![A-Z])[.;](?=\s)", told.replace("\n", " "))[0]).rstrip(".")


def escaped(text: str) -> str:
    return re.sub(r"([*_<$])", r"\\\1", text)


def command_line() -> str:
    """What typer itself says of every command, a heading lower."""
    command = [sys.executable, "-m", "typer", "divergan.commands", "utils", "docs", "--name", "divergan"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return "\n".join(lines_of(told.partition("**Usage**")[1] + told.partition("**Usage**")[2]))


def lines_of(told: str) -> Iterator[str]:
    """Without prompts, and without the sentences that typer cuts off in its list of commands."""
    for line in told.splitlines():
        line = line.replace("```console", "```text").removeprefix("$ ").replace("&#x27;", "'")
        yield re.sub(r"^\* `([a-z][a-z-]*)`: .*", r"* [`\1`](#divergan-\1)", line)
