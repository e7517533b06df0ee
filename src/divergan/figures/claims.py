"""The published claims as a forest plot: each with its interval, its margin and its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import ceil
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from divergan.claims.schema import METRICS
from divergan.figures.declaration import Figure, Tables
from divergan.figures.style import GREY, MOST_ARMS, TALLEST, WIDTH, logarithmic

# verdict -> colour and marker: told apart by either, and written beside the interval
VERDICTS = {
    "reproduced": ("#009E73", "o"),
    "not reproduced": ("#D55E00", "X"),
    "undecided": (GREY, "D"),
    "not comparable": ("#CC79A7", "s"),
    "could not have been measured": ("#000000", "v"),
}
LABEL_WIDTH = 38  # characters of a claim's line
TEXT = 6.5  # points
LINE = 0.118  # inches a line of text
ACRONYMS = {word.lower(): word for word in ("BCE", "DRS", "FID", "GAN", "JS", "KL", "LatentRS")}


def family_title(family: str) -> str:
    """The name of a family of claims as a heading: "gan-is-bce" is "GAN is BCE"."""
    words = family.replace("jensen-shannon", "Jensen\N{NON-BREAKING HYPHEN}Shannon").split("-")
    title = " ".join(ACRONYMS.get(word, word) for word in words)
    return title[0].upper() + title[1:]


def with_interval(claims: pd.DataFrame, *, sampled: bool) -> pd.DataFrame:
    """The claims about ratios that have an interval, one end of which may be infinite: of losses, or of samplers."""
    if claims.empty:
        return claims
    own = claims[claims["variant"].fillna("").str.contains("/") == sampled]
    return own[(own["scale"] == "ratio") & own[["effect", "low", "high"]].notna().all(axis="columns")]


def margins(claim: Mapping[Any, Any]) -> list[float]:
    """Where, on the axis of the effect's logarithm, the claim's verdict turns: at two places for an equivalence."""
    if pd.isna(claim["margin"]):
        return []
    return [-claim["margin"], claim["margin"]] if claim["test"] == "equivalence" else [claim["margin"]]


def _places(claims: pd.DataFrame) -> tuple[dict[str, float], list[tuple[float, str, bool]], float]:
    """In lines of text from the top: the claims' middles by id, the labels (place, text, heading?), and the end."""
    middles, labels, end = {}, [], 0.0
    for family, own in claims.groupby("family", sort=False):
        labels.append((end + 0.7, family_title(str(family)), True))
        end += 1.4
        for claim in own.drop_duplicates("id").to_dict("records"):
            text = _wrapped(claim["says"])
            height = max(2, 1 + text.count("\n")) + 0.5
            middles[claim["id"]] = end + height / 2
            labels.append((end + height / 2, text, False))
            end += height
    return middles, labels, end


def _wrapped(text: str) -> str:
    """The text on as few lines as it needs, about equally long."""
    lines = ceil(len(text) / LABEL_WIDTH)
    return fill(text, min(LABEL_WIDTH, len(text) // lines + 6))


def _draw(tables: Tables, *, sampled: bool) -> Canvas:
    claims = with_interval(tables.claims, sampled=sampled)
    middles, labels, end = _places(claims)
    arms = list(claims["arm"].unique())
    fig = Canvas(figsize=(WIDTH, 0.85 + min(LINE * end, TALLEST)))
    panels = fig.subplots(1, len(arms), sharey=True, squeeze=False)[0]
    for ax, arm in zip(panels, arms, strict=True):
        ax.set(title=arm, ylim=(end, 0), xlabel=_axis_label(claims))
        logarithmic(ax.xaxis, *_limits(claims))
        ax.axvline(1, color="#cccccc", linewidth=0.8, zorder=0)
        ax.tick_params(axis="y", length=0, pad=6)
        for claim in claims[claims["arm"] == arm].to_dict("records"):
            _draw_claim(ax, middles[claim["id"]], claim, _limits(claims))
    _write_labels(panels[0], labels)
    fig.legend(handles=_legend(claims), loc="outside lower left", ncols=4)
    return fig


def _write_labels(ax: Axes, labels: list[tuple[float, str, bool]]) -> None:
    ax.set_yticks([place for place, _, _ in labels], [text for _, text, _ in labels], fontsize=TEXT)
    for tick, (_, _, heading) in zip(ax.get_yticklabels(), labels, strict=True):
        tick.set_fontweight("bold" if heading else "normal")


def _draw_claim(ax: Axes, middle: float, claim: dict, limits: tuple[float, float]) -> None:
    """Effect and interval, with an arrow where they leave the axis; the margin as a bar, the verdict above."""
    colour, marker = VERDICTS[claim["verdict"]]
    y = middle + 0.45
    bars = np.exp(margins(claim))
    if claim["test"] == "equivalence":
        ax.fill_betweenx([y - 0.5, y + 0.5], *bars, color="#e9e9e9", linewidth=0, zorder=0)
    ax.vlines(bars, y - 0.5, y + 0.5, color="black", linewidth=0.8)
    wanted = [claim["low"], claim["high"], claim["effect"]]
    shown = np.clip(wanted, *np.log(limits))
    ax.plot(np.exp(shown[:2]), [y, y], color=colour, linewidth=1.2)
    for end, exact in zip(shown, wanted, strict=True):
        if end != exact:
            ax.plot(np.exp(end), y, "<" if exact < end else ">", color=colour, markersize=3.5, clip_on=False)
    if shown[2] == wanted[2]:
        ax.plot(np.exp(shown[2]), y, marker, color=colour, markersize=4)
    word: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "ha": "right", "va": "center"}
    ax.text(0.995, middle - 0.55, claim["verdict"], color=colour, fontsize=TEXT, **word)


def _limits(claims: pd.DataFrame) -> tuple[float, float]:
    """From the effects and margins alone: the interval of few seeds would squeeze all else into a corner."""
    places = [0.0, *claims["effect"], *(place for claim in claims.to_dict("records") for place in margins(claim))]
    shown = np.array(places)[np.isfinite(places)]
    return float(np.exp(shown.min()) / 1.6), float(np.exp(shown.max()) * 1.6)


def _axis_label(claims: pd.DataFrame) -> str:
    if set(claims["metric"]) & (METRICS.keys() - {"fid"}):
        return "ratio of what the claim names"
    return "ratio of FIDs, or of spreads" if (claims["test"] == "spread").any() else "ratio of FIDs"


def _legend(claims: pd.DataFrame) -> list[Line2D]:
    met = [verdict for verdict in VERDICTS if (claims["verdict"] == verdict).any()]
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=4, linewidth=1.2, label=verdict)
        for verdict, (colour, marker) in VERDICTS.items() if verdict in met
    ]  # fmt: skip
    bar: dict[str, Any] = {"marker": "|", "markersize": 7, "linestyle": "none"}
    return [*handles, Line2D([], [], color="black", **bar, label="the claim's margin")]


def _caption(tables: Tables, *, sampled: bool) -> str:
    claims = with_interval(tables.claims, sampled=sampled)
    parts = [
        f"The claims about ratios of {'samplers' if sampled else 'losses'}: the effect found here with its interval at "
        "the level of Holm's procedure in the claim's family, with an arrow where it leaves the figure. The black bar "
        "is the claim's margin."
    ]
    if (claims["test"] == "equivalence").any():
        parts.append("Of two bars with grey between, the claim is that the ratio lies between them.")
    if (claims["test"] == "spread").any():
        parts.append("Claims about spread show ratios of the standard deviations of log FID.")
    return " ".join(parts)


def _possible(tables: Tables, *, sampled: bool) -> bool:
    claims = with_interval(tables.claims, sampled=sampled)
    return len(claims) > 0 and claims["arm"].nunique() <= MOST_ARMS


def forest(name: str, *, sampled: bool) -> Figure:
    return Figure(
        name=name,
        caption=partial(_caption, sampled=sampled),
        draw=partial(_draw, sampled=sampled),
        possible=partial(_possible, sampled=sampled),
    )


CLAIMS = forest("claims", sampled=False)
SAMPLER_CLAIMS = forest("sampler_claims", sampled=True)
