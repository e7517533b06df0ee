"""Seconds a step and images/s of the published networks on full MNIST: the published loop, and ours.

The published loop is written from its description: images decoded and normalised one by one in a DataLoader, the fake
batch not detached from the generator in the critic's step, separate critic passes, unfused Adam. Rounds are
interleaved, so that both meet the same load of the machine; medians are printed, and the ratio's spread over rounds.

    python benchmarks/training.py --rounds 5 --steps 100
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torchvision import transforms

from divergan import provenance
from divergan.data import fetch, raw_images
from divergan.networks import CRITICS, GENERATORS, CriticForm
from divergan.objectives import OBJECTIVES
from divergan.params import Training, merged, read
from divergan.training import Record, start, train

ROOT = Path(__file__).parents[1]


class Silent:
    def row(self, row: dict[str, float]) -> None: ...

    def checkpoint(self, players, record, samples) -> None: ...


def settings(batch: int, steps: int) -> Training:
    """BCE as released, at another batch size and without samples."""
    published = read(ROOT / "params.yaml")
    own = {"objective": "bce", "batch": batch, "steps": steps, "checkpoints": 1, "checkpoint_samples": 2}
    return Training.model_validate(merged(published.training, own))


def ours(images: torch.Tensor, batch: int, device: str) -> Callable[[int], None]:
    players = start(settings(batch, 1), OBJECTIVES["bce"], (GENERATORS["mlp"], CRITICS["mlp"]), (1, 28, 28), 0, device)
    record, on_device = Record(), images.to(device)

    def run(steps: int) -> None:
        more = settings(batch, players.step + steps)
        train(more, OBJECTIVES["bce"], players, record, on_device, 0, Silent())

    return run


def published_loop(images: torch.Tensor, batch: int, device: str) -> Callable[[int], None]:
    """What the released code's description says, one step after the other."""
    s = settings(batch, 1)
    g = GENERATORS["mlp"].build(s.latent, s.generator.hidden, (1, 28, 28)).to(device)
    d = CRITICS["mlp"].build((1, 28, 28), s.critic.hidden, CriticForm()).to(device)
    optimisers = [torch.optim.Adam(net.parameters(), lr=s.learning_rate, betas=(0.5, 0.999)) for net in (g, d)]
    loss_of = torch.nn.BCEWithLogitsLoss()
    batches = endless(images, batch)

    def run(steps: int) -> None:
        for _ in range(steps):
            real = next(batches).to(device)
            ones, zeros = torch.ones(batch, device=device), torch.zeros(batch, device=device)
            fake = g(torch.randn(batch, s.latent, device=device))
            optimisers[1].zero_grad()
            (loss_of(d(real), ones) + loss_of(d(fake), zeros)).backward()
            optimisers[1].step()
            optimisers[0].zero_grad()
            loss_of(d(g(torch.randn(batch, s.latent, device=device))), ones).backward()
            optimisers[0].step()

    return run


def endless(images: torch.Tensor, batch: int) -> Iterator[torch.Tensor]:
    transform = transforms.Compose([transforms.ToPILImage(), transforms.ToTensor(), transforms.Normalize(0.5, 0.5)])

    class Decoded(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> torch.Tensor:
            return transform(images[index])

    while True:
        yield from torch.utils.data.DataLoader(Decoded(), batch, shuffle=True, drop_last=True)


def timed(run: Callable[[int], None], steps: int, device: str) -> float:
    """Seconds a step."""
    started = time.perf_counter()
    run(steps)
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - started) / steps


def measured(batch: int, threads: int, rounds: int, steps: int, device: str, images: torch.Tensor) -> dict[str, object]:
    provenance.prepare_torch(device, threads)
    loops = {"published": published_loop(images, batch, device), "ours": ours(images, batch, device)}
    for run in loops.values():
        run(2)
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(rounds):
        for name, run in loops.items():
            seconds[name].append(timed(run, steps, device))
    ratios = sorted(a / b for a, b in zip(seconds["published"], seconds["ours"], strict=True))
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "device": device, "threads": threads, "batch": batch, "published_seconds": median["published"],
        "ours_seconds": median["ours"], "ours_images_per_second": batch / median["ours"],
        "ratio": statistics.median(ratios), "ratio_low": ratios[0], "ratio_high": ratios[-1],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100, help="steps a round at batch 64; a tenth of them at 2048")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/training.json")
    options = parser.parse_args()
    fetch("mnist", ROOT / "data/raw", print)
    images = torch.from_numpy(raw_images("mnist", ROOT / "data/raw").training_images)
    device = provenance.chosen_device("auto")
    rows = [
        measured(batch, threads, options.rounds, max(2, options.steps // (10 if batch == 2048 else 1)), device, images)
        for batch in (64, 2048)
        for threads in ((1, 2) if device == "cpu" else (1,))
    ]
    table = Table(
        "device", "threads", "batch", "published loop, ms/step", "ours, ms/step", "ours, images/s", "ratio [range]"
    )
    for row in rows:
        ratio = f"{row['ratio']:.2f} [{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]"
        times = (f"{1000 * row['published_seconds']:.1f}", f"{1000 * row['ours_seconds']:.1f}")
        counts = (str(row["threads"]), str(row["batch"]))
        table.add_row(str(row["device"]), *counts, *times, f"{row['ours_images_per_second']:.0f}", ratio)
    Console(width=140).print(table)
    facts = {"rows": rows, "environment": provenance.environment(ROOT, device, 0), "rounds": options.rounds}
    options.out.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
