"""The smallest GAN against what is known of it in closed form (Mescheder et al. 2018)."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pandas as pd
import pytest
import torch

from divergan.chapters.dynamics import (
    REGULARISED,
    RULES,
    Dynamics,
    compute,
    energy_falls,
    followed,
    judged,
    losses,
    outcome,
    parts,
    regularised,
    spectrum,
    tables,
    update,
)
from divergan.objectives import OBJECTIVES, KernelDistance, objective
from divergan.regularisers import REGULARISERS, Batch
from followed import Followed

SETTINGS = {
    "objectives": ["bce"],
    "generator_losses": ["bound", "alternative"],
    "regularisers": ["none", "r1"],
    "rules": ["simultaneous", "alternating"],
    "step_size": 0.1,
    "steps": 300,
    "starts": 4,
    "gamma": 1.0,
    "adjustment": 1.0,
    "penalty": 1.0,
    "clip": 0.1,
    "noise": 0.5,
}
GAMES = [name for name, o in OBJECTIVES.items() if not (o.untrainable or isinstance(o, KernelDistance) or o.flaw)]


def eigenvalues(name: str, regulariser: str = "none", loss: str = "bound") -> np.ndarray:
    field = regularised(objective(name), loss, regulariser, SETTINGS)
    origin = torch.zeros(2, dtype=torch.float64)
    return torch.linalg.eigvals(-torch.func.jacrev(field)(origin)).numpy()


def test_without_a_regulariser_the_eigenvalues_of_bce_are_half_i():
    """± f'(0) i with f'(0) = 1/2 (Lemma 2.3), for either loss: at equilibrium they have one slope."""
    for loss in ("bound", "alternative"):
        assert sorted(eigenvalues("bce", loss=loss).imag) == pytest.approx([-0.5, 0.5])
        assert eigenvalues("bce", loss=loss).real == pytest.approx([0, 0], abs=1e-12)


@pytest.mark.parametrize("gamma", [0.2, 1.0, 3.0])
def test_eigenvalues_under_r1(gamma):
    """-γ/2 ± sqrt(γ²/4 - f'(0)²) (Lemma 4.1)."""
    field = regularised(objective("bce"), "bound", "r1", SETTINGS | {"gamma": gamma})
    found = torch.linalg.eigvals(-torch.func.jacrev(field)(torch.zeros(2, dtype=torch.float64))).numpy()
    root = np.emath.sqrt(gamma**2 / 4 - 0.25)
    assert np.sort_complex(found) == pytest.approx(np.sort_complex(np.array([-gamma / 2 - root, -gamma / 2 + root])))


def test_simultaneous_steps_leave_the_bilinear_game_by_a_known_factor():
    """|1 ± ih| = sqrt(1 + h²) a step; alternating steps stay on an ellipse, for |h| < 2."""
    field = regularised(objective("wasserstein"), "bound", "none", SETTINGS)
    for rule, radius in (("simultaneous", sqrt(1.01)), ("alternating", 1.0)):
        found = spectrum(update(field, rule, "none", SETTINGS), field, rule, "none")
        assert found["radius"] == pytest.approx(radius, rel=1e-9)
    start = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    path = followed(update(field, "simultaneous", "none", SETTINGS), field, "simultaneous", start, SETTINGS)
    assert float(path[-1].norm()) == pytest.approx(1.01 ** (300 / 2), rel=1e-9)


def test_a_gradient_penalty_does_not_lead_to_the_equilibrium_and_consensus_does():
    for regulariser, expected in (("gradient_penalty", "circles"), ("consensus", "converges"), ("r1", "converges")):
        field = regularised(objective("wasserstein"), "bound", regulariser, SETTINGS)
        assert judged(field, regulariser, "alternating", SETTINGS)["outcome"] == expected


def test_the_symplectic_adjustment_and_extragradient_turn_circles_inward():
    field = regularised(objective("wasserstein"), "bound", "none", SETTINGS)
    for rule in ("symplectic", "extragradient"):
        found = judged(field, "none", rule, SETTINGS)
        assert (found["outcome"] == "converges") == (rule == "symplectic")
        assert found["radius"] < 1
    # the bilinear game under λ: eigenvalues of the step are 1 - h(λ ± i)
    found = spectrum(update(field, "symplectic", "none", SETTINGS), field, "symplectic", "none")
    assert found["radius"] == pytest.approx(sqrt(0.9**2 + 0.1**2))


@pytest.mark.parametrize("name", GAMES)
def test_the_energy_is_conserved_in_the_bounds_game_and_falls_under_r1(name):
    """θ and ψ see the same slope with opposite signs: every zero-sum game of one point circles."""
    field = regularised(objective(name), "bound", "none", SETTINGS)
    place = torch.tensor([0.4, -0.7], dtype=torch.float64)
    assert float((place * field(place)).sum()) == pytest.approx(0, abs=1e-12)
    assert energy_falls(field)
    assert energy_falls(regularised(objective(name), "bound", "r1", SETTINGS))


@pytest.mark.parametrize("name", ["r1", "r2", "gradient_penalty", "consensus"])
def test_the_regularisers_are_those_that_images_are_trained_with(name):
    """The closed form here against the penalty's own code on a critic of one weight and a generator of one point."""

    class Line(torch.nn.Module):
        def __init__(self, value: float):
            super().__init__()
            self.w = torch.nn.Parameter(torch.tensor(value, dtype=torch.float64))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (self.w * x).flatten()

    theta, psi = Line(0.6), Line(-0.8)
    real = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    fake = theta(torch.ones(1, 1, dtype=torch.float64))[:, None]
    batch = Batch(
        objective=objective("bce"), generator=theta, critic=psi, real=real, fake=fake, v_real=psi(real),
        v_fake=psi(fake), generator_loss="bound", random=torch.Generator(),
    )  # fmt: skip
    own = {
        "r1": {"gamma": 0.7, "every": 1}, "r2": {"gamma": 0.7, "every": 1},
        "gradient_penalty": {"weight": 0.9, "sides": "two"}, "consensus": {"gamma": 0.7},
    }[name]  # fmt: skip
    regulariser = REGULARISERS[name]
    penalty = regulariser.critic_penalty(batch, regulariser.settings.model_validate(own))
    expected = torch.autograd.grad(penalty, psi.w)[0]
    settings = SETTINGS | {"gamma": 0.7, "penalty": 0.9}
    place = torch.tensor([0.6, -0.8], dtype=torch.float64)
    plain = regularised(objective("bce"), "bound", "none", settings)
    found = (regularised(objective("bce"), "bound", name, settings)(place) - plain(place))[1]
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_clipped_weights_stay_within_the_limit():
    field = regularised(objective("wasserstein"), "bound", "weight_clipping", SETTINGS)
    start = torch.tensor([[0.3, 1.0]], dtype=torch.float64)
    path = followed(update(field, "alternating", "weight_clipping", SETTINGS), field, "alternating", start, SETTINGS)
    assert float(path[1:, 0, 1].abs().max()) <= 0.1 + 1e-12


def test_instance_noise_softens_the_critic_around_the_data():
    """Its losses are means over noise on both sides: by simulation of the definition."""
    critic, _ = losses(objective("bce"), "bound", "instance_noise", SETTINGS)
    noise = 0.5 * torch.randn(400_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    place = torch.tensor([0.5, 1.2], dtype=torch.float64)
    drawn = objective("bce").critic_loss(1.2 * noise, 1.2 * (0.5 + noise))
    assert float(critic(place)) == pytest.approx(float(drawn), abs=3e-3)


def test_fictitious_play_answers_the_mean():
    """In the bilinear game by hand: both step against the other's mean so far."""
    field = regularised(objective("wasserstein"), "bound", "none", SETTINGS)
    settings = SETTINGS | {"steps": 2}
    start = torch.tensor([[1.0, 0.5]], dtype=torch.float64)
    path = followed(update(field, "fictitious_play", "none", settings), field, "fictitious_play", start, settings)
    theta, psi, mean_theta, mean_psi = 1.0, 0.5, 1.0, 0.5
    for played in range(2):
        theta, psi = theta + 0.1 * mean_psi, psi - 0.1 * mean_theta
        mean_theta += (theta - mean_theta) / (played + 2)
        mean_psi += (psi - mean_psi) / (played + 2)
        assert path[played + 1, 0].tolist() == pytest.approx([theta, psi])


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ([0.001, 0.009], "converges"),
        ([0.001, 0.02], "circles"),
        ([0.0, 11.0], "diverges"),
        ([0.0, float("nan")], "diverges"),
    ],
)
def test_outcomes(last, expected):
    assert outcome(torch.tensor([[1.0, 1.0], last])) == expected


def test_every_combination_has_a_row_and_paths():
    (part,) = parts(Dynamics(**SETTINGS | {"steps": 5, "regularisers": list(REGULARISED), "rules": list(RULES)}))
    rows = pd.DataFrame(compute(part.settings, Followed()))
    assert len(rows) == part.steps == 2 * len(REGULARISED) * len(RULES)
    found = tables(rows)
    assert len(found["dynamics_paths"]) == len(rows) * 6
    assert "path" not in found["dynamics"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"objectives": ["mmd_energy"]}, "a score that a player can follow"),
        ({"objectives": ["bec"]}, "did you mean 'bce'"),
        ({"regularisers": ["r3"]}, "there is no 'r3'"),
        ({"rules": ["sideways"]}, "known are simultaneous"),
    ],
)
def test_what_is_no_game_is_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        Dynamics(**SETTINGS | changes)
