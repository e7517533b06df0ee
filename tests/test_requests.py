"""What jobs ask a cluster for, and that it changes nothing for runs on one machine."""

from __future__ import annotations

import re

import pytest
from ruamel.yaml import YAML

from checkout import PARAMS, ROOT, copied
from divergan import estimates
from divergan.estimates import requested_mb, requested_minutes
from divergan.plan import FOLDERS, Plan
from test_schedule import rule_of


@pytest.mark.parametrize(
    ("seconds", "attempt", "minutes"),
    [(1.0, 1, 30), (448.0, 1, 30), (449.0, 1, 31), (448.0, 2, 60), (448.0, 3, 120), (3598.0, 1, 240), (3598.0, 2, 480)],
)
def test_time_is_four_times_the_estimate_at_least_half_an_hour_and_doubles(seconds, attempt, minutes, monkeypatch):
    monkeypatch.setattr(estimates, "core_seconds", lambda step: step)
    assert requested_minutes([seconds - 1, 1.0], attempt) == minutes
    assert requested_mb(attempt) == 4000 * 2 ** (attempt - 1)


@pytest.mark.parametrize("verb", FOLDERS)
def test_every_rule_asks_for_the_time_of_its_own_verb_and_for_memory(verb):
    assert re.findall(r"(runtime|mem_mb)=(.*),", rule_of(verb)) == [
        ("runtime", f'minutes_of("{verb}")'),
        ("mem_mb", "megabytes"),
    ]


def test_the_profile_of_slurm_says_what_the_default_says_but_for_the_gpus_of_one_machine():
    default, slurm = (YAML().load(ROOT / f"profiles/{name}/config.yaml") for name in ("default", "slurm"))
    assert default.pop("resources") == ["gpu=1"]  # in Slurm's hands there
    assert {key: slurm.get(key) for key in default} == dict(default)


@pytest.mark.xdist_group("workflow")
def test_a_long_training_asks_for_its_own_time(tmp_path):
    project = copied(ROOT, tmp_path / "project")
    project.edit(PARAMS, "  steps: 60 ", "  steps: 2000000 ")
    output = project.snakemake("--dry-run", "train", "--quiet", "progress")
    plan = Plan(project.folder / PARAMS)
    training = plan.of("train")[0]
    assert f"runtime={requested_minutes([training], 1)}" in output
    assert "mem_mb=4000" in output


def test_an_evaluation_costs_what_its_pairs_do():
    """Measured: 2.4 s for 1,000 images of the demo, 13 s for 2,000 on all of MNIST, within a factor of two."""
    for name, measured in (("demo", 2.4), ("reference", 13.0)):
        step = next(s for s in Plan(ROOT / f"params/{name}.yaml").of("evaluate") if s.key.endswith(".prior"))
        assert measured / 2 < estimates.core_seconds(step) < 2 * measured
