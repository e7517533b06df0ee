"""What an objective must satisfy to be what it says: checked against the definitions, never against another copy of the
formula. `violations` lists what a declaration breaks, in words; the tests run it over the registry and planted faults.

All checks work in float64 on scores and ratios where the formulas themselves are well conditioned; what must hold in
float32 says so.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from math import isinf
from typing import TYPE_CHECKING, Any

from divergan.lazy import lazy
from divergan.objectives.declaration import RATIO, SIGN, FDivergence, Objective, Scores
from divergan.objectives.f_divergences import wright_omega
from divergan.objectives.kernels import KernelDistance
from divergan.objectives.relativistic import Relativistic

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
    look_at: str  # where the cause of a violation is found, in words


@dataclass(frozen=True)
class Violation:
    statement: str
    found: str  # the first comparison that failed, in numbers; empty where none was made
    look_at: str


def violations(objective: Objective) -> list[str]:
    """The statements that do not hold of the objective, empty where all do."""
    return [violation.statement for violation in explained(objective)]


def explained(objective: Objective) -> list[Violation]:
    """What does not hold of the objective, with what was found instead; a check that raises does not hold."""
    broken = []
    for definition in applying(objective):
        differences: list[str] = []
        kept = DIFFERENCES.set(differences)
        try:
            holds = definition.holds(objective)
        except Exception as error:  # of a declaration under trial: a formula that does not parse, a wrong shape
            holds, differences[:0] = False, [f"{type(error).__name__}: {error}"]
        finally:
            DIFFERENCES.reset(kept)
        if not holds:
            broken.append(Violation(definition.statement, next(iter(differences), ""), definition.look_at))
    return broken


def applying(objective: Objective) -> list[Definition]:
    return [definition for definition in DEFINITIONS if isinstance(objective, definition.of)]


def ratios() -> torch.Tensor:
    """Density ratios u from 1e-3 to 1e3."""
    return torch.logspace(-3, 3, 601, dtype=torch.float64)


def scores(limit: float = 10.0) -> torch.Tensor:
    return torch.linspace(-limit, limit, 401, dtype=torch.float64)


def derivative(g: Function, x: torch.Tensor) -> torch.Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(g(x).sum(), x)[0]


DIFFERENCES: ContextVar[list[str] | None] = ContextVar("differences", default=None)  # of comparisons that failed


def close(a: torch.Tensor, b: torch.Tensor, rtol: float = 1e-7, atol: float = 1e-9) -> bool:
    """Whether all of a is b; notes the worst place where it is not."""
    equal = torch.allclose(a, b, rtol=rtol, atol=atol)
    if not equal and (noted := DIFFERENCES.get()) is not None:
        a, b = (x.detach().flatten() for x in torch.broadcast_tensors(a, b))
        worst = int(((a - b).abs() / (atol + rtol * b.abs())).nan_to_num(nan=torch.inf).argmax())
        noted.append(f"{float(a[worst]):.6g} where {float(b[worst]):.6g} was expected (place {worst + 1} of {len(a)})")
    return equal


def evaluated(formula: str, **values: torch.Tensor) -> torch.Tensor:
    """A printed formula in numbers; formulas are this package's own declarations, never input."""
    names: dict[str, Any] = {"log": _log, "exp": torch.exp, "sqrt": _sqrt, "abs": torch.abs, "tanh": torch.tanh}
    names |= {"maximum": lambda x, y: x.clamp(min=y), "minimum": lambda x, y: x.clamp(max=y), "omega": wright_omega}
    return eval(formula, {"__builtins__": {}}, {**names, **values})


def _log(x: torch.Tensor | float) -> torch.Tensor:
    return torch.as_tensor(x, dtype=torch.float64).log()


def _sqrt(x: torch.Tensor | float) -> torch.Tensor:
    return torch.as_tensor(x, dtype=torch.float64).sqrt()


def printed_formulas(d: FDivergence) -> bool:
    u, v = ratios(), scores()
    t = derivative(d.f, u)
    return close(evaluated(d.conjugate_formula, t=t), d.conjugate(t), rtol=1e-6) and close(
        evaluated(d.activation_formula, v=v), d.activation(v)
    )


def printed_f(o: Objective) -> bool:
    """And both or neither of f and its alternative are there; what nothing can be trained with has no alternative."""
    if o.f is None:
        return not o.formula and not o.alternative_formula
    fits = close(evaluated(o.formula, u=ratios()), o.f(ratios()))
    return fits and bool(o.alternative_formula) != bool(o.untrainable)


def convex(o: Objective) -> bool:
    return o.f is None or bool((derivative(o.f, ratios()).diff() >= -1e-12).all())


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
    slope = float(derivative(d.f, torch.tensor([1e150], dtype=torch.float64)))
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
    if d.log_ratio is None:
        return True
    v = scores(6.0)
    u = derivative(d.conjugate, d.activation(v))
    return close(log_ratio(d, v).exp(), u, rtol=1e-6)


def ratio_at_optimum_is_u(d: FDivergence) -> bool:
    """f'(exp(log_ratio(v))) = g_f(v) wherever the ratio is positive: independent of the conjugate."""
    if d.log_ratio is None:
        return True
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
    """With P = Q the best critic scores log p/q = 0 everywhere; without a ratio, the best constant does."""
    v = torch.linspace(-4, 4, 8001, dtype=torch.float64)
    if o.log_ratio is not None:
        v = v[o.log_ratio(v).nan_to_num(neginf=-1e9).abs().argmin()].expand(8)
        return abs(float(o.divergence(v, v))) < 1e-6
    best = max(float(o.divergence(c, c)) for c in 2 * v[::80, None].expand(-1, 8))
    # The ends of an open interval of T are approached by growing scores: a score of 8 is within 0.003 of them.
    return abs(best) < (1e-2 if isinstance(o, FDivergence) else 1e-6)


def gradients_pull_apart(o: Objective) -> bool:
    """The critic raises real scores and lowers fake ones; either generator loss raises fake ones.

    At scores between those of p/q = 1/3 and 3, for least squares pulls scores toward two values and not apart.
    """
    if o.untrainable or isinstance(o, KernelDistance):
        return True
    v = scores(0.9).float()
    if o.log_ratio is not None:
        v = scores(3.0).float()
        v = v[o.log_ratio(v).abs() < 1.1]
    return bool(
        (derivative(lambda x: o.critic_loss(x, v), v) < 0).all()
        and (derivative(lambda x: o.critic_loss(v, x), v) > 0).all()
        and all((derivative(loss, v) < 0).all() for loss in generator_losses(o, v))
    )


def generator_losses(o: Objective, v_real: torch.Tensor) -> tuple[Function, Function]:
    """Both losses of the generator as functions of its scores alone."""
    return (lambda v: o.bound_loss(v, v_real)), (lambda v: o.alternative_loss(v, v_real))


def finite_at_large_scores(o: Objective) -> bool:
    """Losses and gradients in float32 up to |v| = 60; beyond about 88 e^v itself is infinite."""
    v = scores(60.0).float()
    return all(
        bool(derivative(loss, v).isfinite().all() and loss(v).isfinite())
        for loss in (lambda x: o.critic_loss(x, x.flip(0)), *generator_losses(o, v))
        if not o.untrainable
    )


def exact_in_float32(d: FDivergence) -> bool:
    """fake_score in float32 agrees with float64 wherever float32 can hold it, to a few roundings of v."""
    v = torch.linspace(-100.0, 100.0, 401)
    exact = d.fake_score(v.double())
    held = exact.abs() < 1e38
    return close(d.fake_score(v).double()[held], exact[held], rtol=1e-4, atol=1e-5)


def least_cost_is_minus_f(o: Scores) -> bool:
    """f(u) = -min over v of u real(v) + fake(v), by search over v; the grid's steps leave an error of second order."""
    if o.f is None:
        return True
    wide, within = (torch.linspace(*ends, 24_001, dtype=torch.float64) for ends in ((-12, 12), (0, 1)))
    v, u = torch.cat((wide, within)), ratios()[::20]
    return close((u[:, None] * o.real(v) + o.fake(v)).amin(dim=1), -o.f(u), rtol=1e-5)


def best_response(o: Scores) -> bool:
    """The v that minimises u real(v) + fake(v) has log_ratio(v) = log u, or the sign of u - 1 where only that is told;
    without either, u = 1 leaves no best v.
    """
    if o.log_ratio is not None:
        v = scores(6.0)
        v = v[o.log_ratio(v).abs() < 10]
        return close(o.log_ratio(v).exp() * derivative(o.real, v), -derivative(o.fake, v), rtol=1e-6)
    if o.identifies == SIGN:
        v, u = scores(3.0), ratios()[ratios().log().abs() > 0.01]
        best = v[(u[:, None] * o.real(v) + o.fake(v)).argmin(dim=1)]
        return bool(((best > 0) == (u > 1)).all())
    v = scores(6.0)
    return close(derivative(o.real, v), -derivative(o.fake, v))


def says_what_it_identifies(o: Objective) -> bool:
    return bool(o.identifies) and (o.identifies == RATIO) == (o.log_ratio is not None)


def generator_losses_minimise_what_is_printed(o: Objective) -> bool:
    """With the best critic v(u), a loss l(v) of samples of Q descends E_Q[h(u)] where dl/du = -u h''(u).

    For E_Q[h(p/q)] changes with q by h(u) - u h'(u), whose slope is -u h''(u), and E_Q[l] by l(v(u)). The bound's loss
    has f for h, the alternative one the printed g: the critic stands still while the generator moves.
    """
    if o.f is None or o.log_ratio is None or not o.alternative_formula:
        return True
    v = scores(3.0)
    v = v[o.log_ratio(v).abs() < 5]
    u, du = o.log_ratio(v).exp(), derivative(lambda x: log_ratio(o, x).exp(), v)
    printed = (o.formula, o.alternative_formula)
    return all(
        close(len(v) * derivative(loss, v), -u * second_derivative(h, u) * du, rtol=1e-5, atol=1e-7)
        for h, loss in zip(printed, generator_losses(o, v), strict=True)
    )


def second_derivative(formula: str, u: torch.Tensor) -> torch.Tensor:
    """h'' at u, of a printed formula."""
    u = u.clone().requires_grad_()
    (slope,) = torch.autograd.grad(evaluated(formula, u=u).sum(), u, create_graph=True)
    curved = slope.requires_grad and torch.autograd.grad(slope.sum(), u, allow_unused=True)[0]
    return curved if isinstance(curved, torch.Tensor) else torch.zeros_like(u)  # of a broken line


def only_differences_count(o: Relativistic) -> bool:
    v_real, v_fake = scores(3.0), scores(4.0) + 0.5
    return close(o.critic_loss(v_real + 2, v_fake + 2), o.critic_loss(v_real, v_fake))


def sides_exchanged(o: Relativistic) -> bool:
    """The alternative loss is the critic's game with the sides exchanged; the bound's is the opposite of that game."""
    v_real, v_fake = scores(3.0), scores(4.0) + 0.5
    return close(o.alternative_loss(v_fake, v_real), o.critic_loss(v_fake, v_real)) and close(
        o.bound_loss(v_fake, v_real), -o.critic_loss(v_real, v_fake)
    )


def bounded_by_a_perfect_critic(o: Relativistic) -> bool:
    """The supremum, over distributions and critics, is 2 c(0) less what a won game still costs."""
    won = torch.full((8,), 50.0, dtype=torch.float64)
    zero = torch.zeros((), dtype=torch.float64)
    least = min(float(o.cost(x)) for x in scores(50.0))
    at = max(float(o.divergence(x * won / 50, -x * won / 50)) for x in scores(50.0)[200:])
    return abs(at - 2 * (float(o.cost(zero)) - least)) < 1e-3


def discrepancy_by_hand(o: KernelDistance) -> bool:
    """The mean over pairs of different images on each side, less twice the mean over pairs across, pair by pair."""
    rng = torch.Generator().manual_seed(0)
    x, y = (torch.randn(n, 3, generator=rng, dtype=torch.float64) for n in (4, 5))

    def mean(a: torch.Tensor, b: torch.Tensor, same: bool) -> torch.Tensor:
        pairs = [(r, s) for i, r in enumerate(a) for j, s in enumerate(b) if not same or i != j]
        return torch.stack([o.kernel((r - s).square().sum()) for r, s in pairs]).mean()

    expected = mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)
    return close(o.discrepancy(x, y), expected) and close(-o.critic_loss(x, y), expected)


def kernel_is_positive(o: KernelDistance) -> bool:
    """sum of c_i c_j k(x_i, x_j) >= 0 for every c that sums to 0: then no MMD is negative but by chance."""
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    centred = torch.eye(40, dtype=torch.float64) - 1 / 40
    return bool(torch.linalg.eigvalsh(centred @ o.gram(x, x) @ centred).min() > -1e-9)


def witness_is_the_slope(o: KernelDistance) -> bool:
    """Moving generated images along the witness's gradient is what lowers the discrepancy, but for their own terms."""
    rng = torch.Generator().manual_seed(2)
    x, y = (torch.randn(n, 2, generator=rng, dtype=torch.float64) for n in (30, 1))
    slope = derivative(lambda a: -2 * o.gram(x, a).mean(), y)
    return close(slope, -2 * derivative(lambda a: o.witness(a, x, y.detach()) + o.gram(a, y.detach()).mean(1), y))


def generator_plays_against_the_critic(o: Scores) -> bool:
    """The bound loss is the generator's share of minus the critic's cost."""
    v_real, v_fake = scores(3.0), scores(4.0) + 0.5
    moved = o.critic_loss(v_real, v_fake + 1) - o.critic_loss(v_real, v_fake)
    return close(o.bound_loss(v_fake + 1) - o.bound_loss(v_fake), -moved)


def log_ratio(o: Objective, v: torch.Tensor) -> torch.Tensor:
    assert o.log_ratio is not None, f"{o.name} identifies no density ratio"
    return o.log_ratio(v)


DEFINITIONS = (
    Definition("the printed f(u) is the function", Objective, printed_f, "formula and f, which must agree"),
    Definition(
        "the printed f*(t) and g_f(v) are the functions",
        FDivergence,
        printed_formulas,
        "conjugate_formula with conjugate, activation_formula with activation",
    ),
    Definition("f is convex", Objective, convex, "the signs of f's terms"),
    Definition(
        "f*(f'(u)) = u f'(u) - f(u) (Fenchel-Young)",
        FDivergence,
        fenchel_young,
        "conjugate: the supremum over u of u t - f(u), constants of f included",
    ),
    Definition(
        "f*(t) is the supremum of u t - f(u)",
        FDivergence,
        supremum,
        "conjugate where no f'(u) reaches t: below f'(0) it is -f(0)",
    ),
    Definition(
        "the domain ends at the limit of f'",
        FDivergence,
        domain_is_where_the_conjugate_is_finite,
        "domain: from -inf to the limit of f'(u) as u grows",
    ),
    Definition(
        "the activation increases, into the domain",
        FDivergence,
        activation_increases_into_domain,
        "activation: a larger score must mean more real, and stay inside the domain",
    ),
    Definition(
        "every optimal critic f'(u) is attainable",
        FDivergence,
        every_optimum_attainable,
        "activation: its range must cover f'(u) for all u > 0",
    ),
    Definition(
        "fake_score is f* after the activation",
        FDivergence,
        fake_score_is_conjugate_of_activation,
        "fake_score: simplify conjugate(activation(v)) anew",
    ),
    Definition(
        "the losses are those of the variational bound", FDivergence, losses_are_the_bound, "an overridden loss"
    ),
    Definition(
        "the density ratio is the slope of f*",
        FDivergence,
        ratio_is_slope_of_conjugate,
        "log_ratio: log of f*'(activation(v))",
    ),
    Definition(
        "the density ratio at the optimal critic is u",
        FDivergence,
        ratio_at_optimum_is_u,
        "log_ratio: solve f'(u) = activation(v) for log u",
    ),
    Definition("the bound is tight at the optimal critic", FDivergence, bound_is_tight, "f and conjugate together"),
    Definition(
        "fake_score is exact in float32",
        FDivergence,
        exact_in_float32,
        "fake_score: write it with softplus, expm1 or logaddexp, not as log(exp(...))",
    ),
    Definition(
        "the critic's least cost is minus f",
        Scores,
        least_cost_is_minus_f,
        "f: minus the least over v of u real(v) + fake(v)",
    ),
    Definition(
        "the critic's best response tells what is declared",
        Scores,
        best_response,
        "real and fake (which is which, their weights), log_ratio, identifies",
    ),
    Definition(
        "it says what the best critic identifies",
        Objective,
        says_what_it_identifies,
        'identifies: "p/q" with a log_ratio, something else without',
    ),
    Definition(
        "the generator's losses minimise the printed f and its alternative g, g'' = f''/u",
        Objective,
        generator_losses_minimise_what_is_printed,
        "alternative_formula: integrate f''(u)/u twice",
    ),
    Definition("only differences of scores count", Relativistic, only_differences_count, "critic_loss"),
    Definition(
        "the generator's losses are the critic's game, sides exchanged", Relativistic, sides_exchanged, "both losses"
    ),
    Definition(
        "a perfect critic attains the bound", Relativistic, bounded_by_a_perfect_critic, "cost: it must fall at 0"
    ),
    Definition("the discrepancy is the mean over pairs", KernelDistance, discrepancy_by_hand, "discrepancy"),
    Definition(
        "the kernel is positive definite on differences", KernelDistance, kernel_is_positive, "the sign of kernel"
    ),
    Definition("the witness is the discrepancy's slope", KernelDistance, witness_is_the_slope, "witness"),
    Definition(
        "the log ratio is safe in float32",
        Objective,
        ratio_is_safe,
        "log_ratio: clamp before the log, and leave out exp followed by log",
    ),
    Definition(
        "the divergence is 0 where P = Q", Objective, divergence_is_zero_at_equality, "f(1), or a constant left out"
    ),
    Definition(
        "gradients pull real and fake scores apart", Objective, gradients_pull_apart, "the sign of each loss's terms"
    ),
    Definition(
        "losses are finite at large scores",
        Objective,
        finite_at_large_scores,
        "exponents larger than v: rescale the score, as families.alpha_divergence does",
    ),
)
