"""Statements about divergences and samplers that no run decides: checked on the declarations themselves.

A check returns what breaks the statement, in words, and nothing where it holds. The objectives whose definitions differ
from what was printed are named as such in the claim (`pearson_as_published`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from divergan.lazy import lazy
from divergan.objectives import OBJECTIVES, definitions
from divergan.objectives.declaration import FDivergence, Objective
from divergan.samplers import SAMPLERS, Model, Random, Sampler

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")

# f'(1) as Table 1 of benatti2024fdivergences prints it; -log 2 to the digits of float64.
PRINTED_SLOPES = {
    "kl": 1.0,
    "reverse_kl": -1.0,
    "pearson": 0.0,
    "squared_hellinger": 0.0,
    "jensen_shannon": 0.0,
    "gan": -0.6931471805599453,
}


@dataclass(frozen=True, kw_only=True)
class Property:
    """`faults` yields what breaks the statement; `checked` says on what it was tried, as evidence."""

    checked: str
    faults: Callable[[Sequence[Any]], Iterator[str]]  # of the declarations that `of` names
    of: Literal["objectives", "samplers"] = "objectives"

    def broken(self, names: Sequence[str]) -> list[str]:
        """What breaks the statement about the objectives, or samplers, of these names."""
        return list(self.faults([(OBJECTIVES if self.of == "objectives" else SAMPLERS)[name] for name in names]))


def of_each(fault: Callable[[FDivergence], str]) -> Callable[[Sequence[Objective]], Iterator[str]]:
    """A statement about one f-divergence, asked of each."""

    def faults(objectives: Sequence[Objective]) -> Iterator[str]:
        for objective in objectives:
            if not isinstance(objective, FDivergence):
                yield f"{objective.label} is no f-divergence"
            elif found := fault(objective):
                yield found

    return faults


def least(d: FDivergence, total_variation: float) -> float:
    """The least D_f(P || Q) of any P, Q at this total variation.

    By the data-processing inequality the pair may be taken on two points, P = (q + total_variation, ...), Q = (q, ...):
    merging where p > q and where p <= q keeps the total variation and never raises D_f. Search over q.
    """
    q = torch.linspace(0, 1 - total_variation, 2003, dtype=torch.float64)[1:-1]
    p = q + total_variation
    return float((q * d.f(p / q) + (1 - q) * d.f((1 - p) / (1 - q))).min())


def not_a_distance(d: FDivergence) -> str:
    """Non-negative, and zero exactly at equality; the rounding of a sum of two terms stays below 1e-12."""
    at_equality, apart = least(d, 0.0), least(d, 0.01)
    if abs(at_equality) > 1e-12:
        return f"{d.label}: f(1) = {at_equality:.4g}, so D is {at_equality:.4g} where P = Q"
    return "" if apart > 1e-12 else f"{d.label}: D is {apart:.4g} for distributions that differ"


def small_for_distant(d: FDivergence) -> str:
    """D_f - f(1) stays above zero at every total variation above zero, and grows with it."""
    values = [least(d, step / 20) for step in range(20)]
    rising = all(after - before > 1e-12 for before, after in pairwise(values))
    return "" if rising else f"{d.label}: D can fall while the distributions move apart"


def is_symmetric(d: FDivergence) -> bool:
    """D_f(P || Q) = D_f(Q || P) for all P, Q exactly where f(u) - u f(1/u) is a multiple of u - 1."""
    u = definitions.ratios()
    skew = d.f(u) - u * d.f(1 / u)
    return definitions.close(skew, skew[-1] / (u[-1] - 1) * (u - 1), atol=1e-6)


def all_symmetric(objectives: Sequence[Objective]) -> Iterator[str]:
    if not any(isinstance(d, FDivergence) and not is_symmetric(d) for d in objectives):
        yield f"{', '.join(d.label for d in objectives)}: none is an f-divergence that is not symmetric"


def bound_above(d: FDivergence) -> str:
    """u t - f*(t) <= f(u) for every u and t (Fenchel-Young), with equality at t = f'(u), and tight by quadrature."""
    u = definitions.ratios()[::10]
    t = d.activation(definitions.scores(6.0))
    below = (u[:, None] * t - d.conjugate(t) <= d.f(u)[:, None] + 1e-9).all()
    tight = definitions.fenchel_young(d) and definitions.bound_is_tight(d)
    return "" if below and tight else f"{d.label}: the bound is {'not tight' if below else 'exceeded'}"


def wrong_conjugate(d: FDivergence) -> str:
    if definitions.supremum(d) and definitions.fenchel_young(d):
        return ""
    return d.flaw or f"{d.label}: {d.conjugate_formula} is not the supremum of u t - f(u)"


def outside_domain(d: FDivergence) -> str:
    fits = definitions.activation_increases_into_domain(d) and definitions.every_optimum_attainable(d)
    return "" if fits else f"{d.label}: {d.activation_formula} leaves the conjugate's domain or misses an optimum"


def other_slope(d: FDivergence) -> str:
    printed = PRINTED_SLOPES.get(d.name)
    if printed is None:
        return f"{d.label}: Table 1 prints none"
    return "" if abs(d.threshold - printed) < 1e-12 else f"{d.label}: f'(1) = {d.threshold:.4g}, printed {printed:.4g}"


def misplaced_threshold(d: FDivergence) -> str:
    """T > f'(1) exactly where the score stands for p > q; the scores tried lie off the threshold itself."""
    v = definitions.scores() + 0.0123
    told = d.activation(v) > d.threshold
    return "" if bool((told == (definitions.log_ratio(d, v) > 0)).all()) else f"{d.label}: f'(1) does not part p > q"


def other_games(objectives: Sequence[Objective]) -> Iterator[str]:
    """Two objectives are one game where their losses differ by constants: all gradients agree."""
    first, *others = objectives
    v = definitions.scores(20.0)
    for other in others:
        agree = all(
            definitions.close(definitions.derivative(a, v), definitions.derivative(b, v))
            for a, b in zip(losses(first, v), losses(other, v), strict=True)
        )
        if not agree:
            yield f"{first.label} and {other.label} have losses with different gradients"


def losses(o: Objective, v: torch.Tensor) -> tuple[definitions.Function, ...]:
    """The critic's loss of its real and of its fake scores, and both losses of the generator."""
    return (lambda x: o.critic_loss(x, v)), (lambda x: o.critic_loss(v, x)), *definitions.generator_losses(o, v)


# The samplers that a statement may be about, with settings to try them with: the report's two.
TRIED_WITH = {"drs": {"percentile": 95.0, "acceptance": None}, "latent_rs": {"weights": "learned"}}


def idle_samplers(samplers: Sequence[Sampler]) -> Iterator[str]:
    """A sampler takes part in training where drawing with it changes a weight of the generator or of the critic."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator, critic = torch.nn.Linear(8, 4), torch.nn.Linear(4, 1)
    before = [weight.detach().clone() for weight in (*generator.parameters(), *critic.parameters())]
    for sampler in samplers:
        model = Model(
            generator=generator,
            latent=8,
            device="cpu",
            weight=lambda z: z.square().mean(dim=1),
            log_ratio=lambda images: critic(images)[:, 0],
            pilot=512,
        )
        random = Random(latents=torch.Generator().manual_seed(1), choices=torch.Generator().manual_seed(2))
        sampler.draw(model, 64, sampler.settings.model_validate(TRIED_WITH[sampler.name]), random)
        if all(map(torch.equal, before, (*generator.parameters(), *critic.parameters()))):
            yield f"{sampler.label} draws from finished networks, and leaves every weight as it was"


PROPERTIES = {
    "non_negative": Property(checked="the least D_f at total variation 0 and 0.01", faults=of_each(not_a_distance)),
    "zero_only_in_the_limit": Property(
        checked="the least D_f at total variations from 0 to 0.95", faults=of_each(small_for_distant)
    ),
    "not_all_symmetric": Property(checked="f(u) - u f(1/u) over u from 0.001 to 1000", faults=all_symmetric),
    "lower_bound": Property(
        checked="Fenchel-Young on a grid of u and t, and quadrature over two normals", faults=of_each(bound_above)
    ),
    "conjugate": Property(checked="the supremum of u t - f(u), by search over u", faults=of_each(wrong_conjugate)),
    "activation": Property(
        checked="range and monotony of g_f against the domain of f*", faults=of_each(outside_domain)
    ),
    "slope_at_one": Property(checked="the derivative of f at 1", faults=of_each(other_slope)),
    "threshold": Property(checked="T against f'(1), p against q, on 401 scores", faults=of_each(misplaced_threshold)),
    "same_game": Property(checked="gradients of all losses on 401 scores", faults=other_games),
    "takes_part_in_training": Property(
        checked="the networks' weights before and after drawing", faults=idle_samplers, of="samplers"
    ),
}
