"""Batched critics against single networks."""

from __future__ import annotations

import pytest
import torch

from divergan.chapters.critics import Critics


@pytest.mark.parametrize(("inputs", "activation"), [(1, torch.tanh), (3, torch.relu)])
def test_critics_of_several_seeds_are_those_of_each_alone(inputs, activation):
    both = Critics([0, 7], "test", inputs, 8, activation)
    x = torch.randn(2, 5, inputs, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(both(x)[1], Critics([7], "test", inputs, 8, activation)(x[1:])[0])
    h = x[0]
    for i, (weight, bias) in enumerate(zip(both.weights, both.biases, strict=True)):
        linear = torch.nn.Linear(*weight.shape[1:])
        linear.weight.data, linear.bias.data = weight[0].detach().T.contiguous(), bias[0, 0].detach()
        h = linear(h) if i == 2 else activation(linear(h))
    torch.testing.assert_close(both(x)[0], h[:, 0])


def test_a_purpose_owns_the_start_and_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    one, other = (Critics([0], purpose, 2, 4, torch.relu).weights[0] for purpose in ("a", "b"))
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)
