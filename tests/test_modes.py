"""Mode collapse: the protocol's numbers by hand, its data, and runs that repeat."""

from __future__ import annotations

from math import log

import numpy as np
import pandas as pd
import pytest
import torch

from divergan.chapters.modes import (
    GRID,
    MIXTURES,
    PUBLISHED_STEPS,
    RING,
    Modes,
    compute,
    judged,
    parts,
    tables,
    trained,
)
from divergan.networks import CRITICS, CriticForm
from divergan.randomness import generator
from followed import Followed

TRAINING = {
    "objective": "bce",
    "generator_loss": "alternative",
    "generator": {"name": "linear_batchnorm", "hidden": [16]},
    "critic": {"name": "maxout", "hidden": [8]},
    "latent": 2,
    "batch": 32,
    "steps": 20,
    "n_critic": 1,
    "learning_rate": 1e-3,
    "betas": [0.8, 0.999],
    "regularisers": {},
}
SETTINGS = {
    "mixtures": ["ring", "grid"],
    "seeds": [0, 1],
    "samples": 500,
    "training": TRAINING,
    "variants": {"bce": {}},
}


def run(**changes) -> dict:
    made = parts(Modes(**SETTINGS | {"training": TRAINING | changes}))
    (row,) = compute(next(iter(made)).settings, Followed())
    return row


@pytest.mark.parametrize("mixture", MIXTURES.values(), ids=MIXTURES)
def test_perfect_samples_find_every_mode(mixture):
    points = mixture.data(20_000, generator(0, "test")).view(-1, 2).numpy()
    found = judged(mixture, points)
    assert found["modes"] == len(mixture.centres)
    assert found["quality"] == pytest.approx(1 - np.exp(-4.5), abs=2e-3)  # within 3 σ in the plane: Rayleigh
    assert found["reverse_kl"] == pytest.approx(len(mixture.centres) / 2 / 20_000, rel=0.7)  # chance alone
    assert found["overlap"] == pytest.approx(found["quality"], abs=0.03)


def test_the_data_lie_at_the_published_places():
    assert len(RING.centres) == 8
    assert np.linalg.norm(np.array(RING.centres), axis=1) == pytest.approx(np.ones(8))
    assert sorted({a for centre in GRID.centres for a in centre}) == [-4, -2, 0, 2, 4]
    assert len(set(GRID.centres)) == 25
    points = GRID.data(50_000, generator(1, "test")).view(-1, 2).numpy()
    nearest = np.round(points / 2) * 2
    assert (points - nearest).std(axis=0) == pytest.approx([0.05, 0.05], rel=0.02)


def test_the_protocol_by_hand():
    """Two samples on mode 0, one on mode 1, one between (nearest mode 1 of the ring, of no quality)."""
    a, b = np.array(RING.centres[0]), np.array(RING.centres[1])
    off = b + np.array([0.1, 0.0])
    found = judged(RING, np.array([a, a + 0.02, b, off]))
    assert (found["modes"], found["quality"]) == (2, 0.75)
    assert found["reverse_kl"] == pytest.approx(0.5 * log(0.5 * 8) * 2)
    assert found["overlap"] == pytest.approx(1 / 8 + 1 / 8)


def test_one_mode_alone_is_as_far_as_can_be():
    found = judged(GRID, np.tile(GRID.centres[3], (100, 1)))
    assert (found["modes"], found["quality"]) == (1, 1.0)
    assert (found["reverse_kl"], found["overlap"]) == (pytest.approx(log(25)), pytest.approx(1 / 25))


def test_the_edge_of_quality_is_three_standard_deviations():
    centre = np.array(RING.centres[2])
    for factor, good in ((2.99, 1.0), (3.01, 0.0)):
        assert judged(RING, centre[None] + [[factor * 0.01, 0.0]])["quality"] == good


def test_a_maxout_unit_is_the_largest_of_five_linear_functions():
    critic = CRITICS["maxout"].build((1, 1, 2), [3], CriticForm())
    first, last = (m for m in critic if isinstance(m, torch.nn.Linear))
    x = torch.randn(7, 1, 1, 2)
    pieces = first(x.flatten(1)).view(7, 5, 3)
    torch.testing.assert_close(critic(x), last(pieces.amax(1))[:, 0])


def test_a_run_is_the_same_again_and_another_seed_is_another():
    assert run() == run()
    other = list(parts(Modes(**SETTINGS)))[1].settings
    assert compute(other, Followed())[0]["points"] != run()["points"]


def test_a_short_training_finds_modes():
    """Some hundred steps on the ring: samples come nearer to its modes, to less than half of where they began."""
    row = run(
        steps=1200, generator={"name": "linear_batchnorm", "hidden": [64]}, critic={"name": "mlp", "hidden": [64, 64]}
    )
    assert row["outcome"] == "finished"
    began, ended = (
        np.linalg.norm(np.array(one["points"])[:, None] - np.array(RING.centres), axis=2).min(axis=1).mean()
        for one in (run(steps=1), row)
    )
    assert ended < 0.5 * began


def test_a_diverged_run_is_a_row_and_counted():
    row = run(learning_rate=1e30, steps=200)
    assert (row["outcome"], row["step"]) == ("diverged", 200)
    found = tables(pd.DataFrame([row, run()]))
    assert found["modes_summary"].loc[0, ["n", "n_runs"]].to_list() == [1, 2]
    assert len(found["modes_points"]) == 400


def test_a_part_names_the_code_that_it_rests_on():
    own = {"regularisers": {"r1": {"gamma": 1.0, "every": 1}}}
    part = next(iter(parts(Modes(**SETTINGS | {"variants": {"bce_r1": own}}))))
    assert [declared.name for declared, _ in part.uses] == ["linear_batchnorm", "maxout", "r1"]
    assert trained(part.settings["training"]).regulariser == "R1 γ=1 every 1"


def test_the_published_protocol_is_a_parameter_away():
    from pathlib import Path

    from divergan.params import read

    folder = Path(__file__).parents[1] / "params"
    ours, settings = (read(folder / name).chapters.stated["modes"] for name in ("modes.yaml", "modes_published.yaml"))
    for own in (ours, settings):
        assert (len(own.seeds), own.samples) == (10, 2500)
        assert {"bce", "wasserstein", "hinge", "relativistic"} <= set(own.variants)
    training = trained(settings.training)
    assert (training.steps, trained(ours.training).steps) == (PUBLISHED_STEPS, 25_000)
    assert (training.batch, training.learning_rate, training.betas) == (100, 1e-4, [0.8, 0.999])
    assert (training.generator.hidden, training.critic.hidden) == ([400] * 4, [200] * 3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"mixtures": ["rings"]}, "did you mean 'ring'"),
        ({"variants": {"x": {"objective": "bec"}}}, "did you mean 'bce'"),
        ({"variants": {"x": {"batch": 1}}}, "batch"),
        ({"variants": {"x": {"bacth": 3}}}, "bacth"),
        ({"variants": {"X": {}}}, "small letters|String should match"),
    ],
)
def test_what_cannot_be_trained_is_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        Modes(**SETTINGS | changes)
