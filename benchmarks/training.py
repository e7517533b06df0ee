"""Seconds a step of the published networks on full MNIST: the published loop, ours in each precision, and the floor.

The published loop is written from its description: images decoded and normalised one by one in a DataLoader, the fake
batch not detached from the generator in the critic's step, separate critic passes, unfused Adam; it has a process of
its own, for ours changes how memory is kept. The floor is what no loop in float32 can go below: the operations of the
step's matrix products at the rate of its largest product, and what Adam reads and writes at the rate of a copy, both
measured in the same rounds. Rounds are interleaved, so that all meet the same load of the machine; medians are printed,
and ratios with their range over rounds.

    python benchmarks/training.py --rounds 5 --steps 50
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from rounds import ROOT, interleaved, printed, ratio, write
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from torchvision import transforms

from divergan import provenance
from divergan.data import fetch, raw_images
from divergan.networks import CRITICS, GENERATORS, CriticForm
from divergan.objectives import OBJECTIVES
from divergan.params import Study, Training, merged, read
from divergan.training import DataOrder, Players, Record, start, train, training_step

ADAM_BYTES = 28  # a weight: reads it, its gradient and two moments, writes it and the moments, 4 bytes each
COPIED = 12_000_000  # float32 numbers, as many as the optimiser's state holds
REGULARISERS = {
    "none": {},
    "R1": {"r1": {"gamma": 1.0, "every": 1}},
    "gradient penalty": {"gradient_penalty": {"weight": 10.0, "sides": "two"}},
    "spectral norm": {"spectral_norm": {}},
}
Steps = Callable[[int], None]


class Silent:
    def row(self, row: dict[str, float]) -> None: ...

    def checkpoint(self, players, record, samples) -> None: ...


@cache
def published() -> Study:
    return read(ROOT / "params.yaml")


def settings(batch: int, steps: int, **changes: object) -> Training:
    """BCE as released, at another batch size and without samples."""
    own = {"objective": "bce", "batch": batch, "steps": steps, "checkpoints": 1, "checkpoint_samples": 2}
    return Training.model_validate(merged(published().training, own | changes))


def fresh(chosen: Training, device: str) -> Players:
    return start(chosen, OBJECTIVES["bce"], (GENERATORS["mlp"], CRITICS["mlp"]), (1, 28, 28), 0, device)


def ours(images: torch.Tensor, batch: int, device: str, **changes: object) -> Steps:
    players, record = fresh(settings(batch, 1, **changes), device), Record()
    on_device = images.to(device)

    def run(steps: int) -> None:
        more = settings(batch, players.step + steps, **changes)
        train(more, OBJECTIVES["bce"], players, record, on_device, 0, Silent())

    return run


def published_loop(images: torch.Tensor, batch: int, device: str) -> Steps:
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


class Apart:
    """A loop in a process of its own, which has prepared nothing but its threads; it waits while others are timed."""

    def __init__(self, *arguments: object):
        context = multiprocessing.get_context("spawn")
        self.told, other = context.Pipe()
        self.process = context.Process(target=apart, args=(other, *arguments), daemon=True)
        self.process.start()

    def __call__(self, steps: int) -> float:
        """Seconds a step."""
        self.told.send(steps)
        return self.told.recv()

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()


def apart(asked: Connection, images: torch.Tensor, batch: int, threads: int, device: str) -> None:
    torch.set_num_threads(threads)
    run = published_loop(images, batch, device)
    while True:
        asked.send(timed(run, asked.recv(), device))


def endless(images: torch.Tensor, batch: int) -> Iterator[torch.Tensor]:
    transform = transforms.Compose([transforms.ToPILImage(), transforms.ToTensor(), transforms.Normalize(0.5, 0.5)])

    class Decoded(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> torch.Tensor:
            return transform(images[index])

    while True:
        yield from torch.utils.data.DataLoader(Decoded(), batch, shuffle=True, drop_last=True)


class Counted(TorchDispatchMode):
    """Floating-point operations of matrix products; torch's own FlopCounterMode follows no torch.autograd.grad."""

    operations = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        out = operation(*args, **(kwargs or {}))
        if (cost := flop_registry.get(operation.overloadpacket)) is not None:
            self.operations += cost(*args, **(kwargs or {}), out_val=out)
        return out


def floor(images: torch.Tensor, batch: int, device: str, **changes: object) -> Callable[[], float]:
    """Seconds that a step's arithmetic and its optimisers' traffic take, as the machine is at that moment."""
    chosen = settings(batch, 1, **changes)
    players = fresh(chosen, device)
    order = DataOrder(len(images), batch, 0, torch.device(device))
    with Counted() as counted:
        training_step(chosen, OBJECTIVES["bce"], players, images.to(device), order)
    weights = sum(p.numel() for p in chain(players.generator.parameters(), players.critic.parameters()))
    x, w = torch.randn(2 * batch, 784, device=device), torch.randn(784, 1024, device=device)
    numbers, copied = torch.zeros(2, COPIED, device=device)
    product = torch.empty(2 * batch, 1024, device=device)

    def measure() -> float:
        repeats = max(3, round(2e10 / (2 * x.shape[0] * w.numel())))
        products = timed(lambda n: [torch.mm(x, w, out=product) for _ in range(n)], repeats, device)
        copies = timed(lambda n: [copied.copy_(numbers) for _ in range(n)], 10, device)
        return (
            counted.operations / (2 * x.shape[0] * w.numel()) * products + ADAM_BYTES * weights / (8 * COPIED) * copies
        )

    return measure


def timed(run: Callable[[int], object], steps: int, device: str) -> float:
    """Seconds a step."""
    started = time.perf_counter()
    run(steps)
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - started) / steps


def measured(batch: int, threads: int, name: str, rounds: int, steps: int, device: str, images: torch.Tensor) -> dict:
    """One row: seconds a step of each loop with the regulariser, and the ratios."""
    provenance.prepare_torch(device, threads)
    with_it = {"regularisers": REGULARISERS[name]}
    loops = {own: ours(images, batch, device, precision=own, **with_it) for own in ("float32", "bfloat16")}
    candidates = {own: lambda run=run: timed(run, steps, device) for own, run in loops.items()}
    candidates["floor"] = floor(images, batch, device, **with_it)
    for run in loops.values():
        run(2)
    what = f"batch {batch}, {threads} threads, {name}"
    if name != "none":
        seconds = interleaved(candidates, rounds, what)
    else:
        with Apart(images, batch, threads, device) as loop:
            loop(2)
            seconds = interleaved({"published": lambda: loop(steps)} | candidates, rounds, what)
    against = {"float32_over_floor": ratio(seconds["float32"], seconds["floor"])}
    against["bfloat16_speedup"] = ratio(seconds["float32"], seconds["bfloat16"])
    for own in ("float32", "bfloat16") if name == "none" else ():
        against[f"published_over_{own}"] = ratio(seconds["published"], seconds[own])
    medians = {f"{own}_seconds": statistics.median(values) for own, values in seconds.items()}
    return {"device": device, "threads": threads, "batch": batch, "regulariser": name} | medians | against


COLUMNS = {
    "published": "published_seconds", "float32": "float32_seconds", "bfloat16": "bfloat16_seconds",
    "floor": "floor_seconds",
}  # fmt: skip
RATIOS = {
    "published / float32": "published_over_float32", "published / bfloat16": "published_over_bfloat16",
    "float32 / bfloat16": "bfloat16_speedup", "float32 / floor": "float32_over_floor",
}  # fmt: skip


def table(rows: list[dict]) -> Table:
    shown = Table("batch", "threads", "regulariser", *COLUMNS, *RATIOS, title="ms a step; ratios (range over rounds)")
    for row in rows:
        times = (f"{1000 * row[key]:.1f}" if key in row else "" for key in COLUMNS.values())
        ratios = (printed(row[key]) if key in row else "" for key in RATIOS.values())
        shown.add_row(str(row["batch"]), str(row["threads"]), row["regulariser"], *times, *ratios)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50, help="steps a round at batch 64; a tenth of them at 2048")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/training.json")
    options = parser.parse_args()
    fetch("mnist", ROOT / "data/raw", print)
    images = torch.from_numpy(raw_images("mnist", ROOT / "data/raw").training_images)
    device = provenance.chosen_device("auto")
    cases = [(batch, threads, "none") for batch in (64, 2048) for threads in ((1, 2) if device == "cpu" else (1,))]
    cases += [(64, 1, name) for name in REGULARISERS if name != "none"]
    rows = []
    for batch, threads, name in cases:
        steps = max(2, options.steps // (10 if batch == 2048 else 1))
        rows.append(measured(batch, threads, name, options.rounds, steps, device, images))
    Console(width=170).print(table(rows))
    write(options.out, device, options.rounds, rows=rows)


if __name__ == "__main__":
    main()
