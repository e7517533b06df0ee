"""Images/s of LatentRS: the sampler's blocks, and one latent at a time, on the published networks.

The generator and the weight network have the published sizes and no training, which changes no arithmetic; weights are
scaled to mean 1, so that with m = 3 one proposal in three is accepted. Rounds are interleaved, so that both meet the
same load of the machine; medians are printed, and the ratio's spread over rounds. On a CPU one thread, as a job has it.

    python benchmarks/sampling.py --rounds 7
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from divergan import provenance
from divergan.data import to_uint8
from divergan.networks import GENERATORS
from divergan.params import read
from divergan.reweighting import weight_network
from divergan.samplers import SAMPLERS, Model, Random

ROOT = Path(__file__).parents[1]
HIDDEN = [400, 400, 400]  # Issenhuth et al. (2022)
SHAPE = (1, 28, 28)
STUDIES = {"published": "params.yaml", "demo": "params/demo.yaml"}  # where the generator's sizes come from

Draw = Callable[[int, int], tuple[torch.Tensor, float]]  # images wanted, seed -> uint8 images, acceptance


def model(study: str, device: str) -> Model:
    """The study's generator beside weights of mean 1, both untrained."""
    training = read(ROOT / STUDIES[study]).training
    torch.manual_seed(0)
    latent, generator = training["latent"], training["generator"]
    g = GENERATORS[generator["name"]].build(latent, generator["hidden"], SHAPE).to(device).eval()
    w = weight_network(latent, HIDDEN, "softplus").to(device).eval()
    with torch.no_grad():
        mean = w(torch.randn(10_000, latent, device=device)).mean()
    return Model(generator=g, latent=latent, device=device, weight=lambda z: w(z) / mean)


def in_blocks(model: Model) -> Draw:
    def run(count: int, seed: int) -> tuple[torch.Tensor, float]:
        latents, choices = (torch.Generator(model.device).manual_seed(seed + k) for k in (0, 1))
        sampler = SAMPLERS["latent_rs"]
        settings = sampler.settings.model_validate({"weights": "untrained"})
        drawn = sampler.draw(model, count, settings, Random(latents=latents, choices=choices))
        return drawn.images, model.cost.acceptance

    return run


def one_by_one(model: Model) -> Draw:
    """Algorithm 2 as it is written: a latent, a uniform, and the generator where the latent is accepted."""
    assert model.weight is not None
    weight = model.weight

    @torch.inference_mode()
    def run(count: int, seed: int) -> tuple[torch.Tensor, float]:
        rng = torch.Generator(model.device).manual_seed(seed)
        images, draws = [], 0
        while len(images) < count:
            z = torch.randn(1, model.latent, generator=rng, device=model.device)
            draws += 1
            if torch.rand(1, generator=rng, device=model.device) < weight(z) / model.m:
                images.append(to_uint8(model.generator(z)).cpu())
        return torch.cat(images), count / draws

    return run


def timed(draw: Draw, count: int, seed: int) -> tuple[float, float]:
    """Images/s, to images on the CPU, and the acceptance."""
    started = time.perf_counter()
    images, acceptance = draw(count, seed)
    assert len(images) == count
    return count / (time.perf_counter() - started), acceptance


def measured(study: str, rounds: int, counts: dict[str, int], device: str) -> dict[str, object]:
    provenance.prepare_torch(device, 1)
    known = model(study, device)
    draws = {"blocks": in_blocks(known), "one": one_by_one(known)}
    for name, draw in draws.items():
        draw(counts[name] // 10, 0)
    told: dict[str, list[tuple[float, float]]] = {name: [] for name in draws}
    for seed in range(1, rounds + 1):
        for name, draw in draws.items():
            told[name].append(timed(draw, counts[name], seed))
    ratios = sorted(a[0] / b[0] for a, b in zip(told["blocks"], told["one"], strict=True))
    speed = {name: statistics.median(rate for rate, _ in rows) for name, rows in told.items()}
    accepted = {name: statistics.mean(acceptance for _, acceptance in rows) for name, rows in told.items()}
    return {
        "device": device, "networks": study, "threads": 1, "images_per_second": speed["blocks"],
        "one_by_one_images_per_second": speed["one"], "acceptance": accepted["blocks"],
        "one_by_one_acceptance": accepted["one"], "ratio": statistics.median(ratios), "ratio_low": ratios[0],
        "ratio_high": ratios[-1],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=5_000, help="a round, in blocks")
    parser.add_argument("--one-by-one", type=int, default=300, help="images a round, one latent at a time")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/sampling.json")
    options = parser.parse_args()
    device = provenance.chosen_device("auto")
    counts = {"blocks": options.images, "one": options.one_by_one}
    rows = [measured(study, options.rounds, counts, device) for study in STUDIES]
    table = Table("device", "networks", "blocks, images/s", "one by one, images/s", "acceptance", "ratio [range]")
    for row in rows:
        ratio = f"{row['ratio']:.1f} [{row['ratio_low']:.1f}, {row['ratio_high']:.1f}]"
        rates = (f"{row['images_per_second']:.0f}", f"{row['one_by_one_images_per_second']:.0f}")
        shares = f"{row['acceptance']:.3f} and {row['one_by_one_acceptance']:.3f}"
        table.add_row(str(row["device"]), str(row["networks"]), *rates, shares, ratio)
    Console(width=140).print(table)
    facts = {"rows": rows, "environment": provenance.environment(ROOT, device, 0), "rounds": options.rounds} | counts
    options.out.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
