"""The smallest GAN: data at 0, a generator that makes one point θ, a critic v(x) = ψ x (Mescheder et al. 2018).

Both players at 0 is its equilibrium. Whether training gets there depends on the objective, its generator loss, the
regulariser and the rule by which both move: by the eigenvalues of one update at the equilibrium, and by following it.
With the Wasserstein objective this is the bilinear game θψ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import cos, isfinite, nan, pi, sin
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from divergan.chapters.declaration import Chapter, Part, Progress, Rows, file_name
from divergan.kinds import Positive, named_objective
from divergan.lazy import lazy
from divergan.objectives import KernelDistance, Objective, objective
from divergan.strict import Strict, known

if TYPE_CHECKING:
    import pandas as pd
    import torch
else:
    pd, torch = lazy("pandas"), lazy("torch")

Place = Any  # a tensor (2,): θ and ψ
Field2 = Callable[[Place], Place]

REACHED, LOST = 0.01, 10.0  # distances to the equilibrium, from a start at 1
NODES = 64  # of instance noise, at the quantiles of a normal
KEPT = 200  # points of a path, for the figure


class Dynamics(Strict):
    objectives: list[str] = Field(min_length=1)
    generator_losses: list[Literal["bound", "alternative"]] = Field(min_length=1)
    regularisers: list[str] = Field(min_length=1)
    rules: list[str] = Field(min_length=1)
    step_size: float = Field(gt=0)
    steps: Positive
    starts: Positive  # on the circle of radius 1
    gamma: float = Field(gt=0)  # of R1, R2 and consensus
    adjustment: float = Field(gt=0)  # of the symplectic adjustment
    penalty: float = Field(gt=0)  # weight of the gradient penalty
    clip: float = Field(gt=0)
    noise: float = Field(gt=0)  # standard deviation of instance noise, constant

    @field_validator("objectives")
    @classmethod
    def _give_scores(cls, names: list[str]) -> list[str]:
        for name in names:
            chosen = named_objective(name)
            if chosen.untrainable or isinstance(chosen, KernelDistance):
                raise ValueError(f"{name}: expected an objective with a score that a player can follow")
        return names

    @field_validator("regularisers")
    @classmethod
    def _are_regularisers(cls, names: list[str]) -> list[str]:
        return [known(name, REGULARISED) for name in names]

    @field_validator("rules")
    @classmethod
    def _are_rules(cls, names: list[str]) -> list[str]:
        return [known(name, RULES) for name in names]


def parts(settings: Dynamics) -> Iterator[Part]:
    shared = settings.model_dump(exclude={"objectives"})
    count = combinations(shared)
    for name in settings.objectives:
        yield Part(key=file_name(name), settings=shared | {"objective": name}, objectives=(name,), steps=count)


def combinations(settings: dict[str, Any]) -> int:
    """Of generator losses, regularisers and rules."""
    return len(settings["generator_losses"]) * len(settings["regularisers"]) * len(settings["rules"])


def compute(settings: dict[str, Any], progress: Progress) -> Rows:
    """A row for each generator loss, regulariser and rule."""
    own, rows = objective(settings["objective"]), []
    for loss in settings["generator_losses"]:
        for regulariser in settings["regularisers"]:
            for rule in settings["rules"]:
                who = {"objective": own.name, "label": own.label, "generator_loss": loss}
                field = regularised(own, loss, regulariser, settings)
                rows.append(
                    who | {"regulariser": regulariser, "rule": rule} | judged(field, regulariser, rule, settings)
                )
                progress.update(len(rows))
    return rows


# --- the game


def losses(own: Objective, loss: str, regulariser: str, settings: dict[str, Any]) -> tuple[Field2, Field2]:
    """The critic's and the generator's loss as functions of the place."""
    noise = torch.zeros(1, dtype=torch.float64)
    if regulariser == "instance_noise":
        shares = (torch.arange(NODES, dtype=torch.float64) + 0.5) / NODES
        noise = settings["noise"] * torch.special.ndtri(shares)

    def scores(place: Place) -> tuple[Place, Place]:
        return place[1] * noise, place[1] * (place[0] + noise)

    def critic(place: Place) -> Place:
        v_real, v_fake = scores(place)
        psi = place[1]
        extra = {
            "r1": settings["gamma"] / 2 * psi**2,  # the slope of v is ψ, at every x
            "r2": settings["gamma"] / 2 * psi**2,
            "gradient_penalty": settings["penalty"] * (psi.abs() - 1) ** 2,
        }
        return own.critic_loss(v_real, v_fake) + extra.get(regulariser, 0.0)

    def generator(place: Place) -> Place:
        v_real, v_fake = scores(place)
        return own.generator_loss(loss)(v_fake, v_real)

    return critic, generator


def regularised(own: Objective, loss: str, regulariser: str, settings: dict[str, Any]) -> Field2:
    """ξ (2,): each player's gradient of its own loss, that descends along -ξ."""
    critic, generator = losses(own, loss, regulariser, settings)

    def field(place: Place) -> Place:
        return torch.stack((torch.func.grad(generator)(place)[0], torch.func.grad(critic)(place)[1]))

    def adjusted(place: Place) -> Place:
        """ξ + γ Jᵀξ: the gradient of γ/2 |ξ|² added for both players (Mescheder et al. 2017)."""
        return field(place) + settings["gamma"] * torch.func.jacrev(field)(place).T @ field(place)

    return adjusted if regulariser == "consensus" else field


REGULARISED = ("none", "r1", "r2", "gradient_penalty", "weight_clipping", "instance_noise", "consensus")


# --- the rules


def simultaneous(field: Field2, place: Place, step: float, settings: dict[str, Any]) -> Place:
    return place - step * field(place)


def alternating(field: Field2, place: Place, step: float, settings: dict[str, Any]) -> Place:
    """The critic first, then the generator against the new critic, as images are trained."""
    moved = torch.stack((place[0], place[1] - step * field(place)[1]))
    return torch.stack((moved[0] - step * field(moved)[0], moved[1]))


def symplectic(field: Field2, place: Place, step: float, settings: dict[str, Any]) -> Place:
    """Along ξ + λ Aᵀξ with the antisymmetric part A of ξ's Jacobian (Balduzzi et al. 2018, section 3.2)."""
    jacobian, xi = torch.func.jacrev(field)(place), field(place)
    return place - step * (xi + settings["adjustment"] * (jacobian - jacobian.T).T / 2 @ xi)


def extragradient(field: Field2, place: Place, step: float, settings: dict[str, Any]) -> Place:
    """A step with the gradient that a step ahead would have (Korpelevich 1976)."""
    return place - step * field(place - step * field(place))


RULES: dict[str, Callable[[Field2, Any, float, dict[str, Any]], Any]] = {
    "simultaneous": simultaneous,
    "alternating": alternating,
    "extragradient": extragradient,
    "symplectic": symplectic,
    "fictitious_play": simultaneous,  # against the mean of all that the other player has played
}


def update(field: Field2, rule: str, regulariser: str, settings: dict[str, Any]) -> Field2:
    """One step of both players; weights are clipped after it."""

    def moved(place: Place) -> Place:
        after = RULES[rule](field, place, settings["step_size"], settings)
        if regulariser != "weight_clipping":
            return after
        return torch.stack((after[0], after[1].clamp(-settings["clip"], settings["clip"])))

    return moved


# --- what becomes of it


def judged(field: Field2, regulariser: str, rule: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Eigenvalues at the equilibrium, the energy, and what following the rule comes to."""
    step = update(field, rule, regulariser, settings)
    start = torch.tensor([[cos(a), sin(a)] for a in angles(settings["starts"])], dtype=torch.float64)
    paths = followed(step, field, rule, start, settings)
    distances = paths.norm(dim=2)  # (steps + 1, starts)
    last = float(distances[-1].max())
    return {
        **spectrum(step, field, rule, regulariser),
        "falls": energy_falls(field),
        "distance": last if isfinite(last) else nan,
        "outcome": outcome(distances),
        "path": paths[:: max(1, len(paths) // KEPT), 0].nan_to_num(nan=LOST).clamp(-LOST, LOST).tolist(),
    }


def angles(count: int) -> list[float]:
    return [2 * pi * (i + 0.25) / count for i in range(count)]


def followed(step: Field2, field: Field2, rule: str, start: Place, settings: dict[str, Any]) -> Place:
    """Places (steps + 1, starts, 2) of every start."""
    each = torch.func.vmap(step)
    place, mean, paths = start, start, [start]
    for played in range(settings["steps"]):
        if rule == "fictitious_play":
            # each player answers the mean of the other, and moves itself
            gradient = torch.stack(
                (
                    torch.func.vmap(field)(torch.stack((place[:, 0], mean[:, 1]), dim=1))[:, 0],
                    torch.func.vmap(field)(torch.stack((mean[:, 0], place[:, 1]), dim=1))[:, 1],
                ),
                dim=1,
            )
            place = place - settings["step_size"] * gradient
            mean = mean + (place - mean) / (played + 2)
        else:
            place = each(place)
        paths.append(place)
    return torch.stack(paths)


def spectrum(step: Field2, field: Field2, rule: str, regulariser: str) -> dict[str, Any]:
    """Eigenvalues of -ξ's Jacobian (continuous time) and the spectral radius of one step, at the equilibrium.

    NaN under a gradient penalty, which wants |ψ| = 1 so that none is left, and for fictitious play, which remembers.
    """
    origin = torch.zeros(2, dtype=torch.float64)
    if rule == "fictitious_play" or regulariser == "gradient_penalty":
        return {"real": nan, "imaginary": nan, "radius": nan}
    flow = torch.linalg.eigvals(-torch.func.jacrev(field)(origin))
    radius = torch.linalg.eigvals(torch.func.jacrev(step)(origin)).abs().max()
    return {"real": float(flow.real.max()), "imaginary": float(flow.imag.abs().max()), "radius": float(radius)}


def energy_falls(field: Field2) -> bool:
    """Whether θ² + ψ² rises nowhere within 1 of the equilibrium, as time goes on: a Lyapunov function, or conserved."""
    line = torch.linspace(-1, 1, 21, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    change = -(grid * torch.func.vmap(field)(grid)).sum(1)
    return bool((change < 1e-9).all())


def outcome(distances: Place) -> str:
    """ "converges": every start is near at the end; "diverges": one is far or not finite; else "circles"."""
    last = distances[-1]
    if not bool(last.isfinite().all()) or float(last.max()) > LOST:
        return "diverges"
    return "converges" if float(last.max()) < REACHED else "circles"


# --- tables


def tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """dynamics: a row a game and rule; dynamics_paths: θ and ψ along one path of each."""
    paths = [
        {**{name: row[name] for name in WHO}, "place": i, "theta": theta, "psi": psi}
        for row in rows.to_dict("records")
        for i, (theta, psi) in enumerate(row["path"])
    ]
    return {"dynamics": rows.drop(columns="path"), "dynamics_paths": pd.DataFrame(paths)}


WHO = ("objective", "label", "generator_loss", "regulariser", "rule")

DYNAMICS = Chapter(
    name="dynamics",
    label="What converges",
    settings=Dynamics,
    parts=parts,
    compute=compute,
    tables=tables,
    seconds=lambda settings: 2.2e-3 * settings["steps"] * combinations(settings),
)
