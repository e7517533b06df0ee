"""Algorithm 1: exact to the bit when repeated or resumed; its parts against closed forms; its outcomes named."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from divergan import reweighting
from divergan.networks import CRITICS, GENERATORS, CriticForm
from divergan.params import Weights
from divergan.reweighting import (
    HELD,
    Reweighting,
    WeightRecord,
    converged,
    critic_step,
    gradient_penalty,
    held,
    history_row,
    kind,
    reweight,
    start,
    weight_loss,
    weight_network,
    weight_step,
)

LATENT, SHAPE = 3, (1, 4, 4)
SETTINGS: dict[str, Any] = {
    "sign": "derived",
    "delta": "none",
    "m": 3.0,
    "lambda_norm": 10.0,
    "lambda_clip": 3.0,
    "gradient_penalty": 10.0,
    "hidden": [8, 8],
    "output": "softplus",
    "critic": "fresh",
    "critic_output": "linear",
    "batch": 8,
    "steps": 24,
    "patience": 0,
    "n_critic": 2,
    "critic_learning_rate": 1e-2,
    "learning_rate": 1e-2,
    "betas": [0.5, 0.5],
    "joint": False,
    "history_every": 2,
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # what a recipe says too: sums in another order differ in their last bits
    yield
    torch.set_num_threads(before)


def settings(**changes: Any) -> Weights:
    return Weights.model_validate({**SETTINGS, **changes})


def images() -> torch.Tensor:
    """uint8 (30, 1, 4, 4); 30 is no multiple of the batch, so that batches cross the seam of an epoch."""
    return torch.randint(0, 256, (30, *SHAPE), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def frozen() -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return GENERATORS["mlp"].build(LATENT, [8], SHAPE)


def begun(chosen: Weights, seed: int = 0) -> Reweighting:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        critic = CRITICS["mlp"].build(SHAPE, [8, 8], CriticForm())
    return start(chosen, critic, LATENT, seed, "cpu")


class Keeper:
    """An observer that keeps the rows, and a copy of all that a checkpoint has to hold."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.kept: dict[int, tuple[Any, ...]] = {}

    def row(self, row: dict[str, float]) -> None:
        self.rows.append(row)

    def checkpoint(self, state: Reweighting, record: WeightRecord) -> None:
        held = [part.state_dict() for part in parts(state)]
        self.kept[state.step] = copy.deepcopy((held, state.latents.get_state(), state.step, state.drawn, record))


def parts(state: Reweighting) -> tuple[Any, ...]:
    return state.weight, state.critic, state.weight_optimiser, state.critic_optimiser


def ran(
    chosen: Weights, seed: int = 0, kept: tuple[Any, ...] | None = None, **more: Any
) -> tuple[Reweighting, WeightRecord, Keeper]:
    """To the end, from what a checkpoint kept if that is given."""
    state, record, keeper = begun(chosen, seed), WeightRecord(), Keeper()
    if kept is not None:
        saved, latents, state.step, state.drawn, record = copy.deepcopy(kept)
        for part, values in zip(parts(state), saved, strict=True):
            part.load_state_dict(values)
        state.latents.set_state(latents)
    reweight(chosen, more.pop("generate", frozen()), state, record, images(), seed, keeper, **more)
    return state, record, keeper


def same(a: tuple[Reweighting, WeightRecord, Any], b: tuple[Reweighting, WeightRecord, Any]) -> bool:
    values = [[value for part in parts(one[0])[:2] for value in part.state_dict().values()] for one in (a, b)]
    equal = all(torch.equal(x, y) for x, y in zip(*values, strict=True))
    return equal and a[1] == b[1] and (a[0].step, a[0].drawn) == (b[0].step, b[0].drawn)


# --- repeated and resumed


@pytest.mark.parametrize("changes", [{}, {"delta": "min", "output": "exp", "patience": 8, "steps": 60}])
def test_a_resumed_run_is_an_unbroken_one_to_the_bit(changes):
    whole = ran(settings(**changes))
    ((step, kept),) = list(whole[2].kept.items())[:1]
    assert step == reweighting.CHECKPOINT_ROWS * 2
    assert step < whole[0].step
    assert same(ran(settings(**changes), kept=kept), whole)


def test_the_same_run_twice_is_the_same_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    torch.manual_seed(98)
    state = torch.get_rng_state()
    first = ran(settings())
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    assert same(ran(settings()), first)
    torch.set_rng_state(before)
    other = ran(settings(), seed=1)
    assert not same(other, first)
    assert not torch.equal(other[0].latents.get_state(), first[0].latents.get_state())


def test_every_row_is_told_and_kept():
    state, record, keeper = ran(settings(steps=7, history_every=3))
    assert [row["step"] for row in record.history] == [3, 6, 7]
    assert keeper.rows == record.history
    assert (state.step, state.drawn) == (7, 7 * 2 * 8)  # steps, each n_critic batches of real images


# --- who moves


def test_the_critic_moves_with_w_standing_still_and_w_with_the_critic_standing_still():
    chosen, generate = settings(), frozen()
    state = begun(chosen)
    for step, (moving, still) in {
        lambda: critic_step(chosen, generate, state, torch.zeros(8, *SHAPE)): (state.critic, state.weight),
        lambda: weight_step(chosen, generate, state): (state.weight, state.critic),
    }.items():
        before = [copy.deepcopy(network.state_dict()) for network in (moving, still, generate)]
        step()
        after = [network.state_dict() for network in (moving, still, generate)]
        unmoved = [all(torch.equal(a[name], b[name]) for name in a) for a, b in zip(before, after, strict=True)]
        assert unmoved == [False, True, True]
    assert all(p.grad is None for p in generate.parameters())


def test_the_generator_is_moved_once_a_step_before_the_critic_sees_it():
    generate, calls = frozen(), []

    def move() -> None:
        calls.append(True)
        with torch.no_grad():
            next(generate.parameters()).add_(0.1)

    state, record, _ = ran(settings(steps=6), generate=generate, move=move)
    assert len(calls) == state.step == 6
    fixed = held(settings(), generate, state, images(), 0, moves=True)
    assert fixed.fake is None  # so that the history is told of the generator as it is
    assert record.history != ran(settings(steps=6))[1].history


# --- the losses


def scores(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # w = (1, 4), D = (-2, 1), m = 3: mean w D = 1, (mean w - 1)^2 = 2.25, mean max(0, w - m)^2 = 0.5
        ({}, -1 + 10 * 2.25 + 3 * 0.5),
        ({"sign": "as_printed"}, 1 + 10 * 2.25 + 3 * 0.5),
        ({"delta": "min"}, -(1 * 0 + 4 * 3) / 2 + 10 * 2.25 + 3 * 0.5),
        ({"delta": "min_abs"}, -(1 * -3 + 4 * 0) / 2 + 10 * 2.25 + 3 * 0.5),
        ({"lambda_norm": 1.0, "lambda_clip": 0.0}, -1 + 2.25),
        ({"m": 1.0}, -1 + 10 * 2.25 + 3 * 4.5),
    ],
)
def test_the_loss_of_w_by_hand(changes, expected):
    loss = weight_loss(settings(**changes), scores(1, 4), scores(-2, 1))
    assert float(loss) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("sign", "rises"), [("derived", True), ("as_printed", False)])
def test_w_rises_where_the_critic_sees_real_images(sign, rises):
    w = torch.ones(4, requires_grad=True)
    weight_loss(settings(sign=sign), w, scores(-2, -1, 1, 2)).backward()
    assert bool((-w.grad).diff().min() > 0) is rises


@pytest.mark.parametrize("strength", [10.0, 0.5])
def test_the_penalty_of_a_linear_critic_is_that_of_its_slope(strength):
    chosen = settings(gradient_penalty=strength)
    state = begun(chosen)
    slope = torch.randn(16, generator=torch.Generator().manual_seed(0))
    state.critic = lambda x: x.flatten(1) @ slope
    penalty = gradient_penalty(chosen, state, torch.zeros(8, *SHAPE), torch.ones(8, *SHAPE))
    assert float(penalty) == pytest.approx(strength * (float(slope.norm()) - 1) ** 2, rel=1e-5)


def test_the_penalty_is_taken_between_a_real_and_a_generated_image():
    chosen = settings(gradient_penalty=1.0)
    state, seen = begun(chosen), []

    def critic(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return x.sum((1, 2, 3))

    state.critic = critic
    gradient_penalty(chosen, state, torch.full((200, *SHAPE), 3.0), torch.full((200, *SHAPE), 1.0))
    places = seen[0].detach().flatten(1)
    assert (places == places[:, :1]).all()  # one share for all pixels of an image
    assert places.min() >= 1 and places.max() <= 3 and places[:, 0].std() > 0.5  # uniform on [1, 3]: 0.58


@pytest.mark.parametrize("output", ["softplus", "relu", "exp", "sigmoid"])
def test_weights_are_not_negative(output):
    with torch.random.fork_rng():
        torch.manual_seed(6)
        network = weight_network(LATENT, [8], output)
    w = network(10 * torch.randn(500, LATENT, generator=torch.Generator().manual_seed(0)))
    assert w.shape == (500,)
    assert w.min() >= 0
    assert w.std() > 0
    assert (w.max() <= 1) == (output == "sigmoid")


# --- what the history tells


def test_a_row_of_the_history_against_its_definitions():
    chosen, generate = settings(m=2.0), frozen()
    state = begun(chosen)
    state.weight = lambda z: 1 + 2 * (z[:, 0] > 0).float()  # 1 or 3
    fixed = held(chosen, generate, state, images(), 0, moves=False)
    row = history_row(chosen, generate, state, fixed, torch.tensor([[1.0, 5.0], [3.0, 7.0]]))
    high = float((fixed.latents[:, 0] > 0).float().mean())
    assert row["w_mean"] == pytest.approx(1 + 2 * high, rel=1e-5)
    assert (row["w_min"], row["w_max"], row["critic_loss"], row["weight_loss"]) == (1, 3, 2, 6)
    assert row["acceptance"] == pytest.approx((1 - high + 2 * high) / 2, rel=1e-5)
    assert row["ess"] == pytest.approx((1 + 2 * high) ** 2 / (1 + 8 * high), rel=1e-5)
    w = state.weight(fixed.latents)
    with torch.no_grad():
        fake = (w * state.critic(generate(fixed.latents))).sum() / w.sum()
        real = state.critic(images().float() / 127.5 - 1).mean()
    assert row["emd"] == pytest.approx(float(real - fake), abs=1e-6)  # float32 sums of 2,048 in two orders


def test_the_distance_does_not_depend_on_the_critics_constant():
    chosen, generate = settings(), frozen()
    state = begun(chosen)
    fixed = held(chosen, generate, state, images(), 0, moves=False)
    before = history_row(chosen, generate, state, fixed, torch.zeros(1, 2))["emd"]
    with torch.no_grad():
        state.critic[-2].bias.add_(5.0)
    assert history_row(chosen, generate, state, fixed, torch.zeros(1, 2))["emd"] == pytest.approx(before, abs=1e-5)


def test_points_of_the_plane_are_taken_as_they_are():
    state = SimpleNamespace(latent=2)
    points = torch.randn(3000, 2)
    fixed = held(settings(), lambda z: z, state, points, 0, moves=False)
    assert fixed.real.shape == fixed.latents.shape == (HELD, 2)
    assert all((points == row).all(dim=1).any() for row in fixed.real[:20])


# --- how it ends


def one_image(z: torch.Tensor) -> torch.Tensor:
    """A generator all of whose images are the same, so that the critic tells them apart for good."""
    return torch.full((len(z), *SHAPE), -1.0)


def half_good(z: torch.Tensor) -> torch.Tensor:
    """A generator of noise, as the images are, where z_1 > 0, and of the one image elsewhere."""
    noise = (40 * z @ torch.linspace(1, 2, LATENT * 16).reshape(LATENT, 16)).sin().reshape(-1, *SHAPE)
    return torch.where(z[:, :1, None, None] > 0, noise, one_image(z))


# The critic's constant is a multiplier for E w = 1, which keeps w from vanishing; so in that case it stands still, at
# a score above 0. With the printed sign w and the critic both lower E w D, and without R_norm nothing holds w.
ENDS: dict[str, dict[str, Any]] = {
    "finished": {"steps": 200},
    "vanished": {"steps": 300, "lambda_norm": 0.0, "critic_learning_rate": 1e-9, "sign": "as_printed"},
    "constant": {"steps": 300, "output": "sigmoid"},
    "diverged": {"steps": 600, "lambda_norm": 0.0, "lambda_clip": 0.0, "sign": "as_printed"},
}


@pytest.mark.parametrize("outcome", ENDS)
def test_outcomes_are_named(outcome):
    generate = half_good if outcome == "finished" else one_image
    state, record, _ = ran(settings(**ENDS[outcome]), generate=generate)
    assert record.outcome == outcome, record.history[-1]
    assert (record.ended_at is None) == (outcome == "finished")
    assert (state.step < ENDS[outcome]["steps"]) == (outcome == "diverged")  # which ends there, with what it had
    assert record.history[-1]["step"] == state.step


def test_a_loss_that_is_no_number_ends_the_run_at_its_step():
    calls = []

    def generate(z: torch.Tensor) -> torch.Tensor:
        calls.append(True)  # one for the history's set, then n_critic + 1 a step
        return one_image(z) * (float("nan") if len(calls) > 1 + 4 * 3 else 1)

    _, record, keeper = ran(settings(), generate=generate)
    assert (record.outcome, record.ended_at, record.diverged_at) == ("diverged", 5, 5)
    assert [row["step"] for row in keeper.rows] == [2, 4]
    assert not record.stopped_early


def row(step: int, w_mean: float = 1.0, ess: float = 0.5, emd: float = 0.0) -> dict[str, float]:
    return {"step": step, "w_mean": w_mean, "ess": ess, "emd": emd}


def test_an_end_is_where_the_weights_went_for_good():
    vanished, constant, good = {"w_mean": 0.09}, {"ess": 0.995}, {}
    for kinds, outcome, ended_at in (
        ((vanished, good, vanished, vanished), "vanished", 3),
        ((vanished, constant, constant, constant), "constant", 2),
        ((constant, vanished, constant, good), "finished", None),
        ((constant, constant, constant, {"w_mean": 0.09, "ess": 0.995}), "vanished", 4),
    ):
        record = WeightRecord(history=[row(step, **kind) for step, kind in enumerate(kinds, 1)])
        assert (record.outcome, record.ended_at) == (outcome, ended_at)
    assert WeightRecord().outcome == "finished"
    assert kind(row(1, w_mean=0.11, ess=0.985)) == "finished"


# --- when it stops


def told(emd: torch.Tensor, w_mean: float = 1.0) -> list[dict[str, float]]:
    return [row(20 * (place + 1), w_mean, emd=value) for place, value in enumerate(emd.tolist())]


def test_the_stopping_rule_wants_two_equal_windows_and_a_mean_of_one():
    chosen = settings(patience=400, history_every=20)  # 20 rows a window
    noise = 0.05 * torch.randn(60, generator=torch.Generator().manual_seed(0))
    assert converged(chosen, told(noise))
    assert not converged(chosen, told(noise[:39]))
    assert converged(chosen, told(noise[:40]))
    assert not converged(settings(patience=0, history_every=20), told(noise))
    assert not converged(chosen, told(noise, w_mean=0.85))
    assert not converged(chosen, told(noise, w_mean=1.15))
    assert converged(chosen, told(noise, w_mean=0.95))
    for slope in (-0.01, 0.01):  # 0.2 between the windows, whose difference has a standard error of about 0.02
        assert not converged(chosen, told(noise + slope * torch.arange(60)))
    fallen = torch.cat((torch.linspace(1, 0, 20), torch.zeros(40)))
    assert converged(chosen, told(noise + fallen))  # what was before the two windows is forgotten


def test_a_run_that_converged_stops_early_and_one_without_patience_does_not():
    state, record, _ = ran(settings(steps=400, patience=40, learning_rate=1e-3), generate=one_image)
    assert record.stopped_early
    assert 80 <= state.step < 400
    assert record.outcome == "finished"
    assert ran(settings(steps=state.step + 10), generate=one_image)[0].step == state.step + 10
