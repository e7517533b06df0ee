"""Plausible tables of a study that never ran: for the tests of comparison, figures and report."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pandas as pd

from divergan import evidence
from divergan.figures import Tables
from divergan.figures.failures import gallery
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


def tables(
    *, arms: tuple[str, ...] = ("stabilised",), seeds: int = 2, failing: bool = False, judged: bool = False
) -> Tables:
    """Seven objectives an arm; with `failing`, some runs of Kullback-Leibler and Reverse KL do not finish.

    With `judged` there are the tables of the evidence, too.
    """
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
    shown = {key: [(step, digits(random, 0.3)) for step in (0, 300, 900)] for key in gallery(pd.DataFrame(runs))}
    floors = pd.DataFrame({"metric": list(VALUES), "floor": [11.3, 0.001, 9.6, 0.9, 0.88, 0.97, 0.96, 10, 2e-4, 3.6]})
    evidence = evidence_tables(random, pd.DataFrame(runs)) if judged else {}
    return Tables(
        runs=pd.DataFrame(runs), floors=floors.assign(n_samples=1000), over_training=pd.concat(over_training),
        history=pd.concat(history), samples=samples, training_samples=shown,
        metrics={name: METRICS[name] for name in VALUES}, objectives=OBJECTIVES, **evidence,
    )  # fmt: skip


def with_labels(study: Tables) -> Tables:
    """The same, in which every variant of BCE is conditional."""
    made_as = {key: np.arange(64) % 10 for key in study.samples if key.startswith("bce.")}
    values = {"classification_accuracy_score": 0.91, "label_accuracy": 0.88}
    known = study.runs["key"].isin(list(made_as))
    floors = pd.DataFrame({"metric": list(values), "floor": [0.97, 0.985], "n_samples": 1000})
    return replace(
        study,
        runs=study.runs.assign(**{name: np.where(known, value, np.nan) for name, value in values.items()}),
        floors=pd.concat([study.floors, floors], ignore_index=True),
        metrics={**study.metrics, **{name: METRICS[name] for name in values}},
        sample_labels=made_as,
    )


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
        "generator_loss": "alternative", "regulariser": REGULARISERS.get(arm, "none"),
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


FEATURE_LABELS = {
    "digits": "digits classifier, seed 0", "digits-1": "digits classifier, seed 1",
    "random": "random convolutions, seed 0", "released": "digits classifier, seed 0, evaluated as released",
}  # fmt: skip
SHARES = {"objective": 0.46, "generator loss": 0.11, "regulariser": 0.2, "interactions": 0.02, "seed": 0.21}
REPORT = "benatti2024fdivergences"
CLAIM = {
    "source": f"{REPORT}, Table 2", "family": "table-2-order", "test": "difference", "metric": "fid",
    "direction": "higher", "margin": np.log(1.1), "level": 0.9917, "n_x": 5, "n_y": 5, "scale": "ratio",
    "method": "paired t", "reason": "", "seeds_needed": np.nan, "published": np.nan, "against": "bce",
}  # fmt: skip
JUDGED = [  # id, says, effect, low, high, p, p_adjusted, and what differs from CLAIM
    ("kl-above-bce", "KL reaches a higher FID than BCE", 2.1, 1.2, np.inf, 1e-5, 6e-5,
     {"verdict": "reproduced", "variant": "kl"}),
    ("pearson-above-bce", "Pearson reaches a higher FID than BCE", 0.4, -0.1, 0.9, 0.02, 0.08,
     {"verdict": "undecided", "seeds_needed": 14, "variant": "pearson"}),
    ("hellinger-above-js", "Squared Hellinger, whose conjugate has a pole, reaches a higher FID than Jensen-Shannon, "
     "which is bounded", -0.6, -0.9, -0.3, 0.0004, 0.002,
     {"verdict": "not reproduced", "variant": "squared_hellinger", "against": "jensen_shannon"}),
    ("bce-is-gan", "GAN and BCE give the same FID", 0.02, -0.12, 0.16, 0.01, 0.01,
     {"family": "equivalence", "test": "equivalence", "direction": "", "margin": np.log(1.25), "method": "TOST",
      "source": f"{REPORT}, Section II.2", "verdict": "reproduced"}),
    ("bce-steadier", "BCE varies less between seeds than the others", 1.3, -0.2, 2.8, 0.08, 0.08,
     {"family": "stability", "test": "spread", "margin": 0.0, "method": "F", "source": f"{REPORT}, Section II.2",
      "verdict": "undecided", "seeds_needed": 9}),
    ("order", "The published order of the FIDs", 0.33, -0.1, 0.76, 0.1, 0.1,
     {"family": "order", "test": "order", "margin": 0.0, "scale": "tau", "n_y": 0, "method": "Kendall",
      "verdict": "undecided"}),
    ("kl-value", "KL has an FID of 441", 97.3, 41.0, 230.0, np.nan, np.nan,
     {"family": "table-2-values", "test": "value", "scale": "value", "verdict": "not comparable", "published": 441.18,
      "margin": np.nan, "level": 0.95, "reason": "features: digits here, inception there", "n_y": 0}),
]  # fmt: skip
UNMEASURABLE = {
    "id": "latent", "family": "re-weighting", "says": "Latent rejection sampling lowers the FID",
    "source": f"{REPORT}, Section III.2", "test": "none", "verdict": "could not have been measured", "scale": "none",
    "reason": "the released re-weighting could not have worked", "n_x": 0, "n_y": 0,
}  # fmt: skip


def evidence_tables(random, runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    arms = list(runs["arm"].unique())
    return {
        "claims": claims_table(arms), "agreement": agreement_table(), "feature_fids": feature_fids(random, runs),
        "one_run": one_run_table(arms), "variance": variance_table(arms), "ablation": ablation_table(random),
        "controls": controls_table(), "arm_effects": evidence.arm_effects_table(runs.assign(regulariser_kind="none")),
    }  # fmt: skip


def claims_table(arms: list[str]) -> pd.DataFrame:
    names = ("id", "says", "effect", "low", "high", "p", "p_adjusted")
    found = [CLAIM | dict(zip(names, claim, strict=False)) | claim[-1] for claim in JUDGED]
    return pd.DataFrame([*(claim | {"arm": arm} for claim in found for arm in arms), UNMEASURABLE])


def agreement_table() -> pd.DataFrame:
    pairs = combinations(FEATURE_LABELS.items(), 2)
    return pd.DataFrame([
        {"a": a, "b": b, "a_label": a_label, "b_label": b_label, "tau": 0.95 - 0.1 * i, "low": 0.85 - 0.15 * i,
         "high": 1.0 - 0.05 * i, "seeds": 5}
        for i, ((a, a_label), (b, b_label)) in enumerate(pairs)
    ])  # fmt: skip


def feature_fids(random, runs: pd.DataFrame) -> pd.DataFrame:
    """Every feature set sees another FID; runs that failed have one, too, of the generator that they left."""
    own = runs[["key", "variant", "objective", "label", "arm", "seed", "outcome"]]
    fid = runs["fid"].fillna(3.0)
    return pd.concat([
        own.assign(features=name, features_label=label, fid=fid * random.lognormal(0, 0.2, len(own)))
        for name, label in FEATURE_LABELS.items()
    ])  # fmt: skip


def one_run_table(arms: list[str]) -> pd.DataFrame:
    return pd.DataFrame([
        {"arm": arm, "variants": 7, "seeds": n, "pair": 1 - 0.12 / n - 0.03 * i, "best": 1 - 0.4 / n,
         "order": 1 - (0.9 - 0.1 * i) / n}
        for (i, arm), n in product(enumerate(arms), (1, 2, 3, 5, 10, 20))
    ])  # fmt: skip


def variance_table(arms: list[str]) -> pd.DataFrame:
    return pd.DataFrame([
        {"arm": arm, "factor": factor, "share": share, "low": max(0.0, share - 0.1), "high": share + 0.1}
        for arm in [*arms, "all arms"] for factor, share in SHARES.items()
    ])  # fmt: skip


def ablation_table(random) -> pd.DataFrame:
    """Every objective in six cells; Kullback-Leibler fails once without and wholly with the bound and R1."""
    rows = []
    for name, loss, regulariser in product(FAMILIES, ("alternative", "bound"), ("none", "R1", "spectral norm")):
        n_failed = {("bound", "none"): 1, ("bound", "R1"): 2}.get((loss, regulariser), 0) if name == "kl" else 0
        fid = np.nan if n_failed == 2 else 40 * random.lognormal(0, 0.9)
        rows.append({
            "objective": name, "label": OBJECTIVES[name].label, "generator_loss": loss, "regulariser": regulariser,
            "n_runs": 2, "n_failed": n_failed, "fid": fid, "low": fid / 1.4, "high": fid * 1.4,
        })  # fmt: skip
    table = pd.DataFrame(rows)
    whole = table[table["n_failed"] == 0]
    return table.assign(picked=table.index.isin(whole.groupby("objective")["fid"].idxmin()))


def controls_table() -> pd.DataFrame:
    return pd.DataFrame([
        {"name": "few", "label": "BCE trained on 100 images", "value": 188.2, "beside": 24.3,
         "beside_label": "BCE trained on all images", "says": "With so few images the critic learns them by heart."},
        {"name": "range", "label": "Real images, clip(2·real − 1)", "value": 96.1, "beside": 11.3,
         "beside_label": "floor", "says": "The released evaluation's range alone costs this much."},
    ])  # fmt: skip
