"""The atlas: training as its words say, the nearest landmark as a reader would find it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from divergan.chapters.atlas import Atlas, compute, parts, tables
from divergan.chapters.critics import Critics
from divergan.chapters.fitting import critic_cost, drawn, fitted, slope
from divergan.chapters.landmarks import LINE, MIXTURES, PLANE
from divergan.objectives import objective
from divergan.report.atlas import atlas, cell, loss_row
from followed import Followed, every_row

pytestmark = pytest.mark.xdist_group("atlas")  # one worker, for what the module makes once

SETTINGS = {
    "targets": ["line"],
    "objectives": {"kl": ["none", "instance_noise"], "wasserstein": ["r1"], "mmd_energy": ["none"]},
    "generator_losses": ["bound", "alternative"],
    "landmarks": ["kl", "reverse_kl"],
    "seeds": [0, 1],
    "hidden": 16,
    "batch": 128,
    "steps": 6,
    "n_critic": 2,
    "critic_learning_rate": 0.01,
    "learning_rate": 0.02,
    "gamma": 0.1,
    "penalty": 1.0,
    "noise": 0.5,
}


def ignored(step: int) -> None: ...


# --- training


@pytest.mark.parametrize("target", MIXTURES.values(), ids=list(MIXTURES))
@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_what_is_drawn_has_the_targets_moments(target, noise):
    batches = drawn(target, {"seeds": [5], "batch": 4000}, noise)
    x, z, blur, share = (torch.cat(own, dim=1)[0] for own in zip(*(next(batches) for _ in range(20)), strict=True))
    mean, std = target.moments()
    assert x.mean(0).numpy() == pytest.approx(mean, abs=0.03)
    assert x.std(0).numpy() == pytest.approx(np.sqrt(std**2 + noise**2), abs=0.03)
    assert z.std(0).numpy() == pytest.approx(np.ones(target.dimension), abs=0.02)
    assert blur.std(0).numpy() == pytest.approx(np.full(target.dimension, noise), abs=0.02)
    assert float(share.mean()) == pytest.approx(0.5, abs=0.01)
    assert abs(float((z * blur).mean())) < 0.02


def test_noise_leaves_all_other_numbers_as_they_are():
    settings = {"seeds": [1, 2], "batch": 8}
    (x, z, _, share), (noisy, same, blur, still) = (next(drawn(PLANE, settings, noise)) for noise in (0.0, 0.5))
    assert torch.equal(z, same)
    assert torch.equal(share, still)
    assert not torch.equal(x, noisy)
    assert blur.abs().min() > 0
    alone = next(drawn(PLANE, settings | {"seeds": [2]}, 0.5))
    assert torch.equal(alone[0][0], noisy[1])


def test_a_slope_is_that_of_finite_differences():
    critics = Critics([0, 1], "test", 2, 8, torch.tanh)
    points = torch.randn(2, 5, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found = slope(critics(points), points)
    for axis in (0, 1):
        step = torch.zeros(2)
        step[axis] = 1e-2
        numeric = (critics(points + step) - critics(points - step)) / 2e-2
        assert torch.allclose(found[..., axis], numeric, atol=2e-3)


def test_penalties_are_their_formulas_summed_over_seeds():
    """A linear critic v = a·x: R1 is γ/2 |a|², the gradient penalty λ (|a| - 1)², whatever the points."""
    a = torch.tensor([[3.0, 4.0], [0.6, 0.0]])

    def critics(points: torch.Tensor) -> torch.Tensor:
        return (points * a[:, None]).sum(2)

    x, fake = torch.randn(2, 50, 2), torch.randn(2, 50, 2)
    share = torch.rand(2, 50, 1)
    settings = {"gamma": 0.2, "penalty": 3.0}
    own = objective("wasserstein")
    plain, r1, gp = (
        float(critic_cost(own, critics, x, fake, name, share, settings).detach())
        for name in ("none", "r1", "gradient_penalty")
    )
    assert plain == pytest.approx(float((critics(fake).mean(1) - critics(x).mean(1)).sum()), abs=1e-5)
    assert r1 - plain == pytest.approx(0.1 * (25 + 0.36), abs=1e-4)
    assert gp - plain == pytest.approx(3 * (16 + 0.16), abs=1e-3)


def test_the_gradient_penalty_looks_between_the_two_sides():
    seen = []

    def critics(points: torch.Tensor) -> torch.Tensor:
        seen.append(points.detach())
        return points.square().sum(2)

    x, fake = torch.zeros(1, 400, 1), torch.ones(1, 400, 1)
    critic_cost(objective("bce"), critics, x, fake, "gradient_penalty", torch.rand(1, 400, 1), {"penalty": 1.0})
    between = seen[-1]
    assert 0 < between.min() < 0.05
    assert 0.95 < between.max() < 1
    assert between.mean() == pytest.approx(0.5, abs=0.06)


def test_relativistic_averages_stay_within_a_seed():
    own = objective("relativistic_average_bce")
    critics = Critics([0, 1], "test", 1, 8, torch.tanh)
    x, fake = torch.randn(2, 30, 1), torch.randn(2, 30, 1)
    both = critic_cost(own, critics, x, fake, "none", torch.rand(2, 30, 1), {})
    v_real, v_fake = critics(x), critics(fake)
    assert float(both.detach()) == pytest.approx(
        sum(float(own.critic_loss(v_real[i], v_fake[i]).detach()) for i in (0, 1)), abs=1e-5
    )


@pytest.mark.parametrize("name", ["kl", "relativistic_average_bce", "mmd_energy"])
def test_a_seed_comes_out_the_same_alone(name):
    own, settings = objective(name), SETTINGS | {"steps": 8}
    together = fitted(own, "bound", "none", PLANE, settings, ignored)
    (alone,) = fitted(own, "bound", "none", PLANE, settings | {"seeds": [1]}, ignored)
    assert alone[0] == pytest.approx(together[1][0], abs=1e-4)
    assert alone[1] == pytest.approx(together[1][1], abs=1e-4)
    assert together[0] != together[1]


def test_the_energy_distance_finds_its_minimiser_in_the_plane():
    """No critic stands between: a few hundred steps end within 0.06 of the exact place."""
    settings = SETTINGS | {"seeds": [0], "batch": 256, "steps": 220, "learning_rate": 0.03}
    ((mean, std),) = fitted(objective("mmd_energy"), "bound", "none", PLANE, settings, ignored)
    assert mean == pytest.approx([0.3222, 0.2069], abs=0.06)
    assert std == pytest.approx([1.6342, 0.7422], abs=0.06)


def test_kl_finds_the_moments_with_and_without_noise():
    """From (0, 1): within 0.12 of mean and standard deviation of the mixture, by both."""
    settings = SETTINGS | {"seeds": [0], "hidden": 32, "batch": 256, "steps": 250, "n_critic": 3}
    for regulariser in ("none", "instance_noise"):
        ((mean, std),) = fitted(objective("kl"), "bound", regulariser, LINE, settings, ignored)
        assert (mean[0], std[0]) == pytest.approx((1.01, 1.8307), abs=0.12)


# --- parts and tables


def test_parts_are_landmarks_and_objectives():
    made = list(parts(Atlas(**SETTINGS)))
    assert [part.key for part in made] == [
        "line.landmarks", "line.landmarks.noise", "line.kl", "line.wasserstein", "line.mmd_energy",
    ]  # fmt: skip
    assert made[0].settings["landmarks"] == ["kl", "reverse_kl", "wasserstein", "mmd_energy"]
    assert made[2].steps == 2 * 2 * 6
    assert [part.settings["generator_losses"] for part in made[2:]] == [["bound", "alternative"], ["bound"], ["bound"]]
    quiet = Atlas(**SETTINGS | {"objectives": {"kl": ["none"]}})
    assert [part.key for part in parts(quiet)] == ["line.landmarks", "line.kl"]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return pd.DataFrame(every_row(parts(Atlas(**SETTINGS)), compute))


def placed_at(rows: pd.DataFrame, objective_name: str, loss: str, regulariser: str, *at: tuple[float, float]):
    """The rows with the runs of one loss moved to these places."""
    rows = rows.copy()
    mine = rows.index[
        (rows["objective"] == objective_name) & (rows["generator_loss"] == loss) & (rows["regulariser"] == regulariser)
    ]
    for i, (mean, std) in zip(mine, at, strict=True):
        rows.at[i, "mean"], rows.at[i, "std"] = [mean], [std]
    return rows


def found(rows: pd.DataFrame, objective_name: str, loss: str, regulariser: str) -> pd.Series:
    summary = tables(rows)["atlas_summary"].set_index(["objective", "generator_loss", "regulariser"])
    return summary.loc[(objective_name, loss, regulariser)]


def test_theory_and_nominal_of_each_run(rows):
    summary = tables(rows)["atlas_summary"].set_index(["objective", "generator_loss", "regulariser"])
    assert dict(summary["theory"]) == {
        ("kl", "bound", "none"): "Kullback-Leibler", ("kl", "bound", "instance_noise"): "Kullback-Leibler",
        ("kl", "alternative", "none"): "Reverse KL", ("kl", "alternative", "instance_noise"): "Reverse KL",
        ("wasserstein", "bound", "r1"): "Sobolev", ("mmd_energy", "bound", "none"): "Energy distance",
    }  # fmt: skip
    assert summary.loc[("kl", "alternative", "none"), "nominal"] == "Kullback-Leibler"
    assert summary.loc[("wasserstein", "bound", "r1"), "nominal"] == "W1"


def test_a_run_at_a_landmark_is_nearest_to_it(rows):
    """The reverse KL's on this line: (1.5781, 1.6312); KL's: (1.01, 1.8307)."""
    moved = placed_at(rows, "kl", "alternative", "none", (1.5781, 1.6312), (1.5881, 1.6312))
    row = found(moved, "kl", "alternative", "none")
    assert (row["nearest"], row["agrees"], row["is_nominal"], row["share"]) == ("Reverse KL", True, False, 1.0)
    assert row["distance"] == pytest.approx(0.005, abs=2e-4)
    assert row["to_nominal"] == pytest.approx(np.hypot(1.5831 - 1.01, 1.6312 - 1.8307), abs=2e-3)
    assert row["certain"]
    other = found(placed_at(rows, "kl", "alternative", "none", (1.01, 1.83), (1.01, 1.83)), "kl", "alternative", "none")
    assert (other["nearest"], other["agrees"], other["is_nominal"]) == ("Kullback-Leibler", False, True)


def test_seeds_that_disagree_make_it_uncertain(rows):
    row = found(placed_at(rows, "kl", "bound", "none", (1.01, 1.83), (1.57, 1.64)), "kl", "bound", "none")
    assert row["share"] == 0.5
    assert not row["certain"]
    assert row["margin_low"] < 0


def test_a_noisy_run_is_measured_by_noisy_landmarks(rows):
    """The reverse KL's under noise of 0.5 lies at (1.2921, 1.6883)."""
    row = found(
        placed_at(rows, "kl", "alternative", "instance_noise", (1.2921, 1.6883), (1.2921, 1.6883)),
        "kl", "alternative", "instance_noise",
    )  # fmt: skip
    assert (row["nearest"], row["noise"]) == ("Reverse KL", 0.5)
    assert row["distance"] < 2e-4


def test_a_run_that_diverged_is_counted_and_in_no_mean(rows):
    broken = placed_at(rows, "kl", "bound", "none", (1.01, 1.83), (1.01, 1.83))
    first = broken.index[(broken["objective"] == "kl") & (broken["regulariser"] == "none")][0]
    broken.loc[first, "outcome"] = "diverged"
    broken.loc[first, ["mean", "std"]] = None
    row = found(broken, "kl", "bound", "none")
    assert (row["n"], row["n_runs"], row["nearest"]) == (1, 2, "Kullback-Leibler")
    made = tables(broken)
    assert made["atlas"]["nearest"].isna().sum() == 1
    values = atlas(made)
    assert values["failed"] == 1
    assert values["targets"][0]["rows"][0]["cells"][0]["share"] == "1/1"


def test_where_every_seed_diverges_there_is_no_place(rows):
    broken = rows.copy()
    mine = broken.index[(broken["objective"] == "wasserstein")]
    broken.loc[mine, "outcome"] = "diverged"
    broken.loc[mine, ["mean", "std"]] = None
    values = atlas(tables(broken))
    (row,) = [row for row in values["targets"][0]["rows"] if row["label"] == "Wasserstein"]
    assert [c["nearest"] for c in row["cells"] if c] == ["diverged"]


def test_a_training_that_is_not_finite_is_a_row():
    settings = SETTINGS | {"objectives": {"kl": ["none"]}, "learning_rate": 1e6, "generator_losses": ["bound"]}
    part = list(parts(Atlas(**settings)))[-1]
    made = compute(part.settings, Followed())
    assert {row["outcome"] for row in made} == {"diverged"}
    assert "mean" not in made[0]


def test_the_reports_counts(rows):
    moved = placed_at(rows, "kl", "alternative", "none", (1.58, 1.63), (1.58, 1.63))
    moved = placed_at(moved, "kl", "bound", "none", (1.58, 1.63), (1.58, 1.64))
    moved = placed_at(moved, "mmd_energy", "bound", "none", (0.96, 2.01), (0.96, 2.02))
    values = atlas(tables(moved))
    none = next(own for own in values["counts"] if own["regulariser"] == "none")
    assert (none["losses"], none["known"], none["agree"], none["nominal"]) == (3, 3, 2, 1)
    assert (none["apart"], none["shorter"]) == (1, 1)
    assert values["alternative"] == {"apart": 1, "shorter": 1}
    assert values["targets"][0]["landmarks"][0]["places"][0] == {"mean": "1.0100", "std": "1.8307"}
    assert len(values["targets"][0]["landmarks"][0]["places"]) == 2


def test_a_row_names_each_theory_once():
    own = pd.DataFrame({"regulariser": ["r1", "gradient_penalty"], "theory": ["Sobolev", "W1"], "n": 0})
    row = loss_row(own.assign(label="Wasserstein", generator_loss="bound"), ["none", "r1"])
    assert (row["theory"], row["cells"][0], row["cells"][1]["nearest"]) == ("Sobolev or W1", None, "diverged")
    assert loss_row(own.assign(label="", generator_loss="bound", theory=""), [])["theory"] == "–"


def test_a_cell_of_what_was_not_trained_is_empty():
    assert cell(None) is None


def test_landmarks_labels_keep_apart_and_stay_near():
    from divergan.figures.atlas import spread

    heights = np.array([0.1, 0.1, 0.11, 0.5, 0.9])
    out = spread(heights, 0.05)
    assert (np.diff(out) >= 0.05 - 1e-12).all()
    assert out[3:] == pytest.approx([0.5, 0.9])
    assert out[:3].mean() == pytest.approx(heights[:3].mean())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"targets": ["sphere"]}, "there is no 'sphere'"),
        ({"objectives": {"kll": ["none"]}}, "there is no 'kll'"),
        ({"objectives": {"wasserstein": ["none"]}}, "without a bound on the critic's slope"),
        ({"objectives": {"mmd_energy": ["r1"]}}, "no critic to regularise"),
        ({"objectives": {"misclassification": ["none"]}}, "can be trained by"),
        ({"objectives": {"kl": ["dropout"]}}, "instance_noise"),
        ({"landmarks": ["wasserstein"]}, "expected an objective with an f"),
        ({"landmarks": ["precision_recall(2)"]}, "expected an objective with an f"),
    ],
)
def test_what_has_no_place_on_the_map_is_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        Atlas(**SETTINGS | changes)
