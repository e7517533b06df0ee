"""What the metrics see of an image: features and class probabilities, from a named network.

A feature network is a torch module with two children: `body` maps images (N, C, H, W) in [-1, 1] to features (N, D),
and `head` maps features to class logits (N, K). `digits` is a small classifier that the pipeline trains by itself;
`inception` is the network of the FID paper, in the port of torch-fidelity. Its own authors advise against it on MNIST.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from divergan.errors import DivergaNError
from divergan.lazy import lazy
from divergan.randomness import derived_seed, generator

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

SIDE = 28  # pixels: the digits classifier takes images of this height and width
FEATURES = 128


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureSet:
    """What is known of N images. Row i of each tensor belongs to image i."""

    features: torch.Tensor  # (N, D) float32
    probabilities: torch.Tensor | None  # (N, K) float32, each row sums to 1; None: the network is no classifier
    images: torch.Tensor  # (N, C, H, W) uint8

    def __post_init__(self) -> None:
        rows = {len(t) for t in (self.features, self.probabilities, self.images) if t is not None}
        if len(rows) != 1:
            raise ValueError(f"a FeatureSet needs as many features as probabilities and images, and got {sorted(rows)}")

    @property
    def class_probabilities(self) -> torch.Tensor:
        """`probabilities`; DivergaNError where there are none."""
        if self.probabilities is None:
            raise DivergaNError("this feature set has no class probabilities: choose one whose network is a classifier")
        return self.probabilities


@dataclass(frozen=True, kw_only=True)
class FeatureExtractor:
    """A feature network by name."""

    name: str  # key in params.yaml, in file names and in result tables
    label: str  # as the report prints it
    source: str  # BibTeX key, then the place in it
    provides: frozenset[str]  # of "features", "probabilities", "images", "classes": see metrics.pair.Metric.needs
    network: Callable[..., torch.nn.Module]  # digits: from a state dict; inception: from a weights file or None


def digits_classifier(channels: int, classes: int) -> torch.nn.Module:
    """An untrained classifier of 28x28 images: two convolutions, then 128 features, then `classes` logits.

    Dropout and batch normalisation were left out: the first draws from the global generator, the second makes the
    features of an image depend on how the training batches fell.
    """
    nn = torch.nn
    body = nn.Sequential(
        nn.Conv2d(channels, 16, kernel_size=5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * (SIDE // 4) ** 2, FEATURES),
        nn.ReLU(),
    )
    return nn.Sequential(OrderedDict(body=body, head=nn.Linear(FEATURES, classes)))


def digits_network(state: dict[str, torch.Tensor]) -> torch.nn.Module:
    """The trained classifier that `state` (from `train_classifier`) describes, ready for `extract`."""
    network = digits_classifier(state["body.0.weight"].shape[1], state["head.weight"].shape[0])
    network.load_state_dict(state)
    return network.eval()


def train_classifier(
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    seed: int,
    epochs: int,
    batch: int,
    learning_rate: float,
    classes: int = 10,
) -> dict[str, torch.Tensor]:
    """Weights of the digits classifier, trained on `images` (N, C, 28, 28) uint8 with `labels` (N,) in 0..classes-1.

    Adam on the cross-entropy of randomly turned, scaled and shifted images; the step size rises over the first tenth
    and falls to nothing along a cosine. The same arguments, torch version, device and number of threads give the same
    bits; the global generator is left as it was.
    """
    if images.shape[-2:] != (SIDE, SIDE):
        size = "x".join(str(n) for n in images.shape[-2:])
        raise DivergaNError(
            f"the digits classifier got images of {size} pixels and takes {SIDE}x{SIDE}: choose another feature set"
        )
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(derived_seed(seed, "classifier", "initial weights"))
        network = digits_classifier(images.shape[1], classes)
    order, warps = generator(seed, "classifier", "order"), generator(seed, "classifier", "augmentation")
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    steps = epochs * math.ceil(len(images) / batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _step_size(step / steps))
    x, y = to_unit_range(images), labels.long()
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=order).split(batch):
            loss = torch.nn.functional.cross_entropy(network(warp(x[rows], warps)), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return {name: weight.detach().clone() for name, weight in network.state_dict().items()}


def _step_size(progress: float) -> float:
    """The share of the learning rate at `progress` in [0, 1]."""
    return min(progress / 0.1, 1.0) * (1 + math.cos(math.pi * progress)) / 2


def warp(
    images: torch.Tensor, owner: torch.Generator, *, turn: float = 0.2, scale: float = 0.12, shift: float = 0.12
) -> torch.Tensor:
    """Each image (N, C, H, W) turned by up to `turn` radians, scaled by 1 ± `scale` and shifted by `shift` half-sides.

    The three amounts are uniform and independent. What comes in from outside has the value of the image's border.
    """
    angle, factor, dx, dy = 2 * torch.rand(4, len(images), generator=owner) - 1
    size, angle = 1 + scale * factor, turn * angle
    top = torch.stack([size * angle.cos(), -size * angle.sin(), shift * dx], dim=1)
    bottom = torch.stack([size * angle.sin(), size * angle.cos(), shift * dy], dim=1)
    grid = torch.nn.functional.affine_grid(torch.stack([top, bottom], dim=1), list(images.shape), align_corners=False)
    return torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def extract(network: torch.nn.Module, images: torch.Tensor, batch: int = 512) -> FeatureSet:
    """Features and class probabilities of `images` (N, C, H, W) uint8, on the device of the network's weights.

    The result is on the CPU. The network is used as it is: put it in evaluation mode first, as the builders here do.
    """
    if images.dtype != torch.uint8 or images.dim() != 4:
        raise ValueError(f"extract takes uint8 images (N, C, H, W) and got {images.dtype} {tuple(images.shape)}")
    body, head, device = network.get_submodule("body"), network.get_submodule("head"), next(network.parameters()).device
    features, probabilities = [], []
    with torch.inference_mode():
        for part in images.split(batch):
            seen = body(to_unit_range(part.to(device)))
            features.append(seen.float().cpu())
            probabilities.append(head(seen).float().softmax(dim=1).cpu())
    return FeatureSet(features=torch.cat(features), probabilities=torch.cat(probabilities), images=images)


def to_unit_range(images: torch.Tensor) -> torch.Tensor:
    """uint8 images as float32 in [-1, 1]."""
    return images.float() / 127.5 - 1


def classifier_accuracy(network: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of `images` (N, C, H, W) uint8 whose most probable class is their label (N,)."""
    return float((predictions(extract(network, images)) == labels.long()).double().mean())


def predictions(seen: FeatureSet) -> torch.Tensor:
    """The most probable class of each image, (N,) int64."""
    return seen.class_probabilities.argmax(dim=1)


def compare_weights(
    retrained: dict[str, torch.Tensor], reference: dict[str, torch.Tensor], images: torch.Tensor
) -> dict[str, float | bool]:
    """How near retrained classifier weights are to kept ones, and whether that shows on `images` (N, C, 28, 28) uint8.

    Other threads or another torch version change the last bits of the weights, and training amplifies them; what
    matters then is the share of images that both give the same class.
    """
    shapes = [{name: tuple(weight.shape) for name, weight in state.items()} for state in (retrained, reference)]
    if shapes[0] != shapes[1]:
        raise DivergaNError(
            f"the kept classifier weights have the shapes {shapes[1]} and the retrained ones {shapes[0]}: "
            "the classifier was changed since, so keep the new weights as the reference"
        )
    gaps = [float((retrained[name].double() - reference[name].double()).abs().max()) for name in reference]
    classes = [predictions(extract(digits_network(state), images)) for state in (retrained, reference)]
    return {
        "largest_weight_difference": max(gaps),
        "equal_predictions": float((classes[0] == classes[1]).double().mean()),
        "bit_identical": all(torch.equal(retrained[name], reference[name]) for name in reference),
    }


def check_available(weights: Path | None = None) -> Path:
    """The file of InceptionV3 weights, downloaded where it must be; call it before any GAN is trained.

    `weights` is a person's own copy; without it the copy in torch's cache is used, or fetched into it.
    Raises DivergaNError where no file can be had, or where its bytes are not those that torch-fidelity published.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3 as page

    name = page.rsplit("/", 1)[-1]
    path = Path(weights) if weights else Path(torch.hub.get_dir(), "checkpoints", name)
    advice = f"download it from {page} and put it there, or choose the feature set 'digits'"
    if not path.exists() and weights:
        raise DivergaNError(f"InceptionV3's weights {name} are not at {path}: {advice}")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(page, str(path), progress=False)
        except OSError as error:
            raise DivergaNError(f"InceptionV3's weights could not be fetched to {path} ({error}): {advice}") from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if not digest.startswith(Path(name).stem.rsplit("-", 1)[-1]):  # the name ends with the hash's first eight digits
        raise DivergaNError(f"{path} has the SHA-256 {digest} and is not the published {name}: {advice}")
    return path


def inception_network(weights: Path | None = None) -> torch.nn.Module:
    """InceptionV3 as the FID and the Inception Score define it: 2048 pooled features, 1008 logits without bias.

    Grey images are repeated to three channels. torch-fidelity unpickles the weights, so they are read once before
    with torch's own restricted reader, which refuses anything but tensors.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Body(torch.nn.Module):
        def __init__(self, extractor: torch.nn.Module) -> None:
            super().__init__()
            self.extractor = extractor

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            levels = ((images + 1) * 127.5).round().to(torch.uint8)  # undoes to_unit_range exactly
            rgb = levels.expand(-1, 3, -1, -1) if levels.shape[1] == 1 else levels
            return self.extractor(rgb)[0]

    path = check_available(weights)
    torch.load(path, map_location="cpu", weights_only=True)
    extractor = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(path))
    head = torch.nn.Linear(2048, 1008, bias=False)
    head.weight = extractor.fc.weight
    return torch.nn.Sequential(OrderedDict(body=Body(extractor), head=head)).eval()


FEATURE_SETS: dict[str, FeatureExtractor] = {
    "digits": FeatureExtractor(
        name="digits",
        label="digits classifier",
        source="divergan, features.digits_classifier",
        provides=frozenset({"features", "probabilities", "images", "classes"}),
        network=digits_network,
    ),
    "inception": FeatureExtractor(
        name="inception",
        label="InceptionV3",
        source="heusel2017ttur; obukhov2020torchfidelity",
        provides=frozenset({"features", "probabilities", "images"}),  # ImageNet's classes are no modes of our data
        network=inception_network,
    ),
}
