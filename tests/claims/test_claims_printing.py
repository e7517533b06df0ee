"""Claims as people read them: the evidence in words, and `divergan claims`."""

from __future__ import annotations

import shutil
import sys
from math import inf, log, nan
from pathlib import Path

import pandas as pd
import pytest

from divergan import cli, store
from divergan.claims import evidence
from divergan.claims.judging import COLUMNS
from divergan.plan import Plan
from tiny_study import ROOT, project

ROW = {
    "id": "a", "family": "table-2-order", "arm": "stabilised", "says": "KL is above BCE", "source": "x",
    "test": "difference", "metric": "fid", "direction": "higher", "margin": log(1.1), "n_x": 5, "n_y": 5,
    "effect": log(2.1), "low": log(1.5), "high": log(2.9), "level": 0.95, "p": 0.004, "p_adjusted": 0.012,
    "verdict": "reproduced", "reason": "", "seeds_needed": None, "scale": "ratio", "published": nan,
    "method": "paired t",
}  # fmt: skip
NOTHING = {"effect": nan, "low": nan, "high": nan, "level": nan, "p": nan, "p_adjusted": nan, "n_x": 0, "n_y": 0}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, "FID 2.10 times as high [1.50, 2.90] at 95 %, 5 pairs, paired t"),
        (
            {"n_y": 4, "method": "Welch t", "level": 1 - 0.05 / 6},
            "FID 2.10 times as high [1.50, 2.90] at 99.17 %, 5 against 4 runs, Welch t",
        ),
        (
            {"effect": inf, "high": inf, "method": "exact worst-rank"},
            "FID ∞ times as high [1.50, ∞] at 95 %, 5 against 5 runs, exact worst-rank",
        ),
        (
            {"test": "equivalence", "method": "TOST, paired", "level": 0.9},
            "FID 2.10 times as high [1.50, 2.90] at 90 %, 5 pairs, TOST, paired",
        ),
        (
            {"test": "equivalence", "method": "TOST, unpaired"},
            "FID 2.10 times as high [1.50, 2.90] at 95 %, 5 against 5 runs, TOST, unpaired",
        ),
        (
            {"test": "spread", "low": -inf, "method": "F"},
            "standard deviation 2.10 times as large [0, 2.90] at 95 %, 5 against 5 runs, F",
        ),
        ({"test": "seeds"}, "FIDs 2.10 times apart [1.50, 2.90] at 95 %, 5 pairs, paired t"),
        (
            {"test": "failures", "scale": "difference", "effect": -0.4, "low": -0.8, "high": 0.0,
             "method": "Fisher, 0 of 5 against 2 of 5"},
            "difference of the shares of failed runs −0.400 [−0.800, 0] at 95 %, Fisher, 0 of 5 against 2 of 5",
        ),
        (
            {"test": "order", "scale": "tau", "effect": 0.6, "low": 0.2, "high": 1.0, "method": "Kendall"},
            "tau 0.600 [0.200, 1.00] at 95 %, 5 seeds, Kendall",
        ),
        (
            {"test": "value", "scale": "value", "effect": 52.0, "low": 40.2, "high": 67.1, "published": 49.06},
            "FID 52.0, a further run in [40.2, 67.1], published 49.06, 5 runs",
        ),
        (
            {"test": "value", "scale": "value", "effect": inf, "low": nan, "high": nan, "published": 441.18},
            "FID without a mean, published 441.18, 5 runs",
        ),
        ({"metric": "precision"}, "precision 2.10 times as high [1.50, 2.90] at 95 %, 5 pairs, paired t"),
        (
            {"metric": "evaluations"},
            "2.10 times as many evaluations an image [1.50, 2.90] at 95 %, 5 pairs, paired t",
        ),
        (
            {"test": "value", "metric": "precision", "scale": "value", "effect": 0.4, "low": 0.3, "high": 0.5,
             "published": 0.38},
            "precision 0.400, a further run in [0.300, 0.500], published 0.38, 5 runs",
        ),
        ({"test": "same_weights", "scale": "none", "effect": 0.8}, "equal weights at 4 of 5 seeds"),
        ({"test": "definition", "scale": "none", "method": "the slope of f at 1"} | NOTHING, "the slope of f at 1"),
        ({"scale": "none"} | NOTHING, ""),
        ({"test": "same_weights", "scale": "none"} | NOTHING, ""),
    ],
)  # fmt: skip
def test_evidence_is_one_phrase(changed, told):
    assert evidence(ROW | changed) == told


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    project(tmp_path / "project")
    shutil.copy(ROOT / "claims.yaml", tmp_path / "project/claims.yaml")
    monkeypatch.chdir(tmp_path / "project")
    return Path()


def call(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["divergan", "claims", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr()
    return ended.value.code or 0, told.out, told.err


def test_a_study_that_is_not_compared_yet_is_told(root, monkeypatch, capsys):
    code, _, told = call(monkeypatch, capsys)
    assert code == 2
    assert told.startswith("error: the claims are not judged yet: results/smoke/comparison/tables-")
    assert "`snakemake evaluate --config params=params.yaml`" in told


def test_claims_are_printed_by_family_with_their_verdicts(root, monkeypatch, capsys):
    rows = [
        ROW,
        ROW | {"arm": "released", "verdict": "undecided", "p_adjusted": 0.2, "seeds_needed": 17,
               "reason": "the interval crosses the margin"},
        ROW | {"verdict": "not reproduced", "p_adjusted": 0.0001, "low": -inf, "says": "KL [x] is above"},
        ROW | NOTHING | {"family": "theory", "test": "definition", "arm": "", "scale": "none", "method": "its slope"},
        ROW | NOTHING | {"family": "people", "arm": "", "scale": "none", "reason": "nobody was asked",
                         "verdict": "could not have been measured"},
    ]  # fmt: skip
    folder = store.place(root, Plan(Path("params.yaml")).of("compare")[0])
    folder.mkdir(parents=True)
    pd.DataFrame(rows, columns=COLUMNS).to_csv(folder / "claims.csv", index=False)
    code, out, _ = call(monkeypatch, capsys)
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    text = " ".join(lines)
    assert [line for line in lines if line in ("table-2-order", "theory", "people")] == [
        "table-2-order", "theory", "people",
    ]  # fmt: skip
    assert text.count("KL is above BCE") == 4
    assert "KL [x] is above" in text, "what a claim says is no markup"
    assert "0.012 reproduced" in text
    assert "undecided" in text
    assert "17 seeds" in text
    assert "< 0.001 not reproduced" in text
    assert "nan" not in text.lower().replace("mannan", "")
    assert lines[-1] == "2 reproduced, 1 not reproduced, 1 undecided, 1 could not have been measured."


def test_the_help_has_an_example(monkeypatch, capsys):
    _, out, _ = call(monkeypatch, capsys, "--help")
    assert "divergan claims --params params/demo.yaml" in " ".join(out.replace("│", " ").split())
