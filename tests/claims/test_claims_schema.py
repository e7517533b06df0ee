"""claims.yaml: the project's own is whole, and what is wrong in one is told in a sentence with its line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from divergan.claims import Claim, read
from divergan.claims.properties import PROPERTIES
from divergan.claims.schema import METRICS, TESTS
from divergan.metrics import METRICS as DECLARED
from divergan.objectives import OBJECTIVES
from divergan.params import read as read_study
from divergan.report.wording import source
from divergan.strict_yaml import ParameterError

ROOT = Path(__file__).parents[2]
CLAIMS = read(ROOT / "claims.yaml")

GOOD = """\
claims:
  - id: kl-above-bce
    says: "KL reaches a higher FID than BCE"
    source: "benatti2024fdivergences, Table 2"
    family: order
    test: difference
    variant: kl
    against: bce
    direction: higher
    margin: 1.1
  - id: kl-fid
    says: "KL reaches an FID of 441"
    source: "benatti2024fdivergences, Table 2"
    family: values
    test: value
    variant: kl
    published: released-kl
  - id: conjugates
    says: "The conjugate is right"
    source: "benatti2024fdivergences, Table 1"
    family: theory
    test: definition
    property: conjugate
    objectives: [kl, pearson]
  - id: in-order
    says: "BCE is best"
    source: "benatti2024fdivergences, Table 2"
    family: whole
    test: order
    margin: 0.0
    variants: [bce, kl]
    published: [released-bce, table2-kl]
"""


def written(folder: Path, text: str) -> Path:
    (folder / "data").mkdir(exist_ok=True)
    shutil.copy(ROOT / "data/published.csv", folder / "data/published.csv")
    (folder / "claims.yaml").write_text(text, "utf-8")
    return folder / "claims.yaml"


def refusal(folder: Path, text: str) -> str:
    path = written(folder, text)
    with pytest.raises(ParameterError) as caught:
        read(path)
    return str(caught.value).replace(f"{folder}/", "")


def test_a_good_file_is_read(tmp_path):
    claims = read(written(tmp_path, GOOD))
    assert [claim.test for claim in claims] == ["difference", "value", "definition", "order"]
    assert claims[1].published == ["released-kl"]


# what stands in the file, what replaces it, what the message says; the line is where the new text stands
WRONG = {
    "test": ("test: difference", "test: diference", "claims.0.test = 'diference': there is no 'diference'; did you"),
    "field": ("direction: higher", "directon: higher", "claims.0.directon = 'higher': is not a parameter; did you"),
    "direction": ("direction: higher", "direction: above", "claims.0.direction = 'above': expected 'higher'"),
    "number": ("margin: 1.1", "margin: '1.1'", "claims.0.margin = '1.1': expected a number"),
    "margin below 1": ("margin: 1.1", "margin: 0.9", "expected a ratio of at least 1; `direction` says to which side"),
    "infinite margin": ("margin: 1.1", "margin: .inf", "claims.0.margin = inf: expected a finite number"),
    "variant": ("variant: kl\n    against", "variant: a/b/c\n    against", "expected the name of a variant, like kl"),
    "sampler": ("variant: kl\n    against", "variant: kl/\n    against", "of one as a sampler draws it, like kl/drs"),
    "metric": ("margin: 1.1", "metric: presicion\n    margin: 1.1", "'presicion'; did you mean 'precision'? known are"),
    "signed metric": ("margin: 1.1", "metric: kid\n    margin: 1.1", "there is no 'kid'"),
    "cost": ("margin: 1.1", "metric: evaluations\n    margin: 1.1", "evaluations are counted of samplers: expected"),
    "metric of a value": ("published: released-kl", "metric: fid\n    published: released-kl", "has no use for it; it"),
    "published": ("published: released-kl", "published: relased-kl", "no 'relased-kl'; did you mean 'released-kl'?"),
    "two values": ("published: released-kl", "published: [released-kl, table2-kl]", "is one number, here are 2"),
    "property": ("property: conjugate", "property: conjugat", "did you mean 'conjugate'? known are non_negative"),
    "objective": ("objectives: [kl, pearson]", "objectives: [kl, person]", "did you mean 'pearson'?"),
    "no objective": ("objectives: [kl, pearson]", "objectives: []", "objectives = []: List should have at least 1"),
    "property of a sampler": (
        "property: conjugate\n    objectives: [kl, pearson]", "property: conjugate\n    samplers: [drs]",
        "'conjugate' is asked of objectives: expected objectives: [...] and nothing else",
    ),
    "sampler of a property": (
        "objectives: [kl, pearson]", "samplers: [mh]",
        "there is no 'mh'; known are drs, latent_rs",
    ),
    "useless": ("property: conjugate", "margin: 2\n    property: conjugate", "the test 'definition' has no use for it"),
    "id": ("id: kl-fid", "id: KL fid", "claims.1.id = 'KL fid': expected small letters and digits"),
    "id twice": ("id: kl-fid", "id: kl-above-bce", "claims.1.id: 'kl-above-bce' is the id of an earlier claim too"),
    "long": ('says: "KL reaches a higher', f'says: "{"very " * 20}KL reaches a higher', "at most 89 characters"),
    "tau": ("margin: 0.0", "margin: 1.5", "claims.3.margin: 1.5 is no tau to exceed"),
    "unequal": ("variants: [bce, kl]", "variants: [bce, kl, gan]", "2 numbers for 3 variants"),
    "one variant": ("variants: [bce, kl]", "variants: [bce]", "= ['bce']: List should have at least 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_its_line(tmp_path, name):
    old, new, message = WRONG[name]
    assert GOOD.count(old) == 1
    text = GOOD.replace(old, new)
    told = refusal(tmp_path, text)
    assert message in told
    part = "published: [released-bce" if name == "unequal" else new.splitlines()[0]
    line = [number for number, row in enumerate(text.splitlines(), 1) if part in row][-1]
    assert f"claims.yaml, line {line}: claims." in told


@pytest.mark.parametrize("test", TESTS)
def test_what_a_test_needs_must_be_there(tmp_path, test):
    head = "claims:\n  - id: some-claim\n    says: x\n    source: x\n    family: x\n    test: "
    told = refusal(tmp_path, f"{head}{test}\n")
    first = min(TESTS[test])
    assert f"claims.yaml, line 6: claims.0.test: the test {test!r} reads" in told
    assert f"{first} is missing" in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("claims: []\n", "claims.yaml, line 1: claims = []: List should have at least 1 item"),
        ("claims: 3\n", "claims.yaml, line 1: claims = 3: expected a list"),
        ("claim: []\n", "claim = []: is not a parameter; did you mean 'claims'?"),
        ("claims:\n  - 3\n", "claims.yaml, line 2: claims.0 = 3: expected a mapping"),
        ("claims:\n  - id: a\n    test: none\n", "claims.0.says: is missing"),
    ],
)
def test_what_is_no_list_of_claims_is_refused(tmp_path, text, message):
    assert message in refusal(tmp_path, text)


def test_samplers_and_metrics_are_read(tmp_path):
    text = GOOD.replace("variant: kl\n    against: bce", "variant: kl/drs\n    against: bce/prior.released")
    first, *others = read(written(tmp_path, text.replace("margin: 1.1", "margin: 1.1\n    metric: evaluations")))
    assert (first.variant, first.against, first.metric) == ("kl/drs", "bce/prior.released", "evaluations")
    assert {claim.metric for claim in others} == {"fid"}


def test_a_sampler_has_no_weights_of_its_own(tmp_path):
    head = "claims:\n  - id: same\n    says: x\n    source: x\n    family: x\n    test: same_weights\n"
    told = refusal(tmp_path, f"{head}    variant: gan\n    against: bce/drs\n")
    assert "claims.0.variant: a sampler leaves the generator as it is: expected variants without a sampler" in told


def test_claims_read_a_metric_as_its_declaration_does():
    measured = {name: better for name, better in METRICS.items() if name != "evaluations"}
    assert measured == {name: DECLARED[name].better for name in measured}
    assert {"fid", "precision", "recall", "density", "coverage"} <= set(measured)


def test_an_equivalence_needs_room(tmp_path):
    text = GOOD.replace("test: difference", "test: equivalence").replace("    direction: higher\n", "")
    assert "1 leaves no room" in refusal(tmp_path, text.replace("margin: 1.1", "margin: 1.0"))


def test_a_missing_table_of_published_numbers_is_told(tmp_path):
    path = written(tmp_path, GOOD)
    (tmp_path / "data/published.csv").unlink()
    with pytest.raises(ParameterError, match=r"published\.csv cannot be read \(No such file"):
        read(path)


# --- the project's own claims


def by(test: str) -> list[Claim]:
    return [claim for claim in CLAIMS if claim.test == test]


def test_every_row_of_table_2_is_claimed():
    published = pd.read_csv(ROOT / "data/published.csv").set_index("id")["objective"]
    rows = {published[name] for name in published.index if name.startswith("table2-")}
    values = {published[name] for claim in by("value") for name in claim.published if claim.family == "table-2-values"}
    above = {claim.variant for claim in by("difference") if claim.family == "table-2-order"}
    (whole,) = by("order")
    (gan,) = (claim for claim in CLAIMS if claim.id == "gan-fid")
    assert rows == values == above | {"bce"} == {published[name] for name in whole.published}
    assert [published[name] for name in whole.published] == whole.variants
    assert (gan.test, gan.published) == ("none", ["table2-bce"]), "the row is printed as GAN's and is BCE's"


def test_the_whole_order_is_that_of_the_numbers():
    values = pd.read_csv(ROOT / "data/published.csv").set_index("id")["value"]
    (whole,) = by("order")
    assert [values[name] for name in whole.published] == sorted(values[name] for name in whole.published)


def test_every_number_of_the_few_image_runs_is_claimed():
    ids = pd.read_csv(ROOT / "data/published.csv")["id"]
    claimed = {name: claim.variant for claim in by("value") for name in claim.published}
    for name in ids[ids.str.startswith("few")]:
        images, objective = name.removeprefix("few").split("-")
        assert claimed[name] == f"{objective}_{images}"


def test_numbers_said_are_numbers_published():
    published = pd.read_csv(ROOT / "data/published.csv").set_index("id")
    for claim in by("value"):
        metric, value = published.loc[claim.published[0], ["metric", "value"]]
        assert (f"an FID of {value:.0f}" if metric == "fid" else f"a {metric} of {value:g}") in claim.says


def test_what_latent_re_weighting_is_said_to_change_is_claimed_with_its_numbers():
    published = pd.read_csv(ROOT / "data/published.csv").set_index("id")["value"]
    told = {
        metric: f"{published[f'latentrs-before-{metric}']:g} to {published[f'latentrs-after-{metric}']:g}"
        for metric in ("fid", "precision")
    }
    claims = [claim for claim in by("difference") if claim.family == "latent-reweighting" and claim.against == "bce"]
    for variant in ("bce/latent_rs", "bce/latent_rs_released", "bce/latent_rs_as_printed"):
        own = {claim.metric: claim for claim in claims if claim.variant == variant}
        assert [(own[metric].direction, own[metric].margin) for metric in told] == [("lower", 1), ("higher", 1)]
        assert "as_printed" in variant or all(numbers in own[metric].says for metric, numbers in told.items())


def test_every_test_property_and_published_objective_is_used():
    assert {claim.test for claim in CLAIMS} == set(TESTS)
    assert {claim.property for claim in by("definition")} == set(PROPERTIES)
    printed = {name for claim in by("definition") for name in claim.objectives}
    assert printed == {"bce", "kl", "reverse_kl", "pearson", "pearson_as_published", "squared_hellinger",
                       "jensen_shannon", "gan"}  # fmt: skip
    assert printed <= set(OBJECTIVES)


def test_a_direction_agrees_with_what_is_said():
    higher, lower = ("higher", "more", "More"), ("lower", "less", "Fewer", "fewer")
    for claim in CLAIMS:
        if claim.direction:
            words = higher if claim.direction == "higher" else lower
            assert any(word in claim.says.split() for word in words), claim.id


def test_sources_are_in_the_bibliography_and_ids_stand_once():
    assert all(source(claim.source)["key"] for claim in CLAIMS)
    assert len({claim.id for claim in CLAIMS}) == len({claim.says for claim in CLAIMS}) == len(CLAIMS)


@pytest.mark.parametrize("file", ["params.yaml", "params/demo.yaml"])
def test_claims_name_variants_that_studies_have(file):
    """A variant's name that no study has would be "not run" for ever; the few-image ones of f-divergences are."""
    study = read_study(ROOT / file)
    variants = {key.partition(".")[0] for key in study.variants()}
    sampled = {f"{key.partition('.')[0]}/{name}" for key in study.variants() for name in study.sampling_of(key)}
    named = {name for claim in CLAIMS for name in (claim.variant, claim.against, *claim.variants) if name}
    assert {name for name in named if not name.endswith(("_100", "_1000", "_10000"))} <= variants | sampled


def test_reading_claims_loads_nothing_heavy():
    code = (
        "import sys, pathlib, divergan.claims as c; c.read(pathlib.Path('claims.yaml'));"
        "print([n for n in ('torch', 'numpy', 'pandas', 'scipy')"
        " if n in sys.modules and type(sys.modules[n]).__name__ != '_LazyModule'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
