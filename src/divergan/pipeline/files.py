"""The files of results: their names, their reading and writing. No pickle anywhere."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from divergan.errors import DivergaNError
from divergan.plan import REAL, Step
from divergan.store import read_json, sha256, written

if TYPE_CHECKING:
    import torch

    from divergan.training import Record

SPLITS = "splits.safetensors"
CLASSIFIER = "classifier.safetensors"
GENERATOR = "generator.safetensors"
CRITIC = "critic.safetensors"
HISTORY = "history.parquet"
SAMPLES = "samples.safetensors"
METRICS = "metrics.json"
OVER_TRAINING = "over_training.json"
STATE = ".state.safetensors"  # what a killed training resumes from; gone when the run is complete


def save_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    from safetensors.torch import save_file

    with written(path) as temporary:
        save_file(tensors, temporary)


def load_images(path: Path) -> torch.Tensor:
    from safetensors.torch import load_file

    return load_file(path)["images"]


def kept_weights(path: Path, expected: str) -> dict[str, torch.Tensor]:
    """The reference weights of the feature classifier, after their checksum."""
    from safetensors.torch import load_file

    if not path.is_file() or (found := sha256(path)) != expected:
        state = f"has the SHA-256 {found}" if path.is_file() else "is missing"
        raise DivergaNError(f"{path} {state}, expected {expected}: restore it with `git checkout -- {path}`")
    return load_file(path)


def save_grid(path: Path, images: torch.Tensor) -> None:
    """Eight images a row as PNG."""
    from torchvision.io import write_png
    from torchvision.utils import make_grid

    with written(path) as temporary:
        write_png(make_grid(images, nrow=8, padding=2, pad_value=64), str(temporary))


def save_history(path: Path, record: Record) -> None:
    import pandas as pd

    with written(path) as temporary:
        pd.DataFrame(record.history).astype({"step": "int64"}).to_parquet(temporary, index=False)


def finite(values: dict[str, float]) -> dict[str, float | None]:
    """NaN and infinities as null, which JSON has."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def load_history(folder: Path) -> list[tuple[int, dict[str, float]]]:
    """(step, values) of a training run, as MLflow takes them."""
    import pandas as pd

    rows = pd.read_parquet(folder / HISTORY).to_dict("records")
    return [(int(row.pop("step")), row) for row in rows]


def load_curves(folder: Path, step: Step) -> list[tuple[int, dict[str, float]]]:
    """(step, values) of an evaluation, as MLflow takes them."""
    values = {name: value for name, value in read_json(folder / METRICS).items() if value is not None}
    if step.key == REAL:
        return [(0, values)]
    last = step.input("train").settings["training"]["steps"]
    rows = [row for row in read_json(folder / OVER_TRAINING) if row["fid"] is not None]
    return [(last, values), *((int(row["step"]), {"fid_over_training": row["fid"]}) for row in rows)]
