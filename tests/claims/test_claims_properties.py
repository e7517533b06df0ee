"""Statements about divergences: true of the declarations, and false of each declaration with a fault planted in it."""

from __future__ import annotations

from dataclasses import replace
from math import log

import pytest

from divergan.claims.properties import PROPERTIES
from divergan.objectives import OBJECTIVES
from divergan.samplers import SAMPLERS, Model

KL, PEARSON, GAN, JS = (OBJECTIVES[name] for name in ("kl", "pearson", "gan", "jensen_shannon"))
HELLINGER, BCE = OBJECTIVES["squared_hellinger"], OBJECTIVES["bce"]


def faults(name: str, *objectives: object) -> list[str]:
    return list(PROPERTIES[name].faults(objectives))  # type: ignore[arg-type]


PLANTED = {
    "f shifted": ("non_negative", replace(KL, f=lambda u: u * u.log() + 0.1)),
    "f flat around 1": ("non_negative", replace(KL, f=lambda u: (u - 1).abs().sub(0.1).clamp(min=0))),
    "f negative": ("non_negative", replace(KL, f=lambda u: -((u - 1) ** 2))),
    "f flat up to 1.5": ("zero_only_in_the_limit", replace(KL, f=lambda u: (u - 1).abs().sub(0.5).clamp(min=0))),
    "conjugate without its shift": ("conjugate", replace(KL, conjugate=lambda t: t.exp())),
    "conjugate below the supremum": ("lower_bound", replace(KL, conjugate=lambda t: (t - 1).exp() - 0.01)),
    "conjugate above the supremum": ("lower_bound", replace(KL, conjugate=lambda t: (t - 1).exp() + 0.01)),
    "conjugate too low where no optimum is": (
        "lower_bound",
        replace(PEARSON, conjugate=lambda t: PEARSON.conjugate(t) - 0.5 * (t < -2)),
    ),
    "activation out of its domain": ("activation", replace(GAN, activation=lambda v: v)),
    "activation that falls": ("activation", replace(KL, activation=lambda v: -v)),
    "activation that misses optima": ("activation", replace(KL, activation=lambda v: v.tanh())),
    "another f'(1)": ("slope_at_one", replace(KL, f=lambda u: u * u.log() - (u - 1))),
    "threshold moved": ("threshold", replace(KL, activation=lambda v: v + 0.1)),
    "real and generated swapped": ("threshold", replace(JS, log_ratio=lambda v: -v)),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_breaks_its_statement(name):
    statement, wrong = PLANTED[name]
    assert faults(statement, OBJECTIVES[wrong.name]) == []
    assert faults(statement, wrong)


@pytest.mark.parametrize("network", ["generator", "critic"])
def test_a_sampler_that_changes_a_weight_takes_part_in_training(network):
    drs = SAMPLERS["drs"]
    assert faults("takes_part_in_training", drs) and faults("takes_part_in_training", SAMPLERS["latent_rs"])

    def learning(model: Model, *arguments):
        weights = model.generator if network == "generator" else model.log_ratio.__closure__[0].cell_contents
        next(weights.parameters()).data.add_(1e-3)
        return drs.draw(model, *arguments)

    assert faults("takes_part_in_training", replace(drs, draw=learning)) == []


def test_the_gan_divergence_is_not_zero_at_equality():
    assert faults("non_negative", GAN) == ["GAN: f(1) = -1.386, so D is -1.386 where P = Q"]
    assert faults("non_negative", replace(GAN, f=lambda u: GAN.f(u) + log(4))) == []


def test_the_printed_conjugate_of_pearson_is_wrong_and_its_bound_holds():
    """Above the supremum, so the bound is only less tight, and not where the optimal critic is."""
    printed = OBJECTIVES["pearson_as_published"]
    assert len(faults("conjugate", printed)) == 1
    assert faults("lower_bound", printed) == []


def test_symmetry_of_some_is_none_of_all():
    assert faults("not_all_symmetric", JS, GAN, HELLINGER)
    for skewed in (KL, PEARSON, OBJECTIVES["reverse_kl"]):
        assert faults("not_all_symmetric", JS, skewed) == []
    assert faults("not_all_symmetric", BCE), "BCE is no f-divergence"


def test_one_game_is_all_gradients():
    assert faults("same_game", BCE, GAN, JS) == []
    for other in (KL, replace(BCE, alternative=lambda v: -v), replace(BCE, fake=lambda v: BCE.fake(v) + 0.01 * v)):
        assert len(faults("same_game", GAN, other)) == 1


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, stated in PROPERTIES.items()
        if stated.of == "objectives" and name not in ("same_game", "not_all_symmetric")
    ],
)
def test_what_is_no_f_divergence_is_said(name):
    assert faults(name, BCE) == ["BCE is no f-divergence"]
