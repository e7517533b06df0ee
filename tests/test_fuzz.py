"""Properties of parameters -> plan -> recipe, on files that are made up: `make fuzz` tries many more."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from divergan import claims, looking
from divergan.errors import DivergaNError
from divergan.plan import Plan
from fuzzing import (
    FILES,
    JUNK,
    SEED,
    SPOILT_TEXT,
    STUDY,
    leaves,
    nudged,
    replaced,
    scalar,
    spoilt_document,
    spoilt_text,
    with_defaults,
    written,
)
from tiny_study import ROOT, project

SECONDS = 10  # of one file, on a busy machine; here the longest takes less than one
OFTEN = {"quick": 40, "thorough": 1000}

for name, examples in OFTEN.items():
    settings.register_profile(
        name,
        max_examples=examples,
        deadline=SECONDS * 1000,
        database=None,
        derandomize=name == "quick",
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
settings.load_profile(os.environ.get("FUZZ", "quick"))


@pytest.fixture(autouse=True, scope="module")
def here(tmp_path_factory):
    """A project's folder, with the files that others are `like`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project(tmp_path_factory.mktemp("fuzz") / "project"))
        Path("params").mkdir()
        Path("params/smoke.yaml").write_text(FILES["params/smoke.yaml"], "utf-8")
        yield


def planned(content: str | bytes) -> Plan:
    Path("params.yaml").write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
    return Plan(Path("params.yaml"))


def recipes(content: str) -> dict[tuple[str, str], str]:
    return {(step.verb, step.key): step.hash for step in planned(content).steps}


AS_JSON = json.dumps(STUDY)  # is YAML too
BEFORE = ("data", "features", "train", "sample", "evaluate")  # all but what is shown


@given(SEED)
def test_the_same_meaning_in_another_writing_has_the_same_recipes(seed):
    rng = random.Random(seed)
    assert recipes(written(with_defaults(STUDY, rng), rng)) == recipes(AS_JSON)


@given(SEED)
def test_the_order_of_variants_changes_what_is_shown_and_nothing_that_is_computed(seed):
    rng = random.Random(seed)
    arm = STUDY["arms"]["stabilised"]
    turned = arm | {"variants": dict(reversed(arm["variants"].items()))}
    found, before = recipes(written(STUDY | {"arms": {"stabilised": turned}}, rng)), recipes(AS_JSON)
    same = {place[0] for place in before if found[place] == before[place]}
    assert same == set(BEFORE)


# What a leaf of the document concerns: the verbs whose recipes must change, where it is at no variant. What rests on
# them changes too, and is listed; what is not listed must not change.
SHOWN = {"compare", "figures", "report"}
OF_RUNS = {"train", "sample", "evaluate", *SHOWN}
CONCERNED = {
    "study": {"report"},
    "title": {"report"},
    "question": {"report"},
    "device": set(),
    "threads": {"features", *OF_RUNS},
    "data": {"data", "features", *OF_RUNS},
    "features": {"features", "evaluate", *SHOWN},
    "training": OF_RUNS,
    "evaluation": {"sample", "evaluate", *SHOWN},
}
NUMBERS = [(place, value) for place, value in leaves(STUDY) if type(value) in (int, float) and place[0] != "seeds"]


@given(st.sampled_from(NUMBERS), SEED)
def test_another_number_gives_another_recipe_to_what_it_concerns_and_to_nothing_else(leaf, seed):
    place, value = leaf
    other = nudged(value, random.Random(seed))
    assume(other != value)
    try:
        after = recipes(json.dumps(replaced(STUDY, place, other)))
    except DivergaNError:
        assume(False)
    before = recipes(AS_JSON)
    assert set(after) == set(before)
    changed = {at for at in before if after[at] != before[at]}
    assert {verb for verb, _ in changed} == CONCERNED[place[0]]
    if place[0] == "training":
        assert {key for verb, key in changed if verb == "train"} == {key for verb, key in before if verb == "train"}


@given(st.sampled_from(["bce", "kl"]), st.sampled_from(["batch", "steps", "latent", "n_critic"]), st.integers(33, 59))
def test_a_number_of_one_variant_concerns_its_runs_alone(variant, name, number):
    after = recipes(json.dumps(replaced(STUDY, ("arms", "stabilised", "variants", variant, name), number)))
    before = recipes(AS_JSON)
    changed = {at for at in before if after[at] != before[at]}
    assert {verb for verb, _ in changed} == OF_RUNS
    assert all(key.startswith(f"{variant}.") for verb, key in changed if verb not in SHOWN)


WINDOWS = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
PLACES = {
    "study": lambda name: STUDY | {"study": name},
    "arm": lambda name: STUDY | {"arms": {name: STUDY["arms"]["stabilised"]}},
    "variant": lambda name: replaced(STUDY, ("arms", "stabilised", "variants", name), {"objective": "bce"}),
}
TEXTS = st.one_of(
    st.text(),
    st.from_regex(r"[a-z0-9_./\\-]{1,70}", fullmatch=True),
    st.from_regex(r"[a-z0-9][a-z0-9_]{0,63}", fullmatch=True),
    st.sampled_from([own for own in JUNK if isinstance(own, str)]),
)


@given(st.sampled_from(sorted(PLACES)), TEXTS)
@example("variant", "com1")
@example("variant", "a" * 64)
@example("study", "kl\n")
def test_a_name_is_refused_or_safe_in_every_file_system(place, name):
    try:
        plan = planned(json.dumps(PLACES[place](name)))
        steps = plan.steps
    except DivergaNError:
        return
    names = [plan.study.study, *(Path(step.folder).name for step in steps)]
    for own in names:
        assert re.fullmatch(r"[a-z0-9][a-z0-9_.-]*[a-z0-9_]", f"{own}0")
        assert len(own.encode()) < 235  # so that .<name>.<process>.tmp, a temporary name, is still one
        assert not WINDOWS.match(own)
    folders = [step.folder.casefold() for step in steps]
    assert len(set(folders)) == len(folders)


def refused_or_planned(content: str | bytes) -> None:
    try:
        _ = [step.hash for step in planned(content).steps]
    except DivergaNError as error:
        assert str(error)
        assert "\x1b" not in str(error)


@given(st.one_of(st.text(), st.binary()))
@example("a: &a {<<: *a}")
@example("? [a, b]\n: c")
@example("? {a: b}\n: c")
def test_no_text_raises_anything_but_a_message(content):
    refused_or_planned(content)


@given(SPOILT_TEXT)
def test_no_spoilt_file_raises_anything_but_a_message(chosen):
    refused_or_planned(spoilt_text(*chosen))


@given(SEED)
def test_no_spoilt_value_raises_anything_but_a_message(seed):
    refused_or_planned(json.dumps(spoilt_document(seed)))


CLAIMS = (ROOT / "claims.yaml").read_text("utf-8")


@given(SEED)
@settings(max_examples=max(5, settings.default.max_examples // 20))
def test_no_spoilt_claims_raise_anything_but_a_message(seed):
    rng = random.Random(seed)
    place = rng.randrange(len(CLAIMS))
    Path("claims.yaml").write_text(
        CLAIMS[:place] + scalar(rng.choice(["&a", "<<: ", "- x", "{", None]), rng) + CLAIMS[place + 3 :]
    )
    try:
        claims.read(Path("claims.yaml"))
    except DivergaNError:
        pass
    finally:
        shutil.copy(ROOT / "claims.yaml", "claims.yaml")


KEYS = ["verb", "key", "settings", "inputs", "code", "recipe", "files", "environment", "commit", "label", "classes",
        "channels", "size", "count", "sha256", "resized", "outcome", "at_step", "packages"]  # fmt: skip
FACTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner, max_size=6),
    max_leaves=12,
)


@given(FACTS, FACTS)
def test_no_facts_of_a_result_raise_anything_but_a_message(recipe, run):
    folder = Path("a_result")
    folder.mkdir(exist_ok=True)
    (folder / "recipe.json").write_text(json.dumps(recipe))
    (folder / "run.json").write_text(json.dumps(run))
    try:
        looking.explain(folder)
    except DivergaNError as error:
        assert str(error)


@given(FACTS)
def test_no_description_of_ones_own_data_raises_anything_but_a_message(told):
    path = Path("data/own/mine.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(told))
    try:
        refused_or_planned(json.dumps(replaced(STUDY, ("data", "name"), "mine")))
    finally:
        path.unlink()
