"""What an objective must satisfy to be what it says: checked against the definitions, never against another copy of the
formula. `violations` lists what a declaration breaks, in words; the tests run it over the registry and planted faults.

All checks work in float64 on scores and ratios where the formulas themselves are well conditioned; what must hold in
float32 says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isinf
from typing import TYPE_CHECKING

from divergan.lazy import lazy
from divergan.objectives.declaration import FDivergence, Objective, Scores

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

Function = Callable[["torch.Tensor"], "torch.Tensor"]


@dataclass(frozen=True)
class Definition:
    """`holds` says whether the statement is true of an objective of the class `of`."""

    statement: str
    of: type
    holds: Callable[..., bool]


def violations(objective: Objective) -> list[str]:
    """The statements that do not hold of the objective, empty where all do."""
    return [d.statement for d in DEFINITIONS if isinstance(objective, d.of) and not d.holds(objective)]


def ratios() -> torch.Tensor:
    """Density ratios u from 1e-3 to 1e3."""
    return torch.logspace(-3, 3, 601, dtype=torch.float64)


def scores(limit: float = 10.0) -> torch.Tensor:
    return torch.linspace(-limit, limit, 401, dtype=torch.float64)


def derivative(g: Function, x: torch.Tensor) -> torch.Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(g(x).sum(), x)[0]


def close(a: torch.Tensor, b: torch.Tensor, rtol: float = 1e-7, atol: float = 1e-9) -> bool:
    return torch.allclose(a, b, rtol=rtol, atol=atol)


def evaluated(formula: str, **values: torch.Tensor) -> torch.Tensor:
    """A printed formula in numbers; formulas are this package's own declarations, never input."""
    names = {"log": _log, "exp": torch.exp, "sqrt": torch.sqrt, "maximum": lambda x, y: x.clamp(min=y)}
    return eval(formula, {"__builtins__": {}}, {**names, **values})


def _log(x: torch.Tensor | float) -> torch.Tensor:
    return torch.as_tensor(x, dtype=torch.float64).log()


def printed_formulas(d: FDivergence) -> bool:
    u, v = ratios(), scores()
    t = derivative(d.f, u)
    return (
        close(evaluated(d.formula, u=u), d.f(u))
        and close(evaluated(d.conjugate_formula, t=t), d.conjugate(t), rtol=1e-6)
        and close(evaluated(d.activation_formula, v=v), d.activation(v))
    )


def convex(d: FDivergence) -> bool:
    return bool((derivative(d.f, ratios()).diff() >= -1e-12).all())


def fenchel_young(d: FDivergence) -> bool:
    """f*(f'(u)) = u f'(u) - f(u): exact, so no search for the supremum."""
    u = ratios()
    t = derivative(d.f, u)
    return close(d.conjugate(t), u * t - d.f(u))


def supremum(d: FDivergence) -> bool:
    """f*(t) = max over u of u t - f(u), by search over u, also where no f'(u) reaches t (below f'(0) for Pearson).

    The grid's steps of 0.03 % in u leave an error of second order, and u from 1e-8 one of about 1e-7.
    """
    u = torch.logspace(-8, 8, 120_001, dtype=torch.float64)
    low, high = derivative(d.f, ratios())[[200, 400]]  # f'(0.1) and f'(10): the maximiser stays inside the grid
    t = torch.linspace(float(low) - 3, float(high), 25, dtype=torch.float64)
    searched = (u * t[:, None] - d.f(u)).amax(dim=1)
    return close(d.conjugate(t), searched, rtol=1e-5, atol=1e-5)


def domain_is_where_the_conjugate_is_finite(d: FDivergence) -> bool:
    """f* is finite below lim f'(u) as u grows without bound, for u >= 0 puts no bound from below."""
    slope = float(derivative(d.f, torch.tensor([1e20], dtype=torch.float64)))
    low, high = d.domain
    return isinf(low) and low < 0 and (slope > 40 if isinf(high) else abs(slope - high) < 1e-6)


def activation_increases_into_domain(d: FDivergence) -> bool:
    t = d.activation(scores())
    low, high = d.domain
    return bool((t.diff() > 0).all() and (low < t).all() and (t < high).all())


def every_optimum_attainable(d: FDivergence) -> bool:
    """T* = f'(u) must be in the activation's range, or the bound can never be tight."""
    t, reach = derivative(d.f, ratios()), d.activation(scores(3000.0))
    return bool(reach.min() <= t.min() and t.max() <= reach.max())


def fake_score_is_conjugate_of_activation(d: FDivergence) -> bool:
    v = scores()
    return close(d.fake_score(v), d.conjugate(d.activation(v)), rtol=1e-6)


def losses_are_the_bound(d: FDivergence) -> bool:
    """The critic minimises E_Q[f*(T)] - E_P[T]; the generator its own share of minus that; alternatively -E_Q[T]."""
    v_real, v_fake = scores(3.0), scores(4.0) + 0.5
    t_real, t_fake = d.activation(v_real), d.activation(v_fake)
    return (
        close(d.critic_loss(v_real, v_fake), d.conjugate(t_fake).mean() - t_real.mean())
        and close(d.bound_loss(v_fake), -d.conjugate(t_fake).mean())
        and close(d.alternative_loss(v_fake), -t_fake.mean())
    )


def ratio_is_slope_of_conjugate(d: FDivergence) -> bool:
    """T* = f'(p/q) and f*' inverts f', so p/q = f*'(T)."""
    v = scores(6.0)
    u = derivative(d.conjugate, d.activation(v))
    return close(log_ratio(d, v).exp(), u, rtol=1e-6)


def ratio_at_optimum_is_u(d: FDivergence) -> bool:
    """f'(exp(log_ratio(v))) = g_f(v) wherever the ratio is positive: independent of the conjugate."""
    v = scores(6.0)
    r = log_ratio(d, v)
    v, r = v[r > -20], r[r > -20]
    return close(derivative(d.f, r.exp()), d.activation(v), rtol=1e-6)


def ratio_is_safe(o: Objective) -> bool:
    """In float32, over all scores that training may meet: no NaN, no +inf, increasing."""
    if o.log_ratio is None:
        return True
    r = o.log_ratio(torch.linspace(-300.0, 300.0, 2401))
    return not bool(r.isnan().any() or (r == float("inf")).any() or (r.nan_to_num(neginf=-1e9).diff() < 0).any())


def bound_is_tight(d: FDivergence) -> bool:
    """Quadrature over P = N(1, 1), Q = N(0, 1), where p/q = e^(x - 1/2): the bound at T* is the divergence.

    The tails beyond 12 standard deviations weigh less than 1e-30.
    """
    x = torch.linspace(-12, 13, 100_001, dtype=torch.float64)
    q = (-x.square() / 2).exp() / (2 * torch.pi) ** 0.5
    u = (x - 0.5).exp()
    t = derivative(d.f, u)
    bound = torch.trapezoid(u * q * t - q * d.conjugate(t), x)
    return close(bound, torch.trapezoid(q * d.f(u), x), rtol=1e-6)


def divergence_is_zero_at_equality(o: Objective) -> bool:
    """With P = Q the best critic scores log p/q = 0 everywhere, or any one value where no ratio is identified."""
    v = score_of_equality(o).expand(8)
    return abs(float(o.divergence(v, v))) < 1e-6


def score_of_equality(o: Objective) -> torch.Tensor:
    if o.log_ratio is None:
        return torch.tensor(0.3, dtype=torch.float64)
    v = torch.linspace(-4, 4, 8001, dtype=torch.float64)
    return v[o.log_ratio(v).nan_to_num(neginf=-1e9).abs().argmin()]


def gradients_pull_apart(o: Objective) -> bool:
    """The critic raises real scores and lowers fake ones; either generator loss raises fake ones."""
    v = scores(1.0).float()
    return bool(
        (derivative(lambda x: o.critic_loss(x, v), v) < 0).all()
        and (derivative(lambda x: o.critic_loss(v, x), v) > 0).all()
        and all((derivative(loss, v) < 0).all() for loss in (o.bound_loss, o.alternative_loss))
    )


def finite_at_large_scores(o: Objective) -> bool:
    """Losses and gradients in float32 up to |v| = 60; beyond about 88 e^v itself is infinite."""
    v = scores(60.0).float()
    return all(
        bool(derivative(loss, v).isfinite().all() and loss(v).isfinite())
        for loss in (lambda x: o.critic_loss(x, x), o.bound_loss, o.alternative_loss)
    )


def exact_in_float32(d: FDivergence) -> bool:
    """fake_score in float32 agrees with float64 wherever float32 can hold it, to a few roundings of v."""
    v = torch.linspace(-100.0, 100.0, 401)
    exact = d.fake_score(v.double())
    held = exact.abs() < 1e38
    return close(d.fake_score(v).double()[held], exact[held], rtol=1e-4, atol=1e-5)


def best_response_is_the_ratio(o: Scores) -> bool:
    """The v that minimises u real(v) + fake(v) has log_ratio(v) = log u; without a ratio, u = 1 leaves no best v."""
    v = scores(6.0)
    real, fake = derivative(o.real, v), derivative(o.fake, v)
    if o.log_ratio is None:
        return close(real, -fake)
    return close(o.log_ratio(v).exp() * real, -fake, rtol=1e-6)


def generator_plays_against_the_critic(o: Scores) -> bool:
    """The bound loss is the generator's share of minus the critic's cost."""
    v_real, v_fake = scores(3.0), scores(4.0) + 0.5
    moved = o.critic_loss(v_real, v_fake + 1) - o.critic_loss(v_real, v_fake)
    return close(o.bound_loss(v_fake + 1) - o.bound_loss(v_fake), -moved)


def log_ratio(o: Objective, v: torch.Tensor) -> torch.Tensor:
    assert o.log_ratio is not None, f"{o.name} identifies no density ratio"
    return o.log_ratio(v)


DEFINITIONS = (
    Definition("the printed formulas are the functions", FDivergence, printed_formulas),
    Definition("f is convex", FDivergence, convex),
    Definition("f*(f'(u)) = u f'(u) - f(u) (Fenchel-Young)", FDivergence, fenchel_young),
    Definition("f*(t) is the supremum of u t - f(u)", FDivergence, supremum),
    Definition("the domain ends at the limit of f'", FDivergence, domain_is_where_the_conjugate_is_finite),
    Definition("the activation increases, into the domain", FDivergence, activation_increases_into_domain),
    Definition("every optimal critic f'(u) is attainable", FDivergence, every_optimum_attainable),
    Definition("fake_score is f* after the activation", FDivergence, fake_score_is_conjugate_of_activation),
    Definition("the losses are those of the variational bound", FDivergence, losses_are_the_bound),
    Definition("the density ratio is the slope of f*", FDivergence, ratio_is_slope_of_conjugate),
    Definition("the density ratio at the optimal critic is u", FDivergence, ratio_at_optimum_is_u),
    Definition("the bound is tight at the optimal critic", FDivergence, bound_is_tight),
    Definition("fake_score is exact in float32", FDivergence, exact_in_float32),
    Definition("the critic's best response is the density ratio", Scores, best_response_is_the_ratio),
    Definition("the generator's bound loss opposes the critic's", Scores, generator_plays_against_the_critic),
    Definition("the log ratio is safe in float32", Objective, ratio_is_safe),
    Definition("the divergence is 0 where P = Q", Objective, divergence_is_zero_at_equality),
    Definition("gradients pull real and fake scores apart", Objective, gradients_pull_apart),
    Definition("losses are finite at large scores", Objective, finite_at_large_scores),
)
