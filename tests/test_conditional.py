"""Conditional GANs: the labels that go in are those that are scored; the metrics notice where they are not obeyed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch

from divergan import training
from divergan.data import to_network
from divergan.metrics.labels import classification_accuracy_score
from divergan.networks import CRITICS, GENERATORS
from divergan.networks.conditioning import conditioned, labels_in_turn, one_hot, scores_of
from divergan.objectives import OBJECTIVES
from divergan.params import Training
from divergan.randomness import generator
from divergan.regularisers import REGULARISERS
from divergan.samplers import decode, latents
from divergan.training import DataOrder, Record, train
from tiny_training import CLASSES, Keeper, begun, images, ran, settings

LABELS = torch.tensor([2, 0, 1, 1, 2, 0, 0, 2])
CONDITIONAL = {"conditional": True, "objective": "wasserstein"}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# --- labels, by hand


def test_the_generator_gets_its_label_beside_the_latent_and_the_score_is_the_labels_output():
    z, answers = torch.tensor([[0.5, -1.0], [2.0, 3.0]]), torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    labels = one_hot(torch.tensor([2, 0], dtype=torch.uint8), 3)
    assert conditioned(z, labels).tolist() == [[0.5, -1.0, 0.0, 0.0, 1.0], [2.0, 3.0, 1.0, 0.0, 0.0]]
    assert scores_of(answers, labels).tolist() == [3.0, 4.0]
    assert conditioned(z, None) is z and scores_of(answers, None) is answers


def test_labels_in_turn_are_balanced_from_every_beginning():
    assert labels_in_turn(7, 3).tolist() == [0, 1, 2, 0, 1, 2, 0]
    for count in range(1, 30):
        found = torch.bincount(labels_in_turn(count, 4), minlength=4)
        assert found.max() - found.min() <= 1


@pytest.mark.parametrize("name", ["mlp", "mlp_batchnorm", "linear_batchnorm", "dcgan"])
def test_any_generator_takes_labels_and_any_critic_gives_a_score_a_class(name):
    """Conditioning asks of an architecture only what every one has: a number of inputs, a number of outputs."""
    critic = {"dcgan": "dcgan", "linear_batchnorm": "maxout"}.get(name, "mlp")
    chosen = settings(**CONDITIONAL, generator={"name": name}, critic={"name": critic})
    players = begun(chosen)
    drawn = players.generator(conditioned(torch.zeros(8, chosen.latent), one_hot(LABELS, CLASSES)))
    assert drawn.shape == (8, 1, 4, 4) and players.critic(drawn).shape == (8, CLASSES)


# --- the steps, against closed forms


class Linear(torch.nn.Module):
    """D(x) = W x, (N, CLASSES), whose gradient in x of output k is the row W[k]; it keeps the images that it saw."""

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.randn(CLASSES, 16, generator=torch.Generator().manual_seed(3)))
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x.detach())
        return x.flatten(1) @ self.w.T


class Recorder(torch.nn.Module):
    """A generator that keeps what it is given; image i is of one grey, bias plus a tenth of its label's number."""

    def __init__(self):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.tensor(0.25))
        self.given: list[torch.Tensor] = []

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        self.given.append(z)
        grey = self.bias + z[:, -CLASSES:] @ (torch.arange(float(CLASSES)) / 10)
        return grey.view(-1, 1, 1, 1).expand(-1, 1, 4, 4)


def toy(**changes) -> tuple[Training, training.Players]:
    """Players of which all is known, moving by plain gradient descent with rate 1."""
    chosen = settings(**CONDITIONAL | changes)
    players = begun(chosen)
    players.critic = Linear()
    players.generator = players.average = Recorder()
    players.critic_optimiser = torch.optim.SGD(players.critic.parameters(), lr=1.0)
    players.generator_optimiser = torch.optim.SGD(players.generator.parameters(), lr=1.0)
    return chosen, players


def grey(labels: torch.Tensor, bias: float = 0.25) -> torch.Tensor:
    return (bias + labels / 10).view(-1, 1).expand(-1, 16)


def test_the_critics_step_scores_real_and_generated_images_by_their_own_labels():
    chosen, players = toy()
    w, real = players.critic.w.detach().clone(), to_network(images(8))
    loss, v_real, v_fake = training.critic_step(
        chosen, OBJECTIVES["wasserstein"], players, real.clone(), one_hot(LABELS, CLASSES)
    )
    assert players.generator.given[0][:, -CLASSES:].argmax(1).tolist() == LABELS.tolist()
    torch.testing.assert_close(v_real, (real.flatten(1) * w[LABELS]).sum(1))
    torch.testing.assert_close(v_fake, (grey(LABELS) * w[LABELS]).sum(1))
    assert float(loss) == pytest.approx(float(v_fake.mean() - v_real.mean()), abs=1e-6)
    for k in range(CLASSES):  # the gradient of output k comes from images of the class k alone
        own = k == LABELS
        expected = w[k] - (grey(LABELS[own]).sum(0) - real[own].flatten(1).sum(0)) / 8
        torch.testing.assert_close(players.critic.w.detach()[k], expected, rtol=1e-5, atol=1e-6)  # order of sums


def test_the_generators_step_goes_up_the_score_of_the_label_that_it_was_given():
    chosen, players = toy()
    w = players.critic.w.detach().clone()
    loss = training.generator_step(
        chosen, OBJECTIVES["wasserstein"], players, to_network(images(8)), one_hot(LABELS, CLASSES)
    )
    assert players.generator.given[0][:, -CLASSES:].argmax(1).tolist() == LABELS.tolist()
    assert float(loss) == pytest.approx(-float((grey(LABELS) * w[LABELS]).sum(1).mean()), rel=1e-5)
    slope = w[LABELS].sum(1).mean()  # of the mean score by the bias
    assert float(players.generator.bias.detach()) == pytest.approx(0.25 + float(slope), rel=1e-5)


def test_relativistic_pairs_are_of_one_class():
    """With v a function of the label alone, both images of a pair have the same score: the loss is log 2 exactly."""
    chosen, players = toy(objective="relativistic_bce")
    of_label = torch.tensor([0.0, 7.0, -9.0])
    players.critic.forward = lambda x: 0 * (x.sum() + players.critic.w.sum()) + of_label.expand(len(x), 3)
    real, labels = to_network(images(8)), one_hot(LABELS, CLASSES)
    paired = OBJECTIVES["relativistic_bce"]
    equal = float(paired.critic_loss(torch.zeros(8), torch.zeros(8)))
    assert float(training.critic_step(chosen, paired, players, real, labels)[0]) == pytest.approx(equal, rel=1e-6)
    assert float(training.generator_step(chosen, paired, players, real, labels)) == pytest.approx(
        float(paired.alternative_loss(torch.zeros(8), torch.zeros(8))), rel=1e-6
    )


@pytest.mark.parametrize("name", ["gradient_penalty", "r1", "r2"])
def test_penalties_are_on_the_slope_of_the_labels_score(name):
    chosen, players = toy()
    norms = players.critic.w.detach().norm(dim=1)[LABELS]
    real, labels = to_network(images(8)).requires_grad_(), one_hot(LABELS, CLASSES)
    fake = players.generator(conditioned(torch.zeros(8, 3), labels)).detach().requires_grad_()
    v = tuple(scores_of(players.critic(x), labels) for x in (real, fake))
    batch = training.batch_of(chosen, OBJECTIVES["wasserstein"], players, (real, fake), v, labels)
    own = {"gradient_penalty": {"weight": 1.0, "sides": "two"}}.get(name, {"gamma": 2.0, "every": 1})
    penalty = REGULARISERS[name].critic_penalty(batch, REGULARISERS[name].settings.model_validate(own))
    expected = (norms - 1).square().mean() if name == "gradient_penalty" else norms.square().mean()
    assert float(penalty.detach()) == pytest.approx(float(expected), rel=1e-5)


def test_every_real_image_is_scored_with_its_own_label():
    """Images whose grey is their label's: a critic that gives 0 for the right grey alone gives 0 throughout."""
    labels = torch.randint(0, CLASSES, (30,), generator=torch.Generator().manual_seed(5))
    coded = (100 * labels).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4).contiguous()
    chosen, players = toy(n_critic=2)
    codes = to_network(100 * torch.arange(CLASSES))
    players.critic.forward = lambda x: (x[:, 0, 0, :1] - codes).abs() + 0 * players.critic.w.sum()
    order = DataOrder(30, chosen.batch, 0, torch.device("cpu"))
    objective, known = OBJECTIVES["wasserstein"], one_hot(labels, CLASSES)
    for _ in range(5):
        _, _, v_real, _ = training.training_step(chosen, objective, players, coded, order, known)
        assert torch.equal(v_real, torch.zeros(8))
    permuted = known[torch.randperm(30, generator=torch.Generator().manual_seed(6))]
    _, _, v_real, _ = training.training_step(chosen, objective, players, coded, order, permuted)
    assert v_real.max() > 0.5, "and this is what wrong labels would show"


def test_checkpoint_samples_have_their_labels_in_turn():
    chosen = settings(conditional=True, ema_decay=0.5)
    players, _, keeper = ran(chosen)
    z = latents(6, 3, generator(0, "checkpoint samples"))
    expected = decode(players.average, conditioned(z, one_hot(torch.tensor([0, 1, 2, 0, 1, 2]), CLASSES)))
    assert torch.equal(keeper.samples[12], expected)


# --- learning: what is asked for is what is drawn


@dataclass
class Halves:
    """8x8 images of two or four classes: a bright half or quarter on noise."""

    count: int
    classes: int = 2
    seed: int = 0
    labels: torch.Tensor = field(init=False)
    images: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        owner = torch.Generator().manual_seed(self.seed)
        self.labels = torch.randint(0, self.classes, (self.count,), generator=owner)
        noise = torch.randint(0, 100, (self.count, 1, 8, 8), generator=owner)
        bright = one_hot(self.labels, self.classes).repeat_interleave(64 // self.classes, dim=1).view(-1, 1, 8, 8)
        self.images = (noise + 130 * bright).to(torch.uint8)


def obeyed(known: Callable[[Halves], torch.Tensor]) -> float:
    """The share of generated images whose brighter half is that of their label, after training on labels `known`."""
    chosen = settings(
        objective="bce", conditional=True, generator={"hidden": [32]}, critic={"hidden": [32]}, batch=32, steps=250,
        learning_rate=5e-3, checkpoints=1, regularisers={"r1": {"gamma": 0.1, "every": 4}},
    )  # fmt: skip
    data = Halves(200)
    networks = GENERATORS["mlp"], CRITICS["mlp"]
    players = training.start(chosen, OBJECTIVES["bce"], networks, (1, 8, 8), 0, "cpu", 2)
    train(chosen, OBJECTIVES["bce"], players, Record(), data.images, 0, Keeper(), one_hot(known(data), 2))
    labels = labels_in_turn(200, 2)
    drawn = decode(players.average, conditioned(latents(200, chosen.latent, generator(1, "test")), one_hot(labels, 2)))
    halves = drawn.float().view(200, 2, 32).mean(2)
    return float((halves.argmax(1) == labels).float().mean())


def test_a_conditional_gan_draws_the_class_that_it_is_asked_for():
    assert obeyed(lambda data: data.labels) > 0.95


def test_with_labels_that_say_nothing_it_draws_what_it_likes():
    """Else the test above would pass without the labels being looked at."""
    owner = torch.Generator().manual_seed(7)
    assert abs(obeyed(lambda data: data.labels[torch.randperm(200, generator=owner)]) - 0.5) < 0.25


# --- the classification accuracy score


def score(data: Halves, labels: torch.Tensor, real_labels: torch.Tensor | None = None) -> float:
    real = Halves(400, classes=4, seed=1)
    return classification_accuracy_score(
        data.images, labels, real.images, real.labels if real_labels is None else real_labels
    )


def test_cas_of_images_like_the_real_ones_is_one_and_of_shuffled_labels_chance():
    data = Halves(200, classes=4)
    assert score(data, data.labels) > 0.98
    shuffled = data.labels[torch.randperm(200, generator=torch.Generator().manual_seed(8))]
    # 400 answers of a classifier that learned nothing but the four images a class have in common: chance 1/4, and
    # its answers hang together within a class, so the deviation is that of few coins, not of 400
    assert abs(score(data, shuffled) - 0.25) < 0.2
    assert score(data, (data.labels + 1) % 4) < 0.02, "every image is of the class before its label"


def test_cas_is_the_same_twice():
    data = Halves(60, classes=4)
    first = score(data, data.labels)
    torch.manual_seed(99)
    assert score(data, data.labels) == first


def test_cas_misses_a_class_that_is_never_made():
    data = Halves(300, classes=4)
    made = data.labels != 3
    data.images, data.labels = data.images[made], data.labels[made]
    real = Halves(400, classes=4, seed=1)
    share = float((real.labels != 3).float().mean())
    assert score(data, data.labels) == pytest.approx(share, abs=0.02)
    assert math.isclose(share, 0.75, abs_tol=0.1)
