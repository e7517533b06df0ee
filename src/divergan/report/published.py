"""The published numbers beside ours, as the report prints them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from divergan.figures import Tables
from divergan.figures.declaration import trained
from divergan.report.wording import cell, source


def published_values(table: pd.DataFrame, tables: Tables) -> dict[str, Any]:
    """Published numbers with a counterpart here, a row per objective and metric; and those without one."""
    matched = table[table["variant"].notna()]
    return {
        "conditions": list(matched["condition"].unique()),
        "arms": list(tables.runs["arm"].unique()),
        "rows": [_matched(rows, tables) for _, rows in matched.groupby(["objective", "metric"], sort=False)],
        "comparable": int(matched["comparable"].sum()),
        "pairs": len(matched),
        "sources": [source(name) for name in dict.fromkeys(name.partition(", ")[0] for name in matched["source"])],
        "reasons": sorted({reason for reasons in matched["reason"] for reason in reasons.split("; ") if reason}),
        "caveats": sorted(set(matched["caveat"]) - {""}),
        "notes": _notes(matched, tables),
        "unmatched": [_unmatched(rows, tables) for _, rows in _unmatched_groups(table)],
    }


def _matched(rows: pd.DataFrame, tables: Tables) -> dict[str, Any]:
    ours = rows.drop_duplicates("variant")
    return {
        "label": trained(tables)[rows["objective"].iloc[0]].label,
        "metric": _metric_label(rows["metric"].iloc[0], tables),
        "published": {row["condition"]: f"{row['value']:g}" for row in rows.to_dict("records")},
        "ours": {
            arm: [cell(row | {"mean": row["ours"]}) for row in own.to_dict("records")]
            for arm, own in ours.groupby("arm", sort=False)
        },
    }


def _metric_label(name: str, tables: Tables) -> str:
    return tables.metrics[name].label if name in tables.metrics else name


def _notes(matched: pd.DataFrame, tables: Tables) -> list[dict[str, Any]]:
    """The notes on the published numbers, each with the rows it concerns."""
    noted = matched[matched["note"].notna()].drop_duplicates("id")
    return [
        {"note": note, "rows": [trained(tables)[name].label for name in rows["objective"].unique()]}
        for note, rows in noted.groupby("note", sort=False)
    ]


def _unmatched_groups(table: pd.DataFrame) -> Any:
    """Numbers without a counterpart, those of one published run together; its id ends in the metric or objective."""
    rows = table[table["variant"].isna()]
    run = rows["id"].str.rsplit("-", n=1).str[0]
    return rows.groupby([run, "condition"], sort=False)


def _unmatched(rows: pd.DataFrame, tables: Tables) -> dict[str, str]:
    first, notes = rows.iloc[0], rows["note"].dropna().unique()
    several = rows["objective"].nunique() > 1
    numbers = [
        f"{row['objective'].replace('_', ' ') + ' ' if several else ''}"
        f"{_metric_label(row['metric'], tables)} {row['value']:g}"
        for row in rows.to_dict("records")
    ]
    return {
        "quantity": f"{first['quantity']}: {first['condition']}",
        "numbers": ", ".join(numbers),
        "note": "; ".join(notes),
    }
