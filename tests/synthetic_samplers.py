"""Plausible tables of samplers, weights and two-dimensional targets of a study that never ran."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd

from divergan.figures import Tables
from divergan.sampler_evidence import EFFECTS, break_even_table, frontier_table, weights_summary
from synthetic_tables import CLAIM, REPORT, digits

# entry: label, method, weights, acceptance, rows an image of the critic and of the weights, gradient steps, FID ratio
ENTRIES = {
    "prior": ("Prior", "prior", "", 1.0, 0, 0, 0, 1.0),
    "truncation": ("Truncation, threshold 1", "truncation", "", 1.0, 0, 0, 0, 1.21),
    "latent_rs": ("latentRS, learned weights", "latent_rs", "learned", 0.33, 0, 3, 0, 0.93),
    "latent_rs_ga": ("latentRS, then 5 steps of 0.05", "latent_rs_ga", "learned", 0.33, 0, 8, 5, 0.95),
    "latent_rs_as_printed": ("latentRS, weights as printed", "latent_rs", "as_printed", 0.21, 0, 5, 0, 1.4),
    "latent_rs_released": ("latentRS, weights as released", "latent_rs", "released", 0.33, 0, 3, 0, 1.003),
    "random": ("Random rejection, learned weights", "random_rejection", "learned", 0.33, 0, 3, 0, 1.0),
    "trained_on": ("Generator trained on", "trained_on", "learned", 1.0, 0, 0, 0, 0.97),
    "sir": ("SIR on learned weights", "sir", "learned", 0.33, 0, 3, 0, 0.96),
    "sir_ratio": ("SIR on the ratio, 1/3", "sir_ratio", "", 0.33, 3, 0, 0, 0.9),
    "drs": ("DRS, acceptance 1/3", "drs", "", 0.33, 3.2, 0, 0, 0.88),
    "obrs": ("OBRS, acceptance 1/3", "obrs", "", 0.333, 3.2, 0, 0, 0.87),
    "mh": ("MH-GAN, chain 64", "mh", "", 0.4, 65, 0, 0, 0.85),
    "ddls": ("DDLS, 50 steps", "ddls", "", 1.0, 51, 0, 50, 0.83),
    "dot": ("DOT, 20 steps", "dot", "", 1.0, 21, 0, 20, 1.02),
}  # fmt: skip
NAMES = ("sampler_label", "method", "weights", "acceptance", "critic", "weighed", "steps", "ratio")
WEIGHTS = {"learned": "Learned, as derived", "as_printed": "As printed", "released": "As released"}
SCALES = {  # metric -> the noise of a sampler, and how it moves with log FID
    "fid": (0, 0), "kid": (0.0008, 0.004), "precision": (0.01, -0.3), "recall": (0.01, 0.2), "density": (0.02, -0.4),
    "coverage": (0.01, -0.2), "modes_covered": (0, 0),
}  # fmt: skip
CONTROLS = {"random": "random_rejection", "trained_on": "trained_on"}  # entries, with their methods
IDENTITY = ["key", "variant", "objective", "label", "arm", "seed"]
STUCK = "DRS accepted 3 of 2048 draws, at 4.5e-13: its ratio leaves next to nothing, so raise `most_draws`."
FAMILIES = ("bce", "pearson", "jensen_shannon")
TARGETS = {"two_modes": "Two modes", "grid": "25 modes"}
PLANAR = {  # weights -> W1 after, correlation, off-manifold share after, balance after
    "learned": (0.19, 0.83, 0.02, 0.9), "as_printed": (1.4, -0.6, 0.01, 0.0),
}  # fmt: skip


def with_samplers(study: Tables, *, stuck: bool = False, claims: bool = True) -> Tables:
    """The study, its BCE, Pearson and Jensen-Shannon runs of the last arm sampled in every way."""
    random = np.random.default_rng(11)
    runs = study.runs[(study.runs["arm"] == study.runs["arm"].iloc[-1]) & study.runs["objective"].isin(FAMILIES)]
    samplers = samplers_table(random, runs, stuck=stuck)
    told = {"claims": pd.concat([study.claims, latent_claims()], ignore_index=True)} if claims else {}
    histories, last = weight_tables(random, runs)
    seconds = seconds_table(random, samplers)
    learned = last[["key", "weights"]].assign(seconds=31.4)
    return replace(
        study, samplers=samplers, effects=effects_table(samplers), frontier=frontier_table(samplers),
        break_even=break_even_table(samplers, seconds, learned), weights=weights_summary(last), weight_runs=last,
        weight_history=histories, weight_settings=settings_table(), sampler_seconds=seconds,
        planar=planar_table(random), planar_maps=planar_maps(),
        ranked={key: ranking(random) for key in runs["key"]}, **told,
    )  # fmt: skip


def samplers_table(random, runs: pd.DataFrame, *, stuck: bool = False) -> pd.DataFrame:
    rows = []
    for run, (name, values) in product(runs.to_dict("records"), ENTRIES.items()):
        entry = dict(zip(NAMES, values, strict=True))
        fails = stuck and name == "drs" and run["seed"] == 0 and run["objective"] == "pearson"
        images, draws = 1000, round(1000 / entry["acceptance"])
        pilot = 400 if name in ("drs", "obrs") else 0
        moved = np.log(entry["ratio"]) + (0 if name == "prior" else random.normal(0, 0.02))
        metrics = {
            metric: run[metric] + slope * moved + random.normal(0, noise) for metric, (noise, slope) in SCALES.items()
        }
        metrics["fid"] = run["fid"] * np.exp(moved)
        rows.append({
            **{column: run[column] for column in IDENTITY}, "run_outcome": run["outcome"], "sampler": name,
            **{column: entry[column] for column in NAMES[:3]}, "outcome": "stuck" if fails else "drawn",
            "reason": STUCK if fails else "", "images": 0 if fails else images,
            "draws": draws + pilot, "pilot": pilot,
            "own_generator": entry["method"] == "trained_on" or entry["weights"] == "released",
            "generator_evaluations": pilot + (images if entry["weighed"] else draws * (1 + entry["steps"])),
            "critic_evaluations": pilot + round(images * entry["critic"]),
            "weight_evaluations": images * entry["weighed"],
            "gradient_steps": images * entry["steps"], "acceptance": np.nan if fails else entry["acceptance"],
            **(dict.fromkeys(metrics, np.nan) if fails else metrics),
        })  # fmt: skip
    return pd.DataFrame(rows)


def effects_table(samplers: pd.DataFrame) -> pd.DataFrame:
    """As sampler_evidence.effects_table has it, with rougher intervals in less time; no end where a seed failed."""
    rows = []
    for variant, own in samplers.groupby("variant", sort=False):
        by_seed = {metric: own.pivot(index="seed", columns="sampler", values=metric) for metric in SCALES}
        by_seed["fid"] = np.log(by_seed["fid"])
        first = own.drop_duplicates("sampler").set_index("sampler")
        for other, name, metric in product(("prior", *CONTROLS), ENTRIES, SCALES):
            if name != other and name != "prior" and (other == "prior" or name not in CONTROLS):
                facts = first.loc[name, ["label", "arm", "sampler_label"]]
                compared = {"against": CONTROLS.get(other, other), "against_label": ENTRIES[other][0], "metric": metric}
                effect = effect_of(by_seed[metric][name] - by_seed[metric][other], metric)
                rows.append({"variant": variant, "sampler": name, **facts, **compared, **effect})
    return pd.DataFrame(rows, columns=EFFECTS)


def effect_of(differences: pd.Series, metric: str) -> dict:
    whole = differences.dropna()
    failed, counted = len(differences) - len(whole), len(differences if metric == "fid" else whole)
    half = 1.5 * whole.std(ddof=0) if len(whole) > 1 else np.nan
    ends = np.array([whole.mean(), whole.mean() - half, np.inf if failed and metric == "fid" else whole.mean() + half])
    sure = ends[1] > 0 or ends[2] < 0
    effect, low, high = np.exp(ends) if metric == "fid" else ends
    return {
        "scale": "ratio" if metric == "fid" else "difference", "n": counted, "failed": failed, "effect": effect,
        "low": low, "high": high, "level": 0.9964, "p": 0.004, "p_adjusted": 0.01 if sure else 0.4,
    }  # fmt: skip


def weight_tables(random, runs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The histories, and their last rows: weights as released of seed 1 end constant, those as printed vanish once."""
    histories, last = [], []
    steps = np.linspace(0, 2000, 21)
    for run, name in product(runs.to_dict("records"), WEIGHTS):
        identity = {column: run[column] for column in IDENTITY} | {"weights": name, "weights_label": WEIGHTS[name]}
        settled = 1 - np.exp(-steps / 400)
        mean = 1 + (0.1 if name == "learned" else -0.15) * settled + random.normal(0, 0.02, len(steps))
        spread = {"learned": 0.5, "as_printed": 0.8, "released": 0.02}[name]
        frame = pd.DataFrame({
            **identity, "step": steps, "w_mean": mean, "w_max": mean + 2 * spread, "w_min": mean * (1 - settled) / 2,
            "acceptance": mean / 3, "ess": 1 - spread * settled, "emd": (4 if name == "learned" else 6) - 2 * settled,
        })  # fmt: skip
        outcome = {("released", 1): "constant", ("as_printed", 0): "vanished"}.get((name, run["seed"]), "finished")
        histories.append(frame)
        kept = frame.iloc[-1][["w_mean", "w_max", "acceptance", "ess", "emd"]]
        last.append(identity | {"outcome": outcome, "step": 2000, "stopped_early": run["seed"] == 0, **kept})
    return pd.concat(histories, ignore_index=True), pd.DataFrame(last)


def settings_table() -> pd.DataFrame:
    shared = {"m": 3.0, "lambda_norm": 10.0, "lambda_clip": 3.0, "hidden": "[400, 400, 400]", "steps": 2000}
    own = {
        "learned": {"sign": "derived", "delta": "none", "output": "softplus", "joint": False},
        "as_printed": {"sign": "as_printed", "delta": "min_abs", "output": "softplus", "joint": False},
        "released": {"sign": "as_printed", "delta": "none", "output": "sigmoid", "joint": True},
    }
    return pd.DataFrame([
        {"weights": name, "weights_label": WEIGHTS[name], "name": setting, "value": str(value)}
        for name, settings in own.items() for setting, value in (settings | shared).items()
    ])  # fmt: skip


def seconds_table(random, samplers: pd.DataFrame) -> pd.DataFrame:
    rates = {name: 9e4 / (1 + values[4] + 0.1 * values[5] + 3 * values[6]) for name, values in ENTRIES.items()}
    return pd.DataFrame([
        {"key": row["key"], "sampler": row["sampler"], "seconds": 1000 / rates[row["sampler"]], "pilot_seconds": 0.0,
         "images_per_second": rates[row["sampler"]] * random.lognormal(0, 0.1)}
        for row in samplers.to_dict("records")
    ])  # fmt: skip


def planar_table(random) -> pd.DataFrame:
    rows = []
    for target, seed, (weights, (w1, rank, off, balance)) in product(TARGETS, range(5), PLANAR.items()):
        rows.append({
            "target": target, "target_label": TARGETS[target], "seed": seed, "weights": weights,
            "weights_label": WEIGHTS[weights], "outcome": "finished", "w1_before": 0.5 + random.normal(0, 0.01),
            "w1_after": w1 + random.normal(0, 0.02), "w1_oracle": 0.12 + random.normal(0, 0.005),
            "w1_floor": 0.08 + random.normal(0, 0.005), "rank_correlation": rank + random.normal(0, 0.02),
            "ratio_correlation": rank - 0.05, "off_before": 0.2, "off_after": off, "off_oracle": 0.01,
            "balance_before": 0.6, "balance_after": balance, "modes_before": 2 if target == "two_modes" else 25,
            "modes_after": (2 if target == "two_modes" else 25) - (weights == "as_printed"),
            "acceptance": 0.33 + random.normal(0, 0.002), "expected_acceptance": 0.33,
        })  # fmt: skip
    return pd.DataFrame(rows)


def planar_maps() -> dict[str, dict[str, np.ndarray]]:
    """A staircase of 2 x 1 and of 5 x 5 treads, the right weights on it, those learned blurred, the printed wrong."""
    axis = np.linspace(-3, 3, 60)
    maps = {}
    for target, steps in (("two_modes", (2, 1)), ("grid", (5, 5))):
        z = np.stack(np.meshgrid(axis, axis), axis=-1)
        stairs = [_stairs(z[..., i], n) for i, n in enumerate(steps)]
        x = np.stack([heights for heights, _ in stairs], axis=-1)
        on = np.prod([near for _, near in stairs], axis=0)
        ratio = np.minimum(1.4 * on, 3.0)
        for name, w in (("learned", 0.2 + 0.8 * ratio), ("as_printed", ratio * (x[..., 0] > 0) * 2)):
            maps[f"{target}.{name}"] = {"axis": axis, "z": z, "x": x, "w": w, "ratio": ratio}
    return maps


def _stairs(z: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """A staircase of z, and 1 on its treads, 0 on its steps."""
    place = (z + 3) / 6 * steps
    tread = np.clip(np.floor(place), 0, steps - 1)
    rise = np.clip((place - tread - 0.9) / 0.1, 0, 1) if steps > 1 else 0 * z
    return 2 * (tread + rise - (steps - 1) / 2) + 0.1 * z, (rise == 0).astype(float)


def ranking(random) -> dict[str, np.ndarray]:
    acceptance = random.beta(1.2, 2, 64)
    images = digits(random, 0.05)
    noisy = random.integers(0, 255, images.shape)
    mixed = acceptance[:, None, None] * images + (1 - acceptance[:, None, None]) * noisy * (images > 40)
    return {"images": mixed.astype(np.uint8), "acceptance": acceptance, "accepted": random.random(64) < acceptance}


def latent_claims() -> pd.DataFrame:
    common = CLAIM | {
        "family": "latent-reweighting", "source": f"{REPORT}, Section III.2", "arm": "stabilised", "level": 0.975,
        "direction": "lower", "margin": np.log(46 / 49), "variant": "bce/latent_rs",
    }  # fmt: skip
    return pd.DataFrame([
        common | {"id": "latentrs-fid", "says": "latentRS as released takes the FID from 49 to 46", "effect": 0.003,
                  "low": -0.04, "high": 0.05, "p": 0.8, "p_adjusted": 0.8, "verdict": "not reproduced"},
        common | {"id": "latentrs-precision", "says": "latentRS takes the precision from 0.23 to 0.38",
                  "metric": "precision", "direction": "higher", "margin": np.log(0.38 / 0.23), "effect": 0.05,
                  "low": -0.01, "high": 0.1, "p": 0.9, "p_adjusted": 0.9, "verdict": "not reproduced"},
    ])  # fmt: skip
