"""What fills the chapter on modes, ours beside the published ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from divergan.chapters.modes import MEASURED, MIXTURES, PUBLISHED_RUNS, PUBLISHED_STEPS
from divergan.report.wording import NONE, Tables, source, text


def modes(tables: Tables) -> dict[str, Any]:
    """A table a mixture: ours over seeds, the published rows below."""
    summary, published = tables["modes_summary"], tables["modes_published"]
    return {
        "failed": int((summary["n_runs"] - summary["n"]).sum()),
        "samples": f"{int(tables['modes']['samples'].iloc[0]):,}",
        "published_steps": f"{PUBLISHED_STEPS:,}",
        "published_runs": PUBLISHED_RUNS,
        "mixtures": [
            {
                "label": own["mixture_label"].iloc[0],
                "modes": len(MIXTURES[str(name)].centres),
                "steps": ", ".join(dict.fromkeys(f"{steps:,}" for steps in own["steps"])),
                "batch": ", ".join(dict.fromkeys(map(str, own["batch"]))),
                "rows": [mode_row(row) for row in own.to_dict("records")],
                "published": [published_row(row) for row in published[published["mixture"] == name].to_dict("records")],
            }
            for name, own in summary.groupby("mixture", sort=False)
        ],
    }


def mode_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    interval = f"[{text(row['modes_low'], row['modes'])}, {text(row['modes_high'], row['modes'])}]"
    return {
        "label": f"{row['label']}, {row['generator_loss']} loss",
        "regulariser": "" if row["regulariser"] == "none" else row["regulariser"],
        "n": f"{row['n']} of {row['n_runs']}" if row["n"] < row["n_runs"] else str(row["n"]),
        "interval": None if pd.isna(row["modes_low"]) or row["modes_low"] == row["modes_high"] else interval,
        **{name: with_error(row[name], row[f"{name}_error"]) for name in MEASURED},
    }


def published_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "label": row["label"],
        "source": source(row["source"]),
        "modes": with_error(row["modes"], row["modes_error"]),
        "quality": with_error(row["quality"], None),
        "reverse_kl": with_error(row["reverse_kl"], row["reverse_kl_error"]),
    }


def with_error(mean: float, error: float | None) -> dict[str, str]:
    """A mean with its standard error, which has the decimals of the mean."""
    return {"mean": text(mean), "error": NONE if error is None or not error else text(error, mean)}
