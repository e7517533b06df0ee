"""Images/s of LatentRS: the sampler's blocks, and one latent at a time, on the published networks.

The generator and the weight network have the published sizes and no training, which changes no arithmetic; weights are
scaled to mean 1, so that with m = 3 one proposal in three is accepted. Rounds are interleaved, so that both meet the
same load of the machine; medians are printed, and the ratio's spread over rounds. On a CPU one thread, as a job has it.

    python benchmarks/sampling.py --rounds 7
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from rounds import ROOT, interleaved, printed, ratio, write

from divergan import provenance
from divergan.data import to_uint8
from divergan.networks import GENERATORS
from divergan.params import read
from divergan.reweighting import weight_network
from divergan.samplers import SAMPLERS, Model, Random

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
    def run(wanted: int, seed: int) -> tuple[torch.Tensor, float]:
        latents, choices = (torch.Generator(model.device).manual_seed(seed + k) for k in (0, 1))
        sampler = SAMPLERS["latent_rs"]
        settings = sampler.settings.model_validate({"weights": "untrained"})
        drawn = sampler.draw(model, wanted, settings, Random(latents=latents, choices=choices))
        return drawn.images, model.cost.acceptance

    return run


def one_by_one(model: Model) -> Draw:
    """Algorithm 2 as it is written: a latent, a uniform, and the generator where the latent is accepted."""
    assert model.weight is not None
    weight = model.weight

    @torch.inference_mode()
    def run(wanted: int, seed: int) -> tuple[torch.Tensor, float]:
        rng = torch.Generator(model.device).manual_seed(seed)
        images, draws = [], 0
        while len(images) < wanted:
            z = torch.randn(1, model.latent, generator=rng, device=model.device)
            draws += 1
            if torch.rand(1, generator=rng, device=model.device) < weight(z) / model.m:
                images.append(to_uint8(model.generator(z)).cpu())
        return torch.cat(images), wanted / draws

    return run


def timed(draw: Draw, wanted: int, seed: int) -> tuple[float, float]:
    """Images/s, to images on the CPU, and the acceptance."""
    started = time.perf_counter()
    images, acceptance = draw(wanted, seed)
    assert len(images) == wanted
    return wanted / (time.perf_counter() - started), acceptance


def measured(study: str, rounds: int, counts: dict[str, int], device: str) -> dict[str, object]:
    provenance.prepare_torch(device, 1)
    known = model(study, device)
    draws = {"blocks": in_blocks(known), "one": one_by_one(known)}
    seeds = {name: count(1) for name in draws}
    for name, draw in draws.items():
        draw(counts[name] // 10, 0)
    candidates = {name: lambda name=name: timed(draws[name], counts[name], next(seeds[name])) for name in draws}
    told = interleaved(candidates, rounds, f"{study} networks")
    rates = {name: [rate for rate, _ in rows] for name, rows in told.items()}
    accepted = {name: statistics.mean(acceptance for _, acceptance in rows) for name, rows in told.items()}
    return {
        "device": device, "networks": study, "threads": 1, "images_per_second": statistics.median(rates["blocks"]),
        "one_by_one_images_per_second": statistics.median(rates["one"]), "acceptance": accepted["blocks"],
        "one_by_one_acceptance": accepted["one"], "speedup": ratio(rates["blocks"], rates["one"]),
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
    table = Table("device", "networks", "blocks, images/s", "one by one, images/s", "acceptance", "ratio (range)")
    for row in rows:
        rates = (f"{row['images_per_second']:.0f}", f"{row['one_by_one_images_per_second']:.0f}")
        shares = f"{row['acceptance']:.3f} and {row['one_by_one_acceptance']:.3f}"
        table.add_row(str(row["device"]), str(row["networks"]), *rates, shares, printed(row["speedup"]))
    Console(width=140).print(table)
    write(options.out, device, options.rounds, rows=rows, images=counts)


if __name__ == "__main__":
    main()
