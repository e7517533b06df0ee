"""Ways to sample one generator beside one another: what they do to the FID, and what they cost."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from divergan.figures.declaration import Figure, Tables
from divergan.figures.reweighting import title
from divergan.figures.style import GREY, TALLEST, WIDTH, logarithmic
from divergan.sampler_evidence import GRADIENT_STEP

# what a sampler goes by -> its colour; a method that is not in KINDS goes by the critic's ratio
COLOURS = {
    "the prior": "#000000",
    "learned weights": "#0072B2",
    "the critic's ratio": "#D55E00",
    "the critic's gradient": "#009E73",
    "control": GREY,
}
KINDS = {
    "prior": "the prior", "truncation": "the prior", "latent_rs": "learned weights", "latent_rs_ga": "learned weights",
    "sir": "learned weights", "random_rejection": "control", "trained_on": "control", "ddls": "the critic's gradient",
    "dot": "the critic's gradient",
}  # fmt: skip
MARKERS = "osD^vP*<>hpX8d"
RATIOS = (*(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1), *(1.2, 1.5, 2, 5, 10, 20, 50, 100))
LINE = 0.19  # inches a sampler
LABEL_WIDTH = 34  # characters


def kinds(tables: Tables) -> dict[str, str]:
    """What each entry of the study's samplers goes by, by its name; the words of COLOURS."""
    entries = tables.samplers.drop_duplicates("sampler")
    methods = zip(entries["sampler"], entries["method"], strict=True)
    return {sampler: KINDS.get(method, "the critic's ratio") for sampler, method in methods}


def against_prior(tables: Tables) -> pd.DataFrame:
    """The FID of each entry against that of the prior."""
    if tables.effects.empty:
        return tables.effects
    return tables.effects[(tables.effects["against"] == "prior") & (tables.effects["metric"] == "fid")]


def _panels(tables: Tables, frame: pd.DataFrame, height: float) -> tuple[Canvas, list[tuple[Axes, pd.DataFrame]]]:
    """A panel a variant, three side by side at most, as many rows as a page holds."""
    variants = [own for _, own in frame.groupby("variant", sort=False)]
    across = min(len(variants), 3)
    down = min(-(-len(variants) // across), max(1, int(TALLEST // height)))
    fig = Canvas(figsize=(WIDTH, 0.85 + height * down))
    grid = fig.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    for ax in grid.flat[len(variants) :]:
        ax.set_visible(False)
    pairs = list(zip(grid.flat, variants, strict=False))
    for ax, own in pairs:
        ax.set_title(title(own.iloc[0], tables, ",\n"))
    return fig, pairs


def _unseen(frame: pd.DataFrame, shown: int) -> str:
    """What a caption must say where a page did not hold all variants."""
    all_of_them = frame["variant"].nunique()
    return "" if shown >= all_of_them else f" Shown are {shown} of {all_of_them} variants; the tables have all."


def _shown(height: float) -> int:
    return 3 * max(1, int(TALLEST // height))


def _draw_effects(tables: Tables) -> Canvas:
    frame, kind = against_prior(tables), kinds(tables)
    entries = dict(frame[["sampler", "sampler_label"]].drop_duplicates().to_numpy())
    fig, panels = _panels(tables, frame, _effects_height(frame))
    limits = _limits(frame["effect"])
    for ax, own in panels:
        _ratio_axis(ax.xaxis, limits, apart=0.14)
        ax.axvline(1, color="#cccccc", linewidth=0.8, zorder=0)
        ax.grid(axis="y", color="#f0f0f0", linewidth=0.6)
        ax.set_axisbelow(True)
        for row in own.to_dict("records"):
            _draw_interval(ax, list(entries).index(row["sampler"]), row, kind[row["sampler"]], limits)
        ax.set_ylim(len(entries) - 0.4, -0.6)
        ax.set_yticks(range(len(entries)), [fill(label, LABEL_WIDTH) for label in entries.values()])
        ax.tick_params(axis="y", length=0)
    _label_below(panels, "FID ratio to the prior")
    fig.legend(handles=_kinds_legend([kind[name] for name in entries]), loc="outside lower center", ncols=5)
    return fig


def _ratio_axis(axis: XAxis | YAxis, limits: tuple[float, float], apart: float) -> None:
    """A logarithmic axis with 1 marked, and what other round ratios have room, `apart` shares of its length apart."""
    logarithmic(axis, *limits)
    places = {ratio: np.log(ratio / limits[0]) / np.log(limits[1] / limits[0]) for ratio in RATIOS}
    kept: list[float] = []
    for ratio in sorted(RATIOS, key=lambda ratio: abs(np.log(ratio))):
        if 0 <= places[ratio] <= 1 and all(abs(places[ratio] - places[other]) >= apart for other in kept):
            kept.append(ratio)
    axis.set_major_locator(FixedLocator(kept))
    axis.set_minor_locator(NullLocator())


def _label_below(panels: list[tuple[Axes, pd.DataFrame]], text: str) -> None:
    for ax, _ in panels:
        if ax.get_subplotspec().is_last_row():  # type: ignore[union-attr]
            ax.set_xlabel(text)


def _effects_height(frame: pd.DataFrame) -> float:
    return 0.3 + LINE * frame["sampler"].nunique()


def _draw_interval(ax: Axes, y: float, row: dict[Any, Any], kind: str, limits: tuple[float, float]) -> None:
    """Effect and interval; an arrow where they leave the axis; hollow for a control, which should do nothing."""
    colour, wanted = COLOURS[kind], np.array([row["low"], row["high"], row["effect"]])
    if not np.isfinite(wanted).any():
        ax.text(limits[1], y, "no value ", ha="right", va="center", color=colour, fontsize=6.5)
        return
    shown = np.clip(np.nan_to_num(wanted, nan=1.0, posinf=np.inf), *limits)
    ax.plot(shown[:2], [y, y], color=colour, linewidth=1.2)
    for end, exact in zip(shown, wanted, strict=True):
        if end != exact:
            ax.plot(end, y, "<" if exact < end else ">", color=colour, markersize=3.5, clip_on=False)
    if shown[2] == wanted[2]:
        hollow: dict[str, Any] = {"markerfacecolor": "white"} if kind == "control" else {}
        ax.plot(shown[2], y, "o", color=colour, markersize=4, **hollow)


def _limits(ratios: pd.Series) -> tuple[float, float]:
    """From the effects alone, one always on the axis."""
    shown = np.array([1.0, *ratios[np.isfinite(ratios) & (ratios > 0)]])
    return float(shown.min() / 1.12), float(shown.max() * 1.12)


def _kinds_legend(used: list[str]) -> list[Line2D]:
    return [
        Line2D([], [], color=colour, marker="o", markersize=4, linewidth=1.2, label=kind,
               markerfacecolor="white" if kind == "control" else colour)
        for kind, colour in COLOURS.items() if kind in used
    ]  # fmt: skip


def _caption_effects(tables: Tables) -> str:
    frame = against_prior(tables)
    return (
        "Ratio of the FID of each sampler to that of the prior, from the same generators and the same stream of latent "
        "vectors: the geometric mean over seeds, paired, with its interval at the level that Holm's procedure gives it "
        "among the samplers of its variant. An arrow leaves the figure. Colours say what a sampler goes by; hollow "
        f"dots are controls.{_unseen(frame, _shown(_effects_height(frame)))}"
    )


def _draw_frontier(tables: Tables) -> Canvas:
    frame, kind = tables.frontier, kinds(tables)
    entries = dict(frame[["sampler", "sampler_label"]].drop_duplicates().to_numpy())
    marker = _markers(entries, kind)
    fig, panels = _panels(tables, frame, FRONTIER_HEIGHT)
    fig.set_figheight(fig.get_figheight() + 0.16 * (-(-len(entries) // 3)))
    for ax, own in panels:
        logarithmic(ax.xaxis, frame["evaluations"].min() / 1.5, frame["evaluations"].max() * 1.5)
        ax.xaxis.set_major_locator(LogLocator())
        ax.xaxis.set_minor_locator(NullLocator())
        _ratio_axis(ax.yaxis, _limits(frame["fid_ratio"]), apart=0.08)
        ax.axhline(1, color="#cccccc", linewidth=0.8, zorder=0)
        best = own[own["efficient"]].sort_values("evaluations")
        ax.plot(best["evaluations"], best["fid_ratio"], color="#bbbbbb", linewidth=1, zorder=1)
        for row in own.to_dict("records"):
            colour = COLOURS[kind[row["sampler"]]]
            ax.plot([row["evaluations"]] * 2, [row["low"], row["high"]], color=colour, linewidth=0.6, alpha=0.7)
            face = colour if row["efficient"] else "white"
            dot: dict[str, Any] = {"color": colour, "markerfacecolor": face, "markersize": 4.5, "linestyle": "none"}
            ax.plot(row["evaluations"], row["fid_ratio"], marker=marker[row["sampler"]], **dot, zorder=3)
    panels[0][0].set_ylabel("FID ratio to the prior")
    _label_below(panels, "rows an image")
    handles = [
        Line2D([], [], color=COLOURS[kind[name]], marker=marker[name], markersize=4.5, linestyle="none", label=label)
        for name, label in entries.items()
    ]
    fig.legend(handles=handles, loc="outside lower center", ncols=3, columnspacing=1.0, handletextpad=0.2)
    return fig


FRONTIER_HEIGHT = 2.1  # inches a row of panels


def _markers(entries: dict[str, str], kind: dict[str, str]) -> dict[str, str]:
    """A marker for each entry, no two alike in one colour."""
    used: dict[str, int] = {}
    markers = {}
    for name in entries:
        place = used.setdefault(kind[name], 0)
        markers[name] = MARKERS[place % len(MARKERS)]
        used[kind[name]] += 1
    return markers


def _caption_frontier(tables: Tables) -> str:
    return (
        "Quality against cost: the ratio of the FID to that of the prior, geometric mean over seeds with its interval, "
        "and the rows that generator, critic and weights compute for one image, a gradient step counted as "
        f"{GRADIENT_STEP}. Filled and joined are the efficient samplers, than which no other is at once at most as "
        "dear and better, controls aside; colours as above."
        f"{_unseen(tables.frontier, _shown(FRONTIER_HEIGHT))}"
    )


EFFECTS = Figure(
    name="sampler_effects",
    caption=_caption_effects,
    draw=_draw_effects,
    possible=lambda tables: len(against_prior(tables)) > 0,
)
FRONTIER = Figure(
    name="frontier", caption=_caption_frontier, draw=_draw_frontier, possible=lambda tables: len(tables.frontier) > 0
)
