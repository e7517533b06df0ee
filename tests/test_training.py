"""The adversarial loop: exact to the bit when repeated, resumed or killed; its parts against closed forms."""

from __future__ import annotations

import json
import math
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from divergan import jobs, store, training
from divergan.data import to_network
from divergan.networks import GENERATORS
from divergan.objectives import OBJECTIVES
from divergan.params import Training
from divergan.pipeline.files import HISTORY_COLUMNS, load_history
from divergan.plan import Step
from divergan.randomness import generator
from divergan.samplers import decode, latents
from divergan.training import DataOrder, Record, checkpoint_steps
from tiny_study import SMALL, divergan, environment, project
from tiny_training import Keeper, begun, digest, images, outcome, ran, settings, trained


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # what a recipe says too: sums in another order differ in their last bits
    yield
    torch.set_num_threads(before)


# --- repeated and resumed

KINDS = {
    "mlp": {},
    "batchnorm and average": {"generator": {"name": "mlp_batchnorm"}, "ema_decay": 0.9},
    "spectral norm and R1": {
        "regularisers": {"spectral_norm": {}, "r1": {"gamma": 0.5, "every": 3}},
        "objective": "pearson",
    },
    "all that draws random numbers": {
        "regularisers": {
            "dropout": {"rate": 0.3},
            "instance_noise": {"std": 0.5, "steps": 9},
            "gradient_penalty": {"weight": 1.0, "sides": "two"},
        },
        "objective": "relativistic_bce",
    },
    "kernel on features": {"objective": "mmd_rational_quadratic", "regularisers": {"consensus": {"gamma": 0.1}}},
    "labels": {
        "conditional": True,
        "ema_decay": 0.9,
        "regularisers": {"gradient_penalty": {"weight": 1.0, "sides": "two"}},
        "objective": "relativistic_bce",
    },
    "several critic steps": {"n_critic": 3, "objective": "kl", "generator_loss": "bound", "history_every": 7},
}


def test_the_same_run_twice_is_the_same_to_the_bit_and_leaves_the_global_generator_alone():
    chosen = settings(**KINDS["batchnorm and average"])
    state = torch.get_rng_state()
    first = outcome(*ran(chosen)[:2])
    torch.manual_seed(99)
    assert outcome(*ran(chosen)[:2]) == first
    assert outcome(*ran(chosen, seed=1)[:2]) != first
    torch.set_rng_state(state)
    begun(chosen)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_run_resumed_in_a_new_process_is_the_unbroken_one_to_the_bit(tmp_path):
    expected, asked = [], []
    for number, changes in enumerate(KINDS.values()):
        folder = tmp_path / str(number)
        players, record, keeper = ran(settings(**changes), seed=number, folder=folder)
        assert list(keeper.samples) == [0, 4, 8, 12]
        for step in (4, 8):
            expected.append(outcome(players, record))
            asked.append((changes, number, str(folder / f"{step}.safetensors")))
    command = [sys.executable, str(Path(__file__).parent / "tiny_training.py"), json.dumps(asked)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True, timeout=120)
    for line, wanted, (changes, _, state) in zip(done.stdout.splitlines(), expected, asked, strict=True):
        assert line == wanted, f"{changes} from {state}"


def test_a_run_resumed_at_its_start_notes_the_first_checkpoint_once(tmp_path):
    players, record, _ = ran(settings(), folder=tmp_path)
    again, recorded, _ = ran(settings(), state=tmp_path / "0.safetensors")
    assert outcome(again, recorded) == outcome(players, record)


def test_a_run_resumed_at_its_end_is_left_as_it_is(tmp_path):
    players, record, _ = ran(settings(), folder=tmp_path)
    again, recorded, keeper = ran(settings(), state=tmp_path / "12.safetensors")
    assert outcome(again, recorded) == outcome(players, record)
    assert (keeper.rows, keeper.samples) == ([], {})


@pytest.mark.parametrize("loss", ["alternative", "bound"])
def test_the_gan_divergence_is_binary_cross_entropy(loss):
    """log D and log(1 - D) of D = sigmoid(v) written in two ways: equal scores, equal gradients, equal weights."""
    weights = {
        name: digest(ran(settings(objective=name, generator_loss=loss))[0].generator) for name in ("bce", "gan", "kl")
    }
    assert weights["bce"] == weights["gan"] != weights["kl"]


# --- how a run ends


def first_bad_step(chosen: Training, seed: int = 0) -> int:
    """The first step with a loss or weight that is not finite, looked for at every step."""
    players, objective = begun(chosen, seed), OBJECTIVES[chosen.objective]
    order = DataOrder(len(images()), chosen.batch, seed, torch.device("cpu"))
    for step in range(1, chosen.steps + 1):
        real = to_network(images()[order.next(players)])
        losses = [training.critic_step(chosen, objective, players, real)[0]]
        losses.append(training.generator_step(chosen, objective, players, real))
        players.step += 1
        weights = [p for network in (players.generator, players.critic) for p in network.parameters()]
        if not all(value.isfinite().all() for value in (*losses, *weights)):
            return step
    raise AssertionError("it does not diverge")


LOSS_BLOWN = {"objective": "kl", "generator_loss": "bound", "learning_rate": 3.0, "steps": 60}
WEIGHTS_BLOWN = {"learning_rate": 1e13, "steps": 60}  # their losses are finite in the step that makes them infinite


@pytest.mark.parametrize(("blown", "every"), [(LOSS_BLOWN, 1), (LOSS_BLOWN, 5), (LOSS_BLOWN, 7), (WEIGHTS_BLOWN, 1)])
def test_a_diverging_run_is_recorded_with_its_exact_step(blown, every):
    chosen = settings(**blown, history_every=every)
    step = first_bad_step(chosen)
    assert step % every or every == 1
    _, record, keeper = ran(chosen)
    assert (record.outcome, record.diverged_at, record.ended_at) == ("diverged", step, step)
    assert max(keeper.samples) < step
    assert all(
        row["step"] < step and all(math.isfinite(row[k]) for k in ("critic_loss", "v_max")) for row in record.history
    )


def test_weights_that_are_not_finite_are_seen_at_the_next_row_or_in_the_next_loss():
    steps = {ran(settings(**WEIGHTS_BLOWN, history_every=every))[1].diverged_at for every in (1, 5, 7)}
    first = first_bad_step(settings(**WEIGHTS_BLOWN))
    assert steps <= {first, first + 1}


def test_a_generator_that_draws_one_picture_has_collapsed():
    chosen = settings(learning_rate=1e-30)
    players, record = begun(chosen), Record()
    with torch.no_grad():
        list(players.generator.parameters())[-2].zero_()
    training.train(chosen, OBJECTIVES["bce"], players, record, images(), 0, Keeper())
    assert (record.outcome, record.ended_at, record.diverged_at) == ("collapsed", 0, None)


@pytest.mark.parametrize(
    ("spreads", "outcome", "at"),
    [
        ([(0, 1.0), (4, 0.5), (8, 0.009), (12, 0.0)], "collapsed", 8),
        ([(0, 0.0), (4, 0.0), (8, 0.5), (12, 0.005)], "collapsed", 12),
        ([(0, 0.0), (4, 0.0), (8, 0.0), (12, 0.01)], "finished", None),
        ([], "finished", None),
    ],
)
def test_collapse_is_for_good(spreads, outcome, at):
    record = Record(spreads=spreads)
    assert (record.outcome, record.ended_at) == (outcome, at)
    record.diverged_at = 3
    assert (record.outcome, record.ended_at) == ("diverged", 3)


def test_spread_is_the_standard_deviation_over_images_in_grey_levels():
    values = torch.tensor([0, 4], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    assert training.spread(values) == pytest.approx(math.sqrt(8), rel=1e-6)  # one rounding in float32


# --- the parts, against closed forms


class Linear(torch.nn.Module):
    """v = <w, x>, whose gradient in x is w for every x."""

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.arange(16.0) / 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ self.w


def linear(chosen: Training) -> training.Players:
    """Players whose critic is linear and moves by plain gradient descent with rate 1."""
    players = begun(chosen)
    players.critic = Linear()
    players.critic_optimiser = torch.optim.SGD(players.critic.parameters(), lr=1.0)
    return players


@pytest.mark.parametrize(("step", "regularised"), [(0, True), (1, False), (3, False), (4, True)])
def test_the_critics_step_descends_its_loss_and_every_so_often_the_penalty(step, regularised):
    chosen = settings(objective="wasserstein", regularisers={"r1": {"gamma": 0.01, "every": 4}})
    players = linear(chosen)
    players.step = step
    before, latents = players.critic.w.detach().clone(), players.latents.get_state()
    real = to_network(images(8))
    loss, v_real, v_fake = training.critic_step(chosen, OBJECTIVES["wasserstein"], players, real.clone())
    with torch.no_grad():
        z = torch.randn(8, 3, generator=torch.Generator().set_state(latents))
        fake = players.generator(z)
    gradient = (fake.mean(0) - real.mean(0)).flatten() + (4 * 0.01 * before if regularised else 0.0)
    torch.testing.assert_close(players.critic.w.detach(), before - gradient, rtol=1e-5, atol=1e-6)  # order of sums
    assert float(loss) == pytest.approx(float(v_fake.mean() - v_real.mean()), abs=1e-6)
    torch.testing.assert_close(v_real, real.flatten(1) @ before)


def test_the_critics_step_leaves_the_generator_alone_and_the_other_way_round():
    chosen = settings()
    players = begun(chosen)
    g, d = digest(players.generator), digest(players.critic)
    training.critic_step(chosen, OBJECTIVES["bce"], players, to_network(images(8)))
    assert digest(players.generator) == g
    assert digest(players.critic) != d
    assert all(p.grad is None for p in players.generator.parameters())

    d, players.critic_optimiser = digest(players.critic), None
    for p in players.critic.parameters():
        p.grad = None
    training.generator_step(chosen, OBJECTIVES["bce"], players, to_network(images(8)))
    assert digest(players.critic) == d
    assert digest(players.generator) != g
    assert all(p.grad is None and p.requires_grad for p in players.critic.parameters())


def test_moving_average_against_its_closed_form():
    chosen = settings(ema_decay=0.8, generator={"name": "mlp_batchnorm"})
    players = begun(chosen)
    assert digest(players.average) == digest(players.generator)
    past = []
    for step in range(5):
        with torch.no_grad():
            for value in players.generator.state_dict().values():
                value.copy_(torch.full_like(value, step + 1))
        training.update_average(chosen, players)
        past.append(step + 1.0)
    start = begun(chosen).generator.state_dict()
    for name, value in players.average.state_dict().items():
        if name.endswith("num_batches_tracked"):
            assert value == 5
            continue
        weighted = sum(0.2 * 0.8 ** (4 - t) * g for t, g in enumerate(past))
        torch.testing.assert_close(
            value, 0.8**5 * start[name] + weighted, rtol=1e-5, atol=1e-5
        )  # five float32 roundings


def test_without_an_average_the_generator_stands_for_it():
    players = begun(settings())
    assert players.average is players.generator
    with_average = begun(settings(ema_decay=0.5))
    assert with_average.average is not with_average.generator


def drawn(order: DataOrder, players: training.Players, batches: int) -> list[int]:
    return [int(i) for _ in range(batches) for i in order.next(players)]


@pytest.mark.parametrize(("count", "batch"), [(10, 4), (10, 5), (3, 7), (10, 10)])
def test_every_image_is_seen_once_an_epoch_and_batches_run_across_the_seam(count, batch):
    players = begun(settings())
    seen = drawn(DataOrder(count, batch, 0, torch.device("cpu")), players, 2 * count)
    epochs = [seen[at : at + count] for at in range(0, len(seen), count)]
    assert len(epochs) == 2 * batch
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    assert players.drawn == 2 * count * batch
    if count == 10:
        assert all(a != b for a, b in pairwise(epochs)), "the order is another in every epoch"


def test_the_order_belongs_to_seed_and_epoch_and_goes_on_from_any_place():
    def order(seed: int) -> DataOrder:
        return DataOrder(10, 4, seed, torch.device("cpu"))

    players, later = begun(settings()), begun(settings())
    whole = drawn(order(0), players, 10)
    later.drawn = 12
    assert drawn(order(0), later, 7) == whole[12:]
    assert drawn(order(1), begun(settings()), 10) != whole


def test_the_critic_sees_n_fresh_batches_a_step():
    chosen = settings(n_critic=3)
    players, _, _ = ran(chosen)
    assert players.drawn == 12 * 3 * 8


def test_checkpoints_are_evenly_spaced_and_the_last_is_the_end():
    assert checkpoint_steps(settings()) == {4, 8, 12}
    assert checkpoint_steps(settings(steps=10)) == {3, 7, 10}
    assert all(
        len(checkpoint_steps(settings(steps=s, checkpoints=c))) == c for s in range(1, 30) for c in range(1, s + 1)
    )


def test_checkpoint_samples_are_the_averages_on_the_same_latents():
    chosen = settings(ema_decay=0.5)
    players, _, keeper = ran(chosen)
    rng = generator(0, "checkpoint samples")
    assert torch.equal(keeper.samples[12], decode(players.average, latents(6, 3, rng)))
    frozen = ran(settings(learning_rate=1e-30))[2].samples
    assert torch.equal(frozen[0], frozen[12])


# --- the history


def test_a_row_of_the_history_by_hand():
    v_real, v_fake = torch.tensor([1.0, -1.0, 2.0]), torch.tensor([-1.0, -2.0, 3.0, 0.0])
    losses = torch.tensor([[1.0, 10.0], [2.0, 30.0]])
    row = training.history_row(OBJECTIVES["bce"], 7, losses, v_real, v_fake)
    assert row["accuracy"] == pytest.approx(5 / 7)  # 1 and 2 are real, -1, -2 and 0 are not
    assert (row["step"], row["critic_loss"], row["generator_loss"]) == (7, 1.5, 20.0)
    assert (row["v_min"], row["v_max"]) == (-2.0, 3.0)
    assert (row["v_real_mean"], row["v_fake_mean"]) == pytest.approx((2 / 3, 0.0))
    softplus = [math.log1p(math.exp(v)) for v in (-1.0, 1.0, -2.0, -1.0, -2.0, 3.0, 0.0)]
    expected = 2 * math.log(2) - sum(softplus[:3]) / 3 - sum(softplus[3:]) / 4
    assert row["bound"] == pytest.approx(expected, abs=1e-6)  # float32
    assert tuple(row) == HISTORY_COLUMNS
    assert math.isnan(training.history_row(OBJECTIVES["wasserstein"], 7, losses, v_real, v_fake)["accuracy"])


def test_accuracy_of_a_divergence_counts_from_log_ratio_zero():
    """KL's T = f'(u) = 1 + log u: a score of 1 stands for u = 1, 0.9 for less."""
    losses = torch.zeros(1, 2)
    row = training.history_row(OBJECTIVES["kl"], 1, losses, torch.tensor([1.1, 0.9]), torch.tensor([0.9, 0.5]))
    assert row["accuracy"] == 0.75


def test_rows_come_every_so_often_and_at_checkpoints_with_the_mean_since_the_last():
    each, some = ran(settings(history_every=1))[2].rows, ran(settings())[2].rows
    assert [row["step"] for row in each] == list(range(1, 13))
    assert [row["step"] for row in some] == [4, 5, 8, 10, 12]
    for before, row in pairwise([{"step": 0}, *some]):
        losses = [r["critic_loss"] for r in each if before["step"] < r["step"] <= row["step"]]
        assert row["critic_loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-6)
        assert row["v_max"] == each[row["step"] - 1]["v_max"], "of the last batch"


# --- through files: what the verb `train` leaves


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DIVERGAN_TRACKING", "off")
    return tmp_path / "project"


def redrawn(folder: Path, step: Step) -> torch.Tensor:
    """The checkpoint samples again, from the weights that the run left."""
    from safetensors.torch import load_file

    chosen = Training.model_validate(step.settings["training"])
    network = GENERATORS[chosen.generator.name].build(chosen.latent, chosen.generator.hidden, (1, 28, 28))
    network.load_state_dict(load_file(folder / "generator.safetensors"))
    rng = generator(step.settings["seed"], "checkpoint samples")
    return decode(network, latents(chosen.checkpoint_samples, chosen.latent, rng))


def samples_at(folder: Path, step: int) -> torch.Tensor:
    from safetensors.torch import load_file

    return load_file(folder / "checkpoints" / f"step-{step:08d}.safetensors")["images"]


def test_a_finished_run_leaves_its_last_weights_and_nothing_to_resume(root):
    folder, step = trained(root, "bce.stabilised-s1")
    run = store.read_json(folder / "run.json")
    assert (run["outcome"], run["at_step"], run["images_seen"]) == ("finished", None, 60 * 32)
    assert torch.equal(redrawn(folder, step), samples_at(folder, 60))
    names = {p.name for p in folder.iterdir()}
    assert names == {
        *("run.json", "recipe.json", "timing.json", "timing.csv", "history.parquet"),
        *("generator.safetensors", "critic.safetensors", "players.safetensors", "checkpoints"),
    }
    assert len(list((folder / "checkpoints").glob("*.png"))) == 4


def test_a_diverged_run_is_a_result_with_its_step_and_the_weights_of_its_last_checkpoint(root):
    blown = ("{objective: bce}", "{objective: bce, learning_rate: 1e13}")
    folder, step = trained(root, "bce.stabilised-s0", blown)
    run = store.read_json(folder / "run.json")
    assert run["outcome"] == "diverged"
    last = max(int(p.stem.removeprefix("step-")) for p in (folder / "checkpoints").glob("*.safetensors"))
    assert last < run["at_step"] <= 60
    assert torch.equal(redrawn(folder, step), samples_at(folder, last))
    assert load_history(folder) == [], "it diverged before its first row"
    assert jobs.outcome(folder) == f"diverged at step {run['at_step']}"


LONG = (
    ("steps: 60 ", "steps: 900 "),
    ("checkpoints: 3\n", "checkpoints: 9\n"),
    ("seeds: [0, 1]", "seeds: [0]"),
    ("ema_decay: 0.9", "ema_decay: 0.99"),
)


@pytest.mark.xdist_group("kill")
def test_a_killed_training_goes_on_and_ends_with_the_same_files(root, tmp_path):
    """SIGKILL in the third checkpoint; the same command, run again, leaves what an undisturbed run does."""
    key = "kl.stabilised-s0"
    undisturbed, _ = trained(root, key, *LONG)
    killed = project(tmp_path / "killed", *SMALL, *LONG)
    shutil.copytree(root / "results/smoke/data", killed / "results/smoke/data")

    command = [sys.executable, "-c", "from divergan.cli import main; main()", "train", key]
    process = subprocess.Popen(
        command, cwd=killed, env=environment(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    begun_checkpoint = "results/.partial/*/checkpoints/step-{:08d}.safetensors"
    wait_for(lambda: any(killed.glob(begun_checkpoint.format(200))))
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was done before it was killed"
    assert not list(killed.glob("results/smoke/runs/*"))
    (first,) = killed.glob(begun_checkpoint.format(0))
    before = first.stat().st_ino

    done = divergan(killed, "train", key)
    assert done.returncode == 0, done.stderr
    (folder,) = killed.glob("results/smoke/runs/kl*")
    assert not store.damage(folder)
    assert (folder / "checkpoints" / first.name).stat().st_ino == before, "it started afresh"
    files = [store.read_json(made / "run.json")["files"] for made in (undisturbed, folder)]
    assert files[0]["generator.safetensors"] == files[1]["generator.safetensors"]
    assert files[0] == files[1]


def wait_for(condition, seconds: float = 100) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.005)
