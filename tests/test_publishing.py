"""The README's result table: made from the study's tables, in their order."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from divergan.plan import Plan
from divergan.plan.steps import digest
from divergan.publishing import README_METRICS, readme_text, result_table, sampler_lines

ROOT = Path(__file__).parents[1]
SMOKE = Path("params/smoke.yaml")


@pytest.fixture
def folder(tmp_path):
    """Two variants, the second without a run that finished."""
    common = {"low": 9.0, "high": 15.0, "n_runs": 2, "judged": False}
    rows = [
        {"variant": variant, "label": label, "arm": "stabilised", "metric": metric, "mean": mean, "n": n, **common}
        for variant, label, mean, n in (("a.x", "Alpha", 12.0, 2), ("b.x", "Beta", float("nan"), 0))
        for metric in README_METRICS
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "summary.csv", index=False)
    pd.DataFrame({"variant": ["b.x", "a.x"]}).to_csv(tmp_path / "ranking.csv", index=False)
    pd.DataFrame({"metric": README_METRICS, "floor": [7.5, 1.0, 0.9, 0.8]}).to_csv(tmp_path / "floors.csv", index=False)
    verdicts = ["undecided", "reproduced", "undecided"]
    pd.DataFrame({"verdict": verdicts}).to_csv(tmp_path / "claims.csv", index=False)
    return tmp_path


def test_samplers_of_the_first_variant_follow_with_their_cost(folder):
    effects = [
        {"variant": variant, "label": label, "sampler": "s", "sampler_label": "S, |z| < 1", "against": against,
         "metric": metric, "n": n, "effect": 0.5, "low": 0.25, "high": 0.75}
        for variant, label in (("a.x", "Alpha"), ("b.x", "Beta"))
        for against in ("prior", "trained_on")
        for metric, n in (("fid", 5), ("precision", 0))
    ]  # fmt: skip
    pd.DataFrame(effects).to_csv(folder / "effects.csv", index=False)
    costs = [{"variant": v, "sampler": "s", "evaluations": rows} for v, rows in (("a.x", 6.0), ("b.x", 7.0))]
    pd.DataFrame(costs).to_csv(folder / "frontier.csv", index=False)
    lines = sampler_lines(folder)
    assert lines[2:4] == [r"| S, \|z\| < 1 | 0.50 [0.25, 0.75] | not drawn | 6.00 |", ""]
    assert "Alpha's generators against their prior, paired over 5 seeds" in lines[4]
    assert sampler_lines(folder / "none") == []


def test_rows_are_in_the_rankings_order_with_intervals_counts_and_floor(folder, monkeypatch):
    monkeypatch.chdir(ROOT)
    lines = result_table(folder, Plan(SMOKE)).splitlines()
    assert lines[0].startswith("| | arm | runs | FID")
    assert lines[2] == "| Beta | Stabilised | 0 of 2 | – | – | – | – |"
    assert lines[3].startswith("| Alpha | Stabilised | 2 of 2 | 12.0 [9.0, 15.0] |")
    assert lines[4].startswith("| *real images (floor)* | | | *7.50* |")
    assert "over training seeds, 200 samples" in lines[-3]
    assert "shown, not judged" in lines[-3]
    assert "1 reproduced, 0 not reproduced, 2 undecided" in lines[-1]


def test_the_readme_shows_the_reference_report_that_git_has():
    plan, published = Plan(ROOT / "params/reference.yaml"), Path("reports/reference")
    assert readme_text(published, ROOT, plan) in (ROOT / "README.md").read_text("utf-8")
    (shown,) = (ROOT / published).glob("*.id")
    report = json.loads((ROOT / published / f"recipes/report/report-{shown.stem}.json").read_text("utf-8"))
    named = {name.split()[0] for name in report["inputs"]}
    assert {"train", "sample", "evaluate", "compare", "figures"} <= named


def test_every_recipe_of_the_reference_is_there_and_hashes_to_its_name():
    """Each names its inputs by their hashes: from the report's recipe down, nothing is missing."""
    folder = ROOT / "reports/reference/recipes"
    found = {path: json.loads(path.read_text("utf-8")) for path in folder.rglob("*.json")}
    hashes = {digest(recipe)[:32] for recipe in found.values()}
    assert all(path.stem.endswith(digest(recipe)[:8]) for path, recipe in found.items())
    assert {made for recipe in found.values() for made in recipe["inputs"].values()} <= hashes
