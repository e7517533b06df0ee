"""What converges: paths of the smallest GAN under several regularisers, and the outcome of every game and rule."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch

from divergan.figures.declaration import Figure
from divergan.figures.style import PALETTE, WIDTH

Tables = Mapping[str, pd.DataFrame]
OUTCOMES = {"converges": "#009E73", "circles": "#F0E442", "diverges": "#D55E00"}
SHOWN_PATHS = 4  # panels above
LOSSES = {"bound": "bound", "alternative": "alt."}


def _draw(tables: Tables) -> Canvas:
    rows, paths = tables["dynamics"], tables["dynamics_paths"]
    games = list(dict.fromkeys(zip(rows["label"], rows["generator_loss"], strict=True)))
    rules = list(dict.fromkeys(rows["rule"]))
    heights = [1.9, 0.145 * max(8, len(games)) + 1.1]
    fig = Canvas(figsize=(WIDTH, sum(heights)))
    above, below = fig.subfigures(2, 1, height_ratios=heights, squeeze=False)[:, 0]
    _draw_paths(above.subplots(1, SHOWN_PATHS, sharex=True, sharey=True), paths)
    panels = below.subplots(1, len(rules), squeeze=False, sharey=True)[0]
    for ax, rule in zip(panels, rules, strict=True):
        _draw_outcomes(ax, rows[rows["rule"] == rule], games)
        ax.set_title(rule.replace("_", " "), fontsize=7)
    panels[0].set_yticks(range(len(games)), [f"{label}, {LOSSES[loss]}" for label, loss in games], fontsize=6)
    below.legend(
        handles=[Patch(color=colour, label=name) for name, colour in OUTCOMES.items()],
        loc="outside lower center", ncols=3,
    )  # fmt: skip
    return fig


def _draw_paths(axes: list[Axes], paths: pd.DataFrame) -> None:
    """The first objective with the bound's loss, alternating, under its first regularisers."""
    own = paths[(paths["objective"] == paths["objective"].iloc[0]) & (paths["rule"] == "alternating")]
    own = own[own["generator_loss"] == own["generator_loss"].iloc[0]]
    wanted = ("none", "r1", "gradient_penalty", "consensus")
    there = set(own["regulariser"])
    names = [name for name in wanted if name in there] or list(there)
    for ax, name in zip(axes, names, strict=False):
        path = own[own["regulariser"] == name]
        ax.plot(path["theta"], path["psi"], color=PALETTE[2], linewidth=0.8)
        ax.plot(path["theta"].iloc[0], path["psi"].iloc[0], "o", color=PALETTE[2], markersize=3)
        ax.plot(0, 0, "+", color="black", markersize=6)
        ax.set(title=name.replace("_", " "), aspect="equal", xlim=(-1.7, 1.7), ylim=(-1.7, 1.7))
        ax.set_xlabel("generator $\\theta$")
    axes[0].set_ylabel("critic $\\psi$")
    for ax in axes[len(names) :]:
        ax.set_axis_off()


def _draw_outcomes(ax: Axes, rows: pd.DataFrame, games: list[tuple[str, str]]) -> None:
    regularisers = list(dict.fromkeys(rows["regulariser"]))
    wide = rows.set_index(["label", "generator_loss", "regulariser"])["outcome"]
    codes = [[list(OUTCOMES).index(str(wide[(*game, name)])) for name in regularisers] for game in games]
    ax.imshow(codes, cmap=ListedColormap(list(OUTCOMES.values())), vmin=0, vmax=len(OUTCOMES) - 1, aspect="auto")
    names = [name.replace("_", " ") for name in regularisers]
    ax.set_xticks(range(len(regularisers)), names, rotation=90, fontsize=6)
    ax.set_xticks([i + 0.5 for i in range(len(regularisers) - 1)], minor=True)
    ax.set_yticks([i + 0.5 for i in range(len(games) - 1)], minor=True)
    ax.grid(which="minor", color="white", linewidth=0.8)
    ax.tick_params(length=0, which="both")
    for side in ax.spines.values():
        side.set_visible(False)


def _caption(tables: Tables) -> str:
    label = tables["dynamics_paths"]["label"].iloc[0]
    return (
        f"What converges in the game of one point. Above: paths of {label} from one start, with alternating steps; the "
        "cross is the equilibrium. Below: how each objective and generator loss ends (rows) under each regulariser "
        "(columns) and each rule by which both players move (panels)."
    )


DYNAMICS = Figure(name="dynamics", caption=_caption, draw=_draw, possible=lambda tables: "dynamics" in tables)
