"""Likelihood's paradoxes: exact values against closed forms and simulation, and what the chapter measures of them."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch

from divergan.chapters import likelihood, radial
from divergan.chapters.likelihood import Likelihood, compute, k_means, kernel_model, log_normal, normals, parts, tables
from divergan.objectives import objective
from followed import Followed, every_row

SETTINGS = {
    "dimensions": [2, 40],
    "seeds": [0, 1],
    "points": 60,
    "held_out": 2000,
    "noise_share": 0.9,
    "noise": 3.0,
    "shift": 0.2,
    "scale": 1.1,
    "narrow": 0.1,
    "shrunk": 0.5,
    "per_centre": 5,
}


@pytest.fixture(scope="module")
def made() -> dict[str, pd.DataFrame]:
    return tables(pd.DataFrame(every_row(parts(Likelihood(**SETTINGS)), compute)))


def settings(d: int) -> dict:
    return SETTINGS | {"dimension": d}


# --- exact


@pytest.mark.parametrize("d", [1, 2, 784])
def test_expectations_over_the_norm(d):
    assert radial.expected(lambda squares: squares, d) == pytest.approx(d, rel=1e-9)
    assert radial.expected(lambda squares: squares**2, d, 2.0) == pytest.approx(16 * d * (d + 2), rel=1e-9)


@pytest.mark.parametrize("name", radial.DIVERGENCES)
def test_a_divergence_at_the_logarithm_is_the_declared_one(name):
    declared, own = objective(name), radial.DIVERGENCES[name]
    u = torch.tensor([1e-8, 0.03, 1.0, 2.5, 90.0], dtype=torch.float64)
    wanted = declared.f(u) - declared.f(torch.ones(1, dtype=torch.float64))
    assert own.f(u.log().numpy()) == pytest.approx(wanted.numpy(), rel=1e-12, abs=1e-15)
    assert own.f(np.array(-60.0)) == pytest.approx(60.0 if name == "reverse_kl" else own.at_zero, abs=1e-6)
    if np.isfinite(own.slope):  # log u/u falls slowly
        assert own.f(np.array(60.0)) / exp(60.0) == pytest.approx(own.slope, abs=1e-10)
    assert own.label == declared.label


def test_the_divergence_of_noise_by_quadrature_on_the_line():
    """d = 1 against the integral over x itself."""
    x, share, std = np.linspace(-40, 40, 400_001), 0.9, 3.0
    p = scipy.stats.norm.pdf(x)
    q = (1 - share) * p + share * scipy.stats.norm.pdf(x, scale=std)
    log_u = scipy.stats.norm.logpdf(x) - np.logaddexp(
        log(1 - share) + scipy.stats.norm.logpdf(x), log(share) + scipy.stats.norm.logpdf(x, scale=std)
    )
    for divergence in radial.DIVERGENCES.values():
        direct = float(np.trapezoid(q * divergence.f(log_u), x))
        assert radial.noisy_divergence(divergence, 1, std, share) == pytest.approx(direct, rel=1e-6)


def test_noise_costs_no_more_than_its_share_and_ceilings_are_reached():
    kl = radial.DIVERGENCES["kl"]
    for d in (1, 10, 784):
        assert radial.noisy_divergence(kl, d, 3.0, 0.99) <= log(100) + 1e-9
    for divergence in radial.DIVERGENCES.values():
        if np.isfinite(divergence.at_zero):
            found = radial.noisy_divergence(divergence, 784, 3.0, 0.99)
            assert found == pytest.approx(divergence.ceiling(0.99), rel=1e-8)
            assert found < divergence.most
    assert kl.ceiling(0.99) == pytest.approx(log(100))
    assert radial.DIVERGENCES["pearson"].ceiling(0.99) == pytest.approx(99)
    assert radial.DIVERGENCES["squared_hellinger"].ceiling(0.99) == pytest.approx(1.8)
    assert radial.DIVERGENCES["jensen_shannon"].most == pytest.approx(2 * log(2))


def test_total_variation_on_the_line():
    x = np.linspace(-60, 60, 1_200_001)
    direct = np.trapezoid(np.abs(scipy.stats.norm.pdf(x) - scipy.stats.norm.pdf(x, scale=3)), x) / 2
    assert radial.total_variation(1, 3.0) == pytest.approx(direct, abs=1e-9)


def test_the_shell_holds_its_share():
    assert radial.mass_in_shell(50, 0.99) == pytest.approx(0.99)
    low, high = radial.shell(50, 0.99)
    assert scipy.stats.chi2.cdf(low, 50) == pytest.approx(0.005)
    assert scipy.stats.chi2.sf(high, 50) == pytest.approx(0.005)
    assert radial.mass_in_shell(50, 0.99, distance=1e-4) == pytest.approx(0.99, abs=1e-6)


@pytest.mark.parametrize("std", [0.5, 1.3])
def test_the_loss_of_another_width_is_the_divergence_of_two_normals(std):
    p, q = (torch.distributions.Normal(0.0, scale) for scale in (1.0, std))
    wanted = 7 * float(torch.distributions.kl_divergence(p, q))
    assert likelihood.scaled_below(7, std) == pytest.approx(wanted, rel=1e-5)


# --- models


@pytest.mark.parametrize("d", [2, 40])
def test_the_densities_of_the_normals_are_scipys(d):
    x = torch.randn(6, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    own, noisy, shifted, scaled = normals(settings(d))
    pdf = scipy.stats.multivariate_normal
    wanted = {
        own: pdf(np.zeros(d)).logpdf(x),
        noisy: np.logaddexp(log(0.1) + pdf(np.zeros(d)).logpdf(x), log(0.9) + pdf(np.zeros(d), 9.0).logpdf(x)),
        shifted: pdf(np.full(d, 0.2)).logpdf(x),
        scaled: pdf(np.zeros(d), 1.21).logpdf(x),
    }
    for model, values in wanted.items():
        assert model.log_density(x).numpy() == pytest.approx(values, rel=1e-10)


def test_samples_follow_their_densities():
    """E_q[p/q] is 1 for whatever is drawn from q, where p's mass is; and the moments are those of q."""
    training = torch.zeros(2, 2, dtype=torch.float64)
    training[1] = 1.0
    models = [*normals(settings(2)), kernel_model("memoriser", "", training, 0.7)]
    for model in models[:4]:
        x = model.samples(60_000, torch.Generator().manual_seed(1))
        assert float((log_normal(x, 1.0) - model.log_density(x)).exp().mean()) == pytest.approx(1, abs=0.03)
    second = [float(m.samples(60_000, torch.Generator().manual_seed(2)).square().sum(1).mean()) for m in models]
    wanted = [2, 2 * (0.1 + 0.9 * 9), 2 * (1 + 0.04), 2 * 1.21, 2 * (0.49 + 0.5)]
    assert second == pytest.approx(wanted, rel=0.03)


def test_what_is_measured_has_the_exact_value(made):
    """Each mean over two seeds of 2,000 points; 5 standard errors, taken from a binomial or from the rows."""
    for row in made["likelihood_summary"].to_dict("records"):
        if not np.isnan(row["exact_below"]):
            seeds = made["likelihood"].query("model == @row['model'] and dimension == @row['dimension']")["below"]
            assert abs(row["below"] - row["exact_below"]) < max(5 * seeds.std(), 0.2 * row["exact_below"], 1e-12)
        else:
            assert row["below_least"] < row["below"] < row["below_most"]
        for name in ("good", "accuracy"):
            share = row[f"exact_{name}"]
            if not np.isnan(share) and row["model"] not in ("memoriser", "smoothed"):
                assert row[name] == pytest.approx(share, abs=5 * (max(share * (1 - share), 1e-3) / 4000) ** 0.5)


def test_a_memoriser_is_good_everywhere_but_where_it_was_not(made):
    """The paradox itself, at 40 dimensions: its size leaves no doubt."""
    at = made["likelihood_summary"].query("dimension == 40").set_index("model")
    assert at.loc["memoriser", "good"] > 0.9
    assert at.loc["memoriser", "below"] > 500
    assert at.loc["memoriser", "below_seen"] < -50
    assert at.loc["noisy", "below"] <= log(10) + 1e-9
    assert at.loc["noisy", "good"] < 0.15
    assert at.loc["data", "accuracy"] == 0.5


def test_divergences_of_the_noise_are_measured_around_the_exact_ones(made):
    for row in made["likelihood_divergences_summary"].to_dict("records"):
        assert row["measured"] == pytest.approx(row["exact"], rel=0.35 if row["divergence"] == "pearson" else 0.15)


def test_parzen_windows_rank_the_data_below_a_single_point(made):
    at = made["likelihood_parzen_summary"].query("dimension == 40").set_index("model")
    assert at.loc["mean", "parzen_below"] == pytest.approx(0, abs=0.15)  # |mean of 300 points|²/2 is 40/600
    assert at.loc["mean", "sigma"] == pytest.approx(1)
    assert (at.loc[["shrunk", "k_means", "mean"], "flattered"] > 1).all()
    assert at.loc["shrunk", "exact_below"] == pytest.approx(40 * (log(0.5) + 2 - 0.5))
    assert at.loc["data", "flattered"] == 0
    rows = made["likelihood_parzen"].query("dimension == 40 and seed == 1").set_index("model")["parzen_below"]
    flattered = made["likelihood_parzen"].query("dimension == 40 and seed == 1").set_index("model")["flattered"]
    assert flattered["k_means"] == pytest.approx(rows["data"] - rows["k_means"])


def test_k_means_is_scikit_learns():
    from sklearn.cluster import KMeans

    points = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    start = points[:7].numpy()
    reference = KMeans(7, init=start, n_init=1, max_iter=likelihood.LLOYD_STEPS, tol=0, algorithm="lloyd").fit(points)
    assert k_means(points, 7).numpy() == pytest.approx(reference.cluster_centers_, abs=1e-4)


def test_a_centre_that_is_nearest_to_none_stays():
    """Of two centres at one place the second gets no point at first, and later all that the first has left."""
    assert sorted(k_means(torch.tensor([[0.0], [0.0], [5.0]]), 2).flatten().tolist()) == [0, 5]


def test_rows_are_the_same_again():
    part = next(iter(parts(Likelihood(**SETTINGS | {"seeds": [3], "held_out": 200}))))
    assert str(compute(part.settings, Followed())) == str(compute(part.settings, Followed()))


@pytest.mark.parametrize(("name", "value"), [("noise_share", 1.0), ("noise", 1.0), ("scale", 0.9), ("dimensions", [1])])
def test_settings_outside_the_theory_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        Likelihood(**SETTINGS | {name: value})
