"""What decides an order: the features that measure it, the number of runs, the shares of variance."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import NullLocator, PercentFormatter

from divergan.figures.declaration import Figure, Tables
from divergan.figures.style import PALETTE, TALLEST, WIDTH, colours

QUESTIONS = {"pair": "orders a pair", "best": "names the best", "order": "has the whole order"}
FACTORS = {  # of the variance, in the order of the bar: colour, and that of the text on it
    "objective": ("#0072B2", "white"),
    "generator loss": ("#56B4E9", "black"),
    "regulariser": ("#E69F00", "black"),
    "interactions": ("#F0E442", "black"),
    "seed": ("#bdbdbd", "black"),
}
NARROWEST = 0.06  # share of a bar that still holds its number


def feature_ranks(tables: Tables) -> pd.DataFrame:
    """arm, features, variant, objective, label, rank: by the mean log FID of the arm's variants, 1 the lowest.

    A run that did not finish makes its variant's mean infinite; equal means share the middle of their ranks.
    """
    finished = tables.runs.loc[tables.runs["outcome"] == "finished", "key"]
    table = tables.feature_fids
    counted = table["fid"].where(table["key"].isin(finished), np.inf).fillna(np.inf)
    by = ["arm", "features", "variant", "objective", "label"]
    means = table.assign(score=np.log(counted)).groupby(by, sort=False)["score"].mean().reset_index()
    return means.assign(rank=means.groupby(["arm", "features"], sort=False)["score"].rank()).drop(columns="score")


def _draw_agreement(tables: Tables) -> Canvas:
    ranks, names = feature_ranks(tables), _feature_labels(tables)
    arms = list(ranks["arm"].unique())
    rows = [ranks.loc[ranks["arm"] == arm, "variant"].nunique() for arm in arms]
    fig = Canvas(figsize=(WIDTH, 0.55 + min(TALLEST, sum(0.19 * n + 0.3 for n in rows))))
    panels = fig.subplots(len(arms), 1, sharex=True, squeeze=False, height_ratios=rows)[:, 0]
    for ax, arm, n in zip(panels, arms, rows, strict=True):
        _draw_ranks(ax, ranks[ranks["arm"] == arm], list(names), colours(tables.objectives))
        ax.set(title=arm, ylim=(n + 0.5, 0.5), xlim=(-0.12, len(names) - 0.88), ylabel="rank")
        ax.set_yticks(range(1, n + 1))
    panels[-1].set_xticks(range(len(names)), [fill(label, 20) for label in names.values()])
    return fig


def _draw_ranks(ax: Axes, ranks: pd.DataFrame, features: list[str], colour: dict[str, str]) -> None:
    """A line per variant over the feature sets, dashed where it lies on another; labels at the right end."""
    table = ranks.pivot(index="variant", columns="features", values="rank")[features]
    ends: dict[float, list[str]] = {}
    for variant in ranks.drop_duplicates("variant").to_dict("records"):
        own = table.loc[variant["variant"]]
        line = {"color": colour[variant["objective"]], "linestyle": _seen(ax, own)}
        ax.plot(range(len(features)), own, marker="o", markersize=4, clip_on=False, **line)
        ends.setdefault(own.iloc[-1], []).append(variant["label"])
    for rank, labels in ends.items():
        at = (len(features) - 0.85, rank)
        ax.annotate(", ".join(labels), at, va="center", fontsize=7.5, annotation_clip=False)


def _seen(ax: Axes, y: pd.Series) -> Any:
    """The style of a line with these heights: dashed where it lies on a line that is there already."""
    return (0, (3, 3)) if any(np.array_equal(y, line.get_ydata()) for line in ax.lines) else "solid"


def _feature_labels(tables: Tables) -> dict[str, str]:
    labels = tables.feature_fids.drop_duplicates("features")
    return dict(zip(labels["features"], labels["features_label"], strict=True))


def _caption_agreement(tables: Tables) -> str:
    text = (
        "Rank of each variant within its arm by its mean log FID, measured with each feature set; rank one is the "
        "lowest FID."
    )
    ranks = feature_ranks(tables)
    lines = ranks.pivot_table(index=["arm", "variant"], columns="features", values="rank").groupby("arm")
    if any(own.duplicated().any() for _, own in lines):
        text += " A dashed line lies on another line."
    taus: list[float] = [] if tables.agreement.empty else list(tables.agreement["tau"].dropna())
    if not taus:
        return text
    least, most = (round(tau, 2) + 0.0 for tau in (min(taus), max(taus)))  # not "-0.00"
    spanned = f"{least:.2f} to {most:.2f}".replace("-", "\N{MINUS SIGN}")
    return f"{text} Kendall's τ between two of the feature sets is {spanned}."


def _draw_one_run(tables: Tables) -> Canvas:
    fig = Canvas(figsize=(WIDTH, 2.2))
    panels = fig.subplots(1, len(QUESTIONS), sharey=True)
    for ax, (column, title) in zip(panels, QUESTIONS.items(), strict=True):
        arms = tables.one_run.groupby("arm", sort=False)
        for (arm, own), colour, marker in zip(arms, PALETTE, "osD^vPX*<>", strict=False):
            line = {"color": colour, "linestyle": _seen(ax, own[column]), "label": arm}
            ax.plot(own["seeds"], own[column], marker=marker, markersize=4, fillstyle="none", **line)
        counts = sorted(tables.one_run["seeds"].unique())
        ax.set(title=title, xlabel="runs a variant", ylim=(-0.02, 1.05), xscale="log")
        ax.set_xticks(counts, [f"{n:g}" for n in counts])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.grid(axis="y", color="#e6e6e6", linewidth=0.6)
    panels[0].set_ylabel("probability")
    fig.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


def _caption_one_run(tables: Tables) -> str:
    return (
        "Probability that a table of the means of few runs a variant, drawn with replacement from ours, orders a pair "
        "of variants, names the best variant, or has the whole order as the means of all our runs do."
    )


def _draw_variance(tables: Tables) -> Canvas:
    arms = list(tables.variance["arm"].unique())
    fig = Canvas(figsize=(WIDTH, 0.75 + 0.32 * len(arms)))
    ax = fig.subplots()
    left = np.zeros(len(arms))
    for factor, (colour, ink) in FACTORS.items():
        own = tables.variance[tables.variance["factor"] == factor].set_index("arm")["share"]
        if own.empty:
            continue
        shares = own.reindex(arms).fillna(0).to_numpy()
        bars = ax.barh(range(len(arms)), shares, 0.7, left, color=colour, edgecolor="white", label=factor)
        numbers = [f"{100 * share:.0f} %" if share >= NARROWEST else "" for share in shares]
        ax.bar_label(bars, numbers, label_type="center", color=ink, fontsize=7.5)
        left += shares
    ax.set(ylim=(len(arms) - 0.5, -0.5), yticks=range(len(arms)), yticklabels=arms, xlim=(0, max(1.0, *left)))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    ax.tick_params(axis="y", length=0)
    fig.legend(loc="outside lower center", ncols=len(FACTORS))
    return fig


def _caption_variance(tables: Tables) -> str:
    return (
        "Shares of the variance of log FID between runs. What the settings leave unexplained is the seed: the "
        "difference between runs that have everything else in common."
    )


AGREEMENT = Figure(
    name="agreement",
    caption=_caption_agreement,
    draw=_draw_agreement,
    possible=lambda tables: len(tables.feature_fids) > 0 and tables.feature_fids["features"].nunique() > 1,
)
ONE_RUN = Figure(
    name="one_run", caption=_caption_one_run, draw=_draw_one_run, possible=lambda tables: len(tables.one_run) > 0
)
VARIANCE = Figure(
    name="variance", caption=_caption_variance, draw=_draw_variance, possible=lambda tables: len(tables.variance) > 0
)
