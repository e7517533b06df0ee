"""Parameters: the right are read alike however written, the wrong are refused in a sentence with their place."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from divergan import params
from divergan.params import ParameterError
from tiny_study import ROOT, SMOKE, edited

FILES = sorted([*ROOT.glob("params.yaml"), *ROOT.glob("params/*.yaml")])


def read(folder: Path, text: str | bytes) -> params.Study:
    path = folder / "params.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return params.read(path)


def refusal(folder: Path, text: str | bytes) -> str:
    """The message without the folder's name."""
    with pytest.raises(ParameterError) as caught:
        read(folder, text)
    return str(caught.value).replace(f"{folder}/", "")


def line_of(text: str, part: str) -> int:
    (found,) = (number for number, line in enumerate(text.splitlines(), 1) if part in line)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_projects_own_files_are_valid(path):
    study = params.read(path)
    assert isinstance(study, params.Theory) or study.variants()
    assert study.study in (path.stem, "published")


# what stands in smoke.yaml, what replaces it, the key and value told, a part of what would be accepted
WRONG = {
    "unknown key": ("threads: 1", "treads: 1", "treads = 1", "did you mean 'threads'?"),
    "unknown training key": (
        "  ema_decay: 0.9",
        "  ema_decai: 0.9",
        "training.ema_decai = 0.9",
        "did you mean 'ema_decay'?",
    ),
    "unknown regulariser": ("r1: {", "r1_: {", "training.regularisers.r1_ = {", "did you mean 'r1'?"),
    "a regulariser's unknown key": ("gamma: 0.1", "gama: 0.1", "regularisers.r1.gama = 0.1", "did you mean 'gamma'?"),
    "a regulariser's value": ("gamma: 0.1", "gamma: -1", "training.regularisers.r1.gamma = -1", "greater than 0"),
    "a regulariser that cannot go with another": (
        "    r1: {gamma: 0.1, every: 8}",
        "    spectral_norm: {}\n    weight_clipping: {limit: 0.1}",
        "training.regularisers.weight_clipping",
        "so that what is set here has no effect",
    ),
    "a critic without scores": (
        "critic: {name: mlp,",
        "critic: {name: identity,",
        "training.critic.name",
        "kernels compare",
    ),
    "an objective without a gradient": (
        "{objective: bce}",
        "{objective: misclassification}",
        "variants.bce.objective = 'misclassification'",
        "a count has no gradient",
    ),
    "a family without its number": (
        "{objective: bce}",
        "{objective: alpha(α)}",
        "variants.bce.objective = 'alpha(α)'",
        "a number in the brackets",
    ),
    "a number that a family does not accept": (
        "{objective: bce}",
        "{objective: alpha(1)}",
        "variants.bce.objective = 'alpha(1)'",
        "expected α other than 0",
    ),
    "unknown network key": (
        "mlp_batchnorm, hidden",
        "mlp_batchnorm, hiden",
        "training.generator.hiden = [32, 64]",
        "did you mean 'hidden'?",
    ),
    "text for a number": ("batch: 32 ", "batch: many ", "training.batch = 'many'", "expected a whole number"),
    "quoted number": ("batch: 32 ", "batch: '32' ", "training.batch = '32'", "expected a whole number"),
    "fraction": ("batch: 32 ", "batch: 32.5 ", "training.batch = 32.5", "expected a whole number"),
    "truth for a number": ("batch: 32 ", "batch: true ", "training.batch = True", "expected a whole number"),
    "no is text": ("gamma: 0.1", "gamma: no", "regularisers.r1.gamma = 'no'", "expected a number"),
    "nothing": ("batch: 32 ", "batch: ", "training.batch = None", "expected a whole number"),
    "a number for seeds": ("seeds: [0, 1]", "seeds: 3", "seeds = 3", "expected a list"),
    "a number for a network": (
        "generator: {name: mlp_batchnorm, hidden: [32, 64]}",
        "generator: 3",
        "generator = 3",
        "mapping",
    ),
    "objective": (
        "{objective: bce}",
        "{objective: bec}",
        "variants.bce.objective = 'bec'",
        "did you mean 'bce'? known are bce, kl",
    ),
    "generator": (
        "name: mlp_batchnorm",
        "name: resnet",
        "training.generator.name = 'resnet'",
        "known are mlp, mlp_batchnorm",
    ),
    "critic": ("critic: {name: mlp,", "critic: {name: resnet,", "training.critic.name = 'resnet'", "known are mlp"),
    "data set": ("name: embedded", "name: cifar", "data.name = 'cifar'", "known are embedded, mnist"),
    "feature set": ("name: digits", "name: incepton", "features.name = 'incepton'", "did you mean 'inception'?"),
    "seeds twice": ("seeds: [0, 1]", "seeds: [0, 1, 0]", "seeds = [0, 1, 0]", "0 stands there twice"),
    "no seed": ("seeds: [0, 1]", "seeds: []", "seeds = []", "at least 1 item"),
    "negative seed": ("seeds: [0, 1]", "seeds: [0, -1]", "seeds.1 = -1", "greater than or equal to 0"),
    "seed beyond 63 bits": ("seeds: [0, 1]", f"seeds: [{2**63}]", f"seeds.0 = {2**63}", f"less than {2**63}"),
    "samples beyond the reference": (
        "samples: 200 ",
        "samples: 201 ",
        "evaluation.samples",
        "201 is more than data.splits.evaluation = 200",
    ),
    "checkpoint samples": (
        "checkpoint_samples: 100 ",
        "checkpoint_samples: 201 ",
        "training.checkpoint_samples",
        "201 is more than evaluation.samples = 200",
    ),
    "more images than there are": ("{gan: 600,", "{gan: 6000,", "data.splits", "6600 images of the 5000 in embedded"),
    "empty split": ("tuning: 100", "tuning: 0", "data.splits.tuning = 0", "greater than or equal to 1"),
    "batch beyond the data": ("batch: 32 ", "batch: 601 ", "training.batch", "601 is more than the 600 images"),
    "training images by name": (
        "images: gan",
        "images: most",
        "training.images = 'most'",
        "gan or all, or a number of images",
    ),
    "one training image": ("images: gan", "images: 1", "training.images = 1", "from 2 on"),
    "more training images than there are": (
        "images: gan",
        "images: 601",
        "training.images",
        "601 is more than data.splits.gan = 600",
    ),
    "a variant's seeds": (
        "{objective: bce}",
        "{objective: bce, seeds: [3, 3]}",
        "bce.seeds = [3, 3]",
        "3 stands there twice",
    ),
    "a variant's seed": (
        "{objective: bce}",
        "{objective: bce, seeds: [x]}",
        "bce.seeds.0 = 'x'",
        "expected a whole number",
    ),
    "reference": ("samples: 200 ", "samples: 200\n  reference: gan #", "evaluation.reference = 'gan'", "'tuning'"),
    "samples beyond the tuning split": (
        "samples: 200 ",
        "reference: tuning\n  samples: 200 ",
        "evaluation.samples",
        "200 is more than data.splits.tuning = 100",
    ),
    "another feature set": (
        "  weights: null",
        "  weights: null\n  others: [{name: digit, seed: 1}] #",
        "features.others.0.name = 'digit'",
        "did you mean 'digits'?",
    ),
    "batch of one": ("batch: 32 ", "batch: 1 ", "training.batch = 1", "greater than or equal to 2"),
    "no latent": ("latent: 16", "latent: 0", "training.latent = 0", "greater than or equal to 1"),
    "no width": ("hidden: [64, 32]", "hidden: [64, 0]", "training.critic.hidden.1 = 0", "greater than or equal to 1"),
    "NaN": ("learning_rate: 5.0e-4", "learning_rate: .nan", "training.learning_rate = nan", "a finite number"),
    "Inf": ("learning_rate: 5.0e-4", "learning_rate: .inf", "training.learning_rate = inf", "a finite number"),
    "overflow": ("gamma: 0.1", "gamma: 1e999", "training.regularisers.r1.gamma = inf", "a finite number"),
    "negative rate": ("learning_rate: 5.0e-4", "learning_rate: -1", "training.learning_rate = -1", "greater than 0"),
    "one beta": ("[0.5, 0.999]", "[0.5]", "training.betas = [0.5]", "at least 2 items"),
    "three betas": ("[0.5, 0.999]", "[0.5, 0.9, 0.9]", "training.betas = [0.5, 0.9, 0.9]", "at most 2 items"),
    "beta of one": ("[0.5, 0.999]", "[0.5, 1.0]", "training.betas.1 = 1.0", "less than 1"),
    "more checkpoints than steps": (
        "checkpoints: 3",
        "checkpoints: 61",
        "training.checkpoints",
        "61 do not fit into steps = 60",
    ),
    "device": ("device: auto", "device: gpu", "device = 'gpu'", "'auto', 'cpu' or 'cuda'"),
    "generator loss": (
        "generator_loss: alternative",
        "generator_loss: altern",
        "training.generator_loss = 'altern'",
        "'bound'",
    ),
    "slash in a name": ("      kl: {", "      k/l: {", "variants.k/l = 'k/l'", "small letters, digits and _"),
    "dots for a name": ("      kl: {", "      ..: {", "variants... = '..'", "small letters, digits and _"),
    "hyphen in a name": ("      kl: {", "      kl-s1: {", "variants.kl-s1 = 'kl-s1'", "small letters, digits and _"),
    "path for a study": ("study: smoke ", "study: ../x ", "study = '../x'", "small letters, digits and _"),
    "date for a study": ("study: smoke ", "study: 2020-01-01 ", "study = datetime.date(2020, 1, 1)", "expected text"),
    "variant is text": ("{objective: bce}", "bce", "arms.stabilised.variants.bce = 'bce'", "expected a mapping"),
    "variant's own value": (
        "{objective: bce}",
        "{objective: bce, batch: 0}",
        "variants.bce.batch = 0",
        "or equal to 2",
    ),
    "variant's own key": (
        "{objective: bce}",
        "{objective: bce, bacth: 3}",
        "variants.bce.bacth = 3",
        "did you mean 'batch'?",
    ),
    "deep in a variant": (
        "{objective: bce}",
        "{objective: bce, regularisers: {r1: {every: no}}}",
        "arms.stabilised.variants.bce.regularisers.r1.every = 'no'",
        "expected a whole number",
    ),
    "through a merge": (
        "{objective: bce}",
        "{<<: {objective: bce, batch: 0}}",
        "variants.bce.batch = 0",
        "or equal to 2",
    ),
    "duplicate key": ("threads: 1 ", "threads: 1\nthreads: 1 ", 'duplicate key "threads"', "keep one of them"),
    "tab": ("  latent: 16", "\tlatent: 16", "a tab", "indent with spaces"),
    "indentation": ("  latent: 16", "   latent: 16", "no YAML 1.2", "check indentation"),
    "tag that would call": (
        '"Smoke test: the pipeline at toy size"',
        "!!python/object/apply:os.system ['touch called']",
        "python/object/apply:os.system",
        "expected a plain value",
    ),
    "own tag": ("batch: 32 ", "batch: !x 32 ", "tag !x", "expected a plain value"),
}


@pytest.mark.parametrize(("old", "new", "told", "accepted"), WRONG.values(), ids=WRONG)
def test_wrong_value_is_told_with_file_line_key_and_what_would_be_accepted(tmp_path, old, new, told, accepted):
    text = edited(SMOKE, (old, new))
    first = refusal(tmp_path, text).splitlines()[0]
    line = SMOKE[: SMOKE.index(old)].count("\n") + new.count("\n") + 1
    assert first.startswith(f"params.yaml, line {line}: ")
    assert told in first
    assert accepted in first
    assert not re.search(r"pydantic|ruamel|Commented|Scalar|Input should|Error", first)


def test_wrong_value_in_an_arm_is_told_there_and_once(tmp_path):
    text = edited(SMOKE, ("    variants:", "    training:\n      steps: -1\n    variants:"))
    place = f"line {line_of(text, 'steps: -1')}: arms.stabilised.training.steps = -1"
    assert refusal(tmp_path, text) == f"params.yaml, {place}: expected greater than or equal to 1"


def test_every_fault_is_told_at_once_those_that_stand_there_first(tmp_path):
    text = edited(SMOKE, ("threads: 1", "treads: 1"), ("device: auto", "device: gpu"))
    lines = refusal(tmp_path, text).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["device = 'gpu'", "treads = 1", "threads"]
    assert lines[2].endswith("threads: is missing")


def without(text: str, first: str, last: str, instead: str) -> str:
    return text[: text.index(first)] + instead + text[text.index(last) :]


@pytest.mark.parametrize("arms", ["arms: {}\n", "arms:\n", "arms: {one: {label: One, variants: {}}}\n"])
def test_a_study_without_runs_is_refused(tmp_path, arms):
    text = without(SMOKE, "arms:", "evaluation:\n", arms)
    assert re.match(rf"params.yaml, line {line_of(text, 'arms:')}: arms", refusal(tmp_path, text))


def test_missing_objective_is_told_at_the_variant(tmp_path):
    text = edited(SMOKE, ("bce: {objective: bce}", "bce:"))
    expected = f"params.yaml, line {line_of(text, 'bce:')}: arms.stabilised.variants.bce.objective: is missing"
    assert refusal(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "holds nothing, expected a mapping"),
        ("# only a comment\n", "holds nothing, expected a mapping"),
        ("- 1\n", "holds a list, expected a mapping"),
        ("hello\n", "holds just 'hello', expected a mapping"),
        (SMOKE + "---\n" + SMOKE, "another document"),
        (SMOKE.replace("study: smoke", "study: 2020-13-45"), "month must be in 1..12"),
        (SMOKE.replace("batch: 32 ", f"batch: {'9' * 5000} "), "is no YAML 1.2"),
        (SMOKE.replace("Smoke test", "Smök").encode("latin-1"), "save it as UTF-8"),
        (SMOKE.encode() + b"\0", "is no YAML 1.2"),
        ("a: " + "[" * 90_000, "levels of nesting"),
    ],
)  # fmt: skip
def test_what_is_no_parameter_file_is_refused(tmp_path, content, told):
    assert told in refusal(tmp_path, content)


def test_missing_file_and_folder_are_told(tmp_path):
    with pytest.raises(ParameterError, match=r"there is no parameter file .*none\.yaml; `ls params"):
        params.read(tmp_path / "none.yaml")
    with pytest.raises(ParameterError, match="cannot be read: Is a directory"):
        params.read(tmp_path)


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 3000))
LOOP = "loop: &loop {inside: *loop}\n"


@pytest.mark.parametrize("aliases", [BOMB, CHAIN, LOOP], ids=["bomb", "chain", "loop"])
def test_aliases_that_explode_are_refused_in_no_time_and_little_memory(tmp_path, aliases):
    path = tmp_path / "params.yaml"
    path.write_text(aliases + SMOKE)
    code = "import sys; from pathlib import Path; from divergan import params\ntry: params.read(Path(sys.argv[1]))\n"
    code += "except params.ParameterError as error: print(error)"
    started = time.monotonic()
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))  # noqa: E731 (9^10 values need more)
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, preexec_fn=limit, timeout=60, check=True
    )
    assert time.monotonic() - started < 20
    assert "write them out" in done.stdout or "is not a parameter" in done.stdout


def test_hostile_tag_is_not_obeyed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value in (
        "!!python/object/apply:os.system ['touch called']",
        "!!python/object/new:os.system {a: 'touch called'}",
    ):
        refusal(tmp_path, edited(SMOKE, ('"Smoke test: the pipeline at toy size"', value)))
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize(
    ("written", "value"), [("2e-4", 2e-4), ("2E-4", 2e-4), ("0.0002", 2e-4), ("1", 1.0), ("+1.", 1.0)]
)
def test_numbers_are_read_as_yaml_1_2_means_them(tmp_path, written, value):
    study = read(tmp_path, edited(SMOKE, ("learning_rate: 5.0e-4", f"learning_rate: {written}")))
    found = study.variants()["bce.stabilised"].learning_rate
    assert (found, type(found)) == (value, float)


def test_anchors_and_merges_are_plain_values(tmp_path):
    text = edited(
        SMOKE,
        ("gamma: 0.1", "gamma: &g 0.1"),
        ("{objective: bce}", "&b {objective: bce, regularisers: {r2: {gamma: *g, every: 4}}}"),
        ("{objective: kl, ", "{<<: *b, objective: kl, "),
    )
    variants = read(tmp_path, text).variants()
    assert (variants["kl.stabilised"].objective, variants["kl.stabilised"].regularisers.r2.gamma) == ("kl", 0.1)


def test_layers_lie_over_each_other_key_by_key(tmp_path):
    text = edited(
        SMOKE,
        ("    variants:", "    training: {batch: 8, regularisers: {spectral_norm: {}}}\n    variants:"),
        ("{objective: bce}", "{objective: bce, batch: 4}"),
    )
    variants = read(tmp_path, text).variants()
    assert [v.batch for v in variants.values()] == [4, 8]
    assert all(v.regulariser == "R1 γ=0.1 every 8, spectral norm" for v in variants.values())


def test_null_takes_a_regulariser_away(tmp_path):
    text = edited(SMOKE, ("{objective: bce}", "{objective: bce, regularisers: {r1: null, dropout: {rate: 0.5}}}"))
    variants = read(tmp_path, text).variants()
    assert [v.regulariser for v in variants.values()] == ["dropout 0.5", "R1 γ=0.1 every 8"]
    assert variants["bce.stabilised"].model_dump()["regularisers"] == {"dropout": {"rate": 0.5}}


def test_leaves_have_dotted_names():
    assert dict(params.leaves({"a": {"b": 1, "c": {"d": [2]}}, "e": None})) == {"a.b": 1, "a.c.d": [2], "e": None}


LIKE = """
study: small
title: t
question: q
like: {study: smoke.yaml, arm: stabilised}
seeds: [7]
training: {steps: 40}
arms:
  only: {label: Only, variants: {kl: {objective: kl}}}
evaluation: {reference: tuning}
"""


def like(folder: Path, monkeypatch, *pairs: tuple[str, str]) -> params.Study:
    monkeypatch.chdir(folder)
    arm = (
        '    label: "Stabilised"',
        '    label: "Stabilised"\n    training: {regularisers: {r1: {gamma: 3.0}}, steps: 50}',
    )
    Path("smoke.yaml").write_text(edited(SMOKE, arm), "utf-8")
    Path("small.yaml").write_text(edited(LIKE, *pairs), "utf-8")
    return params.read(Path("small.yaml"))


def test_a_study_like_another_takes_its_data_features_and_an_arms_training(tmp_path, monkeypatch):
    study = like(tmp_path, monkeypatch)
    own, theirs = study.variants()["kl.only"], params.read(Path("smoke.yaml"))
    assert (study.data, study.features, study.threads) == (theirs.data, theirs.features, theirs.threads)
    assert (own.steps, own.regularisers.r1.gamma, own.batch) == (40, 3.0, 32)  # its own over the arm's over the study's
    assert study.seeds_of("kl.only") == [7]
    assert study.samples == theirs.data.splits.tuning


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (("study: smoke.yaml", "study: none.yaml"), "there is no parameter file none.yaml"),
        (("study: smoke.yaml", "study: small.yaml"), "is like another study itself"),
        (("arm: stabilised", "arm: released"), "smoke.yaml has the arms stabilised"),
        (("arm: stabilised", "arms: stabilised"), "line 5: like.arms = 'stabilised': is not a parameter"),
        (("steps: 40", "steps: 0"), "line 7: training.steps = 0: expected"),
        (("steps: 40", "batch: 601"), "601 is more than the 600 images"),
    ],
)
def test_what_is_wrong_with_a_study_like_another_is_told(tmp_path, monkeypatch, edit, told):
    with pytest.raises(ParameterError, match=re.escape(told)):
        like(tmp_path, monkeypatch, edit)
