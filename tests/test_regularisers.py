"""Each regulariser against what it says it does, and all of them with all objectives."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from divergan import training
from divergan.data import to_network
from divergan.networks import CriticForm
from divergan.networks.mlp import mlp_critic
from divergan.objectives import FAMILIES, OBJECTIVES, KernelDistance, objective
from divergan.regularisers import REGULARISERS, Batch
from tiny_training import begun, images, ran, settings

OWN: dict[str, dict[str, Any]] = {
    "r1": {"gamma": 0.7, "every": 4},
    "r2": {"gamma": 0.7, "every": 4},
    "gradient_penalty": {"weight": 10.0, "sides": "two"},
    "spectral_norm": {},
    "dropout": {"rate": 0.3},
    "weight_clipping": {"limit": 0.05},
    "instance_noise": {"std": 0.5, "steps": 40},
    "consensus": {"gamma": 0.1},
    "entropy": {"weight": 0.1},
}


class Linear(torch.nn.Module):
    """v = <w, x>, whose gradient in x is w for every x."""

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.arange(16.0) / 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ self.w


def batch_of(critic: torch.nn.Module, name: str = "wasserstein", fake: torch.Tensor | None = None) -> Batch:
    real = to_network(images(8)).requires_grad_()
    fake = to_network(images(16)[8:]).requires_grad_() if fake is None else fake
    return Batch(
        objective=OBJECTIVES[name],
        generator=torch.nn.Identity(),
        critic=critic,
        real=real,
        fake=fake,
        v_real=critic(real),
        v_fake=critic(fake),
        generator_loss="alternative",
        random=torch.Generator().manual_seed(0),
    )


def own(name: str, **changes: Any) -> Any:
    return REGULARISERS[name].settings.model_validate(OWN[name] | changes)


# --- all of them with all objectives


def every_objective() -> list[str]:
    members = [family.make(value).name for family in FAMILIES.values() for value in family.examples]
    return [*(name for name, o in OBJECTIVES.items() if not o.untrainable), *members]


def test_the_settings_above_are_those_of_every_regulariser():
    assert list(OWN) == list(REGULARISERS)


@pytest.mark.parametrize("name", every_objective())
def test_every_objective_trains_with_every_regulariser(name):
    """50 steps: all losses and weights stay finite, and both players move."""
    for regulariser, loss in [*product([None, *REGULARISERS], ["bound"]), (None, "alternative")]:
        chosen = settings(
            objective=name,
            generator_loss=loss,
            regularisers={regulariser: OWN[regulariser]} if regulariser else {},
            steps=50,
            history_every=50,
            learning_rate=1e-3,
        )
        before = begun(chosen)
        players, record, _ = ran(chosen)
        assert record.outcome == "finished", (regulariser, loss)
        assert all(math.isfinite(row["critic_loss"]) for row in record.history)
        for ours, theirs in ((players.generator, before.generator), (players.critic, before.critic)):
            moved = [not torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True)]
            assert any(moved), (regulariser, loss)


@pytest.mark.parametrize("name", [n for n, o in OBJECTIVES.items() if isinstance(o, KernelDistance)])
def test_a_kernel_on_pixels_trains_the_generator_alone(name):
    before = begun(settings(objective=name, critic={"name": "identity"}))
    players, record, _ = ran(settings(objective=name, critic={"name": "identity"}, steps=50, learning_rate=1e-3))
    assert record.outcome == "finished"
    assert not list(players.critic.parameters())
    pairs = zip(players.generator.parameters(), before.generator.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("regulariser", REGULARISERS)
def test_what_acts_on_a_critic_is_refused_where_there_is_none(regulariser):
    asked = {"objective": "mmd_energy", "critic": {"name": "identity"}, "regularisers": {regulariser: OWN[regulariser]}}
    if REGULARISERS[regulariser].needs:
        with pytest.raises(ValidationError, match=f"{regulariser}: the critic 'identity' has no weights"):
            settings(**asked)
    else:
        assert ran(settings(**asked))[1].outcome == "finished"


def test_every_pair_of_regularisers_trains_or_is_refused_with_the_reason():
    refused = set()
    for a, b in product(REGULARISERS, REGULARISERS):
        if a < b:
            try:
                chosen = settings(regularisers={a: OWN[a], b: OWN[b]}, learning_rate=1e-3)
            except ValidationError as error:
                refused.add((a, b))
                assert "has no effect" in str(error)
            else:
                assert ran(chosen)[1].outcome == "finished", (a, b)
    assert refused == {("spectral_norm", "weight_clipping")}


@pytest.mark.parametrize("name", [n for n, o in OBJECTIVES.items() if not isinstance(o, KernelDistance)])
def test_pixels_are_refused_as_scores(name):
    with pytest.raises(ValidationError, match=r"kernels compare|nothing can be trained"):
        settings(objective=name, critic={"name": "identity"})


# --- each against its definition


@pytest.mark.parametrize("name", ["r1", "r2"])
def test_r1_and_r2_of_a_linear_critic(name):
    critic = Linear()
    expected = 4 * 0.7 / 2 * float(critic.w.detach().square().sum())
    found = REGULARISERS[name].critic_penalty(batch_of(critic), own(name))
    assert float(found.detach()) == pytest.approx(expected, rel=1e-6)  # float32


def test_r1_looks_at_real_images_and_r2_at_generated_ones():
    class Square(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1).square().sum(1) / 2  # its slope is x

    batch = batch_of(Square())
    for name, side in (("r1", batch.real), ("r2", batch.fake)):
        expected = 4 * 0.7 / 2 * float(side.detach().flatten(1).square().sum(1).mean())
        assert float(REGULARISERS[name].critic_penalty(batch, own(name)).detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("sides", "scale"), [("two", 0.1), ("two", 3.0), ("one", 0.1), ("one", 3.0)])
def test_gradient_penalty_of_a_linear_critic(sides, scale):
    critic = Linear()
    with torch.no_grad():
        critic.w *= scale
    excess = float(critic.w.detach().norm()) - 1
    expected = 10 * (excess**2 if sides == "two" or excess > 0 else 0.0)
    found = REGULARISERS["gradient_penalty"].critic_penalty(batch_of(critic), own("gradient_penalty", sides=sides))
    assert float(found.detach()) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_the_gradient_penalty_is_taken_between_the_images():
    seen = []

    class Spy(Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.detach())
            return super().forward(x)

    batch = batch_of(Spy())
    REGULARISERS["gradient_penalty"].critic_penalty(batch, own("gradient_penalty"))
    real, fake, between = batch.real.detach().flatten(1), batch.fake.detach().flatten(1), seen[-1].flatten(1)
    share = ((between - real) * (fake - real)).sum(1) / (fake - real).square().sum(1)
    torch.testing.assert_close(between, real + share[:, None] * (fake - real), rtol=1e-5, atol=1e-5)
    assert ((share > 0) & (share < 1)).all()
    assert share.unique().numel() == len(share)


def test_the_penalty_of_a_kernel_is_on_its_witness():
    critic = torch.nn.Flatten()
    batch = batch_of(critic, "mmd_gaussian")
    found = REGULARISERS["r2"].critic_penalty(batch, own("r2", every=1))
    x, y = batch.fake.detach().clone().requires_grad_(), batch.real.detach()
    o = OBJECTIVES["mmd_gaussian"]
    witness = o.witness(x.flatten(1), y.flatten(1), x.flatten(1))
    (slope,) = torch.autograd.grad(witness.sum(), x)
    assert float(found.detach()) == pytest.approx(0.7 / 2 * float(slope.square().flatten(1).sum(1).mean()), rel=1e-5)


def test_clipped_weights_stay_within_the_limit():
    players, *_ = ran(settings(regularisers={"weight_clipping": {"limit": 0.05}}, learning_rate=0.1))
    assert max(float(p.detach().abs().max()) for p in players.critic.parameters()) == pytest.approx(0.05)


def test_spectral_norm_leaves_a_slope_of_one():
    critic = mlp_critic((1, 4, 4), [32, 16], CriticForm(spectral_norm=True))
    for _ in range(50):  # power iterations
        critic(torch.zeros(1, 1, 4, 4))
    x = torch.randn(500, 1, 4, 4, requires_grad=True)
    (slope,) = torch.autograd.grad(critic(x).sum(), x)
    assert float(slope.flatten(1).norm(dim=1).max()) < 1.001


def test_dropout_keeps_the_mean_and_repeats_with_its_owner():
    critic = mlp_critic((1, 4, 4), [512], CriticForm(dropout=0.4))
    training.own_randomness(critic, torch.Generator().manual_seed(3))
    x = torch.randn(1, 1, 4, 4).expand(4000, 1, 4, 4)
    first, plain = critic(x), critic.eval()(x[:1])
    assert first.std() > 0
    assert float(first.mean()) == pytest.approx(float(plain), abs=4 * float(first.std()) / 4000**0.5)
    training.own_randomness(critic.train(), torch.Generator().manual_seed(3))
    assert torch.equal(critic(x), first)


def test_a_critic_with_dropout_has_the_weights_of_one_without():
    shapes = [
        {name: value.shape for name, value in mlp_critic((1, 4, 4), [8, 8], form).state_dict().items()}
        for form in (CriticForm(), CriticForm(dropout=0.5))
    ]
    assert shapes[0] == shapes[1]


def test_instance_noise_falls_in_a_line_and_ends():
    noise = REGULARISERS["instance_noise"].noise
    assert [noise(own("instance_noise"), step) for step in (0, 10, 20, 40, 90)] == [0.5, 0.375, 0.25, 0.0, 0.0]


def test_instance_noise_blurs_all_that_the_critic_sees():
    seen = []

    class Spy(Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.detach())
            return super().forward(x)

    chosen = settings(objective="wasserstein", regularisers={"instance_noise": {"std": 3.0, "steps": 100}})
    players = begun(chosen)
    players.critic = Spy()
    players.critic_optimiser = torch.optim.SGD(players.critic.parameters(), lr=0.0)
    for step, wide in ((0, True), (100, False)):
        players.step = step
        training.critic_step(chosen, OBJECTIVES["wasserstein"], players, to_network(images(8)))
        training.generator_step(chosen, OBJECTIVES["wasserstein"], players, to_network(images(8)))
        assert [bool(x.abs().max() > 1.5) for x in seen] == [wide, wide]
        seen.clear()


def test_consensus_is_half_the_squared_norm_of_all_gradients():
    chosen = settings(objective="bce", regularisers={"consensus": {"gamma": 0.3}})
    players = begun(chosen)
    real = to_network(images(8))
    fake = players.generator(torch.randn(8, 3))
    v_real, v_fake = players.critic(real), players.critic(fake)
    batch = replace(
        batch_of(Linear()), objective=OBJECTIVES["bce"], generator=players.generator, critic=players.critic,
        v_real=v_real, v_fake=v_fake,
    )  # fmt: skip
    found = REGULARISERS["consensus"].critic_penalty(batch, own("consensus", gamma=0.3))
    o = OBJECTIVES["bce"]
    losses = ((o.critic_loss(v_real, v_fake), players.critic), (o.alternative_loss(v_fake), players.generator))
    norms = [
        float(g.square().sum())
        for loss, network in losses
        for g in torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
    ]
    assert float(found.detach()) == pytest.approx(0.3 / 2 * sum(norms), rel=1e-5)


def test_the_entropy_of_a_normal_batch_rises_with_the_logarithm_of_its_width():
    z = torch.randn(2000, 1, 1, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    penalty = REGULARISERS["entropy"].generator_penalty
    narrow, wide = (float(penalty(replace(batch_of(Linear()), fake=s * z), own("entropy"))) for s in (1.0, 3.0))
    assert narrow - wide == pytest.approx(0.1 * math.log(3), rel=1e-3)


def test_the_entropy_estimate_is_kozachenko_and_leonenkos():
    """Its mean over draws is the entropy of the normal, per dimension, less constants that know no distribution."""
    n, d = 2000, 2
    z = torch.randn(n, 1, 1, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean_log = (
        -float(REGULARISERS["entropy"].generator_penalty(replace(batch_of(Linear()), fake=z), own("entropy"))) / 0.1
    )
    digamma = float(torch.digamma(torch.tensor(float(n)))) + 0.5772156649
    entropy = d * mean_log + math.log(math.pi) + digamma  # log of the unit disc's area
    assert entropy == pytest.approx(d / 2 * math.log(2 * math.pi * math.e), abs=0.1)


def test_an_entropy_bonus_widens_what_is_generated():
    """Alone, without a game: the generator's only gradient is that of the bonus."""
    spreads = []
    for weight in (0.0, 30.0):
        regularisers = {"entropy": {"weight": weight}} if weight else {}
        chosen = settings(objective="wasserstein", regularisers=regularisers, steps=200, learning_rate=3e-3)
        spreads.append(ran(chosen)[1].spreads[-1][1])
    assert spreads[1] > spreads[0]


def test_regularisers_act_in_the_order_of_the_registry_whatever_the_files():
    names = ("dropout", "r1", "instance_noise")
    first, second = (settings(regularisers={n: OWN[n] for n in order}) for order in (names, names[::-1]))
    assert first.model_dump() == second.model_dump()
    assert first.regulariser == "R1 γ=0.7 every 4, dropout 0.3, instance noise 0.5 for 40 steps"
    assert objective("alpha(0.50)").name == settings(objective="alpha(.5)").objective == "alpha(0.5)"
