"""What a feature network is, and what it sees of images.

A feature network is a torch module with a child `body`, which maps images (N, C, H, W) in [-1, 1] to features (N, D).
A classifier has a child `head` beside it, which maps features to class logits (N, K).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from divergan.errors import DivergaNError
from divergan.lazy import lazy

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureSet:
    """What is known of N images. Row i of each tensor belongs to image i."""

    features: torch.Tensor  # (N, D) float32
    probabilities: torch.Tensor | None  # (N, K) float32, each row sums to 1; None: the network is no classifier
    images: torch.Tensor  # (N, C, H, W) uint8
    labels: torch.Tensor | None = None  # (N,) whole numbers: the classes they are of or were made as; None: not known

    def __post_init__(self) -> None:
        rows = {len(t) for t in (self.features, self.probabilities, self.images, self.labels) if t is not None}
        if len(rows) != 1:
            raise ValueError(
                f"a FeatureSet needs as many features as probabilities, images and labels, and got {sorted(rows)}"
            )

    @property
    def class_probabilities(self) -> torch.Tensor:
        """`probabilities`; DivergaNError where there are none."""
        if self.probabilities is None:
            raise DivergaNError("this feature set has no class probabilities: choose one whose network is a classifier")
        return self.probabilities

    @property
    def known_labels(self) -> torch.Tensor:
        """`labels`; DivergaNError where there are none."""
        if self.labels is None:
            raise DivergaNError("these images have no labels: only a conditional generator makes images of a class")
        return self.labels


@dataclass(frozen=True, kw_only=True)
class FeatureExtractor:
    """A feature network by name."""

    name: str  # key in params.yaml, in file names and in result tables
    label: str  # as the report prints it
    source: str  # BibTeX key, then the place in it
    provides: frozenset[str]  # of "features", "probabilities", "images", "classes": see metrics.pair.Metric.needs
    # digits: from a state dict; random_convolutions: from channels and seed; inception: from a weights file or None
    network: Callable[..., torch.nn.Module]


def extract(network: torch.nn.Module, images: torch.Tensor, batch: int = 512) -> FeatureSet:
    """Features of `images` (N, C, H, W) uint8, computed on the device of the network's weights; class probabilities
    where the network has a head.

    The result is on the CPU. The network is used as it is: put it in evaluation mode first, as the builders here do.
    """
    if images.dtype != torch.uint8 or images.dim() != 4:
        raise ValueError(f"extract takes uint8 images (N, C, H, W) and got {images.dtype} {tuple(images.shape)}")
    parts, device = dict(network.named_children()), next(network.parameters()).device
    features, probabilities = [], []
    with torch.inference_mode():
        for part in images.split(batch):
            seen = parts["body"](to_unit_range(part.to(device)))
            features.append(seen.float().cpu())
            if "head" in parts:
                probabilities.append(parts["head"](seen).float().softmax(dim=1).cpu())
    classes = torch.cat(probabilities) if probabilities else None
    return FeatureSet(features=torch.cat(features), probabilities=classes, images=images)


def to_unit_range(images: torch.Tensor) -> torch.Tensor:
    """uint8 images as float32 in [-1, 1]."""
    return images.float() / 127.5 - 1


def predictions(seen: FeatureSet) -> torch.Tensor:
    """The most probable class of each image, (N,) int64."""
    return seen.class_probabilities.argmax(dim=1)
