"""The page's tables: cells as the report prints them, with the full values that they are sorted by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any

import pandas as pd

from divergan.comparison import ranking, summarise
from divergan.figures import Tables
from divergan.figures.declaration import floor_of, outcome
from divergan.page.sources import source_text
from divergan.report.wording import MINUS, NONE, text

ARROWS = {"lower": " ↓", "higher": " ↑"}
ARM = "Arm"  # a column that a study of one arm does without


@dataclass(frozen=True, kw_only=True)
class Cell:
    text: str
    sort: float | str | None = None  # None: nothing to sort by, last in either direction
    href: str | None = None
    code: bool = False  # what a person types, or copies elsewhere


@dataclass(frozen=True, kw_only=True)
class Row:
    cells: Sequence[Cell]
    failed: float = 0.0  # the share of runs without a value: below those that failed less, in either direction
    chosen: Mapping[str, str] = field(default_factory=dict)  # filter -> this row's value


@dataclass(frozen=True, kw_only=True)
class Table:
    """`measured` columns hold values of which failed runs have none or the survivors' alone."""

    name: str
    caption: str
    columns: Sequence[str]
    measured: frozenset[int] = frozenset()
    rows: Sequence[Row]
    foot: Sequence[Row] = ()

    @property
    def filters(self) -> dict[str, list[str]]:
        """A filter for each key of the rows' `chosen` that has several values."""
        values: dict[str, dict[str, None]] = {}
        for row in self.rows:
            for name, value in row.chosen.items():
                values.setdefault(name, {})[value] = None
        return {name: list(found) for name, found in values.items() if len(found) > 1}


def compact(table: Table) -> Table:
    """The table without the column of arms, where all its rows are of one arm."""
    at = table.columns.index(ARM)
    if len({row.cells[at].text for row in table.rows}) > 1:
        return table
    return replace(
        table,
        columns=less(table.columns, at),
        measured=frozenset(column - (column > at) for column in table.measured),
        rows=[replace(row, cells=less(row.cells, at)) for row in table.rows],
        foot=[replace(row, cells=less(row.cells, at)) for row in table.foot],
    )


def less(items: Sequence[Any], at: int) -> list[Any]:
    return [*items[:at], *items[at + 1 :]]


def word(value: Any, **more: Any) -> Cell:
    return Cell(text=str(value) or NONE, sort=str(value), **more)


def figure(value: float | None, shown: str | None = None) -> Cell:
    known = value is not None and isfinite(value)
    return Cell(text=text(value) if shown is None else shown, sort=value if known else None)


def heads(tables: Tables) -> list[str]:
    return [metric.label + ARROWS.get(metric.better or "", "") for metric in tables.metrics.values()]


def numbered(first: Sequence[str], metrics: Sequence[str]) -> frozenset[int]:
    return frozenset(range(len(first), len(first) + len(metrics)))


def results(tables: Tables) -> Table:
    """Variants by arm and rank, and the floor."""
    summary = summarise(tables.runs, tables.metrics)
    cells = {(row["variant"], row["metric"]): row for row in summary.to_dict("records")}
    first = ("Variant", ARM, "Rank", "Runs")
    table = Table(
        name="results",
        caption="Rank within the arm, runs finished of those planned, mean and 95 % Student interval over the former.",
        columns=[*first, *heads(tables)],
        measured=numbered(first, heads(tables)),
        rows=[
            _variant(row, place, [cells[row["variant"], metric] for metric in tables.metrics])
            for arm in tables.runs["arm"].unique()
            for place, row in enumerate(ranking(summary[summary["arm"] == arm]).to_dict("records"))
        ],
        foot=[
            Row(
                cells=[
                    *(Cell(text=words) for words in ("Real images (floor)", "", "", "")),
                    *(figure(floor_of(tables, metric)) for metric in tables.metrics),
                ]
            )
        ],
    )
    return compact(table)


def _variant(row: Mapping[Any, Any], place: int, measured: Iterable[Mapping[Any, Any]]) -> Row:
    few = "" if row["judged"] else ", shown, not judged"
    left = f"{row['n']} of {row['n_runs']}{', survivors only' if 0 < row['n'] < row['n_runs'] else few}"
    return Row(
        cells=[
            word(row["label"]),
            word(row["arm"]),
            Cell(text=str(row["rank"]), sort=float(place)),
            Cell(text=left, sort=float(row["n"])),
            *(figure(cell["mean"], with_interval(cell)) for cell in measured),
        ],
        failed=float(row["share_failed"]),
        chosen={"arm": row["arm"]},
    )


def with_interval(row: Mapping[Any, Any]) -> str:
    """A mean and its interval, which has the decimals of the mean; no interval where there is but one value."""
    if not isfinite(row["low"]):
        return text(row["mean"])
    low, high = (text(row[end], row["mean"]) for end in ("low", "high"))
    return f"{text(row['mean'])} [{low}, {high}]"


def runs(tables: Tables, recipes: Mapping[str, str]) -> Table:
    """One row a training; `recipes` are links to those of the runs, by key."""
    first = ("Variant", ARM, "Seed", "Outcome")
    table = Table(
        name="runs",
        caption="One row a training run, with what made it.",
        columns=[*first, *heads(tables), "Recipe", "In MLflow, search for"],
        measured=numbered(first, heads(tables)),
        rows=[_run(row, tables, recipes[str(row["key"])]) for row in tables.runs.to_dict("records")],
    )
    return compact(table)


def _run(row: Mapping[Any, Any], tables: Tables, recipe: str) -> Row:
    made_by = Path(recipe).stem.rsplit("-", 1)[1]
    return Row(
        cells=[
            word(row["label"]),
            word(row["arm"]),
            Cell(text=str(row["seed"]), sort=float(row["seed"])),
            word(outcome(row)),
            *(figure(row[metric]) for metric in tables.metrics),
            Cell(text=made_by, sort=made_by, href=recipe),
            Cell(text=f"tags.recipe = '{made_by}'", sort=made_by, code=True),
        ],
        failed=float(row["outcome"] != "finished"),
        chosen={"arm": row["arm"], "variant": row["label"], "outcome": row["outcome"]},
    )


SAMPLED = ("fid", "precision", "recall")  # of many metrics, those that the published work is about


def samplers(tables: Tables) -> Table | None:
    """Each sampler of each variant against its prior; None where the study has none."""
    if tables.effects.empty:
        return None
    effects = tables.effects[(tables.effects["against"] == "prior") & tables.effects["metric"].isin(SAMPLED)]
    cost = tables.frontier.set_index(["variant", "sampler"])["evaluations"]
    first = ("Variant", ARM, "Sampler")
    scales = effects.drop_duplicates("metric").to_dict("records")
    shown = [f"{tables.metrics[row['metric']].label}, {SCALES[row['scale']]}" for row in scales]
    table = Table(
        name="samplers",
        caption="Ways to sample one generator against its prior, paired over seeds on equal latents: effect, and "
        "interval at Holm's level.",
        columns=[*first, *shown, "Network rows an image"],
        measured=numbered(first, shown),
        rows=[
            Row(
                cells=[
                    *(word(own[name].iloc[0]) for name in ("label", "arm", "sampler_label")),
                    *(_effect(row) for row in own.to_dict("records")),
                    figure(cost.get(key)),
                ],
                failed=float((own["n"] == 0).all()),
                chosen={"variant": own["label"].iloc[0], "arm": own["arm"].iloc[0]},
            )
            for key, own in effects.groupby(["variant", "sampler"], sort=False)
        ],
    )
    return compact(table)


SCALES = {"ratio": "times the prior's", "difference": "above the prior's"}


def _effect(row: Mapping[Any, Any]) -> Cell:
    if not row["n"] or not isfinite(row["effect"]):
        return Cell(text="not drawn")
    effect, low, high = (signed(row[name], row["scale"]) for name in ("effect", "low", "high"))
    return Cell(text=f"{effect} [{low}, {high}]", sort=row["effect"])


def signed(value: float, scale: str) -> str:
    return f"{value:.{2 if scale == 'ratio' else 3}f}".replace("-", MINUS) if isfinite(value) else NONE


def claims(families: Sequence[Mapping[str, Any]]) -> Table | None:
    """Every published claim with what this study's runs make of it, from the report's values; None without claims."""
    rows = [
        _claim(family["name"], claim, judged)
        for family in families
        for claim in family["claims"]
        for judged in claim["rows"]
    ]
    columns = ("Claim", "Verdict", ARM, "Evidence", "p, by Holm", "Seeds needed", "Why", "Source", "Family")
    return Table(name="claims", caption="A row for each claim and arm.", columns=columns, rows=rows) if rows else None


def _claim(family: str, claim: Mapping[str, Any], judged: Mapping[str, str]) -> Row:
    words = (judged[name] for name in ("verdict", "arm", "evidence", "p", "seeds", "reason"))
    cells = [claim["says"], *words, source_text(claim["source"]), family]
    return Row(cells=list(map(word, cells)), chosen={"verdict": judged["verdict"], "family": family})


def plain(name: str, table: pd.DataFrame) -> Table:
    """Any table as it is, a column's underscores read as spaces."""
    return Table(
        name=name,
        caption=name.replace("_", " "),
        columns=[str(column).replace("_", " ") for column in table],
        rows=[Row(cells=[_any(value) for value in row]) for row in table.astype(object).itertuples(index=False)],
    )


def _any(value: Any) -> Cell:
    if isinstance(value, bool):
        return word("yes" if value else "no")
    if isinstance(value, str):
        return word(value)
    return figure(float(value), f"{value}" if float(value).is_integer() else None)
