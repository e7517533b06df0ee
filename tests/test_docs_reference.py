"""The pages of docs/reference that are written from the declarations: complete, and as the declarations say."""

from __future__ import annotations

import re
from itertools import pairwise

import generated
import parameters_page
import pytest
from citations import cited, reference_list
from formulas_page import domain, latex, number

from divergan.data.sets import DATASETS
from divergan.features import FEATURE_SETS
from divergan.metrics import METRICS
from divergan.networks import CRITICS, GENERATORS
from divergan.objectives import FAMILIES, OBJECTIVES
from divergan.params import Training, Weights
from divergan.regularisers import REGULARISERS
from divergan.samplers import SAMPLERS


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return generated.pages()


@pytest.mark.parametrize(
    ("page", "registry"),
    [
        ("objectives", OBJECTIVES),
        ("metrics", METRICS),
        ("samplers", SAMPLERS),
        ("regularisers", REGULARISERS),
        ("networks", {**GENERATORS, **CRITICS}),
        ("features", FEATURE_SETS),
        ("data_sets", DATASETS),
    ],
)
def test_every_entry_of_a_registry_has_a_row(page, registry, pages):
    assert not [name for name in registry if not re.search(rf"^\| `{re.escape(name)}` \|", pages[page], re.MULTILINE)]


def test_every_family_every_alternative_and_every_command_is_told(pages):
    assert not [name for name in FAMILIES if f"| `{name}(" not in pages["families"]]
    sound = [o.name for o in OBJECTIVES.values() if o.alternative_formula and not o.flaw]
    assert re.findall(r"^\| `(\w+)`", pages["alternative"], re.MULTILINE) == sound
    assert {"train", "plan", "check"} <= set(
        re.findall(r"^## `divergan ([a-z]+)`", pages["command_line"], re.MULTILINE)
    )


def test_rows_of_a_table_have_its_columns(pages):
    for name, text in pages.items():
        rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("|")]
        for above, row in pairwise(rows):
            assert len(row) == len(above), (name, row)


def test_every_setting_has_its_type_its_published_value_and_a_meaning(pages):
    told = pages["parameters"]
    for model in (Training, Weights):
        for field in model.model_fields:
            assert re.search(rf"^\| `{field}` \| \S.* \| .* \| \S.* \|$", told, re.MULTILINE), field
    assert "| `steps` | whole number ≥ 1 | `12000` | generator steps: 400 epochs of 30 batches;" in told
    assert "a number: the first so many of the gan split" in told  # of the comment's second line


def test_a_parameter_that_nothing_explains_stops_the_build(monkeypatch):
    monkeypatch.setattr(parameters_page, "ELSEWHERE", {})
    with pytest.raises(ValueError, match=r"no comment tells what The study\.title means"):
        parameters_page.pages()


@pytest.mark.parametrize(
    ("formula", "printed"),
    [
        ("u*log(u) - (u + 1)*log((u + 1)/2)", r"u\,\log u - \left(u + 1\right)\,\log\left(\frac{u + 1}{2}\right)"),
        ("-2*sqrt(u)", r"-2\,\sqrt{u}"),
        ("1 - (2 - u)", r"1 - \left(2 - u\right)"),
        ("(u - 1)**2", r"\left(u - 1\right)^{2}"),
        ("exp(v/2)", r"e^{\frac{v}{2}}"),
        ("log(u)**2", r"\left(\log u\right)^{2}"),
        ("maximum(t, -2)**2/4", r"\frac{\max\left(t, -2\right)^{2}}{4}"),
    ],
)
def test_a_formula_as_latex(formula, printed):
    assert latex(formula) == printed


def test_numbers_and_domains():
    inf = float("inf")
    assert (number(-0.6931471805599453), number(0.25), domain(-inf, inf)) == (r"-\log 2", "0.25", r"\mathbb{R}")
    assert domain(-inf, 0.0) == r"(-\infty, 0)"


def test_a_source_becomes_links_to_references_that_exist(pages):
    assert cited("nowozin2016fgan, Tables 1 and 2") == "[Nowozin et al. 2016](#nowozin2016fgan), Tables 1 and 2"
    assert cited("divergan, metrics.memorisation") == "divergan, metrics.memorisation"
    listed = set(re.findall(r"^\(([\w-]+)\)=$", reference_list(), re.MULTILINE))
    assert set(re.findall(r"\]\(#([a-z]+\d{4}[a-z]+)\)", "".join(pages.values()))) <= listed
