"""Plausible tables of a study that never ran: for the tests of comparison, figures and report."""

from __future__ import annotations

import numpy as np
import pandas as pd

from divergan.figures import Tables
from divergan.metrics import METRICS
from divergan.objectives import OBJECTIVES

VALUES = {
    "fid": 30.0, "kid": 0.02, "inception_score": 8.5, "precision": 0.7, "recall": 0.4, "density": 0.6,
    "coverage": 0.5, "modes_covered": 10.0, "class_kl": 0.03, "nearest_training_distance": 4.1,
}  # fmt: skip
CENTRES = {"kl": 9.0, "reverse_kl": 5.0, "pearson": 4.0, "squared_hellinger": 7.0, "jensen_shannon": 1.6}
PUBLISHED_FORM = ("reverse_kl", "pearson", "squared_hellinger", "jensen_shannon", "gan")
FAMILIES = ("bce", "kl", "reverse_kl", "pearson", "squared_hellinger", "jensen_shannon", "gan")
REGULARISERS = {"released": "none", "stabilised": "R1 \N{GREEK SMALL LETTER GAMMA}=0.1 every 8"}
STEPS = np.linspace(0, 20_000, 41)


LOWER = ("fid", "kid", "class_kl")


def tables(*, arms: tuple[str, ...] = ("stabilised",), seeds: int = 2, failing: bool = False) -> Tables:
    """Seven objectives an arm; with `failing`, some runs of Kullback-Leibler and Reverse KL do not finish."""
    random = np.random.default_rng(7)
    runs, over_training, history, samples = [], [], [], {"real": digits(random, 0.05)}
    for arm in arms:
        for name in FAMILIES:
            objective = f"{name}_as_published" if arm == "released" and name in PUBLISHED_FORM else name
            for seed in range(seeds):
                run = one_run(random, arm, objective, name, seed, failing)
                runs.append(run)
                identity = {k: run[k] for k in ("key", "variant", "objective", "label", "arm", "seed")}
                over_training.append(fid_curve(random, identity, run))
                history.append(score_history(random, identity, run))
                if run["outcome"] == "finished":
                    samples[run["key"]] = digits(random, 0.1)
    floors = pd.DataFrame({"metric": list(VALUES), "floor": [11.3, 0.001, 9.6, 0.9, 0.88, 0.97, 0.96, 10, 2e-4, 3.6]})
    return Tables(
        runs=pd.DataFrame(runs), floors=floors.assign(n_samples=1000), over_training=pd.concat(over_training),
        history=pd.concat(history), samples=samples,
        metrics={name: METRICS[name] for name in VALUES}, objectives=OBJECTIVES,
    )  # fmt: skip


def one_run(random, arm: str, objective: str, family: str, seed: int, failing: bool) -> dict:
    breaks = failing and (family == "kl" or (family == "reverse_kl" and seed % 2 == 1)) and arm == "released"
    scale = CENTRES.get(family, 1.0) ** (1.0 if arm == "released" else 0.4) * random.lognormal(0, 0.15)
    values = {m: v * (scale if m in LOWER else random.lognormal(0, 0.05)) for m, v in VALUES.items()}
    values["modes_covered"] = 10.0 if scale < 5 else 7.0
    variant = f"{objective}.{arm}"
    return {
        "key": f"{variant}-s{seed}", "variant": variant, "objective": objective, "label": OBJECTIVES[objective].label,
        "arm": arm, "seed": seed, "outcome": ("collapsed" if seed == 1 else "diverged") if breaks else "finished",
        "step": 1200.0 + 300 * seed if breaks else np.nan, "overlapping": arm == "released",
        "generator_loss": "alternative", "regulariser": REGULARISERS[arm],
        **(dict.fromkeys(values, np.nan) if breaks else values),
    }  # fmt: skip


def steps_of(run: dict) -> np.ndarray:
    return STEPS if run["outcome"] == "finished" else STEPS[run["step"] >= STEPS]


def fid_curve(random, identity: dict, run: dict) -> pd.DataFrame:
    steps = steps_of(run)[::4]
    last = run["fid"] if np.isfinite(run["fid"]) else 450.0
    fid = last + (500 - last) * np.exp(-steps / 3000) + random.normal(0, 2, len(steps))
    return pd.DataFrame({**identity, "step": steps, "fid": fid})


def score_history(random, identity: dict, run: dict) -> pd.DataFrame:
    broken = run["outcome"] != "finished"
    steps = steps_of(run)
    reach = 2 + np.exp(steps / 150) if broken else 3 + np.sqrt(steps) / 20 + random.normal(0, 0.3, len(steps))
    return pd.DataFrame({
        **identity, "step": steps, "critic_loss": 1.0 + random.normal(0, 0.1, len(steps)),
        "generator_loss": 1.5 + random.normal(0, 0.2, len(steps)), "bound": 0.2 + random.normal(0, 0.05, len(steps)),
        "accuracy": np.clip(0.75 + random.normal(0, 0.05, len(steps)), 0, 1), "v_real_mean": reach / 3,
        "v_fake_mean": -reach / 3, "v_min": -reach, "v_max": reach,
    })  # fmt: skip


def digits(random, noise: float) -> np.ndarray:
    """Rings of different radii, uint8 (64, 28, 28): they look enough like noughts to see a picture is upright."""
    y, x = np.mgrid[-1:1:28j, -1:1:28j]
    radii = random.uniform(0.3, 0.7, (64, 1, 1))
    ring = np.exp(-(((np.hypot(x, 1.2 * y) - radii) / 0.12) ** 2)) + random.normal(0, noise, (64, 28, 28))
    return (255 * ring.clip(0, 1)).astype(np.uint8)
