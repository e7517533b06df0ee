"""Every network's shapes and arithmetic, and the convolutional pair's form."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from divergan.networks import CRITICS, GENERATORS, CriticForm
from divergan.networks.dcgan import KERNEL, WEIGHT_STD

SHAPE, LATENT, COUNT = (3, 28, 28), 7, 4
HIDDEN = (6, 10)


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_makes_images_with_the_products_it_tells(name):
    network = GENERATORS[name].build(LATENT, HIDDEN, SHAPE)
    with FlopCounterMode(display=False) as counted:
        made = network(torch.randn(COUNT, LATENT))
    assert made.shape == (COUNT, *SHAPE)
    assert counted.get_total_flops() == 2 * COUNT * GENERATORS[name].products(LATENT, HIDDEN, SHAPE)


@pytest.mark.parametrize("name", CRITICS)
def test_a_critic_scores_images_with_the_products_it_tells(name):
    network = CRITICS[name].build(SHAPE, HIDDEN, CriticForm())
    with FlopCounterMode(display=False) as counted:
        v = network(torch.randn(COUNT, *SHAPE))
    assert v.shape == ((COUNT, 3 * 28 * 28) if name == "identity" else (COUNT,))
    assert counted.get_total_flops() == 2 * COUNT * CRITICS[name].products(SHAPE, HIDDEN)


@pytest.mark.parametrize("name", [name for name in CRITICS if name != "identity"])
def test_a_critic_has_the_form_that_is_asked_for(name):
    network = CRITICS[name].build(SHAPE, HIDDEN, CriticForm(outputs=5, spectral_norm=True, dropout=0.5))
    assert network.eval()(torch.randn(COUNT, *SHAPE)).shape == (COUNT, 5)
    layers = [m for m in network.modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv2d)]
    for _ in range(30):  # power iterations, each a forward pass in training
        network.train()
        [layer.weight for layer in layers]
    for layer in layers:
        assert float(torch.linalg.matrix_norm(layer.weight.flatten(1), 2)) == pytest.approx(1.0, abs=0.05)
    assert sum(type(m).__name__ == "Dropout" for m in network.modules()) == len(HIDDEN)


def test_dcgan_starts_from_small_weights_and_ends_within_the_range():
    g = GENERATORS["dcgan"].build(64, (64, 32), SHAPE)
    d = CRITICS["dcgan"].build(SHAPE, (32, 64), CriticForm())
    for weight in (p for network in (g, d) for p in network.parameters() if p.dim() > 1):
        assert float(weight.std()) == pytest.approx(WEIGHT_STD, rel=6 / (2 * weight.numel()) ** 0.5)
    images = g(10 * torch.randn(64, 64))
    assert float(images.abs().max()) <= 1
    assert [m.kernel_size[0] for m in d if isinstance(m, torch.nn.Conv2d)] == [KERNEL] * 2


def test_dcgan_upsamples_every_place_alike():
    """A kernel that its stride does not divide would write a chequerboard: more terms at some places than at others."""
    up = torch.nn.ConvTranspose2d(1, 1, KERNEL, 2, 1, bias=False)
    torch.nn.init.ones_(up.weight)
    inner = up(torch.ones(1, 1, 7, 7))[0, 0, 1:-1, 1:-1]
    assert torch.equal(inner, torch.full_like(inner, 4.0))


@pytest.mark.parametrize(
    ("hidden", "told"), [((8,), None), ((8, 4), None), ((8, 4, 2), "8 does not divide 28x28"), ((), "at least one")]
)
def test_dcgan_refuses_sides_that_it_cannot_halve(hidden, told):
    for declared in (GENERATORS["dcgan"], CRITICS["dcgan"]):
        found = declared.refusal(hidden, SHAPE)
        assert found is None if told is None else told in found
