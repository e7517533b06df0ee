"""The arithmetic of a step: which products are rounded, what stays float32, and that nothing waits for the device."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from divergan.networks import CRITICS, CriticForm
from divergan.networks.precision import compute_in
from divergan.objectives import OBJECTIVES, objective
from divergan.training import DataOrder, Record, critic_step, train, training_step
from tiny_training import Keeper, begun, images, settings

PRODUCTS = {"aten::mm", "aten::addmm", "aten::bmm", "aten::convolution", "aten::convolution_backward"}
WAITS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal", "aten::is_nonzero"}
REGULARISED = {
    "none": {},
    "r1": {"r1": {"gamma": 1.0, "every": 1}},
    "r2": {"r2": {"gamma": 1.0, "every": 1}},
    "gradient_penalty": {"gradient_penalty": {"weight": 1.0, "sides": "two"}},
    "spectral_norm": {"spectral_norm": {}},
    "dropout": {"dropout": {"rate": 0.5}},
    "weight_clipping": {"weight_clipping": {"limit": 0.1}},
    "instance_noise": {"instance_noise": {"std": 0.1, "steps": 100}},
    "consensus": {"consensus": {"gamma": 0.1}},
    "entropy": {"entropy": {"weight": 0.1}},
}


class Operations(TorchDispatchMode):
    """Every operation's name with the types of the floating-point tensors that it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[tuple[str, frozenset[torch.dtype]]] = Counter()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        given = (value for value in args if isinstance(value, torch.Tensor) and value.is_floating_point())
        self.seen[operation._schema.name, frozenset(value.dtype for value in given)] += 1
        return operation(*args, **(kwargs or {}))

    def types(self, names: set[str]) -> set[torch.dtype]:
        return {dtype for name, types in self.seen for dtype in types if name in names}


@contextmanager
def watched_step(**changes) -> Iterator[tuple[Operations, object]]:
    chosen = settings(**changes)
    players, trained_by = begun(chosen), objective(chosen.objective)
    order = DataOrder(30, chosen.batch, 0, torch.device("cpu"))
    training_step(chosen, trained_by, players, images(), order)
    with Operations() as operations:
        training_step(chosen, trained_by, players, images(), order)
    yield operations, players


def test_every_regulariser_is_here():
    from divergan.regularisers import REGULARISERS

    assert set(REGULARISED) == {"none", *REGULARISERS}


@pytest.mark.parametrize("name", REGULARISED)
def test_products_of_both_passes_are_rounded_and_nothing_else(name):
    with watched_step(precision="bfloat16", regularisers=REGULARISED[name]) as (operations, players):
        rounded = (
            {torch.bfloat16} if name != "entropy" else {torch.bfloat16, torch.float32}
        )  # distances of images are exact
        assert operations.types(PRODUCTS) == rounded
        assert operations.types({"aten::mv", "aten::dot", "aten::vdot"}) <= {torch.float32}  # those of spectral norms
    for network in (players.generator, players.critic):
        assert (
            {p.dtype for p in network.parameters()} == {p.grad.dtype for p in network.parameters()} == {torch.float32}
        )
    for optimiser in (players.generator_optimiser, players.critic_optimiser):
        assert {value.dtype for state in optimiser.state.values() for value in state.values()} == {torch.float32}


@pytest.mark.parametrize("name", REGULARISED)
def test_float32_rounds_nothing(name):
    with watched_step(regularisers=REGULARISED[name]) as (operations, players):
        assert torch.bfloat16 not in operations.types({name for name, _ in operations.seen})
        assert "forward" not in vars(players.generator)


def test_kernels_compare_features_exactly():
    """A squared distance of two close points is a difference of large numbers."""
    critic = {"name": "identity", "hidden": []}
    with watched_step(objective="mmd_gaussian", critic=critic, precision="bfloat16") as (operations, _):
        assert operations.types({"aten::mm", "aten::bmm"}) == {torch.bfloat16, torch.float32}


def test_convolutions_are_rounded_too():
    networks = {"generator": {"name": "dcgan", "hidden": [8, 4]}, "critic": {"name": "dcgan", "hidden": [4, 8]}}
    with watched_step(precision="bfloat16", **networks) as (operations, _):
        assert operations.types({"aten::convolution", "aten::convolution_backward"}) == {torch.bfloat16}


@pytest.mark.parametrize("name", REGULARISED)
def test_a_step_never_waits_for_the_device(name):
    """What reads a number back, or makes a tensor whose size depends on one, would have a GPU waited for."""
    with watched_step(regularisers=REGULARISED[name], ema_decay=0.9, batch=6) as (operations, _):
        assert not {own for own, _ in operations.seen} & WAITS


@pytest.mark.parametrize("name", [name for name, o in OBJECTIVES.items() if not o.untrainable])
def test_no_objective_waits_for_the_device(name):
    with watched_step(objective=name) as (operations, _):
        assert not {own for own, _ in operations.seen} & WAITS


def test_only_another_precision_is_part_of_a_recipe():
    assert "precision" not in settings().model_dump()
    assert settings(precision="bfloat16").model_dump()["precision"] == "bfloat16"


def test_a_pass_sees_the_weights_that_the_optimiser_has_moved():
    critic = CRITICS["mlp"].build((1, 4, 4), [8], CriticForm())
    compute_in(critic, "bfloat16")
    x = torch.randn(5, 1, 4, 4)
    with torch.no_grad():
        critic(x)
    optimiser = torch.optim.SGD(critic.parameters(), lr=1.0)
    for _ in range(2):
        critic(x).sum().backward()
        assert all(p.grad is not None for p in critic.parameters())
        optimiser.step()
    fresh = CRITICS["mlp"].build((1, 4, 4), [8], CriticForm())
    fresh.load_state_dict(critic.state_dict())
    compute_in(fresh, "bfloat16")
    assert torch.equal(critic(x), fresh(x))


def test_evaluation_is_exact():
    critic = CRITICS["mlp"].build((1, 4, 4), [8], CriticForm())
    x = torch.randn(5, 1, 4, 4)
    exact = critic(x)
    compute_in(critic, "bfloat16")
    assert not torch.equal(critic(x), exact)
    assert critic(x).dtype == torch.float32
    assert torch.equal(critic.eval()(x), exact)


@pytest.mark.parametrize("name", ["none", "r1", "gradient_penalty", "spectral_norm"])
def test_rounded_gradients_are_near_the_exact_ones(name):
    """bfloat16 has 8 bits: a relative error of 2^-9 a number, some of them in a chain, far below a changed sign."""

    def gradients(precision: str) -> torch.Tensor:
        chosen = settings(precision=precision, regularisers=REGULARISED[name], batch=30)
        players = begun(chosen)
        critic_step(chosen, objective("bce"), players, images().float() / 127.5 - 1)
        return torch.cat([p.grad.flatten() for p in players.critic.parameters()])

    exact, rounded = gradients("float32"), gradients("bfloat16")
    assert 0 < (rounded - exact).norm() / exact.norm() < 0.03


def test_resuming_is_bit_identical(tmp_path):
    from divergan import checkpoints

    chosen = settings(precision="bfloat16", ema_decay=0.9)
    whole, keeper = begun(chosen), Keeper(tmp_path)
    train(chosen, objective("bce"), whole, Record(), images(), 0, keeper)
    again = begun(chosen)
    record = checkpoints.restore(sorted(tmp_path.iterdir())[1], again)
    train(chosen, objective("bce"), again, record, images(), 0, Keeper())
    for ours, theirs in zip(again.generator.parameters(), whole.generator.parameters(), strict=True):
        assert torch.equal(ours, theirs)


STEPS = """
import resource, torch
from divergan import provenance
from divergan.networks import CRITICS, GENERATORS
from divergan.objectives import objective
from divergan.training import DataOrder, start, training_step
from tiny_training import settings

provenance.prepare_torch("cpu", 1)
generator, critic = {"name": "mlp", "hidden": [512, 1024]}, {"name": "mlp", "hidden": [1024, 512]}
chosen = settings(generator=generator, critic=critic, batch=64)
players = start(chosen, objective("bce"), (GENERATORS["mlp"], CRITICS["mlp"]), (1, 28, 28), 0, "cpu")
images = torch.zeros(100, 1, 28, 28, dtype=torch.uint8)
order = DataOrder(100, chosen.batch, 0, torch.device("cpu"))
for step in range(25):
    if step == 5:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    training_step(chosen, objective("bce"), players, images, order)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts the page faults of glibc's allocator")
def test_a_warm_step_asks_the_kernel_for_no_memory():
    """2.8 million weights: their gradients alone are 2,700 pages of 4 KiB."""
    done = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True, cwd="tests")
    assert float(done.stdout) < 100
