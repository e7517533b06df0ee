"""Each short step is made in the process of the step that needs it first, and every other has a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from divergan import processes
from divergan.plan import Plan, Step
from divergan.processes import Processes
from divergan.schedule import jobs_of
from tiny_study import sampled_project


def step(verb: str, key: str, *inputs: Step) -> Step:
    return Step(study="s", verb=verb, key=key, settings={}, inputs=inputs)


@pytest.fixture
def seconds(monkeypatch) -> dict[str, float]:
    """Estimated seconds by key or verb, else 1."""
    found: dict[str, float] = {}
    monkeypatch.setattr(processes, "core_seconds", lambda s: found.get(s.key, found.get(s.verb, 1.0)))
    return found


@pytest.fixture
def plan(tmp_path, monkeypatch) -> Plan:
    monkeypatch.chdir(sampled_project(tmp_path / "project"))
    return Plan(Path("params.yaml"))


DATA = step("data", "digits")
RUN = step("train", "run", DATA)
WEIGHTS = step("reweight", "weights", RUN)
PRIOR = step("sample", "prior", RUN)
DRAWN = step("sample", "drawn", RUN, WEIGHTS)
OF_PRIOR = step("evaluate", "of_prior", PRIOR, DATA)
OF_DRAWN = step("evaluate", "of_drawn", DRAWN, DATA)
TABLES = step("compare", "tables", OF_PRIOR, OF_DRAWN, RUN, WEIGHTS)
FIGURES = step("figures", "figures", TABLES, RUN, PRIOR)
REPORT = step("report", "report", TABLES, FIGURES, OF_PRIOR, RUN, PRIOR, WEIGHTS)
ALL = [DATA, RUN, WEIGHTS, PRIOR, DRAWN, OF_PRIOR, OF_DRAWN, TABLES, FIGURES, REPORT]
ALONE = [s for s in ALL if s not in (WEIGHTS, DRAWN)]  # of a run that is only evaluated
EVALUATED = [DATA, RUN, PRIOR, OF_PRIOR, step("compare", "tables", OF_PRIOR, RUN)]


def homes(steps: list[Step]) -> dict[str, str]:
    return {made.key: home.key for made, home in Processes(steps).home.items() if made is not home}


def test_a_short_step_is_made_in_the_first_job_that_needs_it(seconds):
    drawn = {"weights": "of_drawn", "drawn": "of_drawn"}
    assert homes(ALL) == {"run": "of_prior", "prior": "of_prior", "figures": "report"} | drawn
    assert homes(EVALUATED) == {"run": "of_prior", "prior": "of_prior"}


@pytest.mark.parametrize(("longest", "home"), [(59.0, {"run": "of_prior"}), (60.0, {})])
def test_what_lasts_has_a_job(seconds, longest, home):
    seconds["run"] = longest
    assert homes(EVALUATED) == {"prior": "of_prior"} | home


def test_tables_evaluations_and_data_have_jobs_however_short(seconds):
    chain = [DATA, step("evaluate", "real", DATA)]
    chain.append(step("compare", "tables", chain[-1]))
    assert homes([*chain, step("report", "report", chain[-1])]) == {}


def test_a_job_awaits_the_jobs_of_what_it_and_its_steps_need(seconds):
    awaited = Processes(ALL).awaited
    assert awaited(OF_PRIOR) == [DATA]
    assert awaited(OF_DRAWN) == [OF_PRIOR, DATA], "the run that both need is made in the first"
    assert awaited(TABLES) == [OF_PRIOR, OF_DRAWN]
    assert awaited(REPORT) == [TABLES, OF_PRIOR, OF_DRAWN]
    assert awaited(DRAWN) == [OF_PRIOR], "asked for by name: what it needs and has no job comes with it"


def test_every_step_is_made_in_one_job_after_what_it_needs(plan):
    found = Processes(plan.steps)
    assert sorted(s.key for own in found.made_in.values() for s in own) == sorted(s.key for s in plan.steps)
    assert {s.verb for s in found.made_in}.isdisjoint({"train", "sample", "figures", "reweight"})
    done: set[Step] = set()
    for job, made in found.made_in.items():
        assert set(found.awaited(job)) <= done
        assert job not in found.awaited(job)
        assert made[-1] is job
        done.add(job)
        for own in made:
            assert {found.home[needed] for needed in own.inputs} <= done


def test_the_work_of_a_job_is_that_of_the_steps_it_makes(plan):
    by_verb = {"evaluate": 1.0, "sample": 10.0, "reweight": 100.0, "train": 1000.0}
    jobs = {job.key: job for job in jobs_of(plan.steps, lambda s: by_verb.get(s.verb, 0.0), start=0.5)}
    drawn = plan.step("evaluate", "kl.stabilised-s0.sampling")
    weights, onward = (drawn.input("sample").inputs_of(verb) for verb in ("reweight", "train"))
    assert (len(weights), len(onward)) == (2, 2), "the run itself, and what it became by training on"
    assert jobs[drawn.hash].seconds == 0.5 + 1 + 10 + 200 + 1000
