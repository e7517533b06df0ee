"""Ways to sample one generator as the report prints them: effects, controls, costs, frontier, break-even."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import floor, inf, isfinite, isnan, log10
from typing import Any

import numpy as np
import pandas as pd

from divergan.comparison import CONFIDENCE, SEEDS_TO_JUDGE
from divergan.figures import Tables
from divergan.report.wording import MINUS, NONE, text
from divergan.sampler_evidence import costs_an_image

CONTROLS = ("random_rejection", "trained_on")  # methods: what a re-weighting sampler must beat to have learned anything
METRICS = ("fid", "kid", "precision", "recall", "density", "coverage", "modes_covered")
CELL = ("mean", "low", "high")  # the parts of a printed cell
ALPHA = 1 - CONFIDENCE  # of Holm's procedure over the samplers of a variant
RATIO = ("fid_ratio", "low", "high")

Scales = Mapping[str, tuple[float, int]]  # metric -> the factor and the decimals of its printed effects


def sampling_values(tables: Tables) -> dict[str, Any]:
    """The parts of the chapter on samplers: each [] where the study has no table for it."""
    return {
        "methods": _methods(tables.samplers),
        "arms": 0 if tables.samplers.empty else int(tables.samplers["arm"].nunique()),
        "effects": _effects(tables),
        "controls": _controls(tables),
        "costs": _costs(tables),
        "stuck": _stuck(tables.samplers),
        "frontier": _frontier(tables),
        "break_even": _break_even(tables),
    }


def _methods(samplers: pd.DataFrame) -> list[str]:
    """The methods in use, in the order of the entries; none where all images come from the prior."""
    methods = [] if samplers.empty else list(samplers["method"].unique())
    return methods if set(methods) - {"prior"} else []


def _effects(tables: Tables) -> list[dict[str, Any]]:
    """A group a variant with a row a sampler: its effect against the prior in each metric of METRICS."""
    if tables.effects.empty:
        return []
    own, methods = against_prior(tables), _entries(tables)["method"]
    scales = scales_of(own)
    moved, onward = _with_own_generator(tables), _trained_on(tables)
    return [
        named(group.iloc[0])
        | {
            "metrics": [_heading(m, tables, scales) for m in METRICS if m in scales],
            "n": int(group["n"].max()),
            "judged": bool(group["n"].max() >= SEEDS_TO_JUDGE),
            "told": _told(group[group["metric"] == "fid"], methods, scales, moved)
            | {"moved": _moved(group, onward, scales, moved)},
            "rows": [_effects_row(rows, methods, scales, int(group["n"].max())) for _, rows in _by_sampler(group)],
        }
        for _, group in own.groupby("variant", sort=False)
    ]


def _by_sampler(group: pd.DataFrame) -> Any:
    return group.groupby("sampler", sort=False)


def _effects_row(rows: pd.DataFrame, methods: pd.Series, scales: Scales, pairs: int) -> dict[str, Any]:
    return {
        "sampler": rows["sampler_label"].iloc[0],
        "method": methods.get(rows["sampler"].iloc[0], ""),
        "control": methods.get(rows["sampler"].iloc[0]) in CONTROLS,
        "incomplete": bool((rows["failed"] > 0).any() or (rows["n"] < pairs).any()),
        "cells": {row["metric"]: effect_cell(row, scales) for row in rows.to_dict("records")},
    }


def _with_own_generator(tables: Tables) -> set[str]:
    """The entries, controls aside, whose generator was trained on: they do not sample the run's own."""
    samplers = tables.samplers
    if samplers.empty:
        return set()
    return set(samplers.loc[samplers["own_generator"].astype(bool) & ~samplers["method"].isin(CONTROLS), "sampler"])


def _trained_on(tables: Tables) -> pd.DataFrame:
    """The effects against a generator that was trained on for the compute of the sampler's own weights."""
    effects, entries = tables.effects, _entries(tables)
    if effects.empty or tables.samplers.empty:
        return effects[:0]
    labels = tables.samplers.drop_duplicates("sampler").set_index("sampler_label")["weights"].fillna("")
    equal = effects["sampler"].map(entries["weights"]) == effects["against_label"].map(labels)
    return effects[(effects["against"] == "trained_on") & equal]


def _moved(group: pd.DataFrame, onward: pd.DataFrame, scales: Scales, moved: set[str]) -> list[dict[str, Any]]:
    """Those entries: their FID over the prior's, and over that of the generator trained on without their weights."""
    own = group[(group["metric"] == "fid") & group["sampler"].isin(moved)]
    control = onward[(onward["variant"] == group["variant"].iloc[0]) & (onward["metric"] == "fid")].set_index("sampler")
    return [
        {
            "sampler": row["sampler_label"],
            "prior": effect_cell(row, scales),
            "trained_on": [effect_cell(control.loc[row["sampler"]], scales)] if row["sampler"] in control.index else [],
        }
        for row in own.to_dict("records")
    ]


def _told(fid: pd.DataFrame, methods: pd.Series, scales: Scales, moved: set[str]) -> dict[str, Any]:
    """How many samplers of the run's own generator, controls aside, significantly lower and raise the FID; the
    extremes; and such controls.
    """
    fid = fid[~fid["sampler"].isin(moved)]
    control = fid["sampler"].map(methods).isin(CONTROLS)
    sure = fid["p_adjusted"] < ALPHA
    lower, higher = sure & (fid["effect"] < 1), sure & (fid["effect"] > 1)

    def cells(rows: pd.DataFrame) -> list[dict[str, Any]]:
        return [{"sampler": row["sampler_label"]} | effect_cell(row, scales) for row in rows.to_dict("records")]

    return {
        "samplers": int((~control).sum()),
        "lower": int((lower & ~control).sum()),
        "higher": int((higher & ~control).sum()),
        "lowest": cells(fid[lower & ~control].nsmallest(1, "effect")),
        "highest": cells(fid[higher & ~control].nlargest(1, "effect")),
        "controls": cells(fid[sure & control]),
    }


def against_prior(tables: Tables) -> pd.DataFrame:
    """The effects against the prior in METRICS; without rows or columns where there are none."""
    effects = tables.effects
    return effects if effects.empty else effects[(effects["against"] == "prior") & effects["metric"].isin(METRICS)]


def scales_of(effects: pd.DataFrame) -> Scales:
    """Factor and decimals by metric, for two digits of the usual interval."""
    if effects.empty:
        return {}
    half = (effects["high"] - effects["low"]) / 2
    usual = half[np.isfinite(half) & (half > 0)].groupby(effects["metric"]).median()
    digits = {metric: 1 - floor(log10(width)) for metric, width in usual.items()}
    least = {"fid": 2}  # a ratio near one
    wanted = {metric: max(digits.get(metric, 2), least.get(metric, 0)) for metric in effects["metric"].unique()}
    return {metric: (1000.0, n - 3) if n > 3 else (1.0, n) for metric, n in wanted.items()}


def _heading(metric: str, tables: Tables, scales: Scales) -> dict[str, str]:
    label = tables.metrics[metric].label if metric in tables.metrics else metric
    factor = f" × {scales[metric][0]:g}" if scales[metric][0] != 1 else ""
    return {"name": metric, "label": f"{label} ratio" if metric == "fid" else label + factor}


def effect_cell(row: Mapping[Any, Any], scales: Scales) -> dict[str, Any]:
    """Effect and interval; `sure` where Holm's procedure rejects that there is none."""
    factor, decimals = scales[row["metric"]]
    values = (row["effect"], row["low"], row["high"])
    found = {name: fixed(factor * value, decimals) for name, value in zip(CELL, values, strict=True)}
    if found["low"] == found["high"]:
        found |= {"low": NONE, "high": NONE}
    return found | {"sure": bool(row["p_adjusted"] < ALPHA)}


def _entries(tables: Tables) -> pd.DataFrame:
    """The entries of the study's samplers by name: method, weights."""
    if tables.samplers.empty:
        return pd.DataFrame(columns=["method", "weights"])
    return tables.samplers.drop_duplicates("sampler").set_index("sampler")[["method", "weights"]].fillna("")


def _controls(tables: Tables) -> dict[str, Any]:
    """The samplers that use weights against the controls: a group a variant, a row a sampler, FID and precision."""
    if tables.effects.empty:
        return {"against": [], "groups": []}
    entries = _entries(tables)
    weighted = entries.index[(entries["weights"] != "") & ~entries["method"].isin(CONTROLS)]
    chosen = tables.effects["against"].isin(CONTROLS) & tables.effects["metric"].isin(("fid", "precision"))
    own = tables.effects[chosen & tables.effects["sampler"].isin(weighted)]
    scales = scales_of(against_prior(tables))
    groups = [
        named(group.iloc[0])
        | {
            "n": int(group["n"].max()),
            "beating": sum(_beats_all(rows) for _, rows in group.groupby("sampler", sort=False)),
            "rows": [
                {"sampler": rows["sampler_label"].iloc[0], "cells": _by_control(rows, scales)}
                for _, rows in group.groupby("sampler", sort=False)
            ],
        }
        for _, group in own.groupby("variant", sort=False)
    ]
    return {"against": [name for name in CONTROLS if name in set(own["against"])], "groups": groups}


def _beats_all(rows: pd.DataFrame) -> bool:
    """Whether a sampler's FID is significantly below that of every control."""
    fid = rows[rows["metric"] == "fid"]
    return bool(((fid["effect"] < 1) & (fid["p_adjusted"] < ALPHA)).all())


def _by_control(rows: pd.DataFrame, scales: Scales) -> dict[str, dict[str, Any]]:
    cells: dict[str, dict[str, Any]] = {}
    for row in rows.to_dict("records"):
        cells.setdefault(row["against"], {})[row["metric"]] = effect_cell(row, scales)
    return cells


def _costs(tables: Tables) -> list[dict[str, Any]]:
    """A row an entry: what one image costs, the median over the runs with the least and the greatest."""
    if tables.samplers.empty:
        return []
    seconds = tables.sampler_seconds
    drawn = tables.samplers[tables.samplers["outcome"] == "drawn"]
    if len(seconds):
        drawn = drawn.merge(seconds[["key", "sampler", "images_per_second"]], on=["key", "sampler"], how="left")
    rows = []
    for _, own in drawn.groupby("sampler", sort=False):
        speed = own["images_per_second"] if "images_per_second" in own else pd.Series([np.nan])
        rows.append({
            "sampler": own["sampler_label"].iloc[0], "runs": len(own),
            **{str(name): _spread(values) for name, values in costs_an_image(own).items()},
            "acceptance": _spread(own["acceptance"]), "images_per_second": _spread(speed),
            "pilot": _spread(own["pilot"]),
        })  # fmt: skip
    return rows


def _spread(values: pd.Series) -> dict[str, str]:
    """Median, least and greatest over runs: three digits, thousands without decimals; alone where all print alike."""
    finite = values[np.isfinite(values)]
    if finite.empty:
        return dict.fromkeys(CELL, NONE)
    mean, low, high = (plain(float(v)) for v in (finite.median(), finite.min(), finite.max()))
    return {"mean": mean} | ({"low": NONE, "high": NONE} if low == high else {"low": low, "high": high})


def _stuck(samplers: pd.DataFrame) -> list[dict[str, Any]]:
    """The sample sets that could not be drawn: a row a variant and entry, with what the first said of it."""
    if samplers.empty:
        return []
    stuck = samplers[samplers["outcome"] == "stuck"].fillna({"reason": ""})
    return [
        named(own.iloc[0], ("label", "arm", "sampler_label"))
        | {"seeds": len(own), "reason": _found(own.iloc[0]["reason"])}
        for _, own in stuck.groupby(["variant", "sampler"], sort=False)
    ]


def _found(message: str) -> str:
    """What an error says was found, without what it advises to do about it; 4.5e-13 as people write it."""
    return re.sub(r"\d(\.\d+)?e-\d+", lambda found: text(float(found[0])), message.partition(": ")[0])


def _frontier(tables: Tables) -> list[dict[str, Any]]:
    """The efficient samplers of each variant, the cheapest first."""
    if tables.frontier.empty:
        return []
    decimals = scales_of(against_prior(tables)).get("fid", (1.0, 2))[1]
    return [
        named(own.iloc[0])
        | {
            "entries": int(own["ranked"].sum()),
            "efficient": [
                {
                    "sampler": row["sampler_label"],
                    "evaluations": plain(row["evaluations"]),
                    "is_prior": row["low"] == row["high"],
                    **{name: fixed(row[c], decimals) for name, c in zip(CELL, RATIO, strict=True)},
                }
                for row in own[own["efficient"]].sort_values("evaluations", kind="stable").to_dict("records")
            ],
        }
        for _, own in tables.frontier.groupby("variant", sort=False)
    ]


def _break_even(tables: Tables) -> list[dict[str, Any]]:
    """A group a variant, for the weights of its first latentRS: from when on it is ahead of each rival."""
    if tables.break_even.empty or tables.weights.empty:
        return []
    labels = dict(zip(tables.weights["weights"], tables.weights["weights_label"], strict=True))
    first = tables.break_even.groupby("variant", sort=False)["weights"].transform("first")
    groups = tables.break_even[tables.break_even["weights"] == first].groupby("variant", sort=False)
    return [
        named(own.iloc[0])
        | {
            "weights_label": labels[own["weights"].iloc[0]],
            "reweight_seconds": text(own["reweight_seconds"].iloc[0]),
            "latent_rs": text(own["latent_rs_milliseconds"].iloc[0]),
            "rivals": [_rival(row) for row in own.to_dict("records")],
        }
        for _, own in groups
    ]


def _rival(row: Mapping[Any, Any]) -> dict[str, Any]:
    images = {name: _thousands(row[c]) for name, c in zip(CELL, ("images", "low", "high"), strict=True)}
    if images["low"] == images["high"]:
        images |= {"low": NONE, "high": NONE}
    return {
        "against": row["against_label"],
        "is_drs": row["against"] == "drs",
        "never": not isfinite(row["images"]),
        "milliseconds": text(row["against_milliseconds"]),
        "pilot_seconds": text(row["pilot_seconds"]),
        **images,
    }


def _thousands(images: float) -> str:
    if isnan(images):
        return NONE
    return plain(images / 1000) if isfinite(images) else "never"


def fixed(value: float, decimals: int) -> str:
    """A number with so many decimals; NONE for NaN, and ∞ where an interval has no end."""
    if isnan(value) or abs(value) == inf:
        return NONE if isnan(value) else ("∞" if value > 0 else f"{MINUS}∞")
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", MINUS)  # + 0.0: no negative zero


def plain(value: float) -> str:
    """A count or a share with three digits and no empty decimals: 3.03, 1, 85 900."""
    rounded = float(f"{value:.3g}")
    if rounded >= 1000:
        return f"{rounded:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    shown = text(rounded)
    return shown.rstrip("0").rstrip(".") if "." in shown and "·" not in shown else shown


def named(row: Any, names: tuple[str, ...] = ("label", "arm")) -> dict[str, str]:
    return {name: str(row[name]) for name in names}
