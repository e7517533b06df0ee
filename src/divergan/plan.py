"""Parameters -> the steps of a study, each with the recipe that determines it. Needs no torch and runs nothing.

A recipe is the slice of parameters that a step reads, the recipes of its inputs, and a fingerprint of the code that
computes it. Its hash names the step's folder, so a result can never be taken for another's.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from divergan import params
from divergan.data import DataSet, data_set
from divergan.errors import DivergaNError
from divergan.features import FEATURE_SETS
from divergan.fingerprint import fingerprint, place_of
from divergan.networks import CRITICS, GENERATORS
from divergan.objectives import AS_PUBLISHED, OBJECTIVES
from divergan.samplers import SAMPLERS

PUBLISHED = Path("data/published.csv")
CLAIMS = Path("claims.yaml")
REPORT_TEXTS = Path(__file__).parent / "report"
FOLDERS = {  # verb -> the folder of its results, in pipeline order
    "data": "data",
    "features": "features",
    "train": "runs",
    "sample": "samples",
    "evaluate": "evaluations",
    "compare": "comparison",
    "figures": "figures",
    "report": "report",
}
REAL = "real"  # the key under which real training images are evaluated, for floors and ceilings


class UnknownKey(DivergaNError):
    """A key that the plan does not hold."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One result: what makes it, from what."""

    study: str
    verb: str
    key: str
    settings: dict[str, Any]
    declarations: tuple[str, ...] = ()  # "module:NAME" of the registry entries that it uses
    inputs: tuple[Step, ...] = ()

    @cached_property
    def recipe(self) -> dict[str, Any]:
        roots = (f"divergan.pipeline:{self.verb}", *self.declarations)
        return {
            "verb": self.verb,
            "key": self.key,
            "settings": self.settings,
            "inputs": {f"{step.verb} {step.key}": step.hash for step in self.inputs},
            "code": fingerprint(roots),
        }

    @cached_property
    def hash(self) -> str:
        canonical = json.dumps(self.recipe, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:32]

    @property
    def folder(self) -> str:
        """Relative to results/<study>/, for instance runs/kl.stabilised-s0-3f9a1c2b."""
        return f"{FOLDERS[self.verb]}/{self.key}-{self.hash[:8]}"

    def inputs_of(self, verb: str) -> list[Step]:
        return [step for step in self.inputs if step.verb == verb]

    def input(self, verb: str) -> Step:
        """The only input of a verb; of several feature sets the reference, which comes first."""
        step, *others = self.inputs_of(verb)
        assert not others or verb == "features", f"{self.key} has several inputs of {verb}"
        return step


class Plan:
    """The steps of one parameter file, in an order in which they can be made."""

    def __init__(self, file: Path, study: params.Study | None = None):
        self.file = file
        self.study = study or params.read(file)
        self.variants = self.study.variants()

    @cached_property
    def steps(self) -> list[Step]:
        trained = [self._train(key, seed) for key in self.variants for seed in self.study.seeds_of(key)]
        sampled = [self._sample(run) for run in trained]
        evaluated = [self._evaluate(s.key, (s, run)) for s, run in zip(sampled, trained, strict=True)]
        evaluated.append(self._evaluate(REAL, ()))
        compared = self._compare((*evaluated, *trained))
        drawn = self._figures((compared, *trained, *sampled))
        report = self._report((compared, drawn, *evaluated, *trained, *sampled))
        return [self._data, *self._features, *trained, *sampled, *evaluated, compared, drawn, report]

    def of(self, verb: str) -> list[Step]:
        return [step for step in self.steps if step.verb == verb]

    def step(self, verb: str, key: str) -> Step:
        """The step of a verb by its key, its folder's name, or a path to its folder."""
        name = Path(key).name
        for step in self.of(verb):
            if name in (step.key, Path(step.folder).name):
                return step
        keys = ", ".join(step.key for step in self.of(verb))
        raise UnknownKey(f"{self.file} plans no {verb} {key!r}; it plans {keys}")

    def _step(self, verb: str, key: str, settings: dict[str, Any], inputs: tuple[Step, ...] = (), *used: str) -> Step:
        return Step(study=self.study.study, verb=verb, key=key, settings=settings, inputs=inputs, declarations=used)

    @cached_property
    def _data(self) -> Step:
        data = self.study.data
        return self._step("data", data.name, data.model_dump() | {"declared": checksums(data_set(data.name))})

    @cached_property
    def _features(self) -> list[Step]:
        """The reference first, then the other feature sets that judge the same samples."""
        features, kept = self.study.features, reference_weights(self.study)
        settings = features.model_dump(exclude={"others"}) | {"threads": self.study.threads}
        steps = [self._feature_set(features.name, settings | {"kept": kept and kept["sha256"]})]
        for other in features.others:
            own = other.model_dump() | {"weights": None, "kept": None}
            steps.append(self._feature_set(f"{other.name}.{other.seed}", settings | own))
        return steps

    def _feature_set(self, key: str, settings: dict[str, Any]) -> Step:
        network = place_of(FEATURE_SETS[settings["name"]].network, "features")
        return self._step("features", key, settings, (self._data,), network)

    def _train(self, variant: str, seed: int) -> Step:
        training = self.variants[variant]
        settings = {"training": training.model_dump(), "seed": seed, "threads": self.study.threads}
        used = (
            place_of(OBJECTIVES[training.objective], "objectives"),
            place_of(GENERATORS[training.generator.name], "networks"),
            place_of(CRITICS[training.critic.name], "networks"),
        )
        return self._step("train", f"{variant}-s{seed}", settings, (self._data,), *used)

    def _sample(self, run: Step) -> Step:
        evaluation = self.study.evaluation
        settings = {"sampler": evaluation.sampler, "samples": self.study.samples, "seed": run.settings["seed"]}
        used = (*run.declarations, place_of(SAMPLERS[evaluation.sampler], "samplers"))
        return self._step("sample", f"{run.key}.{evaluation.sampler}", settings, (run,), *used)

    def _evaluate(self, key: str, inputs: tuple[Step, ...]) -> Step:
        settings = {"samples": self.study.samples, "reference": self.study.evaluation.reference}
        return self._step("evaluate", key, settings, (self._data, *self._features, *inputs))

    def _compare(self, inputs: tuple[Step, ...]) -> Step:
        study = self.study
        settings = {
            "variants": {key: variant_facts(study, key, own) for key, own in self.variants.items()},
            "data": study.data.name,
            "features": study.features.name,
            "samples": study.samples,
            "reference": study.evaluation.reference,
            "published": file_sha256(PUBLISHED),
            "claims": file_sha256(CLAIMS),
        }
        return self._step("compare", "tables", settings, inputs, *map(declared_objective, claimed_objectives()))

    def _figures(self, inputs: tuple[Step, ...]) -> Step:
        return self._step("figures", "figures", {"objectives": self._objectives}, inputs, *self._declared_objectives)

    def _report(self, inputs: tuple[Step, ...]) -> Step:
        texts = [*sorted(REPORT_TEXTS.glob("*.typ")), *sorted(REPORT_TEXTS.glob("*.bib"))]
        settings = {
            "study": self.study.model_dump(include={"study", "title", "question"}),
            "samples": self.study.samples,
            "reference": self.study.evaluation.reference,
            "objectives": self._objectives,
            "texts": {path.name: file_sha256(path) for path in texts},
        }
        return self._step("report", "report", settings, inputs, *self._declared_objectives)

    @property
    def _objectives(self) -> list[str]:
        """The objectives of the study, each after the one whose published form it is, if it is one."""
        names = [training.objective for training in self.variants.values()]
        return list(dict.fromkeys(name for own in names for name in (own.removesuffix(AS_PUBLISHED), own)))

    @property
    def _declared_objectives(self) -> list[str]:
        return list(map(declared_objective, self._objectives))


def declared_objective(name: str) -> str:
    return place_of(OBJECTIVES[name], "objectives")


def claimed_objectives() -> list[str]:
    """The objectives that the claims name, for some are claims about a formula (reading them whole takes too long)."""
    return [name for name in OBJECTIVES if name in re.findall(r"\w+", CLAIMS.read_text("utf-8"))]


def checksums(data: DataSet) -> dict[str, Any]:
    """What determines the raw images of a data set."""
    files = {file.name: file.sha256 or file.md5 for file in data.files}
    bytes_sha256 = data.packaged_sha256 or data.own_sha256
    return {"shape": list(data.shape), "classes": data.classes, "files": files, "packaged": bytes_sha256}


def variant_facts(study: params.Study, key: str, training: params.Training) -> dict[str, Any]:
    """What tables print of a variant beside its numbers."""
    return {
        "objective": training.objective,
        "label": OBJECTIVES[training.objective].label,
        "arm": key.split(".")[1],
        "arm_label": study.arms[key.split(".")[1]].label,
        "generator_loss": training.generator_loss,
        "regulariser": training.regulariser,
        "regulariser_kind": training.regulariser_kind,
        "overlapping": training.images == "all",
        "training_images": study.training_images(training),
    }


def reference_weights(study: params.Study) -> dict[str, str] | None:
    """The kept weights of the feature classifier: their path, and the SHA-256 that data/features/ states for them."""
    if study.features.weights is None:
        return None
    stated = Path(f"{study.features.weights}.sha256")
    try:
        return {"path": study.features.weights, "sha256": stated.read_text("utf-8").split()[0]}
    except (OSError, IndexError):
        raise DivergaNError(
            f"features.weights = {study.features.weights}: {stated} should state the SHA-256 of the kept weights and "
            "cannot be read; put it there, or set features.weights to null to train the classifier afresh"
        ) from None


def file_sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        text = f"{path} cannot be read ({error.strerror}): run divergan in the project's folder, which holds data/"
        raise DivergaNError(text) from None
