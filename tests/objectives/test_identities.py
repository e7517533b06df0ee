"""What the best critic attains, against each divergence's own definition, by quadrature over two normal densities."""

from __future__ import annotations

from math import log

import pytest
import torch

from divergan.objectives import FAMILIES, OBJECTIVES, objective
from divergan.objectives.definitions import derivative

X = torch.linspace(-14, 16, 200_001, dtype=torch.float64)


def normal(mean: float, std: float) -> torch.Tensor:
    return (-((X - mean) / std).square() / 2).exp() / (std * (2 * torch.pi) ** 0.5)


P, Q = normal(0.0, 1.0), normal(1.0, 1.3)
U = P / Q


def integral(y: torch.Tensor) -> float:
    return float(torch.trapezoid(y, X))


def kl(p: torch.Tensor, q: torch.Tensor) -> float:
    return integral(torch.where(p > 0, p * (p / q).log(), 0.0))


M = (P + Q) / 2
KL, REVERSE_KL = kl(P, Q), kl(Q, P)
JSD = (kl(P, M) + kl(Q, M)) / 2
SQUARED_HELLINGER = integral((P.sqrt() - Q.sqrt()) ** 2)
TOTAL_VARIATION = integral((P - Q).abs()) / 2


def attained(name: str) -> float:
    """E_Q[f(u)]: what the best critic attains."""
    o = objective(name)
    assert o.f is not None
    return integral(Q * o.f(U))


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "kl": KL,
        "reverse_kl": REVERSE_KL,
        "pearson": integral((P - Q) ** 2 / Q),
        "neyman": integral((P - Q) ** 2 / P),
        "squared_hellinger": SQUARED_HELLINGER,
        "jeffreys": KL + REVERSE_KL,
        "total_variation": TOTAL_VARIATION,
        "jensen_shannon": 2 * JSD,
        "gan": 2 * JSD - log(4),
        "bce": 2 * JSD - log(4),  # the Bernoulli score
        "exponential": SQUARED_HELLINGER - 2,
        "hinge": 2 * TOTAL_VARIATION - 2,
        "misclassification": 2 * (1 + TOTAL_VARIATION) / 2 - 2,  # the Bayes accuracy is (1 + TV)/2
        "brier": integral((P - Q) ** 2 / (P + Q)) / 4 - 0.5,
        "least_squares": integral((P - Q) ** 2 / (P + Q)) / 8 - 0.25,
        "spherical": integral((P**2 + Q**2).sqrt()),
        "alpha(2)": integral((P - Q) ** 2 / Q) / 2,
        "alpha(-1)": integral((P - Q) ** 2 / P) / 2,
        "alpha(0.5)": 2 * SQUARED_HELLINGER,
        "lambda(0.5)": JSD,
        "lambda(0.2)": 0.2 * kl(P, 0.2 * P + 0.8 * Q) + 0.8 * kl(Q, 0.2 * P + 0.8 * Q),
        "precision_recall(1)": TOTAL_VARIATION,
    }.items(),
)
def test_the_best_critic_attains_the_divergence(name, expected):
    assert attained(name) == pytest.approx(expected, rel=1e-8)  # the trapezoidal rule on an analytic integrand


@pytest.mark.parametrize("near", [1e-4, 1 - 1e-4])
def test_limits_of_the_lambda_divergence(near):
    scale, limit = (near, KL) if near < 0.5 else (1 - near, REVERSE_KL)
    assert attained(f"lambda({near})") / scale == pytest.approx(limit, rel=2e-3)


@pytest.mark.parametrize(("near", "limit"), [(1 + 1e-4, KL), (1 - 1e-4, KL), (1e-4, REVERSE_KL), (-1e-4, REVERSE_KL)])
def test_limits_of_the_alpha_divergence(near, limit):
    assert FAMILIES["alpha"].member(near).f is not None
    assert integral(Q * FAMILIES["alpha"].member(near).f(U)) == pytest.approx(limit, rel=1e-3)


@pytest.mark.parametrize("value", [0.25, 1.0, 4.0])
def test_the_precision_recall_divergence_is_the_lack_of_precision_at_a_recall_rate(value):
    """The most precise that Q can be at precision/recall = λ is E_Q min(λu, 1) (Sajjadi et al. 2018, Eq. 5)."""
    precision = integral(torch.minimum(value * P, Q))
    assert attained(f"precision_recall({value})") == pytest.approx(min(value, 1.0) - precision, abs=1e-8)


def test_what_the_alternative_losses_minimise_has_a_name():
    """KL's critic makes the generator descend the reverse KL, up to terms whose mean over Q is a constant or linear."""
    for name, named in (("kl", REVERSE_KL), ("reverse_kl", integral((P - Q) ** 2 / P) / 2)):
        o = OBJECTIVES[name]
        found = integral(Q * torch.as_tensor(eval(o.alternative_formula, {"u": U, "log": torch.log})))
        # 1/(2u) is half of Neyman's 1/u - 2 + u but for -1 + u/2, whose mean is -1/2
        assert found == pytest.approx(named + (0.5 if name == "reverse_kl" else 0.0), rel=1e-8)


def test_a_score_stands_for_the_ratio_that_the_best_critic_finds():
    """For every objective that identifies p/q: descend the critic's pointwise cost at one u and read the ratio off."""
    for name, o in OBJECTIVES.items():
        if o.log_ratio is None or o.flaw:
            continue
        for u in (0.2, 1.0, 5.0):
            v = torch.linspace(-8, 8, 160_001, dtype=torch.float64)
            costs = pointwise(o, v, u)
            found = float(o.log_ratio(v[costs.argmin()]).exp())
            assert found == pytest.approx(u, rel=2e-3), name


def pointwise(o, v: torch.Tensor, u: float) -> torch.Tensor:
    """u real(v) + fake(v) of either class of objective."""
    if hasattr(o, "activation"):
        return o.fake_score(v) - u * o.activation(v)
    return u * o.real(v) + o.fake(v)


def test_bayes_accuracy_is_that_of_the_sign():
    """Misclassification's least cost is 2 (1 - accuracy) for classes of equal weight."""
    right = integral(torch.where(P > Q, P, Q)) / 2
    assert right == pytest.approx((1 + TOTAL_VARIATION) / 2, rel=1e-8)
    assert -attained("misclassification") == pytest.approx(2 * (1 - right), rel=1e-6)


def test_mmd_of_two_normals_has_a_closed_form():
    """Gaussian kernels: E k = s/sqrt(s² + total variance) exp(-(difference of means)²/2/(s² + total variance))."""

    def mean(variance: float, apart: float) -> float:
        from divergan.objectives.kernels import SCALES

        return sum(
            s / (s**2 + variance) ** 0.5 * 2.718281828459045 ** (-(apart**2) / 2 / (s**2 + variance)) for s in SCALES
        )

    expected = mean(2, 0) + mean(2 * 1.69, 0) - 2 * mean(1 + 1.69, 1)
    assert mean_discrepancy("mmd_gaussian") == pytest.approx(expected, rel=0.08)


def test_the_energy_distance_is_twice_the_squared_distance_of_the_distribution_functions():
    cdf = [torch.special.ndtr((X - mean) / std) for mean, std in ((0.0, 1.0), (1.0, 1.3))]
    expected = 2 * integral((cdf[0] - cdf[1]) ** 2)
    assert mean_discrepancy("mmd_energy") == pytest.approx(expected, rel=0.08)


def mean_discrepancy(name: str) -> float:
    """Over 30 sets of 500 draws a side: a set's standard deviation is about 16 %, so the mean's is 3 %."""
    rng, found = torch.Generator().manual_seed(0), []
    for _ in range(30):
        x, y = torch.randn(2, 500, 1, generator=rng, dtype=torch.float64)
        found.append(float(OBJECTIVES[name].discrepancy(x, 1 + 1.3 * y)))
    return sum(found) / len(found)


def test_the_unbiased_discrepancy_of_one_distribution_is_zero_in_the_mean():
    rng = torch.Generator().manual_seed(0)
    o = OBJECTIVES["mmd_rational_quadratic"]
    found = torch.stack([o.discrepancy(*torch.randn(2, 50, 4, generator=rng)) for _ in range(300)])
    assert abs(float(found.mean())) < 3 * float(found.std()) / 300**0.5


def test_the_wright_omega_function_solves_its_equation():
    from divergan.objectives.f_divergences import wright_omega

    x = torch.linspace(-600, 600, 2001, dtype=torch.float64)
    w = wright_omega(x)
    assert torch.allclose((w + w.log()), x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(derivative(wright_omega, x), w / (1 + w), rtol=1e-9, atol=1e-300)
