"""What holds for every sampler: seeds decide, latents are paired, costs are exact, nothing hangs."""

from __future__ import annotations

import hashlib
import math

import pytest
import torch

from divergan.samplers import BLOCK, NEEDS, SAMPLERS, Cost, Drawn, Model, Stuck, latents
from divergan.samplers.prior import truncated
from sampler_toys import SETTINGS, draw, identity, network, random, settings

COUNT = 600  # more than a block
ON_RATIO = ("sir_ratio", "drs", "obrs", "mh", "ddls")
ON_WEIGHTS = ("latent_rs", "random_rejection", "latent_rs_ga", "sir")
REJECTION = ("latent_rs", "random_rejection", "drs", "obrs")


def digest(drawn: Drawn) -> str:
    return hashlib.sha256(drawn.images.numpy().tobytes() + drawn.latents.numpy().tobytes()).hexdigest()


class Watched:
    """The rows that go forward and backward through a network."""

    def __init__(self, inner):
        self.inner, self.rows, self.inputs, self.backward = inner, 0, [], 0

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        self.rows += len(values)
        self.inputs.append(values.detach())
        answer = self.inner(values)
        if answer.requires_grad:
            answer.register_hook(lambda gradient: self.returned(len(gradient)))
        return answer

    def returned(self, rows: int) -> None:
        self.backward += rows


def watched() -> tuple[Model, dict[str, Watched]]:
    model = network()
    critic = Watched(model.log_ratio)
    seen = {"generator": Watched(model.generator), "critic": critic, "weight": Watched(model.weight)}
    model.generator, model.log_ratio, model.score = seen["generator"], critic, critic
    model.weight = seen["weight"]
    return model, seen


def test_the_toys_name_every_sampler():
    assert list(SETTINGS) == list(SAMPLERS)
    assert all(name == sampler.name for name, sampler in SAMPLERS.items())
    assert all(sampler.needs <= NEEDS for sampler in SAMPLERS.values())


@pytest.mark.parametrize("name", SAMPLERS)
def test_settings_have_no_defaults_and_say_weights_where_they_are_needed(name):
    fields = SAMPLERS[name].settings.model_fields
    assert all(field.is_required() for field in fields.values())
    assert ("weights" in fields) == bool(SAMPLERS[name].needs & {"weights", "trained_on"})


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_seed_gives_the_same_images_whatever_was_drawn_before(name):
    first, again = network(), network()
    expected = digest(draw(name, first, COUNT, 1))
    draw("obrs", again, 50, 1)
    assert digest(draw(name, again, COUNT, 1)) == expected
    assert digest(draw(name, first, COUNT, 2)) != expected


@pytest.mark.parametrize("name", SAMPLERS)
def test_images_are_uint8_and_what_the_generator_makes_of_the_latents(name):
    model = network()
    drawn = draw(name, model, COUNT, 1)
    assert drawn.images.shape == (COUNT, 1, 6, 6) and drawn.images.dtype == torch.uint8
    assert drawn.latents.shape == (COUNT, 8)
    with torch.no_grad():
        grey = (model.generator(drawn.latents) + 1) * 127.5
    assert (drawn.images - grey).abs().max() < 0.5 + 1e-3  # half a grey level, and float32's rounding of another batch


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_first_proposals_are_those_of_prior_sampling(name):
    model, seen = watched()
    drawn = draw(name, model, COUNT, 1)
    stream = latents(COUNT, 8, random(1).latents)
    if name == "truncation":
        return torch.testing.assert_close(drawn.latents, truncated(stream, 1.0))
    looked_at = torch.cat(seen["generator"].inputs + seen["weight"].inputs)
    assert {tuple(z) for z in stream.tolist()} <= {tuple(z) for z in looked_at.tolist()}


@pytest.mark.parametrize("name", SAMPLERS)
def test_nothing_but_blocks_of_proposals_is_taken_from_the_stream(name):
    rng, used = random(1).latents, random(1)
    SAMPLERS[name].draw(network(), COUNT, settings(name), used)
    for _ in range(100):
        torch.randn(BLOCK, 8, generator=rng)
        if torch.equal(rng.get_state(), used.latents.get_state()):
            return
    pytest.fail("the stream stands between two blocks")


@pytest.mark.parametrize("name", REJECTION)
def test_rejection_tells_the_place_of_every_image_in_the_stream(name):
    drawn = draw(name, network(), COUNT, 1)
    stream = latents(int(drawn.proposals.max()) + 1, 8, random(1).latents)
    assert torch.equal(stream[drawn.proposals], drawn.latents)
    assert (drawn.proposals.diff() > 0).all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_costs_are_the_rows_that_went_through_the_networks(name):
    model, seen = watched()
    draw(name, model, COUNT, 1)
    assert model.cost.generator_evaluations == seen["generator"].rows
    assert model.cost.critic_evaluations == seen["critic"].rows
    assert model.cost.weight_evaluations == seen["weight"].rows
    through = seen["weight"] if name == "latent_rs_ga" else seen["generator"]
    assert model.cost.gradient_steps == through.backward
    assert (through.backward > 0) == (name in ("latent_rs_ga", "ddls", "dot"))


@pytest.mark.parametrize("name", ["drs", "obrs"])
def test_the_pilot_is_computed_once_and_charged_to_every_sampler(name):
    model, seen = watched()
    draw(name, model, COUNT, 1)
    first, rows = model.cost, seen["generator"].rows
    assert first.draws == first.generator_evaluations == first.critic_evaluations == rows
    assert first.pilot == model.pilot and model.pilot_seconds > 0
    model.cost = Cost()
    draw(name, model, COUNT, 1)
    assert model.cost == first
    assert seen["generator"].rows == 2 * rows - model.pilot


def test_the_pilot_belongs_to_the_seed_of_the_choices():
    model = network()
    first, other, again = (model.pilot_log_ratios(random(seed)) for seed in (1, 2, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_graph_is_kept_only_where_the_input_asks_for_it():
    model, z = network(), torch.zeros(5, 8)
    assert not model.images(z).requires_grad and not model.w(z).requires_grad
    images = model.images(z.requires_grad_())
    assert images.requires_grad and model.r(images).requires_grad and model.v(images).requires_grad


@pytest.mark.parametrize(
    ("name", "draws"),
    [("prior", 600), ("truncation", 600), ("trained_on", 600), ("sir", 1800), ("sir_ratio", 1800), ("dot", 600 + 200)],
)
def test_draws_of_the_samplers_that_know_them_beforehand(name, draws):
    model = network()
    draw(name, model, COUNT, 1)
    assert model.cost.draws == draws


@pytest.mark.parametrize("name", ON_RATIO)
@pytest.mark.parametrize("value", [-math.inf, math.nan])
def test_a_ratio_that_is_never_above_0_ends_in_an_error_after_the_stated_draws(name, value):
    model = identity(
        log_ratio=lambda x: x.sum(dim=1) * 0 + value, real_log_ratios=torch.zeros(5), pilot=1000, most_draws=2000
    )
    with pytest.raises(Stuck, match=r"accepted 0 of .*mean acceptance probability of 0:.*most_draws"):
        draw(name, model, 3, 1)
    assert model.cost.acceptance == 0
    assert model.cost.draws <= 2048 if name != "mh" else model.cost.draws <= 3 * 2000


@pytest.mark.parametrize("name", ON_WEIGHTS)
def test_weights_that_are_0_end_in_an_error_after_the_stated_draws(name):
    model = identity(weight=lambda z: z.sum(dim=1) * 0, most_draws=2000)
    with pytest.raises(Stuck, match="accepted 0 of"):
        draw(name, model, 3, 1)
    assert model.cost.draws <= 2048 and model.cost.acceptance == 0


def test_a_second_image_that_never_comes_ends_in_an_error_too():
    (only,) = latents(1, 2, random(1).latents)
    model = identity(weight=lambda z: 3.0 * (z == only).all(dim=1), most_draws=2000)
    with pytest.raises(Stuck, match=r"LatentRS accepted 1 of 4096 draws, at a mean acceptance probability of 0\.00024"):
        draw("latent_rs", model, 50, 1)
    assert model.cost.draws == 4096  # the end of the block with the 2 * 2000th


@pytest.mark.parametrize("name", ON_RATIO)
def test_where_the_ratio_is_0_nothing_is_drawn(name):
    def left_half(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x[:, 0] < 0, -2 * x[:, 0], -torch.inf)

    model = identity(log_ratio=left_half, real_log_ratios=torch.zeros(5), pilot=1000)
    assert (draw(name, model, 600, 1, **({"step_size": 0.5} if name == "ddls" else {})).images[:, 0] < 0).all()


@pytest.mark.parametrize(
    ("name", "changed", "text"),
    [
        ("obrs", {}, "OBRS, acceptance 1/3"),
        ("obrs", {"acceptance": 0.37}, "OBRS, acceptance 0.37"),
        ("mh", {"chain": 64}, "MH-GAN, chain 64"),
        ("drs", {"percentile": 95, "acceptance": None}, "DRS, percentile 95"),
        ("truncation", {"threshold": 1.5}, "Truncation, |z| ≤ 1.5"),
    ],
)
def test_a_sampler_is_described_with_its_settings(name, changed, text):
    assert SAMPLERS[name].described(settings(name, **changed)) == text


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_description_begins_with_the_label(name):
    assert SAMPLERS[name].described(settings(name)).startswith(SAMPLERS[name].label)


@pytest.mark.parametrize("changed", [{"percentile": 95.0}, {"percentile": None, "acceptance": None}])
def test_drs_takes_either_a_percentile_or_an_acceptance(changed):
    with pytest.raises(ValueError, match="either percentile or acceptance"):
        settings("drs", **changed)
