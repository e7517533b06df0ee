"""What the samplers of trained GANs come to: paired effects, quality against cost, break-even, learned weights.

Pure functions on tables with a row for every run and sampler, or run and weights; `sampler` is an entry of the
parameter file, `method` the name of its declaration. All comparisons pair the samplers of one G, which began with the
same latent vectors, over the seeds of G.

FID is compared as a logarithm, where a run that failed and a sampler that was stuck are worse than any other (+inf), as
in claims. Other metrics are compared as they are, over the seeds at which both sides have a value; how many have none
is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf, isfinite, nan
from typing import Any

import numpy as np
import pandas as pd

from divergan.claims.wording import exponential
from divergan.comparison import CONFIDENCE, ComparisonError
from divergan.statistics import Result, difference, holm, holm_levels, mean_interval

CONTROLS = ("prior", "random_rejection", "trained_on")  # methods that all others are compared with
WITHOUT_RATIO = ("prior", "truncation")  # methods that judge no image, so latentRS is no cheaper form of them
GRADIENT_STEP = 3  # rows forward that one backward counts as: through w, or G and critic, 1 to 2 a network
NETWORKS = ("generator_evaluations", "critic_evaluations", "weight_evaluations")
COSTS = ("draws", *NETWORKS, "gradient_steps")
THROUGH_PILOT = ("draws", "generator_evaluations", "critic_evaluations")  # the costs that count the rows of a pilot
WEIGHT_VALUES = ("w_mean", "w_max", "acceptance", "ess")
SHARES = ("acceptance", "ess")  # of them
VARIANT = ["variant", "label", "arm"]
SAMPLER = ["sampler", "sampler_label"]
RUN_FACTS = (
    "outcome", "step", "overlapping", "generator_loss", "regulariser", "regulariser_kind", "training_images", "steps",
)  # fmt: skip

EFFECTS = [
    *VARIANT, *SAMPLER, "against", "against_label", "metric", "scale", "n", "failed", "effect", "low", "high", "level",
    "p", "p_adjusted",
]  # fmt: skip
FRONTIER = [*VARIANT, *SAMPLER, "evaluations", "acceptance", "fid_ratio", "low", "high", "ranked", "efficient"]
BREAK_EVEN = [
    *VARIANT, "weights", "reweight_seconds", "latent_rs_milliseconds", "against", "against_label",
    "against_milliseconds", "pilot_seconds", "images", "low", "high",
]  # fmt: skip
WEIGHTS = [
    *VARIANT, "weights", "weights_label", "n", "finished",
    *(f"{value}{end}" for value in WEIGHT_VALUES for end in ("", "_low", "_high")),
]  # fmt: skip


def effects_table(samplers: pd.DataFrame, metrics: Iterable[str]) -> pd.DataFrame:
    """A row for every variant, sampler, control that it is compared with, and metric of `metrics` in the table.

    `effect` with its interval is the ratio of FIDs (scale "ratio"), or the difference of another metric, sampler to
    control, over `n` pairs of one G each; `failed` pairs have a side without a value. The control is an entry of the
    method `against`, of the sampler's own weights where there is one; controls are compared with the prior alone.

    p and [low, high] are of the paired t test, or the exact worst-rank test where an FID failed (then the effect is
    Hodges and Lehmann's); `p_adjusted` and `level`, the coverage of the interval, are Holm's over the samplers of one
    variant, metric and control. NaN with fewer than two pairs. Raises ComparisonError for a seed that is there twice.
    """
    _check(samplers)
    rows = []
    for _, own in _groups(samplers, "variant"):
        pairs = list(_compared(own))
        for metric in (name for name in metrics if name in own):
            for against in CONTROLS:
                rows += corrected([_effect(x, y, metric) for x, y in pairs if _method(y) == against])
    return pd.DataFrame(rows, columns=EFFECTS)


def frontier_table(samplers: pd.DataFrame) -> pd.DataFrame:
    """A row for every variant and sampler: what an image costs, and its FID as a ratio to that of the prior.

    `evaluations` are the rows an image that passed forward through a network, G's, critic's and w's alike, and
    GRADIENT_STEP for each that passed backward. What is paid once, however many images follow, is not in them: a pilot,
    the training of w, or of a G that was trained on. They and `acceptance` are means over the runs that were drawn.
    `fid_ratio` is the geometric mean over seeds with its 95 % interval, or as in `effects_table` where a run failed.
    `ranked`: not rejection at random, a control, nor what samples a G that was trained on, whose cost is in its
    training. `efficient`: ranked, and no other ranked sampler of the variant is at most as dear and better.
    """
    _check(samplers)
    rows: list[dict[str, Any]] = []
    for _, own in _groups(samplers, "variant"):
        (prior, *_) = [entry for _, entry in _groups(own, "sampler") if _method(entry) == "prior"]
        entries = [_placed(entry, prior) for _, entry in _groups(own, "sampler")]
        rows += [{**entry, "efficient": _efficient(entry, entries)} for entry in entries]
    return pd.DataFrame(rows, columns=FRONTIER)


def break_even_table(
    samplers: pd.DataFrame, sampler_seconds: pd.DataFrame, weight_seconds: pd.DataFrame
) -> pd.DataFrame:
    """From how many images on the training of w is paid for by faster sampling: a row for latentRS's every rival.

    Rivals are the samplers that judge images without w; `against` is a rival's method. `images` is the training's
    seconds, less those of the rival's pilot, over the seconds that latentRS saves an image, inf where it saves none:
    the median over the runs where both were drawn, `low` and `high` the smallest and the largest. Seconds, and
    milliseconds an image, are medians too.
    """
    if samplers.empty or sampler_seconds.empty or weight_seconds.empty:
        return pd.DataFrame(columns=BREAK_EVEN)
    timed = samplers[samplers["outcome"] == "drawn"].merge(sampler_seconds, on=["key", "sampler"])
    timed["milliseconds"] = 1000 / timed["images_per_second"]
    trained = weight_seconds.rename(columns={"seconds": "reweight_seconds"})
    ours = timed[timed["method"] == "latent_rs"].drop_duplicates(["key", "weights"])
    ours = ours.merge(trained, on=["key", "weights"]).rename(columns={"milliseconds": "latent_rs_milliseconds"})
    rivals = timed[(timed["weights"] == "") & ~timed["method"].isin(WITHOUT_RATIO)].rename(
        columns={"method": "against", "sampler_label": "against_label", "milliseconds": "against_milliseconds"}
    )
    pairs = ours[["key", *VARIANT, "weights", "reweight_seconds", "latent_rs_milliseconds"]].merge(
        rivals[["key", "sampler", "against", "against_label", "against_milliseconds", "pilot_seconds"]], on="key"
    )
    saved = (pairs["against_milliseconds"] - pairs["latent_rs_milliseconds"]) / 1000
    ahead = (pairs["reweight_seconds"] - pairs["pilot_seconds"]).clip(lower=0)
    pairs["images"] = (ahead / saved.where(saved > 0)).fillna(inf)
    rows = [
        own.iloc[0].to_dict()
        | own[[name for name in BREAK_EVEN if name.endswith("seconds")] + ["images"]].median().to_dict()
        | {"low": own["images"].min(), "high": own["images"].max()}
        for _, own in _groups(pairs, "variant", "weights", "sampler")
    ]
    return pd.DataFrame(rows, columns=BREAK_EVEN)


def weights_summary(weights: pd.DataFrame) -> pd.DataFrame:
    """A row for every variant and weights: of `n` runs, `finished` as they should; mean of each of WEIGHT_VALUES.

    Means, each with its 95 % interval as `<value>_low` and `<value>_high`, are over all runs that have the value:
    how weights that vanished or became constant ended is what one wants to see of them.
    """
    rows = []
    for _, own in _groups(weights, "variant", "weights"):
        row = {name: own[name].iloc[0] for name in (*VARIANT, "weights", "weights_label")}
        row |= {"n": len(own), "finished": int((own["outcome"] == "finished").sum())}
        for name in WEIGHT_VALUES:
            values = own[name].astype(float)[np.isfinite(own[name].astype(float))].to_numpy()
            low, high = np.clip(mean_interval(values, CONFIDENCE), 0, 1 if name in SHARES else inf)
            row |= {name: values.mean() if len(values) else nan, f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return pd.DataFrame(rows, columns=WEIGHTS)


def sampled_runs(runs: pd.DataFrame, samplers: pd.DataFrame) -> pd.DataFrame:
    """`runs`, then a row for every run and sampler: the variant "bce.stabilised" as "bce/latent_rs.stabilised".

    For claims: what the run is stays, the metrics are the sampler's, NaN where it was stuck or did not measure one;
    `evaluations` are added, as in `frontier_table`. They are no runs of their own: pass them to nothing that counts.
    """
    _check(samplers)
    if samplers.empty:
        return runs
    facts = runs[["key", *(name for name in RUN_FACTS if name in runs)]]
    names = [
        f"/{sampler}.".join(variant.split(".")) for variant, sampler in samplers[["variant", "sampler"]].to_numpy()
    ]
    drawn = samplers.assign(variant=names, evaluations=_evaluations(samplers))
    rows = drawn.drop(columns="outcome").merge(facts, on="key", validate="many_to_one")
    rows["key"] += "/" + rows["sampler"]
    kept = {*runs, "evaluations", "own_generator"}
    return pd.concat([runs, rows[[name for name in rows if name in kept]]], ignore_index=True)


def _groups(table: pd.DataFrame, *by: str) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Nothing for a table without rows, which has no columns either where a study has none."""
    if len(table):
        yield from table.groupby(list(by), sort=False)


def _check(samplers: pd.DataFrame) -> None:
    if samplers.empty:
        return
    twice = samplers[samplers.duplicated(["variant", "sampler", "seed"])]
    if len(twice):
        raise ComparisonError(
            f"The samplers table has {twice.iloc[0]['sampler']!r} of {twice.iloc[0]['key']!r} twice; a seed counted "
            "twice narrows the interval: remove one."
        )


def _method(entry: pd.DataFrame) -> str:
    return str(entry["method"].iloc[0])


def _compared(own: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """The rows of each sampler of a variant beside those of each control."""
    entries = [entry for _, entry in _groups(own, "sampler")]
    for entry in entries:
        for against in CONTROLS[:1] if _method(entry) in CONTROLS else CONTROLS:
            found = [other for other in entries if _method(other) == against]
            of_same_weights = [other for other in found if other["weights"].iloc[0] == entry["weights"].iloc[0]]
            for control in (of_same_weights or found)[:1]:
                if control is not entry:
                    yield entry, control


def _values(entry: pd.DataFrame, metric: str) -> pd.Series:
    """By seed: log FID, +inf for a failed or stuck run; another metric as it is, NaN for these."""
    measured = entry.set_index("seed")[metric].astype(float)
    ended = entry.set_index("seed")[["run_outcome", "outcome"]]
    good = (ended["run_outcome"] == "finished") & (ended["outcome"] == "drawn") & np.isfinite(measured)
    kept = measured.where(good)
    return pd.Series(np.log(kept), kept.index).fillna(inf) if metric == "fid" else kept


def _pairs(x: pd.DataFrame, y: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, int]:
    """Values of both (columns x and y) at the seeds that a comparison uses; how many seeds lack one."""
    pairs = pd.concat({"x": _values(x, metric), "y": _values(y, metric)}, axis="columns", join="inner")
    whole = pairs[np.isfinite(pairs.to_numpy()).all(axis=1)]
    return (pairs if metric == "fid" else whole), len(pairs) - len(whole)


def _result(pairs: pd.DataFrame) -> Result | None:
    """None with fewer than two pairs, or where no run has a value."""
    if len(pairs) < 2 or not np.isfinite(pairs.to_numpy()).any():
        return None
    return difference(pairs["x"].to_numpy(), pairs["y"].to_numpy(), paired=True)


def _effect(x: pd.DataFrame, y: pd.DataFrame, metric: str) -> tuple[dict[str, Any], Result | None]:
    pairs, failed = _pairs(x, y, metric)
    row = {name: x[name].iloc[0] for name in (*VARIANT, *SAMPLER)}
    row |= {"against": _method(y), "against_label": y["sampler_label"].iloc[0], "metric": metric, "n": len(pairs)}
    row |= {"scale": "ratio" if metric == "fid" else "difference", "failed": failed, "effect": nan}
    if len(pairs) == 1 and not failed:
        row["effect"] = _shown(metric, pairs["x"].iloc[0] - pairs["y"].iloc[0])
    return row, _result(pairs)


def corrected(effects: list[tuple[dict[str, Any], Result | None]]) -> list[dict[str, Any]]:
    """The rows of one family, with p-values and intervals at the level that Holm's procedure gives each."""
    p = [result.p_value for _, result in effects if result]
    levels = iter(zip(p, holm(p), holm_levels(p, 1 - CONFIDENCE), strict=True))
    rows = []
    for row, result in effects:
        if result:
            p_value, p_adjusted, level = next(levels)
            low, high = (_shown(row["metric"], end) for end in result.interval(level))
            row |= {"effect": _shown(row["metric"], result.effect), "low": low, "high": high, "level": level}
            row |= {"p": p_value, "p_adjusted": p_adjusted}
        rows.append(row)
    return rows


def _shown(metric: str, effect: float) -> float:
    return exponential(effect) if metric == "fid" else effect


def costs_an_image(samplers: pd.DataFrame) -> pd.DataFrame:
    """COSTS over the images that were drawn, those of a pilot aside; NaN where none were."""
    rows = samplers[list(COSTS)].copy()
    for name in THROUGH_PILOT:
        rows[name] -= samplers["pilot"]
    drawn = samplers["images"].where(samplers["outcome"] == "drawn")
    return rows.div(drawn, axis="index").astype(float)


def _evaluations(samplers: pd.DataFrame) -> pd.Series:
    """Rows through networks an image, NaN where none was drawn."""
    costs = costs_an_image(samplers)
    return costs[list(NETWORKS)].sum(axis="columns", skipna=False) + GRADIENT_STEP * costs["gradient_steps"]


def _placed(entry: pd.DataFrame, prior: pd.DataFrame) -> dict[str, Any]:
    """Where a sampler stands between cost and quality."""
    drawn = entry[entry["outcome"] == "drawn"]
    row = {name: entry[name].iloc[0] for name in (*VARIANT, *SAMPLER)}
    row |= {"ranked": _method(entry) != "random_rejection" and not entry["own_generator"].iloc[0]}
    row |= {"evaluations": _evaluations(drawn).mean(), "acceptance": drawn["acceptance"].astype(float).mean()}
    if _method(entry) == "prior":
        return row | dict.fromkeys(("fid_ratio", "low", "high"), 1.0)
    effect, result = _effect(entry, prior, "fid")
    low, high = map(exponential, result.interval(CONFIDENCE)) if result else (nan, nan)
    return row | {"fid_ratio": exponential(result.effect) if result else effect["effect"], "low": low, "high": high}


def _efficient(entry: dict[str, Any], entries: list[dict[str, Any]]) -> bool:
    rivals = [one for one in entries if one["ranked"]]
    return (
        isfinite(entry["fid_ratio"])
        and entry["ranked"]
        and not any(
            other["evaluations"] <= entry["evaluations"] and other["fid_ratio"] < entry["fid_ratio"] for other in rivals
        )
    )
