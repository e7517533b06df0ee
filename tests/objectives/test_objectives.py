"""Every declaration must satisfy the definitions it claims to implement, and the definitions must reject faults."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import inf

import pytest
import torch

from divergan.objectives import (
    FAMILIES,
    GENERATOR_LOSSES,
    OBJECTIVES,
    FDivergence,
    KernelDistance,
    Objective,
    Relativistic,
    objective,
)
from divergan.objectives.definitions import violations

MEMBERS = [family.make(value) for family in FAMILIES.values() for value in family.examples]
SOUND = {o.name: o for o in (*OBJECTIVES.values(), *MEMBERS) if not o.flaw}
FLAWED = {name: o for name, o in OBJECTIVES.items() if o.flaw}


@pytest.mark.parametrize("name", SOUND)
def test_declaration_satisfies_the_definitions(name):
    assert violations(SOUND[name]) == []


@pytest.mark.parametrize("name", FLAWED)
def test_published_flaw_is_seen(name):
    assert violations(FLAWED[name]) != []


@dataclass(frozen=True, kw_only=True)
class SwappedLosses(FDivergence):
    def bound_loss(self, v_fake, v_real=None):
        return self.alternative_loss(v_fake)


@dataclass(frozen=True, kw_only=True)
class WrongSign(FDivergence):
    def bound_loss(self, v_fake, v_real=None):
        return self.fake_score(v_fake).mean()


@dataclass(frozen=True, kw_only=True)
class BiasedDiscrepancy(KernelDistance):
    def discrepancy(self, x, y):
        return self.gram(x, x).mean() + self.gram(y, y).mean() - 2 * self.gram(x, y).mean()


@dataclass(frozen=True, kw_only=True)
class SameSides(Relativistic):
    def alternative_loss(self, v_fake, v_real):
        return self.critic_loss(v_real, v_fake)


@dataclass(frozen=True, kw_only=True)
class WrongMean(Relativistic):
    def critic_loss(self, v_real, v_fake):
        return self.cost(v_real - v_fake.mean()).mean() + self.cost(v_fake.mean() - v_fake).mean()


def swapped(o, cls):
    return cls(**{field.name: getattr(o, field.name) for field in fields(o)})


KL, RKL, PEARSON, HELLINGER, JS, GAN, BCE, WASSERSTEIN = (
    OBJECTIVES[name]
    for name in ["kl", "reverse_kl", "pearson", "squared_hellinger", "jensen_shannon", "gan", "bce", "wasserstein"]
)

# The first four are those that the example tests of the shared facts let pass.
FAULTS = {
    "the ratio doubled": replace(KL, log_ratio=lambda v: v - 1 + torch.log(torch.tensor(2.0))),
    "Hellinger's domain wrong": replace(HELLINGER, domain=(-inf, 2.0)),
    "the generator loss swapped for the alternative one": swapped(JS, SwappedLosses),
    "Wasserstein's real term tripled": replace(WASSERSTEIN, real=lambda v: -3 * v),
    "Pearson's textbook conjugate": replace(
        PEARSON, conjugate=lambda t: t**2 / 4 + t, conjugate_formula="t**2/4 + t", fake_score=lambda v: v**2 / 4 + v
    ),
    "reverse KL's activation with the other sign": replace(
        RKL, activation=lambda v: -v.exp(), activation_formula="-exp(v)"
    ),
    "KL's conjugate without the shift": replace(
        KL, conjugate=lambda t: t.exp(), conjugate_formula="exp(t)", fake_score=lambda v: v.exp(), log_ratio=lambda v: v
    ),
    "Jensen-Shannon's stable form without log 2": replace(JS, fake_score=GAN.fake_score),
    "GAN's f with the wrong sign of a term": replace(
        GAN, f=lambda u: u * u.log() + (u + 1) * (u + 1).log(), formula="u*log(u) + (u + 1)*log(u + 1)"
    ),
    "Hellinger's f doubled": replace(
        HELLINGER, f=lambda u: 2 * (u.sqrt() - 1) ** 2, formula="2*(sqrt(u) - 1)**2"
    ),
    "a printed formula that is another's": replace(KL, formula="u*log(u) - u"),
    "a stable form that overflows early": replace(GAN, fake_score=lambda v: (1 + v.exp().square()).log() / 2),
    "a ratio that is not finite in float32": replace(KL, log_ratio=lambda v: (v - 1).exp().log()),
    "the generator loss with the wrong sign": swapped(KL, WrongSign),
    "BCE's real and fake terms exchanged": replace(BCE, real=BCE.fake, fake=BCE.real),
    "BCE's generator pushing scores down": replace(BCE, alternative=BCE.fake),
    "BCE's constant for equal distributions": replace(BCE, f=lambda u: BCE.f(u) + 1, formula=f"1 + {BCE.formula}"),
    "Neyman's domain open": replace(OBJECTIVES["neyman"], domain=(-inf, inf)),
    "Jeffreys' score stable and wrong": replace(OBJECTIVES["jeffreys"], fake_score=lambda v: v.exp() + v),
    "total variation over twice its range": replace(
        OBJECTIVES["total_variation"], activation=lambda v: v.tanh(), activation_formula="tanh(v)"
    ),
    "Brier with the sides' costs not squared": replace(OBJECTIVES["brier"], real=lambda v: (-v).sigmoid()),
    "the exponential score without its half": replace(OBJECTIVES["exponential"], real=lambda v: (-v).exp()),
    "hinge that is said to give a ratio": replace(OBJECTIVES["hinge"], log_ratio=lambda v: v, identifies="p/q"),
    "hinge with the margin on one side": replace(OBJECTIVES["hinge"], fake=lambda v: v.relu()),
    "an alternative that minimises something else": replace(OBJECTIVES["kl"], alternative_formula="u*log(u)"),
    "least squares' targets exchanged": replace(
        OBJECTIVES["least_squares"], real=lambda v: v**2 / 2, fake=lambda v: (v - 1) ** 2 / 2
    ),
    "a discrepancy that counts an image with itself": swapped(OBJECTIVES["mmd_energy"], BiasedDiscrepancy),
    "a kernel that is not positive": replace(OBJECTIVES["mmd_gaussian"], kernel=lambda squares: squares.sqrt()),
    "a relativistic generator that helps the critic": swapped(OBJECTIVES["relativistic_bce"], SameSides),
    "the mean of the wrong side": swapped(OBJECTIVES["relativistic_average_hinge"], WrongMean),
    "a relativistic cost of the score alone": replace(
        OBJECTIVES["relativistic_bce"], cost=lambda d: (1 - d.clamp(max=0.0)).relu()
    ),
    "α-divergence of another α": replace(objective("alpha(2)"), f=objective("alpha(3)").f),
    "BCE with label smoothing left in": replace(BCE, real=lambda v: 0.9 * BCE.real(v) + 0.1 * BCE.fake(v)),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_caught(fault):
    assert violations(FAULTS[fault]) != []


def test_at_least_twelve_faults_are_planted():
    assert len(FAULTS) >= 12


def test_registry_names_are_the_declarations_names():
    assert all(name == o.name for name, o in OBJECTIVES.items())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_generator_loss_has_its_name(name):
    v, v_real = torch.linspace(-1, 1, 5), torch.linspace(0, 1, 5)
    o = OBJECTIVES[name]
    assert torch.equal(o.generator_loss("bound")(v, v_real), o.bound_loss(v, v_real))
    assert torch.equal(o.generator_loss("alternative")(v, v_real), o.alternative_loss(v, v_real))
    assert set(GENERATOR_LOSSES) == {"bound", "alternative"}


@pytest.mark.parametrize(
    ("name", "threshold"),
    [
        ("kl", 1),
        ("reverse_kl", -1),
        ("pearson", 0),
        ("squared_hellinger", 0),
        ("jensen_shannon", 0),
        ("gan", -0.693147),
    ],
)
def test_threshold_is_the_published_one(name, threshold):
    """The report's Table 1, column f'(1)."""
    assert OBJECTIVES[name].threshold == pytest.approx(threshold, abs=1e-6)


def test_bce_is_the_gan_divergence():
    """Equal losses and gradients for equal scores, so at equal seeds the weights agree (checked in test_training)."""
    v_real, v_fake = torch.randn(64), torch.randn(64)
    bce, gan = OBJECTIVES["bce"], OBJECTIVES["gan"]
    for name in ("bound", "alternative"):
        torch.testing.assert_close(bce.generator_loss(name)(v_fake, v_real), gan.generator_loss(name)(v_fake, v_real))
    torch.testing.assert_close(bce.critic_loss(v_real, v_fake), gan.critic_loss(v_real, v_fake))


def test_every_objective_states_a_source():
    assert all(isinstance(o, Objective) and ", " in o.source and o.label for o in (*OBJECTIVES.values(), *MEMBERS))


def test_a_familys_member_goes_by_its_name():
    for member in MEMBERS:
        assert objective(member.name).name == member.name
    assert objective("alpha( .5 )").name == "alpha(0.5)"


@pytest.mark.parametrize("name", ["alpha", "alpha()", "alpha(x)", "alpha(1)(2)", "beta(1)", "kl(1)", "alpha(1e)"])
def test_a_name_that_there_is_not_is_a_key_error(name):
    with pytest.raises(KeyError):
        objective(name)


@pytest.mark.parametrize("name", ["alpha(1)", "alpha(0)", "alpha(99)", "lambda(0)", "lambda(1)", "precision_recall(0)"])
def test_a_number_that_a_family_does_not_accept_is_told(name):
    with pytest.raises(ValueError, match=r"expected [αλ]"):
        objective(name)
