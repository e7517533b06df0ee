"""The files of results: their names, their reading and writing. No pickle anywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from divergan.errors import DivergaNError
from divergan.params import leaves
from divergan.plan import REAL, Step
from divergan.store import read_json, sha256, written

if TYPE_CHECKING:
    import torch

SPLITS = "splits.safetensors"
CLASSIFIER = "classifier.safetensors"
GENERATOR = "generator.safetensors"
CRITIC = "critic.safetensors"
HISTORY = "history.parquet"
METRICS = "metrics.json"
OVER_TRAINING = "over_training.json"
OTHER_FEATURES = "fid_by_features.json"
CONTROLS = "controls.json"
HISTORY_COLUMNS = (
    *("step", "critic_loss", "generator_loss", "bound", "accuracy"),
    *("v_real_mean", "v_fake_mean", "v_min", "v_max"),
)
PLAYERS = "players.safetensors"  # all that a run's training goes on from
WEIGHTS = "weights.safetensors"  # of the network w
REAL_FEATURES = "real.safetensors"  # of all real images, by one feature network
FIRST_WEIGHTS = "first_weights.safetensors"  # w of the first block of the evaluation latents
VERDICTS = "verdicts.json"
STATE = ".state.safetensors"  # what a killed training resumes from; gone when the run is complete


def save_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    from safetensors.torch import save_file

    with written(path) as temporary:
        save_file(tensors, temporary)


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def load_images(path: Path) -> torch.Tensor:
    return load_tensors(path)["images"]


def kept_weights(path: Path, expected: str) -> dict[str, torch.Tensor]:
    """The reference weights of the feature classifier, after their checksum."""
    from safetensors.torch import load_file

    if not path.is_file() or (found := sha256(path)) != expected:
        state = f"has the SHA-256 {found}" if path.is_file() else "is missing"
        raise DivergaNError(f"{path} {state}, expected {expected}: restore it with `git checkout -- {path}`")
    return load_file(path)


def save_grid(path: Path, images: torch.Tensor, columns: int = 8) -> None:
    """Images as PNG, `columns` a row; images (N, channels, H, W) in uint8, of one or three channels."""
    from PIL import Image  # not torchvision's make_grid, whose import takes longer than most sample sets

    gap = 2
    height, width = (gap + side for side in images.shape[2:])
    size = (width * min(columns, len(images)) + gap, height * math.ceil(len(images) / columns) + gap)
    grid = Image.new("L" if images.shape[1] == 1 else "RGB", size, "#404040")
    for place, image in enumerate(images.cpu().numpy()):
        row, column = divmod(place, columns)
        pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        grid.paste(Image.fromarray(pixels), (gap + column * width, gap + row * height))
    with written(path) as temporary:
        grid.save(temporary, "PNG")


def save_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """numpy arrays by name."""
    from safetensors.numpy import save_file

    with written(path) as temporary:
        save_file(arrays, temporary)


def load_arrays(path: Path) -> dict[str, Any]:
    """A file's tensors as numpy arrays."""
    from safetensors.numpy import load_file

    return load_file(path)


def samples_file(folder: Path, sampler: str) -> Path:
    """Where a sample step's folder holds the images of one sampler."""
    return folder / f"{sampler}.safetensors"


def save_history(path: Path, history: list[dict[str, float]], columns: tuple[str, ...]) -> None:
    import pandas as pd

    types = {name: "int64" if name == "step" else "float64" for name in columns}
    rows = pd.DataFrame(history, columns=list(types))  # none where a run diverged before its first row
    with written(path) as temporary:
        rows.astype(types).to_parquet(temporary, index=False)


def finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """NaN and infinities as null, which JSON has."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }


def load_history(folder: Path) -> list[tuple[int, dict[str, float]]]:
    """(step, values) of a training run, as MLflow takes them."""
    import pandas as pd

    table = pd.read_parquet(folder / HISTORY).set_index("step")
    return [
        (int(str(step)), {str(k): float(v) for k, v in row.items()}) for step, row in table.to_dict("index").items()
    ]


def load_curves(folder: Path, step: Step) -> list[tuple[int, dict[str, float]]]:
    """(step, values) of an evaluation, as MLflow takes them."""
    values = {name: value for name, value in leaves(read_json(folder / METRICS)) if value is not None}
    if step.key == REAL or "samplers" in step.input("sample").settings:
        return [(0, values)]
    last = step.input("train").settings["training"]["steps"]
    rows = [row for row in read_json(folder / OVER_TRAINING) if row["fid"] is not None]
    return [(last, values), *((int(row["step"]), {"fid_over_training": row["fid"]}) for row in rows)]
