"""The steps of a study of trained generators, each with the recipe that determines it."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any

from divergan import flops, params
from divergan.data import DataSet, data_set
from divergan.errors import DivergaNError
from divergan.features import FEATURE_SETS
from divergan.fingerprint import place_of
from divergan.networks import CRITICS, GENERATORS
from divergan.objectives import AS_PUBLISHED, OBJECTIVES, objective
from divergan.plan.steps import CLAIMS, PRIOR, PUBLISHED, REAL, Step, declared_objective, file_sha256, printed
from divergan.planar import LATENT_RS, TARGETS
from divergan.samplers import SAMPLERS


class TrainedPlan:
    """The steps of a study of trained generators, in an order in which they can be made."""

    def __init__(self, study: params.Study):
        self.study = study
        self.variants = study.variants()

    @cached_property
    def steps(self) -> list[Step]:
        trained = [self._train(key, seed) for key in self.variants for seed in self.study.seeds_of(key)]
        sampled = [self._sample(run) for run in trained]
        evaluated = [self._evaluate(s.key, (s, run)) for s, run in zip(sampled, trained, strict=True)]
        evaluated.append(self._evaluate(REAL, ()))
        chapter = self._reweighting(trained)
        compared = self._compare((*evaluated, *trained, *chapter))
        drawn = self._figures((compared, *trained, *sampled, *chapter))
        report = self._report((compared, drawn, *evaluated, *trained, *sampled, *chapter))
        last = [compared, drawn, report]
        return [self._data, *self._features, *trained, *sampled, *evaluated, *chapter, *last]

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
            declared_objective(training.objective),
            place_of(GENERATORS[training.generator.name], "networks"),
            place_of(CRITICS[training.critic.name], "networks"),
            *(place_of(regulariser, "regularisers") for regulariser, _ in training.regularisation),
        )
        return self._step("train", f"{variant}-s{seed}", settings, (self._data,), *used)

    def _reweighting(self, trained: list[Step]) -> list[Step]:
        """The chapter: weights, generators trained on, their sample sets and evaluations, and the known answers."""
        chapter = self.study.reweighting
        if chapter is None:
            return []
        steps = [self._oracle(target) for target in (chapter.oracle.targets if chapter.oracle else ())]
        for run in trained:
            if names := self.study.sampling_of(run.key.rsplit("-s", 1)[0]):
                steps += self._resampled(run, chapter, names)
        return steps

    def _resampled(self, run: Step, chapter: params.Reweighting, names: list[str]) -> list[Step]:
        """What the samplers `names` of one run need, one step with their sample sets, one with their evaluation."""
        entries = {name: chapter.sampler_of(name) for name in names}
        needing = {need: {own.weights: None for sampler, own in entries.values() if need in sampler.needs}
                   for need in ("weights", "trained_on")}  # fmt: skip
        weighted = [self._reweight(run, chapter, name) for name in needing["weights"]]
        onward = [self._train_on(run, chapter, name) for name in needing["trained_on"]]
        settings = {
            "samplers": {name: {"sampler": s.name} | own.model_dump() for name, (s, own) in entries.items()},
            "samples": self.study.samples,
            "seed": run.settings["seed"],
            "threads": self.study.threads,
        } | chapter.model_dump(include={"calibration", "pilot", "most_draws"})
        used = [place_of(sampler, "samplers") for sampler, _ in entries.values()]
        inputs = (run, *weighted, *onward, self._data)
        sets = self._step("sample", f"{run.key}.sampling", settings, inputs, *run.declarations, *used)
        return [*weighted, *onward, sets, self._evaluate(sets.key, (sets, run), self._features[:1])]

    def _reweight(self, run: Step, chapter: params.Reweighting, name: str) -> Step:
        weights = chapter.weights_of(name).model_dump(exclude={"label"})
        settings = {"weights": weights, "seed": run.settings["seed"], "threads": self.study.threads}
        return self._step("reweight", f"{run.key}.{name}", settings, (run, self._data), *run.declarations)

    def _train_on(self, run: Step, chapter: params.Reweighting, name: str) -> Step:
        """The run, trained on for the arithmetic that these weights take."""
        training = params.Training.model_validate(run.settings["training"])
        steps = training.steps + flops.equal_steps(
            chapter.weights_of(name), training, data_set(self.study.data.name).shape
        )
        settings = run.settings | {"training": run.settings["training"] | {"steps": steps, "checkpoints": 1}}
        return self._step("train", f"{run.key}.as_long_as.{name}", settings, (self._data, run), *run.declarations)

    def _oracle(self, target: str) -> Step:
        chapter = self.study.reweighting
        assert chapter is not None and chapter.oracle is not None
        weights = {
            name: chapter.oracle_weights_of(name, target).model_dump(exclude={"label"})
            for name in chapter.oracle.weights
        }
        settings = chapter.oracle.model_dump(include={"seeds", "samples"}) | {"weights": weights}
        used = place_of(TARGETS[target], "planar"), place_of(LATENT_RS, "samplers")
        return self._step("oracle", target, settings | {"threads": self.study.threads}, (), *used)

    def _sample(self, run: Step) -> Step:
        settings = {"samples": self.study.samples, "seed": run.settings["seed"]}
        used = place_of(SAMPLERS[PRIOR], "samplers")
        return self._step("sample", f"{run.key}.{PRIOR}", settings, (run,), *run.declarations, used)

    def _evaluate(self, key: str, inputs: tuple[Step, ...], features: list[Step] | None = None) -> Step:
        settings: dict[str, Any] = {"samples": self.study.samples, "reference": self.study.evaluation.reference}
        if key == REAL and any(training.conditional for training in self.variants.values()):
            settings["labelled"] = True  # the ceilings of the metrics of labels
        return self._step("evaluate", key, settings, (self._data, *(features or self._features), *inputs))

    def _compare(self, inputs: tuple[Step, ...]) -> Step:
        study = self.study
        settings = {
            "variants": {key: variant_facts(study, key, own) for key, own in self.variants.items()},
            "data": study.data.name,
            "features": study.features.name,
            "samples": study.samples,
            "reference": study.evaluation.reference,
            "samplers": sampler_facts(study),
            "order": [*(needed.key for needed in inputs), *sampler_facts(study)],  # that of the tables' rows
            "weights": weights_labels(study),
            "published": file_sha256(PUBLISHED),
            "claims": file_sha256(CLAIMS),
        }
        return self._step("compare", "tables", settings, inputs, *map(declared_objective, claimed_objectives()))

    def _figures(self, inputs: tuple[Step, ...]) -> Step:
        return self._step("figures", "figures", {"objectives": self._objectives}, inputs, *self._declared_objectives)

    def _report(self, inputs: tuple[Step, ...]) -> Step:
        settings = printed(self.study) | {
            "samples": self.study.samples,
            "reference": self.study.evaluation.reference,
            "objectives": self._objectives,
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


def claimed_objectives() -> list[str]:
    """The objectives that the claims name, for some are claims about a formula (reading them whole takes too long)."""
    words = set(re.findall(r"\w+", CLAIMS.read_text("utf-8")))
    return [name for name in OBJECTIVES if name in words]


def checksums(data: DataSet) -> dict[str, Any]:
    """What determines the raw images of a data set."""
    files = {file.name: file.sha256 or file.md5 for file in data.files}
    bytes_sha256 = data.packaged_sha256 or data.own_sha256
    return {"shape": list(data.shape), "classes": data.classes, "files": files, "packaged": bytes_sha256}


def variant_facts(study: params.Study, key: str, training: params.Training) -> dict[str, Any]:
    """What tables print of a variant beside its numbers."""
    return {
        "objective": training.objective,
        "label": objective(training.objective).label,
        "arm": key.split(".")[1],
        "arm_label": study.arms[key.split(".")[1]].label,
        "generator_loss": training.generator_loss,
        "regulariser": training.regulariser,
        "regulariser_kind": training.regulariser_kind,
        "overlapping": training.images == "all",
        "training_images": study.training_images(training),
        "steps": training.steps,
    } | ({"conditional": True} if training.conditional else {})


def sampler_facts(study: params.Study) -> dict[str, dict[str, Any]]:
    """What tables print of a sampler's entry beside its numbers; `own_generator`: not the run's, but one trained on."""
    facts: dict[str, dict[str, Any]] = {
        PRIOR: {"sampler_label": SAMPLERS[PRIOR].label, "method": PRIOR, "weights": "", "own_generator": False}
    }
    if study.reweighting is None:
        return facts
    for name in study.reweighting.samplers:
        sampler, own = study.reweighting.sampler_of(name)
        weights = getattr(own, "weights", "")
        shown = own.model_copy(update={"weights": weights_labels(study)[weights]}) if weights else own
        joint = bool(weights) and study.reweighting.weights_of(weights).joint
        facts[name] = {
            "sampler_label": sampler.described(shown),
            "method": sampler.name,
            "weights": weights,
            "own_generator": "trained_on" in sampler.needs or joint,
        }
    return facts


def weights_labels(study: params.Study) -> dict[str, str]:
    chapter = study.reweighting
    return {name: chapter.weights_of(name).label or name for name in chapter.weights} if chapter else {}


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
