"""The arithmetic of networks while they train."""

from __future__ import annotations

from typing import TYPE_CHECKING

from divergan.lazy import lazy

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


def compute_in(network: torch.nn.Module, precision: str) -> None:
    """While `network` trains, do the products of its forward and backward passes in `precision`.

    Weights, their gradients, the optimiser's state and the answers stay float32, as does all of a pass in evaluation
    mode: only the inputs of the products are rounded (mixed precision: Micikevicius et al. 2018, without its loss
    scaling, which bfloat16's range makes needless). Each pass is a context of its own, for autocast keeps its rounded
    copies to the end of one: stale once the optimiser has moved the weights, and without a gradient if made so.
    """
    if precision == "float32":
        return
    exact, dtype = network.forward, getattr(torch, precision)

    def forward(x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, dtype, enabled=network.training):
            return exact(x).float()

    network.forward = forward
