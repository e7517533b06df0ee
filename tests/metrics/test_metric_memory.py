"""The metrics of all pairs take memory by the image, not by the pair."""

import subprocess
import sys
from pathlib import Path

import pytest

COUNT = 12_000  # one matrix of pairs: 144 MB of bool, 576 MB of float32, 1152 MB of float64
MEASURE = f"""
import torch
from divergan.features import FeatureSet
from divergan.metrics import Pair, measure_some

def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) // 1024

def measure(count):
    owner = torch.Generator().manual_seed(0)
    x, y = (torch.randn(count, 3, generator=owner) for _ in range(2))
    sets = [FeatureSet(features=f, probabilities=None, images=torch.zeros(count, 1, 1, 1)) for f in (x, y)]
    names = ["fid", "kid", "precision", "recall", "density", "coverage"]
    measure_some(Pair(generated=sets[0], reference=sets[1], training=sets[1]), names)

torch.set_num_threads(1)
measure(1_000)  # what is loaded at first use
before = peak()
measure({COUNT})
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read as Linux tells it")
def test_memory_does_not_grow_with_the_pairs():
    told = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True).stdout
    assert int(told) < 40  # MB: some tens of bytes an image, and blocks; not a bit a pair
