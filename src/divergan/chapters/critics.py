"""Critics of several seeds as one batched computation; none sees another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from divergan.lazy import lazy
from divergan.randomness import derived_seed

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


class Critics:
    """A critic a seed, inputs-h-h-1: scores (S, N) of points (S, N, inputs). `purpose` owns the weights' start."""

    def __init__(
        self,
        seeds: list[int],
        purpose: str,
        inputs: int,
        hidden: int,
        activation: Callable[[torch.Tensor], torch.Tensor],
    ):
        layers = []
        for seed in seeds:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(derived_seed(seed, purpose))
                layers.append([torch.nn.Linear(a, b) for a, b in ((inputs, hidden), (hidden, hidden), (hidden, 1))])
        self.weights = [torch.stack([own[i].weight.detach().T for own in layers]).requires_grad_() for i in range(3)]
        self.biases = [torch.stack([own[i].bias.detach()[None] for own in layers]).requires_grad_() for i in range(3)]
        self.activation = activation

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = self.activation(torch.baddbmm(bias, x, weight))
        return torch.baddbmm(self.biases[-1], x, self.weights[-1])[..., 0]

    @property
    def parameters(self) -> list[torch.Tensor]:
        return [*self.weights, *self.biases]
