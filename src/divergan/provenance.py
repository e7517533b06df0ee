"""Where a result came from: versions, commit, machine. Written beside every result, printed in the report."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from itertools import takewhile
from pathlib import Path
from typing import Any

from divergan.errors import DivergaNError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # in glibc's malloc.h
NAMED_PACKAGES = ("divergan", "torch", "torchvision", "torch-fidelity", "numpy", "pandas", "snakemake", "dvc", "mlflow")


def environment(root: Path, device: str, threads: int) -> dict[str, Any]:
    """What bit-identity is promised under: the same versions, device and threads."""
    lock = root / "requirements.lock"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "device": device,
        "threads": threads,
        "packages": {name: installed(name) for name in NAMED_PACKAGES},
        "lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else None,
    }


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def processor() -> str:
    """The processor's name; Linux tells it in a file alone."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def commit(root: Path) -> str | None:
    """The checked-out commit, with "+changes" where tracked files differ from it; None outside a git checkout."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "src", "data", "requirements.lock")
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def cuda_devices(nodes: Path = Path("/dev")) -> list[str]:
    """The CUDA devices that this process may use, as CUDA_VISIBLE_DEVICES names them, without importing torch."""
    count = sum(path.name.removeprefix("nvidia").isdigit() for path in nodes.glob("nvidia*"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None or not count:
        return [str(number) for number in range(count)]
    named = [name.strip() for name in visible.split(",")]
    return list(takewhile(lambda name: 0 <= int(name) < count if is_number(name) else name, named))  # as CUDA does


def is_number(text: str) -> bool:
    return text.lstrip("-").isdecimal()


def chosen_device(wanted: str) -> str:
    """`auto` is CUDA where there is a device, else the CPU."""
    return ("cuda" if cuda_devices() else "cpu") if wanted == "auto" else wanted


def keep_freed_memory() -> None:
    """Have glibc keep what is freed: a step frees and asks again for megabytes of gradients and activations.

    It would give their pages back to the kernel, which clears each page that is asked for again: a tenth of a step.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, 32 << 20)  # the largest that all its versions take
        mallopt(M_TRIM_THRESHOLD, 1 << 30)


def prepare_torch(device: str, threads: int) -> None:
    """Threads and determinism: what makes the same recipe on the same machine the same bits."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA's matrix products are not deterministic without
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise DivergaNError("device = cuda, but torch sees no CUDA device here: set device to auto or cpu")
    torch.set_num_threads(threads)
    keep_freed_memory()
    if device == "cuda":  # what runs on the CPU here is deterministic as it is, and the switch costs seconds of imports
        torch.use_deterministic_algorithms(True)
