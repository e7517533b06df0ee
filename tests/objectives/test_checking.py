"""`divergan check` and `divergan objectives`, as a person runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from divergan.commands import app
from divergan.errors import DivergaNError
from divergan.objectives import FAMILIES, OBJECTIVES
from divergan.regularisers import REGULARISERS

ROOT = Path(__file__).parents[2]
OWN = """
from divergan.objectives import FDivergence

MINE = FDivergence(
    name="mine", label="Mine", source="me, here",
    formula="u*log(u)", alternative_formula="-log(u)", f=lambda u: u * u.log(),
    conjugate_formula="exp(t - 1)", activation_formula="v",
    conjugate=lambda t: (t - 1).exp(), domain=(float("-inf"), float("inf")),
    activation=lambda v: v, fake_score=lambda v: (v - 1).exp(), log_ratio=lambda v: v - 1,
)
"""


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def checked(tmp_path, *edits: tuple[str, str]):
    text = OWN
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "own.py"
    path.write_text(text)
    return run("check", str(path))


def test_a_sound_declaration_in_a_file_of_ones_own_holds(tmp_path):
    done = checked(tmp_path)
    assert (done.exit_code, done.output.split(":")[0].split()) == (0, ["holds", "mine"])


def test_the_tutorials_declaration_holds_once_it_is_put_right(tmp_path):
    path, page = tmp_path / "cubic.py", ROOT / "docs/tutorial/3-add-a-divergence.md"
    path.write_text(page.read_text("utf-8").split("```python\n")[1].split("```")[0].replace("3*u**2/2", "3*u**2"))
    done = run("check", str(path))
    assert (done.exit_code, done.output.split(":")[0].split()) == (0, ["holds", "cubic"]), done.output


@pytest.mark.parametrize(
    ("old", "new", "told", "look_at"),
    [
        ("(t - 1).exp()", "t.exp()", "f*(f'(u)) = u f'(u) - f(u)", "conjugate: the supremum"),
        (
            "log_ratio=lambda v: v - 1",
            "log_ratio=lambda v: v",
            "the density ratio at the optimal critic is u",
            "log_ratio",
        ),
        (
            'alternative_formula="-log(u)"',
            'alternative_formula="u**2"',
            "its alternative g",
            "integrate f''(u)/u twice",
        ),
        ('float("inf"))', "0.0)", "the domain ends at the limit of f'", "domain: from -inf"),
        ('formula="u*log(u)"', 'formula="u*log(u"', "SyntaxError", "formula and f"),
    ],
)
def test_a_fault_is_told_in_words_with_what_was_found(tmp_path, old, new, told, look_at):
    done = checked(tmp_path, (old, new))
    assert done.exit_code == 1
    assert "broken mine" in done.output
    assert told in done.output
    assert look_at in done.output


def test_the_numbers_that_were_found_are_told(tmp_path):
    done = checked(tmp_path, ("fake_score=lambda v: (v - 1).exp()", "fake_score=lambda v: 2 * (v - 1).exp()"))
    line = next(line for line in done.output.splitlines() if "fake_score is f* after" in line)
    found, expected = (float(part.split()[-1]) for part in (line.split(" where ")[0], line.split(" was expected")[0]))
    assert found == pytest.approx(2 * expected, rel=1e-4)


@pytest.mark.parametrize(
    ("text", "told"),
    [("x = 1\n", "declares no objective"), ("1/0\n", "does not run (ZeroDivisionError"), (None, "is not there")],
)
def test_a_file_that_declares_none_is_refused(tmp_path, text, told):
    path = tmp_path / "none.py"
    if text:
        path.write_text(text)
    with pytest.raises(DivergaNError, match=told.replace("(", r"\(")):
        raise run("check", str(path)).exception


def test_an_unknown_name_has_its_neighbour():
    with pytest.raises(DivergaNError, match="did you mean 'hinge'"):
        raise run("check", "hinges").exception


def test_all_that_there_are_hold_or_are_published_flaws():
    done = run("check")
    assert done.exit_code == 0
    lines = done.output.splitlines()
    flawed = [name for name, o in OBJECTIVES.items() if o.flaw]
    assert sum(line.startswith("as published") for line in lines) == len(flawed)
    examples = sum(len(family.examples) for family in FAMILIES.values())
    assert sum(line.startswith("holds") for line in lines) == len(OBJECTIVES) - len(flawed) + examples


def test_the_table_has_every_objective():
    listed = json.loads(run("objectives", "--json").output)
    assert [each["name"] for each in listed[: len(OBJECTIVES)]] == list(OBJECTIVES)
    kl = listed[1]
    assert (kl["f"], kl["threshold"], kl["alternative"]) == ("u*log(u)", "1", "reverse KL")
    assert all(each["source"] for each in listed)
    assert all(name in run("objectives").output for name in OBJECTIVES)


def test_the_table_of_regularisers_has_their_settings():
    listed = json.loads(run("objectives", "--regularisers", "--json").output)
    assert [each["name"] for each in listed] == list(REGULARISERS)
    assert listed[0]["settings"] == {"gamma": "float", "every": "int"}
    assert "weight_clipping" in run("objectives", "--regularisers").output
