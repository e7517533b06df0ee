"""Latent re-weighting as the report prints it: ground truth, weights and settings, the published gain."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isnan
from typing import Any

import numpy as np
import pandas as pd

from divergan.comparison import CONFIDENCE
from divergan.figures import Tables
from divergan.report.sampling import CELL, against_prior, effect_cell, fixed, named, plain, sampling_values, scales_of
from divergan.report.wording import NONE, text
from divergan.sampler_evidence import WEIGHT_VALUES
from divergan.statistics import mean_interval

RELEASED = "latent_rs_released"  # the entry that samples with the weights of the released design
LEAST = 0.001  # below it a weight or a share is printed as zero: weights that vanish reach 1e-15
SETTINGS = {  # name in the parameter file -> as the report calls it
    "sign": "sign of the weights' first term", "delta": "Δ", "m": "m", "lambda_norm": "λ₁",
    "lambda_clip": "λ₂", "gradient_penalty": "gradient penalty", "hidden": "hidden layers of w",
    "output": "output of w", "critic": "critic at the start", "critic_output": "output of the critic", "batch": "batch",
    "steps": "most steps", "patience": "steps of the stopping rule", "n_critic": "critic steps for each of w",
    "critic_learning_rate": "learning rate of the critic", "learning_rate": "learning rate of w", "betas": "Adam's β",
    "joint": "generator trained on meanwhile",
}  # fmt: skip
ANSWERS = {
    "as_printed": "as printed", "min_abs": "least |D|", "min": "least D", "True": "yes", "False": "no",
    "fresh": "untrained", "trained": "as the GAN's",
}  # fmt: skip


def reweighting_values(tables: Tables) -> dict[str, Any]:
    """One key, "reweighting": each part is empty where the study has no table for it."""
    return {
        "reweighting": {
            **sampling_values(tables),
            "planar": _planar(tables.planar),
            "settings": _settings(tables.weight_settings),
            "weights": _weights(tables),
            "weight_total": _total(tables.weight_runs),
            "released": _released(tables),
        }
    }


def _cell(mean: float, low: float, high: float) -> dict[str, str]:
    """A number with its interval, which has the decimals of the number; no interval whose ends are alike."""
    values = zip(CELL, (mean, low, high), strict=True)
    found = {name: text(value, mean) if abs(mean) >= LEAST else fixed(value, 3) for name, value in values}
    return found | ({"low": NONE, "high": NONE} if found["low"] == found["high"] else {})


def _ranged(row: Mapping[Any, Any], name: str) -> dict[str, str]:
    return _cell(row[name], row[f"{name}_low"], row[f"{name}_high"])


def _mean(values: pd.Series, least: float, most: float) -> dict[str, str]:
    """Mean over runs with Student's interval, cut where values end; without one where all are equal or one is alone."""
    finite = values[np.isfinite(values)]
    if finite.empty:
        return dict.fromkeys(CELL, NONE)
    if not np.ptp(finite):
        return {"mean": plain(float(finite.iloc[0])), "low": NONE, "high": NONE}
    return _cell(float(finite.mean()), *np.clip(mean_interval(finite.to_numpy(), CONFIDENCE), least, most))


def _planar(planar: pd.DataFrame) -> list[dict[str, Any]]:
    """A row for each target and weights: means over seeds, and what became of the distance."""
    if planar.empty:
        return []
    groups = planar.groupby(["target", "weights"], sort=False)
    columns = (
        *("w1_before", "w1_after", "w1_oracle", "w1_floor", "rank_correlation", "ratio_correlation", "off_before"),
        *("off_after", "off_oracle", "balance_before", "balance_after", "modes_before", "modes_after"),
        *("acceptance", "expected_acceptance"),
    )
    return [
        {
            **named(own.iloc[0], ("target_label", "weights_label")),
            "seeds": len(own),
            "outcomes": _outcomes(own["outcome"]),
            "finished": bool((own["outcome"] == "finished").any()),
            "change": _change(own["w1_after"] - own["w1_before"]),
            "closed": _closed(own),
            "modes_lost": bool((own["modes_after"] < own["modes_before"]).any()),
            **{column: _mean(own[column], *_ends(column)) for column in columns},
        }
        for _, own in groups
    ]


def _ends(column: str) -> tuple[float, float]:
    """Between what the values of a column of the planar table lie: distances and counts, correlations, shares."""
    if column.endswith("_correlation"):
        return -1.0, 1.0
    return 0.0, inf if column.startswith(("w1_", "modes_")) else 1.0


def _change(differences: pd.Series) -> str:
    """ "falls" or "rises" where the interval of the paired differences excludes zero, else "is not seen to change"."""
    low, high = mean_interval(differences.to_numpy(), CONFIDENCE)
    if high < 0:
        return "falls"
    return "rises" if low > 0 else "is not seen to change"


def _closed(own: pd.DataFrame) -> dict[str, str]:
    """The share of the way from the generator to the oracle that the weights go; below 0 % they lead away."""
    shares = (own["w1_before"] - own["w1_after"]) / (own["w1_before"] - own["w1_oracle"])
    found = (float(shares.mean()), *mean_interval(shares.to_numpy(), CONFIDENCE))
    return {name: _percent(share) for name, share in zip(CELL, found, strict=True)}


def _percent(share: float) -> str:
    return NONE if isnan(share) else f"{fixed(100 * share, 0)} %"


def _outcomes(outcomes: pd.Series) -> str:
    """How runs ended: "4 finished, 1 vanished"."""
    finished_first = outcomes.sort_values(key=lambda word: word != "finished", kind="stable")
    return ", ".join(f"{n} {word}" for word, n in finished_first.value_counts(sort=False).items())


def _settings(settings: pd.DataFrame) -> dict[str, Any]:
    """The settings that all weights share, those in which they differ, and the weights that keep the printed sign."""
    if settings.empty:
        return {"shared": [], "differing": [], "weights": [], "as_printed": []}
    settings = settings[~settings["name"].isin(("label", "history_every"))].astype(str)
    settings["value"] = settings["value"].str.strip("[]")
    settings.loc[(settings["name"] == "patience") & (settings["value"] == "0"), "value"] = "no such rule"
    settings.loc[(settings["name"] == "delta") & (settings["value"] == "none"), "value"] = "0"
    wide = settings.pivot(index="name", columns="weights_label", values="value")
    wide = wide.loc[settings["name"].unique(), settings["weights_label"].unique()].fillna(NONE)
    wide = wide.replace(ANSWERS)
    wide.index = pd.Index([SETTINGS.get(name, name.replace("_", " ")) for name in wide.index])
    printed = (settings["name"] == "sign") & (settings["value"] == "as_printed")
    same = wide.nunique(axis="columns") == 1
    return {
        "shared": [[name, row.iloc[0]] for name, row in wide[same].iterrows()],
        "differing": [[name, *row] for name, row in wide[~same].iterrows()],
        "weights": list(wide.columns),
        "as_printed": list(settings.loc[printed, "weights_label"]),
    }


def _total(runs: pd.DataFrame) -> dict[str, Any]:
    """How all trainings of weights ended."""
    if runs.empty:
        return {"runs": 0, "finished": 0, "others": "", "stopped_early": 0}
    unusual = runs.loc[runs["outcome"] != "finished", "outcome"]
    return {
        "runs": len(runs),
        "finished": len(runs) - len(unusual),
        "others": _outcomes(unusual),
        "stopped_early": int(runs["stopped_early"].astype(bool).sum()),
    }


def _weights(tables: Tables) -> list[dict[str, Any]]:
    """A row for each variant and weights; how its runs ended is counted in words."""
    rows, runs = [], tables.weight_runs
    for row in tables.weights.to_dict("records") if len(runs) else ():
        own = runs[(runs["variant"] == row["variant"]) & (runs["weights"] == row["weights"])]
        found = {name: _ranged(row, name) for name in WEIGHT_VALUES}
        rows.append(named(row, ("label", "arm", "weights_label")) | found | {"outcomes": _outcomes(own["outcome"])})
    return rows


def _released(tables: Tables) -> list[dict[str, Any]]:
    """What the released design gives, a row a variant: E w, acceptance, and FID and precision against the prior."""
    if tables.samplers.empty or tables.weights.empty or tables.effects.empty:
        return []
    entry = tables.samplers[tables.samplers["sampler"] == RELEASED]
    own = against_prior(tables)
    own, scales = own[own["sampler"] == RELEASED], scales_of(own)
    return [
        named(row)
        | {name: _ranged(row, name) for name in WEIGHT_VALUES}
        | {
            "effects": {
                effect["metric"]: effect_cell(effect, scales)
                for effect in own[own["variant"] == row["variant"]].to_dict("records")
            }
        }
        for row in tables.weights[tables.weights["weights"].isin(entry["weights"])].to_dict("records")
    ]
