"""The reference of parameters: types from the classes that check them, meanings from the comments of params.yaml."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from divergan.params import Oracle, Reweighting, Study, Training, Weights
from divergan.params import study as parts
from divergan.params.training import CriticNetwork, GeneratorNetwork
from divergan.strict_yaml import load

FILE = Path(__file__).parents[1] / "params.yaml"
SECTIONS: dict[str, tuple[type[Any], tuple[str | int, ...]]] = {  # title -> the class, and where params.yaml has it
    "The study": (Study, ()),
    "`like`": (parts.Like, ("like",)),
    "`data`": (parts.Data, ("data",)),
    "`data.splits`": (parts.Splits, ("data", "splits")),
    "`features`": (parts.Features, ("features",)),
    "`features.others`, each": (parts.OtherFeatures, ("features", "others", 0)),
    "`training`": (Training, ("training",)),
    "`training.generator`": (GeneratorNetwork, ("training", "generator")),
    "`training.critic`": (CriticNetwork, ("training", "critic")),
    "`arms`, each": (parts.Arm, ("arms", "stabilised")),
    "A variant, beside any setting of `training`": (parts.OfVariant, ("arms", "released", "variants", "bce")),
    "`evaluation`": (parts.Evaluation, ("evaluation",)),
    "`reweighting`": (Reweighting, ("reweighting",)),
    "`reweighting.training`, and each of `reweighting.weights`": (Weights, ("reweighting", "training")),
    "`reweighting.oracle`": (Oracle, ("reweighting", "oracle")),
}
ELSEWHERE = {  # what neither params.yaml nor a class says in a comment
    "The study.title": "of the report and of the README's table",
    "The study.question": "what the study asks; the report begins with it",
    "The study.data": "the images",
    "The study.features": "what the metrics see of an image",
    "The study.arms": "named groups of variants with what their trainings have in common",
    "The study.evaluation": "how many images are compared with which",
    "`like`.study": "another parameter file: its `device`, `threads`, `data`, `features` and `training` are taken over",
    "`like`.arm": "the arm of it whose training is taken over",
    "`features.others`, each.name": "a feature set",
    "`features.others`, each.seed": "of its classifier, or of its random weights",
    "`features`.seed": "of the classifier's training, or of random weights",
    "`training`.objective": "an objective's name; stated by each variant",
    "`arms`, each.label": "as the report prints it",
    "`arms`, each.training": "over the study's `training`",
    "`arms`, each.variants": "name: what it states over its arm's training; `null` for nothing",
    "A variant, beside any setting of `training`.seeds": "its own, instead of the study's",
    "`reweighting.oracle`.weights": "names of `reweighting.weights`",
    "`reweighting.oracle`.seeds": "one re-weighting each, for every target and set of weights",
}


def pages() -> dict[str, str]:
    document, lines = load(FILE), FILE.read_text("utf-8").splitlines()
    parts_of_page = [section(title, model, place, document, lines) for title, (model, place) in SECTIONS.items()]
    return {"parameters": "\n".join(parts_of_page)}


def section(title: str, model: Any, place: tuple[str | int, ...], document: Any, lines: list[str]) -> str:
    rows = ["| parameter | may be | published | meaning |", "|---|---|---|---|"]
    here = found(document, place)
    for name, kind in kinds(model).items():
        told = comment(here, name, lines) or class_comment(model, name) or ELSEWHERE.get(f"{title}.{name}", "")
        if not told:
            raise ValueError(f"no comment tells what {title}.{name} means: write one in params.yaml")
        value = shown(here[name]) if name in (here or {}) else ""
        rows.append(" | ".join((f"| `{name}`", kind, value, told.replace("|", "\\|").replace("<", "\\<"))) + " |")
    return f"## {title}\n\n" + "\n".join(rows) + "\n"


def found(document: Any, place: tuple[str | int, ...]) -> Any:
    for part in place:
        if isinstance(document, dict) and part not in document:
            return None
        document = document[part]
    return document


def shown(value: Any) -> str:
    """A value as params.yaml has it, where it is short."""
    inner = value if isinstance(value, list) else [value]
    if value is None or any(isinstance(each, dict) for each in inner):
        return ""
    text = f"[{', '.join(map(str, inner))}]" if isinstance(value, list) else str(value)
    if isinstance(value, bool):
        text = text.lower()
    return f"`{text}`" if len(text) < 30 else ""


def comment(mapping: Any, name: str, lines: list[str]) -> str:
    """What stands behind a key, and below it as long as nothing else does."""
    if mapping is None or name not in (mapping.lc.data or {}):
        return ""
    row = mapping.lc.data[name][0]
    first = re.search(r"\s# (.*)", lines[row])
    if not first:
        return ""
    more = [match[1] for line in iter_until(lines[row + 1 :]) if (match := re.match(r"\s{20,}# (.*)", line))]
    return " ".join([first[1], *more])


def iter_until(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if not re.match(r"\s{20,}#", line):
            return
        yield line


def class_comment(model: Any, name: str) -> str:
    """What stands behind the field in its class."""
    match = re.search(rf"^    {name}: [^#\n]*# (.*)$", inspect.getsource(model), re.MULTILINE)
    return match[1] if match else ""


def kinds(model: Any) -> dict[str, str]:
    """Field -> what it may be, in words, from the schema that checks it."""
    schema = model.model_json_schema()
    optional = {name for name, field in model.model_fields.items() if not field.is_required()}
    return {
        name: kind(own, schema.get("$defs", {})) + (" (may be left out)" if name in optional else "")
        for name, own in schema["properties"].items()
    }


def kind(schema: dict[str, Any], known: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind(each, known) for each in schema["anyOf"]))
    if "$ref" in schema:
        return kind(known[schema["$ref"].split("/")[-1]], known)
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of: {kind(schema['items'], known)}"
    words = {"integer": "whole number", "number": "number", "boolean": "true or false", "string": "text",
             "object": "mapping", "null": "null"}  # fmt: skip
    return f"{words.get(schema.get('type', ''), 'see its meaning')} {limits(schema)}".strip()


def limits(schema: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "\\<"}
    told = [f"{sign} {schema[name]:g}" for name, sign in signs.items() if name in schema and abs(schema[name]) < 2**31]
    return ", ".join(told)
