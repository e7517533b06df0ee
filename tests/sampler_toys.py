"""Generators whose right answers are known: categories, Gaussians, and a small network that makes images."""

from __future__ import annotations

import math

import torch
from scipy.stats import chisquare

from divergan.samplers import SAMPLERS, Drawn, Model, Random
from divergan.strict import Strict

# A p-value below this is a fault. Over seeds the tests' p-values are uniform, so one of the twenty would by chance fall
# below with 2 %; the seeds are fixed, and the planted faults gave p-values below 1e-6.
SURE = 1e-3

SETTINGS: dict[str, dict[str, object]] = {
    "prior": {},
    "truncation": {"threshold": 1.0},
    "latent_rs": {"weights": "learned"},
    "random_rejection": {"weights": "learned"},
    "latent_rs_ga": {"weights": "learned", "steps": 3, "step_size": 0.05},
    "sir": {"weights": "learned", "acceptance": 1 / 3},
    "sir_ratio": {"acceptance": 1 / 3},
    "drs": {"percentile": None, "acceptance": 1 / 3},
    "obrs": {"acceptance": 1 / 3},
    "mh": {"chain": 4},
    "ddls": {"steps": 3, "step_size": 0.01},
    "dot": {"steps": 3, "learning_rate": 0.01},
    "trained_on": {"weights": "learned"},
}


def settings(name: str, **changed: object) -> Strict:
    return SAMPLERS[name].settings.model_validate(SETTINGS[name] | changed)


def random(seed: int) -> Random:
    return Random(latents=torch.Generator().manual_seed(seed), choices=torch.Generator().manual_seed(seed + 10_000))


def draw(name: str, model: Model, count: int, seed: int, **changed: object) -> Drawn:
    return SAMPLERS[name].draw(model, count, settings(name, **changed), random(seed))


def categories(q: list[float], p: list[float], **fields: object) -> Model:
    """Category k with probability q[k], by the normal CDF of z_1, as image (n, 1); log p/q is known."""
    edges = torch.special.ndtri(torch.tensor(q, dtype=torch.float64).cumsum(0))[:-1].float()
    log_ratios = (torch.tensor(p) / torch.tensor(q)).log()
    every = {
        "generator": lambda z: torch.bucketize(z[:, :1].contiguous(), edges).float(),
        "log_ratio": lambda x: log_ratios[x[:, 0].long()],
        "real_log_ratios": log_ratios[torch.tensor(p) > 0],
    }
    return Model(**{"latent": 2, "device": "cpu", **every, **fields})


def identity(**fields: object) -> Model:
    """G(z) = z in two dimensions."""
    return Model(**{"generator": lambda z: z * 1.0, "latent": 2, "device": "cpu", **fields})


def network(**fields: object) -> Model:
    """A small random network that makes images (n, 1, 6, 6), with weights, ratio and score from small networks."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = torch.nn.Linear(8, 36), torch.nn.Tanh(), torch.nn.Unflatten(1, (1, 6, 6))
        generator = torch.nn.Sequential(*layers)
        critic = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(36, 1), torch.nn.Flatten(0))
        weight = torch.nn.Sequential(torch.nn.Linear(8, 1), torch.nn.Softplus(), torch.nn.Flatten(0))
        reals = torch.randn(50)
    every = {"weight": weight, "log_ratio": critic, "score": critic, "real_log_ratios": reals, "pilot": 1000}
    return Model(**{"generator": generator, "latent": 8, "device": "cpu", **every, **fields})


def fit(images: torch.Tensor, masses: list[float]) -> float:
    """p-value of the chi-squared test of categories (n, 1) against masses (k,); 0 where an impossible one came."""
    counts = torch.bincount(images[:, 0].long(), minlength=len(masses)).double().numpy()
    possible = [k for k, mass in enumerate(masses) if mass > 0]
    if counts.sum() != counts[possible].sum():
        return 0.0
    total = math.fsum(masses)
    return float(chisquare(counts[possible], [counts.sum() * masses[k] / total for k in possible]).pvalue)
