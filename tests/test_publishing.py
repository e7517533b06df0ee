"""The README's result table: made from the study's tables, in their order."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from divergan.plan import Plan
from divergan.publishing import README_METRICS, result_table, sampler_lines

SMOKE = Path("params/smoke.yaml")


@pytest.fixture
def folder(tmp_path):
    """Two variants, the second without a run that finished."""
    common = {"low": 9.0, "high": 15.0, "n_runs": 2, "judged": False}
    rows = [
        {"variant": variant, "label": label, "metric": metric, "mean": mean, "n": n, **common}
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
    monkeypatch.chdir(Path(__file__).parents[1])
    lines = result_table(folder, Plan(SMOKE)).splitlines()
    assert lines[2] == "| Beta | 0 of 2 | – | – | – | – |"
    assert lines[3].startswith("| Alpha | 2 of 2 | 12.0 [9.0, 15.0] |")
    assert lines[4].startswith("| *real images (floor)* | | *7.50* |")
    assert "over training seeds, 200 samples" in lines[-3]
    assert "shown, not judged" in lines[-3]
    assert "3 claims" in lines[-1]
    assert "1 reproduced, 0 not reproduced, 2 undecided" in lines[-1]
