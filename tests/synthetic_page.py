"""The page of tables of a study that never ran, and a reader of pages."""

from __future__ import annotations

from collections.abc import Mapping
from html.parser import HTMLParser

import numpy as np

from divergan.figures import Tables
from divergan.page import render
from divergan.page.content import content
from divergan.page.pictures import ACROSS, SampleSet, Walk
from synthetic_report import content as values_of

FILES = ["claims.csv", "runs.csv"]
FRAMES = 3


def recipe_of(key: str) -> str:
    return f"recipes/runs/{key}-0123abcd.json"


def sets_of(study: Tables) -> list[SampleSet]:
    """The prior of every run that has samples, and of those of seed 0 every third latent as a rejection sampler's."""
    found = []
    for run in study.runs.to_dict("records"):
        if run["key"] not in study.samples:
            continue
        images = study.samples[run["key"]]
        own = {"run": run["key"], "order": run["seed"]}
        found.append(SampleSet(**own, sampler="prior", label="Prior", facts="FID 30.0", images=images))
        if run["seed"] == 0:
            kept = list(range(1, 64, 3))
            label = "LatentRS (learned)"
            found.append(
                SampleSet(**own, sampler="latent_rs", label=label, facts="", images=images[kept], proposals=kept)
            )
    return found


def page_content(study: Tables, **provenance) -> dict:
    first = [key for key in study.runs.drop_duplicates("variant")["key"] if key in study.samples]
    return content(
        study,
        values_of(study, **provenance),
        recipes={key: recipe_of(key) for key in study.runs["key"]},
        files=FILES,
        sets=sets_of(study),
        walks=[Walk(run=key, images=study.samples[key][: FRAMES * ACROSS]) for key in first],
    )


def page_of(study: Tables, **provenance) -> str:
    return render(page_content(study, **provenance))


class Element:
    def __init__(self, tag: str, attributes: Mapping[str, str | None], parent: Element | None):
        self.tag, self.attributes, self.parent = tag, dict(attributes), parent
        self.text = ""

    @property
    def table(self) -> str:
        """The id of the table's block that the element stands in."""
        found = self.attributes.get("id") or ""
        return found if found.startswith("table-") or self.parent is None else self.parent.table


class Read(HTMLParser):
    """Every element of a page with its text, in order."""

    VOID = frozenset({"meta", "link", "input", "br", "img"})

    def __init__(self, page: str):
        super().__init__()
        self.elements: list[Element] = []
        self.open: list[Element] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        element = Element(tag, dict(attrs), self.open[-1] if self.open else None)
        self.elements.append(element)
        if tag not in self.VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element.text += data

    def all(self, *tags: str) -> list[Element]:
        return [element for element in self.elements if element.tag in tags]

    def rows(self, table: str, part: str = "tbody") -> list[list[Element]]:
        """The cells of each row of a table."""
        cells: dict[int, list[Element]] = {}
        for cell in self.all("td", "th"):
            row = cell.parent
            if cell.table == f"table-{table}" and row is not None and row.parent is not None and row.parent.tag == part:
                cells.setdefault(id(row), []).append(cell)
        return list(cells.values())

    def heads(self, table: str) -> list[str]:
        return [cell.text.strip() for cell in self.rows(table, "thead")[0]]


def decoded(base64: str) -> np.ndarray:
    """The pixels of a picture of the page."""
    from base64 import b64decode
    from io import BytesIO

    from PIL import Image

    return np.asarray(Image.open(BytesIO(b64decode(base64))))
