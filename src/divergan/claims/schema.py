"""claims.yaml: typed claims, each with the test that decides it; what is wrong is told with its line."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator, model_validator

from divergan.claims.properties import PROPERTIES, TRIED_WITH
from divergan.objectives import OBJECTIVES
from divergan.strict import Strict, known, message, misfit
from divergan.strict_yaml import ParameterError, load, plain

PUBLISHED = Path("data/published.csv")  # beside claims.yaml

# What claims may be about, and which way is better. Claims are about ratios, so of quantities that are never negative
# (KID can be). `evaluations` is what a sampler costs, in rows through a network an image: divergan.sampler_evidence.
METRICS = {
    "fid": "lower",
    "inception_score": "higher",
    "precision": "higher",
    "recall": "higher",
    "density": "higher",
    "coverage": "higher",
    "evaluations": "lower",
}

# What each test needs beyond id, says, source, family and test; anything else it would ignore, so that is refused.
TESTS = {
    "value": {"variant", "published"},  # a published number, of whatever metric, in our prediction interval
    "difference": {"variant", "against", "direction", "margin"},  # metric so much higher, or lower
    "equivalence": {"variant", "against", "margin"},  # metric within this factor
    "no_benefit": {"variant", "against", "margin"},  # FID not so much lower
    "outweighs": {"variants", "arms"},  # runs of two arms further apart than runs of two of these variants
    "same_weights": {"variant", "against"},  # the same generator, bit for bit, at equal seeds
    "order": {"variants", "published", "margin"},  # the order of the published numbers, by Kendall's tau
    "seeds": {"variants", "margin"},  # FID so much higher or lower when the seed alone changes
    "spread": {"variant", "against", "direction", "margin"},  # standard deviation of log FID over seeds
    "failures": {"variant", "against", "direction"},  # share of runs that diverge or collapse
    "definition": {"property"},  # exact, on the declarations of `objectives`, or of `samplers`
    "none": {"unmeasurable"},  # nothing that could be run would decide it
}
MAY_HAVE = {
    "none": {"published"},
    "difference": {"metric"},
    "equivalence": {"metric"},
    "definition": {"objectives", "samplers"},
}
OWN = sorted({name for names in (*TESTS.values(), *MAY_HAVE.values()) for name in names})
NAME = r"[a-z0-9][a-z0-9_]*"


def listed(value: Any) -> Any:
    """One name as a list of it."""
    return [value] if isinstance(value, str) else value


def known_each(names: list[str], registry: Any) -> list[str]:
    return [known(name, registry) for name in names]


class Claim(Strict):
    """One claim; `test` decides which of the fields below it are there."""

    id: Annotated[str, Field(min_length=1, max_length=64)]
    says: Annotated[str, Field(min_length=1, max_length=89)]  # in our own words
    source: str  # BibTeX key, then the place in it
    family: str  # Holm's correction runs over a family in one arm
    test: str

    # As in the parameter files, judged in every arm that has it; `<variant>.<arm>` names the arm, and
    # `<variant>/<sampler>` is the variant as an entry of `samplers` draws it.
    variant: str = ""
    against: str = ""  # in the same arm, unless it names one
    variants: Annotated[list[str], Field(min_length=2, default_factory=list)]
    arms: Annotated[list[str], Field(min_length=2, default_factory=list)]
    direction: Literal["higher", "lower"] | None = None
    metric: str = "fid"
    margin: float = 1.0  # a ratio of the metric's values, or of FIDs' standard deviations; of an order a tau
    published: Annotated[list[str], BeforeValidator(listed), Field(default_factory=list)]
    property: str = ""
    objectives: Annotated[list[str], Field(min_length=1, default_factory=list)]
    samplers: Annotated[list[str], Field(min_length=1, default_factory=list)]
    unmeasurable: str = ""  # why

    @field_validator("id")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
            raise ValueError("expected small letters and digits, with - between words, like kl-above-bce")
        return name

    @field_validator("variant", "against")
    @classmethod
    def _names_a_variant(cls, name: str) -> str:
        if not re.fullmatch(rf"{NAME}(/{NAME})?(\.{NAME})?", name):
            raise ValueError(
                "expected the name of a variant, like kl, of a variant in an arm, like kl.stabilised, or of one as a "
                "sampler draws it, like kl/drs or kl/drs.stabilised"
            )
        return name

    @field_validator("metric")
    @classmethod
    def _is_a_metric(cls, name: str) -> str:
        return known(name, METRICS)

    @field_validator("test")
    @classmethod
    def _is_a_test(cls, name: str) -> str:
        return known(name, TESTS)

    @field_validator("property")
    @classmethod
    def _is_a_property(cls, name: str) -> str:
        return known(name, PROPERTIES)

    @field_validator("objectives")
    @classmethod
    def _are_objectives(cls, names: list[str]) -> list[str]:
        return known_each(names, OBJECTIVES)

    @field_validator("samplers")
    @classmethod
    def _are_samplers(cls, names: list[str]) -> list[str]:
        return known_each(names, TRIED_WITH)

    @field_validator("published")
    @classmethod
    def _were_published(cls, ids: list[str], info: ValidationInfo) -> list[str]:
        return known_each(ids, info.context or ids)

    @model_validator(mode="after")
    def _has_what_its_test_needs(self) -> Claim:
        given = self.model_fields_set & set(OWN)
        needed = TESTS[self.test]
        if absent := sorted(needed - given):
            raise misfit(f"the test {self.test!r} reads {', '.join(sorted(needed))}: {absent[0]} is missing", "test")
        if ignored := sorted(given - needed - MAY_HAVE.get(self.test, set())):
            raise misfit(f"the test {self.test!r} has no use for it; it reads {', '.join(sorted(needed))}", ignored[0])
        if self.test == "definition":
            of = PROPERTIES[self.property].of
            if given & {"objectives", "samplers"} != {of}:
                raise misfit(f"{self.property!r} is asked of {of}: expected {of}: [...] and nothing else", "property")
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Claim:
        if self.test == "order" and not 0 <= self.margin < 1:
            raise misfit(f"{self.margin:g} is no tau to exceed: expected 0 or more, below 1", "margin")
        if self.test != "order" and self.margin < 1:
            raise misfit(f"{self.margin:g}: expected a ratio of at least 1; `direction` says to which side", "margin")
        if self.test == "equivalence" and self.margin == 1:
            raise misfit("1 leaves no room: two means are never exactly equal; expected a ratio above 1", "margin")
        if self.test == "same_weights" and "/" in self.variant + self.against:
            raise misfit("a sampler leaves the generator as it is: expected variants without a sampler", "variant")
        if self.metric == "evaluations" and not ("/" in self.variant and "/" in self.against):
            raise misfit("evaluations are counted of samplers: expected both variants with one, like kl/drs", "metric")
        if self.test == "value" and len(self.published) != 1:
            raise misfit(f"a value is one number, here are {len(self.published)}", "published")
        if self.test == "order" and len(self.published) != len(self.variants):
            text = f"{len(self.published)} numbers for {len(self.variants)} variants: expected one each, in their order"
            raise misfit(text, "published")
        return self


class Claims(Strict):
    """A claims file."""

    claims: Annotated[list[Claim], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> Claims:
        ids = [claim.id for claim in self.claims]
        for place, name in enumerate(ids):
            if name in ids[:place]:
                raise misfit(f"{name!r} is the id of an earlier claim too: choose another", "claims", place, "id")  # type: ignore[arg-type]
        return self


def read(path: Path) -> list[Claim]:
    """The claims of a YAML 1.2 file, validated; the numbers that they name are in data/published.csv beside it.

    Raises ParameterError with file, line, key, value and what would be accepted.
    """
    document = load(path)
    try:
        return Claims.model_validate(plain(document), context=published_ids(path.parent / PUBLISHED)).claims
    except ValidationError as error:
        raise ParameterError(message(path, document, error, ())) from None


def published_ids(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [row["id"] for row in csv.DictReader(file)]
    except (OSError, ValueError, LookupError, csv.Error) as error:
        raise ParameterError(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or repr(error):.120}): "
            "claims name published numbers by id"
        ) from None
