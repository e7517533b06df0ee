"""How long jobs take together: closed forms of schedules, and that jobs and rules are those of the workflow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from divergan.plan import FOLDERS, Plan
from divergan.processes import ON_A_GPU, Processes
from divergan.schedule import ONE_THREAD, PRIORITIES, Job, jobs_of, makespan
from tiny_study import ROOT, project, sampled_project

RULES = {
    "train": "train_one",
    "reweight": "reweight_one",
    "evaluate": "evaluate_one",
}  # the others are called as the verb


def alone(*seconds: float, **more) -> list[Job]:
    return [Job(key=str(place), seconds=value, **more) for place, value in enumerate(seconds)]


def chain(*seconds: float) -> list[Job]:
    return [
        Job(key=str(place), seconds=value, needs=(str(place - 1),) if place else ())
        for place, value in enumerate(seconds)
    ]


def test_what_needs_each_other_adds_up_whatever_the_cores():
    for cores in (1, 2, 16):
        assert makespan(chain(3, 5, 2), cores) == 10


def test_what_does_not_is_divided_by_the_cores():
    assert makespan(alone(*[1.5] * 12), 1) == 18
    assert makespan(alone(*[1.5] * 12), 4) == 4.5
    assert makespan(alone(*[1.5] * 13), 4) == 6
    assert makespan(alone(*[1.5] * 12), 100) == 1.5
    assert makespan([], 2) == 0


def test_a_job_starts_when_the_last_of_what_it_needs_has_ended():
    jobs = [Job(key="a", seconds=4), Job(key="b", seconds=7), Job(key="c", seconds=1, needs=("a", "b"))]
    assert makespan(jobs, 2) == 8
    assert makespan(jobs, 1) == 12


def test_what_comes_first_in_the_plan_starts_first_and_the_urgent_before_it():
    long_last = [*alone(1, 1), Job(key="long", seconds=4)]
    assert makespan(long_last, 2) == 5
    assert makespan([*alone(1, 1), Job(key="long", seconds=4, priority=5)], 2) == 4


def test_threads_are_occupied_and_no_more_are_asked_for_than_there_are():
    assert makespan(alone(1, 1, 1, 1, threads=2), 4) == 2
    assert makespan(alone(1, 1, threads=2), 3) == 2, "one core is left over"
    assert makespan(alone(1, 1, threads=8), 2) == 2, "scaled down, as Snakemake does"


def test_gpu_slots_bound_only_what_holds_a_gpu():
    on_gpu = [Job(key=f"g{place}", seconds=3, gpus=1) for place in range(4)]
    on_cpu = [Job(key=f"c{place}", seconds=3) for place in range(4)]
    assert makespan(on_gpu, 8, 1) == 12
    assert makespan(on_gpu, 8, 2) == 6
    assert makespan([*on_gpu, *on_cpu], 8, 2) == 6, "the others run beside them"
    with pytest.raises(ValueError, match="4 jobs can never start on 8 cores and 0 GPUs"):
        makespan(on_gpu, 8)


def test_nothing_beats_the_bounds_of_work_and_of_the_longest_chain():
    """Graham: any list schedule ends before twice the better of the two bounds."""
    jobs = [
        Job(key=str(n), seconds=1 + 7 * n % 5, needs=tuple(str(m) for m in range(n) if (3 * n + 5 * m) % 11 == 0))
        for n in range(40)
    ]
    longest: dict[str, float] = {}
    for job in jobs:
        longest[job.key] = job.seconds + max((longest[key] for key in job.needs), default=0)
    total = sum(job.seconds for job in jobs)
    for cores in (1, 2, 3, 7):
        bound = max(total / cores, max(longest.values()))
        assert bound <= makespan(jobs, cores) <= total / cores + (1 - 1 / cores) * max(longest.values()) + 1e-9


@pytest.fixture
def plan(tmp_path, monkeypatch) -> Plan:
    monkeypatch.chdir(sampled_project(tmp_path / "project"))
    return Plan(Path("params.yaml"))


def test_a_study_has_a_job_for_each_step_that_none_makes_by_the_way(plan):
    jobs = jobs_of(plan.steps, lambda step: 1.0, start=10.0)
    own = list(Processes(plan.steps).made_in)
    assert {step.verb for step in own}.isdisjoint({"sample", "figures"})
    assert [job.key for job in jobs] == [step.hash for step in own]
    assert sum(job.seconds for job in jobs) == len(plan.steps) + 10 * len(own), "each step's work is counted once"
    keys = {job.key for job in jobs}
    assert all(set(job.needs) <= keys for job in jobs), "nobody waits for what no job of its own makes"


def test_what_is_made_already_is_no_work_and_not_waited_for(plan):
    (report,) = plan.of("report")
    (job,) = jobs_of([report], lambda step: 1.0, start=2.0)
    assert (job.seconds, job.needs) == (3.0, ())


def rule_of(verb: str) -> str:
    """The text of the rule that makes the steps of a verb."""
    texts = [path.read_text("utf-8") for path in sorted((ROOT / "workflow/rules").glob("*.smk"))]
    (found,) = re.findall(rf"^rule {RULES.get(verb, verb)}:\n((?:    .*\n|\n)+)", "\n".join(texts), re.MULTILINE)
    return found


@pytest.mark.parametrize("verb", FOLDERS)
def test_the_simulated_jobs_ask_for_what_the_rules_ask_for(verb):
    rule = rule_of(verb)
    priority = re.search(r"priority: (\d+)", rule)
    assert (int(priority[1]) if priority else 0) == PRIORITIES.get(verb, 0)
    assert ("threads: PLAN.study.threads" in rule) == (verb not in (*ONE_THREAD, "figures"))
    assert ("gpu=GPUS" in rule) == (verb in ON_A_GPU)


@pytest.mark.parametrize("verb", FOLDERS)
def test_a_rule_tells_its_command_the_threads_that_it_asks_for(verb):
    rule = rule_of(verb)
    assert ("--threads {threads}" in rule) == ("threads:" in rule)


def test_the_plan_tells_how_long_on_so_many_cores(tmp_path, monkeypatch, capsys):
    from divergan import looking

    monkeypatch.chdir(project(tmp_path / "project"))
    plan = Plan(Path("params.yaml"))
    monkeypatch.setattr(looking, "core_seconds", lambda step: 60.0)
    monkeypatch.setattr(looking, "START_SECONDS", 0.0)
    printed = []
    for cores in (1, 2):
        looking.print_plan(Path(), plan, cores)
        printed.append(" ".join(capsys.readouterr().out.split()))
    # On two cores: data, two pairs of trainings, features, two pairs of evaluations, which draw, that of real images,
    # the tables, the report, which draws the figures: 1 + 2 + 1 + 4 + 1 + 1 + 2 minutes.
    assert "18 of 18 steps to make: about 18 min of one core's time, 18 min on 1 core (" in printed[0]
    assert "about 18 min of one core's time, 12 min on 2 cores (" in printed[1]
