"""Labels for both players of a conditional GAN, whatever their architecture.

A label is a row of `classes`, one-hot float (N, K). The generator is built with K more inputs and gets the label beside
the latent (Mirza and Osindero 2014, section 3.2). The critic is built with K outputs, and its score of an image with a
label is the label's output, v(x, y) = y·D(x): the projection critic of Miyato and Koyama (2018, Eq. 3), whose part that
knows no label is a term that all rows of the last layer share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from divergan.lazy import lazy

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


def conditioned(z: torch.Tensor, classes: torch.Tensor | None) -> torch.Tensor:
    """What the generator gets: latents (N, latent), with their labels (N, latent + K) where there are some."""
    return z if classes is None else torch.cat((z, classes.to(z.device)), dim=1)


def scores_of(answers: torch.Tensor, classes: torch.Tensor | None) -> torch.Tensor:
    """The scores (N,) of images with their labels, from the critic's answers (N, K); the answers without labels."""
    return answers if classes is None else (answers * classes).sum(dim=1)


def one_hot(labels: torch.Tensor, count: int) -> torch.Tensor:
    """Whole-number labels (N,) in 0..count-1 as float32 (N, count)."""
    return torch.nn.functional.one_hot(labels.long(), count).float()


def labels_in_turn(number: int, count: int) -> torch.Tensor:
    """The labels of a sample set, int64 (number,): 0, 1, ..., count-1, 0, ... so that every beginning is balanced.

    Latents are independent of each other, so the order needs no shuffling.
    """
    return torch.arange(number) % count
