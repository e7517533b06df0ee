"""One GPU a process: jobs that run at once on a machine divide its devices among them.

A lease is a file lock, which the kernel frees when its process ends, however it ends. Leases are of one machine and one
user: folders, studies and Snakemakes share them. A cluster's scheduler gives each job devices of its own, and a lease
is then one of those.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from divergan.errors import DivergaNError

HELD: dict[str, FileLock] = {}  # of this process, until it ends: device -> its lock


def hold(devices: Sequence[str]) -> str:
    """The device that this process shall use, the one of `devices` that the fewest others use; the same at each call.

    CUDA_VISIBLE_DEVICES then names it alone, so it has to come before CUDA is first used.
    """
    if not HELD:
        folder = own_folder()
        with FileLock(folder / "choice.lock"):
            device = min(devices, key=lambda name: users(folder, name))
            HELD[device] = next(lock for slot in count() if (lock := taken(folder, device, slot)))
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    return next(iter(HELD))


def own_folder() -> Path:
    """Where this user's leases lie on this machine; nobody else can put files there."""
    folder = Path(tempfile.gettempdir()) / f"divergan-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise DivergaNError(f"{folder} is not this user's own folder: remove it, or set TMPDIR to another")
    return folder


def users(folder: Path, device: str) -> int:
    """How many processes hold the device."""
    held = 0
    for path in folder.glob(f"{named(device)}.*.lock"):
        lock = taken(folder, device, int(path.name.split(".")[-2]))
        held += lock is None
        if lock:
            lock.release()
    return held


def taken(folder: Path, device: str, slot: int) -> FileLock | None:
    """The lock of one of the device's slots, unless another process has it."""
    lock = FileLock(folder / f"{named(device)}.{slot}.lock", blocking=False)
    try:
        return lock.acquire().lock
    except Timeout:
        return None


def named(device: str) -> str:
    """A device's number or UUID as a file name."""
    return "gpu-" + re.sub(r"[^A-Za-z0-9-]", "_", device)
