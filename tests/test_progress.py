"""Progress in a log, and the pace of a training."""

from __future__ import annotations

import csv

import pytest

from divergan import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves by hand."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_pace_counts_images_between_rows_and_every_sitting_appends(tmp_path, clock):
    first = progress.Pace(tmp_path / "timing.csv", 32, 0)
    clock[0] += 2.0
    assert first.at(50) == pytest.approx(800.0)
    resumed = progress.Pace(tmp_path / "timing.csv", 32, 50)
    clock[0] += 1.0
    assert resumed.at(60) == pytest.approx(320.0)
    with (tmp_path / "timing.csv").open() as file:
        assert list(csv.reader(file)) == [["step", "images_per_second"], ["50", "800.0"], ["60", "320.0"]]


def test_a_log_gets_about_ten_lines_with_rate_and_time_left(capsys, clock):
    lines = progress.Lines("run", 1000, "steps")
    lines.start(500)
    for step in range(501, 1001):
        clock[0] += 0.1
        lines.update(step)
    printed = capsys.readouterr().err.splitlines()
    assert 4 <= len(printed) <= 7
    assert "10.0 steps/s" in printed[1]
    assert printed[-1].startswith("run: 1000/1000 steps")
    assert "s left" in printed[1]
