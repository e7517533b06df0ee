"""Dropout that draws from an owned generator, so that a training repeats and resumes bit for bit."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from divergan.lazy import lazy

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


def dropout(rate: float) -> torch.nn.Module:
    """Set each entry to 0 with this chance while training, and scale the others to keep the mean."""
    return _module()(rate)


def own_randomness(network: torch.nn.Module, random: torch.Generator) -> None:
    """Let every dropout of the network draw from `random`."""
    for module in network.modules():
        if isinstance(module, _module()):
            module.random = random


@cache
def _module() -> type[Any]:  # in a function, for a class of torch's would load torch with this file
    class Dropout(torch.nn.Module):
        def __init__(self, rate: float):
            super().__init__()
            self.rate, self.random = rate, None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not self.training:
                return x
            assert self.random is not None, "a critic with dropout is trained with an owned generator"
            kept = torch.rand(x.shape, generator=self.random, device=x.device) >= self.rate
            return x * kept / (1 - self.rate)

    return Dropout
