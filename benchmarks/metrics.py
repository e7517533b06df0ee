"""Seconds for FID, KID, precision, recall, density and coverage of N x N x 128 features: torch-fidelity and prdc, ours.

torch-fidelity's own functions give FID, KID (100 subsets of 1,000) and precision and recall. The package prdc is not
installed: what it computes is written here from its description (pairwise distances by scikit-learn, the k-th smallest
by a partition, comparisons), with as many threads as the rest has. Both get float32 features, as torch-fidelity's
extractors give them. Rounds are interleaved, so that all meet the same load of the machine; medians are printed, and
the ratio's spread over rounds.

The values must agree: to 1e-6 with theirs from the same features in float64 (in float32 torch-fidelity loses digits),
and KID, of all pairs and not of subsets, within three standard errors of the subsets' mean.

    python benchmarks/metrics.py --rounds 3 --memory 50000
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from rounds import ROOT, interleaved, printed, ratio, write
from sklearn.metrics import pairwise_distances
from threadpoolctl import threadpool_limits
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from divergan import provenance
from divergan.data import raw_images
from divergan.features import FeatureSet
from divergan.metrics import Pair, measure_some
from divergan.randomness import generator

DIMENSION = 128
NAMES = ("fid", "kid", "precision", "recall", "density", "coverage")
NOISE = {"generated": 0.15, "reference": 0.05}  # of pixels in [0, 1]; enough that no two images are one

Values = dict[str, float]


def features(count: int, side: str) -> torch.Tensor:
    """(count, DIMENSION) float32: a rectified random linear map of embedded digits, drawn with noise."""
    digits = torch.from_numpy(raw_images("embedded", ROOT / "data/raw").training_images).flatten(1) / 255
    draws, weights = generator(0, "benchmark", side), generator(0, "benchmark", "map")
    linear = torch.randn(digits.shape[1], DIMENSION, generator=weights) / digits.shape[1] ** 0.5
    rows = torch.randint(len(digits), (count,), generator=draws).split(1000)
    noise = (torch.randn(len(some), digits.shape[1], generator=draws) * NOISE[side] for some in rows)
    return torch.cat([((digits[some] + each) @ linear).relu() for some, each in zip(rows, noise, strict=True)])


def ours(x: torch.Tensor, y: torch.Tensor) -> Values:
    sets = [FeatureSet(features=f, probabilities=None, images=torch.zeros(len(f), 1, 1, 1)) for f in (x, y)]
    return measure_some(Pair(generated=sets[0], reference=sets[1], training=sets[1]), NAMES)


def torch_fidelity(x: torch.Tensor, y: torch.Tensor) -> Values:
    """And the standard error of KID's mean over subsets."""
    fid = fid_statistics_to_metric(fid_features_to_statistics(x), fid_features_to_statistics(y), verbose=False)
    kid = kid_features_to_metric(x, y, verbose=False)
    prc = prc_features_to_metric(x, y, verbose=False)
    mean, spread = (kid[f"kernel_inception_distance_{what}"] for what in ("mean", "std"))
    known = {"fid": fid["frechet_inception_distance"], "kid": mean, "kid_error": spread / 100**0.5}
    return known | {name: prc[name] for name in ("precision", "recall")}


def prdc(x: torch.Tensor, y: torch.Tensor, k: int = 5) -> Values:
    """Density and coverage; its precision and recall, k = 5 without spheres, are computed and dropped."""
    fake, real, threads = x.numpy(), y.numpy(), torch.get_num_threads()
    real_radii, fake_radii = (kth_smallest(pairwise_distances(f, f, n_jobs=threads), k + 1) for f in (real, fake))
    across = pairwise_distances(real, fake, n_jobs=threads)
    _ = (across < real_radii[:, None]).any(axis=0).mean(), (across < fake_radii[None]).any(axis=1).mean()
    density = (across < real_radii[:, None]).sum(axis=0).mean() / k
    return {"density": float(density), "coverage": float((across.min(axis=1) < real_radii).mean())}


def kth_smallest(distances: np.ndarray, k: int) -> np.ndarray:
    smallest = np.argpartition(distances, k, axis=-1)[..., :k]
    return np.take_along_axis(distances, smallest, axis=-1).max(axis=-1)


def timed(compute: Callable[[torch.Tensor, torch.Tensor], Values], x: torch.Tensor, y: torch.Tensor) -> float:
    started = time.perf_counter()
    compute(x, y)
    return time.perf_counter() - started


def measured(x: torch.Tensor, y: torch.Tensor, threads: int, rounds: int) -> dict[str, object]:
    provenance.prepare_torch("cpu", threads)
    with threadpool_limits(threads):  # of numpy's libraries, which torch's number does not bind
        for compute in COMPUTED:
            compute(x[:1000], y[:1000])
        candidates = {each.__name__: lambda each=each: timed(each, x, y) for each in COMPUTED}
        told = interleaved(candidates, rounds, f"{len(x)} images, {threads} threads")
    theirs = [a + b for a, b in zip(told["torch_fidelity"], told["prdc"], strict=True)]
    medians = {f"{name}_seconds": statistics.median(values) for name, values in told.items()}
    return {"threads": threads, "count": len(x), **medians, "speedup": ratio(theirs, told["ours"])}


COMPUTED = (torch_fidelity, prdc, ours)


def compared(x: torch.Tensor, y: torch.Tensor) -> list[dict[str, object]]:
    """Each metric: ours, theirs from float64 and from float32 features, and whether ours is theirs."""
    own = ours(x, y)
    exact, single = (torch_fidelity(*sides) | prdc(*sides) for sides in ((x.double(), y.double()), (x, y)))
    allowed = {name: 3 * exact["kid_error"] if name == "kid" else 1e-6 * abs(exact[name]) for name in NAMES}
    return [
        {"metric": name, "ours": own[name], "theirs_float64": exact[name], "theirs_float32": single[name],
         "allowed": allowed[name], "agrees": abs(own[name] - exact[name]) <= allowed[name]}
        for name in NAMES
    ]  # fmt: skip


def in_a_child(count: int) -> dict[str, float]:
    """Seconds, and bytes at the peak, of a process that does nothing else; asked before this one grows beyond it."""
    command = [sys.executable, __file__, "--child", "--count", str(count)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def child(count: int) -> None:
    provenance.prepare_torch("cpu", 1)
    x, y = features(count, "generated"), features(count, "reference")
    started = time.perf_counter()
    values = ours(x, y)
    seconds, unit = time.perf_counter() - started, 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(json.dumps({"count": count, "seconds": seconds, "peak_bytes": peak, "values": values}))


def show(rows: list[dict[str, object]], values: list[dict[str, object]], memory: dict[str, float] | None) -> None:
    table = Table("threads", "N", "torch-fidelity, s", "prdc, s", "ours, s", "ratio (range)")
    for row in rows:
        seconds = (f"{row[f'{name}_seconds']:.2f}" for name in ("torch_fidelity", "prdc", "ours"))
        table.add_row(str(row["threads"]), str(row["count"]), *seconds, printed(row["speedup"]))
    beside = Table("metric", "ours", "theirs, float64", "theirs, float32", "allowed difference", "agrees")
    for row in values:
        numbers = (f"{row[name]:.10g}" for name in ("ours", "theirs_float64", "theirs_float32"))
        beside.add_row(str(row["metric"]), *numbers, f"{row['allowed']:.1e}", "yes" if row["agrees"] else "NO")
    console = Console(width=140)
    console.print(table, beside)
    if memory:
        peak, count = memory["peak_bytes"] / 2**30, int(memory["count"])
        console.print(f"ours on {count} x {count}: {memory['seconds']:.0f} s, {peak:.2f} GiB at the peak, one thread")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=10_000, help="images on either side")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--memory", type=int, default=0, metavar="N", help="also ours on N x N, with the peak memory")
    parser.add_argument("--child", action="store_true", help="ours once, told as JSON: what --memory starts")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/metrics.json")
    options = parser.parse_args()
    if options.child:
        return child(options.count)
    memory = in_a_child(options.memory) if options.memory else None
    x, y = features(options.count, "generated"), features(options.count, "reference")
    rows = [measured(x, y, threads, options.rounds) for threads in options.threads]
    values = compared(x, y)
    show(rows, values, memory)
    write(options.out, "cpu", options.rounds, rows=rows, values=values, memory=memory)
    if not all(row["agrees"] for row in values):
        sys.exit("values differ by more than is allowed")


if __name__ == "__main__":
    main()
