"""The digits classifier on every channel of stacked digits."""

from __future__ import annotations

from collections import OrderedDict
from functools import cache
from typing import TYPE_CHECKING, Any

from divergan.features.digits import digits_network
from divergan.lazy import lazy

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


def stacked_digits_network(state: dict[str, torch.Tensor]) -> torch.nn.Module:
    """The classifier of single digits that `state` describes, for images (N, C, H, W): its features of each channel in
    turn (N, 128 C), and logits of the 10^C classes that the channels' digits make, whose softmax is the product of
    the channels' probabilities."""
    digits = digits_network(state)
    Channels, Classes = _modules()
    return torch.nn.Sequential(OrderedDict(body=Channels(digits.body), head=Classes(digits.head))).eval()


@cache
def _modules() -> tuple[type[Any], type[Any]]:  # in a function, for a class of torch's would load torch with this file
    class Channels(torch.nn.Module):
        def __init__(self, body: torch.nn.Module):
            super().__init__()
            self.body = body

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body(x.flatten(0, 1).unsqueeze(1)).view(len(x), -1)

    class Classes(torch.nn.Module):
        def __init__(self, head: torch.nn.Linear):
            super().__init__()
            self.head = head

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            channels = features.view(len(features), -1, self.head.in_features)
            logits = features.new_zeros(len(features), 1)
            for own in self.head(channels).log_softmax(dim=2).unbind(dim=1):
                logits = (logits[:, :, None] + own[:, None, :]).flatten(1)
            return logits

    return Channels, Classes
