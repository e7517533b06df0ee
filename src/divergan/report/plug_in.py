"""What fills the chapter on the lecture's plug-in loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from divergan.report.wording import NONE, Tables, ranged, text


def plug_in(tables: Tables) -> dict[str, Any]:
    """A row a form, and how far theory (h convex or not) tells which of them stay."""
    summary = tables["plug_in_summary"].fillna({"also": ""})
    convex = summary["turn"].map(np.isinf)
    return {
        "seeds": int(summary["n_runs"].max()),
        "rows": [fitted(row) for row in summary.to_dict("records")],
        "convex": counted(summary[convex]),
        "other": counted(summary[~convex]),
        "written": counted(summary[summary["form"] == "written"]),
        "written_convex": list(summary.loc[convex & (summary["form"] == "written"), "label"]),
        "elsewhere": elsewhere(summary[convex]),
        "diverged": int((summary["n_runs"] - summary["n"] - summary["left"]).sum()),
    }


def counted(summary: pd.DataFrame) -> dict[str, int]:
    """Forms, those that rest in the plane with the ideal ratio, their runs, and the runs that stayed."""
    rests = int(summary["rests"].astype(bool).sum())
    runs, stayed = int(summary["n_runs"].sum()), int(summary["n"].sum())
    return {"forms": len(summary), "rests": rests, "leaves": len(summary) - rests, "runs": runs, "stayed": stayed,
            "left": int(summary["left"].sum())}  # fmt: skip


def elsewhere(convex: pd.DataFrame) -> list[dict[str, str]]:
    """Forms that descend a divergence which is not D_f: its optimum, and the distance to D_f's."""
    own = convex[convex["multiple"].isna() & convex["rests"].astype(bool)]
    apart = np.hypot(own["ideal_mean"] - own["exact_mean"], own["ideal_std"] - own["exact_std"])
    return [
        {"label": row["label"], "form": row["form"], "apart": text(float(distance))}
        for row, distance in zip(own.to_dict("records"), apart, strict=True)
    ]


def fitted(row: Mapping[Any, Any]) -> dict[str, Any]:
    place = [f"{row[name]:.4f}" if row["rests"] else NONE for name in ("ideal_mean", "ideal_std")]
    return {
        "label": row["label"],
        "forms": [row["form"], *filter(None, row["also"].split(", "))],
        "turn": "" if np.isinf(row["turn"]) else text(row["turn"]),
        "descends": descends(row),
        "exact": [f"{row['exact_mean']:.4f}", f"{row['exact_std']:.4f}"],
        "ideal": place,
        "n": int(row["n"]), "n_runs": int(row["n_runs"]), "left": int(row["left"]),
        **{name: ranged(row, name) for name in ("mean", "std", "distance", "estimate", "divergence")},
    }  # fmt: skip


def descends(row: Mapping[Any, Any]) -> str:
    """ "own": D_f, up to a factor; "other": a divergence that is not D_f; "nothing": no divergence."""
    if not np.isinf(row["turn"]):
        return "nothing"
    return "other" if pd.isna(row["multiple"]) else "own"
