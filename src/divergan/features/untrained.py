"""Features that nobody trained: what they rank cannot come from what a classifier was taught."""

from __future__ import annotations

import math
from collections import OrderedDict
from itertools import pairwise
from typing import TYPE_CHECKING

from divergan.lazy import lazy
from divergan.randomness import generator

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

WIDTHS = (32, 64, 128)  # channels of the three layers; the last is the number of features


def random_convolutions(channels: int, seed: int) -> torch.nn.Module:
    """Untrained convolutions for images (N, channels, H, W) of 4 pixels a side or more, with 128 features; no head.

    Three times a 3x3 convolution and ReLU, the first two followed by 2x2 average pooling, the last by the mean over
    all places. The weights are normal with variance 2/fan-in, the start of He et al. (2015) for ReLU; no biases.
    Naeem et al. (2020) propose the features of an untrained VGG16 where a data set is unlike ImageNet; its five
    poolings leave nothing of a small image, so this network is a shallower one.

    The weights depend on `channels` and `seed` alone, and the global generator is left as it was.
    """
    nn = torch.nn
    layers: list[torch.nn.Module] = []
    for inputs, outputs in pairwise((channels, *WIDTHS)):
        with torch.random.fork_rng(devices=[]):
            convolution = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)
        drawn = torch.randn(outputs, inputs, 3, 3, generator=generator(seed, "random convolutions", inputs))
        convolution.weight = nn.Parameter(drawn * math.sqrt(2 / (9 * inputs)), requires_grad=False)
        layers += [convolution, nn.ReLU(), nn.AvgPool2d(2)]
    body = nn.Sequential(*layers[:-1], nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(OrderedDict(body=body)).eval()
