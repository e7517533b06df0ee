"""The steps of a study of theory: the parts of its chapters, their tables, figures and report."""

from __future__ import annotations

from divergan import params
from divergan.chapters import CHAPTERS
from divergan.fingerprint import place_of
from divergan.plan.steps import Step, declared_objective, printed


def theory_steps(study: params.Theory) -> list[Step]:
    """In an order in which they can be made; no images anywhere."""
    chapters = study.chapters.stated
    made = [
        Step(
            study=study.study,
            verb="chapter",
            key=f"{name}.{part.key}",
            settings={"chapter": name, "part": part.settings, "steps": part.steps, "threads": study.threads},
            declarations=(
                place_of(CHAPTERS[name].compute, "chapters"),
                *map(declared_objective, part.objectives),
                *(place_of(*used) for used in part.uses),
            ),
        )
        for name, settings in chapters.items()
        for part in CHAPTERS[name].parts(settings)
    ]
    tabulated = (place_of(CHAPTERS[name].tables, "chapters") for name in chapters)
    used = tuple(dict.fromkeys([*tabulated, *(root for step in made for root in step.declarations)]))

    def last(verb: str, key: str, settings: dict, *inputs: Step) -> Step:
        return Step(study=study.study, verb=verb, key=key, settings=settings, inputs=inputs, declarations=used)

    order = [step.key for step in made]  # that of the tables' rows
    tables = last("compare", "tables", {"chapters": list(chapters), "order": order}, *made)
    figures = last("figures", "figures", {"chapters": list(chapters)}, tables)
    report = last("report", "report", printed(study) | {"chapters": list(chapters)}, tables, figures, *made)
    return [*made, tables, figures, report]
