"""The small classifier that the pipeline trains by itself, on a split that no GAN sees."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING

from divergan.errors import DivergaNError
from divergan.features.declaration import extract, predictions, to_unit_range
from divergan.lazy import lazy
from divergan.randomness import derived_seed, generator

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

FEATURES = 128
LAST_CHANNELS = 32


def digits_classifier(channels: int, classes: int, cells: int = 49) -> torch.nn.Module:
    """An untrained classifier: two convolutions, then 128 features, then `classes` logits.

    `cells` is H/4 times W/4, the places that are left of an image of H x W pixels after both poolings; 49 is of 28x28.

    Dropout and batch normalisation were left out: the first draws from the global generator, the second makes the
    features of an image depend on how the training batches fell.
    """
    nn = torch.nn
    body = nn.Sequential(
        nn.Conv2d(channels, 16, kernel_size=5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, LAST_CHANNELS, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(LAST_CHANNELS * cells, FEATURES),
        nn.ReLU(),
    )
    return nn.Sequential(OrderedDict(body=body, head=nn.Linear(FEATURES, classes)))


def digits_network(state: dict[str, torch.Tensor]) -> torch.nn.Module:
    """The trained classifier that `state` (from `train_classifier`) describes, ready for `extract`."""
    channels, cells = state["body.0.weight"].shape[1], state["body.7.weight"].shape[1] // LAST_CHANNELS
    network = digits_classifier(channels, state["head.weight"].shape[0], cells)
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
    """Weights of the digits classifier, trained on `images` (N, C, H, W) uint8 with `labels` (N,) in 0..classes-1.

    Adam on the cross-entropy of randomly turned, scaled and shifted images; the step size rises over the first tenth
    and falls to nothing along a cosine. The same arguments, torch version, device and number of threads give the same
    bits; the global generator is left as it was. DivergaNError where H or W is no multiple of 4, and where the labels
    are of one class alone or not below `classes`.
    """
    _check(images, labels, classes)
    cells = images.shape[-2] // 4 * (images.shape[-1] // 4)
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(derived_seed(seed, "classifier", "initial weights"))
        network = digits_classifier(images.shape[1], classes, cells)
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


def _check(images: torch.Tensor, labels: torch.Tensor, classes: int) -> None:
    height, width = images.shape[-2:]
    if height % 4 or width % 4:
        raise DivergaNError(
            f"the digits classifier got images of {height}x{width} pixels and takes sides that 4 divides: "
            "import the images at such a size, or choose the feature set random_convolutions"
        )
    found = labels.unique().tolist()
    if len(found) < 2:
        raise DivergaNError(
            f"the digits classifier got images of {len(found)} class and needs two or more to tell apart: "
            "choose the feature set random_convolutions, which is not trained"
        )
    if found[-1] >= classes:
        raise DivergaNError(f"the digits classifier got the label {found[-1]} and was told of {classes} classes")


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


def classifier_accuracy(network: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of `images` (N, C, H, W) uint8 whose most probable class is their label (N,)."""
    return float((predictions(extract(network, images)) == labels.long()).double().mean())


def compare_weights(
    retrained: dict[str, torch.Tensor], reference: dict[str, torch.Tensor], images: torch.Tensor
) -> dict[str, float | bool]:
    """How near retrained classifier weights are to kept ones, and whether that shows on `images` (N, C, H, W) uint8.

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
