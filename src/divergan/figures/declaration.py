"""What a figure is, and the tables that figures and report are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from divergan.comparison import family

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


@dataclass(frozen=True, kw_only=True)
class Tables:
    """What the pipeline hands over; the columns that identify a run are key, variant, objective, label, arm, seed.

    runs: one row a run: identity, outcome, step (where it broke off, else NaN), overlapping, generator_loss,
        regulariser, steps, and one column a metric. A label names a row of tables and figures: one variant of an arm.
    floors: metric, floor, n_samples: the metric between real training images and the split that all are compared with.
    over_training: identity, step, fid.
    history: identity, step, critic_loss, generator_loss, bound, accuracy, v_real_mean, v_fake_mean, v_min, v_max.
    samples: key -> uint8 (n, H, W[, C]), on the same latent vectors for every run; "real" -> real images.
    training_samples: key -> (step, uint8 images as in samples) at each checkpoint, of the runs that `failures` shows.
    sample_labels: key -> whole numbers (n,), the classes that a conditional run's samples were made as.
    metrics, objectives: the declarations by name.

    The evidence, each table empty where the study has none. `low` and `high` are the ends of an interval throughout:
    claims: id, family, arm, says, source, test, metric, direction, margin, n_x, n_y, effect, low, high, level, p,
        p_adjusted, verdict, reason, seeds_needed, scale, published, method. With the scale "ratio" effect, interval
        and margin are logarithms; the margin of an equivalence is on both sides of zero.
    agreement: a, b, a_label, b_label, tau, low, high, seeds: every pair of feature sets.
    feature_fids: identity, features, features_label, fid.
    one_run: arm, variants (their number), seeds, pair, best, order: probabilities.
    variance: arm, factor, share, low, high: shares of the variance of log FID.
    arm_effects: name, label, arm, against, n, failed, effect (a ratio of FIDs), low, high, level, p, p_adjusted: pairs
        of equal seeds.
    ablation: objective, label, generator_loss, regulariser, n_runs, n_failed, fid, low, high, picked: the geometric
        mean over seeds of the FID on the tuning split.
    controls: name, label, value, beside, beside_label, says.

    Re-weighting and the samplers, each empty where the study has none. An entry of the study's samplers has a name
    (`sampler`), a label, and a method, which is a name of the registry; `weights` is "" where it uses none:
    samplers: one row a (run, entry): identity, run_outcome, sampler, sampler_label, method, weights, outcome ("drawn"
        or "stuck"), reason, images, draws, pilot (of them), generator_evaluations, critic_evaluations,
        weight_evaluations, gradient_steps, acceptance, own_generator (whether it is one that was trained on), and one
        column a metric.
    sampler_seconds: key, sampler, seconds, pilot_seconds, images_per_second (without the pilot).
    effects: variant, label, arm, sampler, sampler_label, against (a method), against_label, metric, scale ("ratio" or
        "difference"), n, failed, effect, low, high, level, p, p_adjusted: paired over seeds.
    frontier: variant, label, arm, sampler, sampler_label, evaluations (rows of networks an image), acceptance,
        fid_ratio (to prior), low, high, ranked, efficient.
    break_even: variant, label, arm, weights, reweight_seconds, latent_rs_milliseconds, against (a method),
        against_label, against_milliseconds, pilot_seconds, images (inf: never), low, high.
    weights: variant, label, arm, weights, weights_label, n, finished; w_mean, w_max, acceptance and ess, each with
        its _low and _high.
    weight_runs: one row a (run, weights): identity, weights, weights_label, outcome, step, stopped_early, w_mean,
        w_max, acceptance, ess, emd.
    weight_history: identity, weights, weights_label, step, w_mean, w_max, w_min, acceptance, ess, emd.
    weight_settings: weights, weights_label, name (of the setting, as in the parameter file), value.
    planar: one row a (target, seed, weights): target, target_label, seed, weights, weights_label, outcome, and what
        planar.judge found.
    planar_maps: "<target>.<weights>" -> the arrays of planar.map_of.
    ranked: key of a run -> {"images": uint8 (n, H, W[, C]) as the prior gives them, "acceptance": (n,) probabilities,
        "accepted": bool (n,)}.
    """

    runs: pd.DataFrame
    floors: pd.DataFrame
    over_training: pd.DataFrame = field(default_factory=pd.DataFrame)
    history: pd.DataFrame = field(default_factory=pd.DataFrame)
    samples: Mapping[str, np.ndarray] = field(default_factory=dict)
    sample_labels: Mapping[str, np.ndarray] = field(default_factory=dict)
    training_samples: Mapping[str, Sequence[tuple[int, np.ndarray]]] = field(default_factory=dict)
    claims: pd.DataFrame = field(default_factory=pd.DataFrame)
    agreement: pd.DataFrame = field(default_factory=pd.DataFrame)
    feature_fids: pd.DataFrame = field(default_factory=pd.DataFrame)
    one_run: pd.DataFrame = field(default_factory=pd.DataFrame)
    variance: pd.DataFrame = field(default_factory=pd.DataFrame)
    arm_effects: pd.DataFrame = field(default_factory=pd.DataFrame)
    ablation: pd.DataFrame = field(default_factory=pd.DataFrame)
    controls: pd.DataFrame = field(default_factory=pd.DataFrame)
    samplers: pd.DataFrame = field(default_factory=pd.DataFrame)
    sampler_seconds: pd.DataFrame = field(default_factory=pd.DataFrame)
    effects: pd.DataFrame = field(default_factory=pd.DataFrame)
    frontier: pd.DataFrame = field(default_factory=pd.DataFrame)
    break_even: pd.DataFrame = field(default_factory=pd.DataFrame)
    weights: pd.DataFrame = field(default_factory=pd.DataFrame)
    weight_runs: pd.DataFrame = field(default_factory=pd.DataFrame)
    weight_history: pd.DataFrame = field(default_factory=pd.DataFrame)
    weight_settings: pd.DataFrame = field(default_factory=pd.DataFrame)
    planar: pd.DataFrame = field(default_factory=pd.DataFrame)
    planar_maps: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    ranked: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    metrics: Mapping[str, Any]
    objectives: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of a report: `caption` is plain text, `possible` says whether the tables hold what it needs.

    The tables are `Tables`, or in a study of theory the chapters' tables by name.
    """

    name: str  # of its file, and of its place in report.typ
    caption: Callable[[Any], str]
    draw: Callable[[Any], Canvas]
    possible: Callable[[Any], bool]


def floor_of(tables: Tables, metric: str) -> float | None:
    """The floor of a metric, or None where it was not measured."""
    rows = tables.floors[tables.floors["metric"] == metric]
    return float(rows["floor"].iloc[0]) if len(rows) else None


def trained(tables: Tables) -> dict[str, Any]:
    """The objectives that the study trained, by family: in their sound form where the tables have it."""
    used = set(map(family, tables.runs["objective"]))
    forms = sorted(tables.objectives.items(), key=lambda item: item[0] != family(item[0]), reverse=True)
    sound_last = {family(name): declaration for name, declaration in forms}
    return {family(name): sound_last[family(name)] for name in tables.objectives if family(name) in used}


def outcome(run: Mapping[Any, Any] | pd.Series) -> str:
    """How a run ended, in words: "diverged at step 1200"."""
    return str(run["outcome"]) if pd.isna(run["step"]) else f"{run['outcome']} at step {run['step']:.0f}"
