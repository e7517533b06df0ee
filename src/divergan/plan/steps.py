"""One result of a study: what makes it, from what, and the recipe that determines it.

A recipe is the slice of parameters that a step reads, the recipes of its inputs, and a fingerprint of the code that
computes it. Its hash names the step's folder, so a result can never be taken for another's.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from divergan.errors import DivergaNError
from divergan.fingerprint import fingerprint, place_of
from divergan.objectives import declared

PUBLISHED = Path("data/published.csv")
CLAIMS = Path("claims.yaml")
REPORT_TEXTS = (("report", "*.typ"), ("report", "*.bib"), ("page", "page.*"), ("page/vendor", "*.js"))
FOLDERS = {  # verb -> the folder of its results, in pipeline order
    "data": "data",
    "features": "features",
    "train": "runs",
    "reweight": "weights",
    "oracle": "oracles",
    "chapter": "chapters",
    "sample": "samples",
    "evaluate": "evaluations",
    "compare": "comparison",
    "figures": "figures",
    "report": "report",
}
PRIOR = "prior"  # the sampler of every run's first sample set, which the others are compared with
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
        return digest(self.recipe)[:32]

    @property
    def folder(self) -> str:
        """Relative to results/<study>/, for instance runs/kl.stabilised-s0-3f9a1c2b."""
        return f"{FOLDERS[self.verb]}/{self.key}-{self.hash[:8]}"

    @property
    def published_recipe(self) -> str:
        """Relative to reports/<study>/, for instance recipes/runs/kl.stabilised-s0-3f9a1c2b.json."""
        return f"recipes/{self.folder}.json"

    def inputs_of(self, verb: str) -> list[Step]:
        return [step for step in self.inputs if step.verb == verb]

    def input(self, verb: str) -> Step:
        """The first input of a verb: of several feature sets the reference, of several runs the one that is sampled."""
        return self.inputs_of(verb)[0]


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, whatever its layout."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def declared_objective(name: str) -> str:
    """Where an objective, or the family that makes it, is declared."""
    return place_of(declared(name), "objectives")


def printed(study: Any) -> dict[str, Any]:
    """What every report rests on beside its inputs."""
    package = Path(__file__).parents[1]
    texts = [path for folder, pattern in REPORT_TEXTS for path in sorted((package / folder).glob(pattern))]
    return {
        "study": study.model_dump(include={"study", "title", "question"}),
        "texts": {path.name: file_sha256(path) for path in texts},
    }


def file_sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        text = f"{path} cannot be read ({error.strerror}): run divergan in the project's folder, which holds data/"
        raise DivergaNError(text) from None
