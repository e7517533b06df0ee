"""Objectives with the defects of the released code kept on purpose, for the `released` arm.

The released code composed log and exp where a stable form exists and used Pearson's conjugate beyond where it holds
(docs/decisions/0003-as-published-objectives.md). The definition checks must reject
each of these: that is tested.
"""

from __future__ import annotations

from dataclasses import replace
from math import log

from divergan.objectives.declaration import Elementwise, FDivergence
from divergan.objectives.f_divergences import GAN, JENSEN_SHANNON, PEARSON, REVERSE_KL, SQUARED_HELLINGER

AS_PUBLISHED = "_as_published"  # ends the name of such an objective
COMPOSED = "f*(g_f(v)) is composed from log and exp: wrong in float32 from about v = 17, not finite further out"


def composed(conjugate: Elementwise, activation: Elementwise) -> Elementwise:
    """v -> conjugate(activation(v)), the two steps one after the other."""
    return lambda v: conjugate(activation(v))


def composed_as_published(divergence: FDivergence, activation: Elementwise) -> FDivergence:
    """The divergence as the released code computed it: the printed activation, then the printed conjugate."""
    return replace(
        divergence,
        name=divergence.name + AS_PUBLISHED,
        activation=activation,
        fake_score=composed(divergence.conjugate, activation),
        flaw=COMPOSED,
    )


REVERSE_KL_AS_PUBLISHED = composed_as_published(REVERSE_KL, lambda v: -(-v).exp())
SQUARED_HELLINGER_AS_PUBLISHED = composed_as_published(SQUARED_HELLINGER, lambda v: 1 - (-v).exp())
JENSEN_SHANNON_AS_PUBLISHED = composed_as_published(JENSEN_SHANNON, lambda v: log(2) - (1 + (-v).exp()).log())
GAN_AS_PUBLISHED = composed_as_published(GAN, lambda v: -(1 + (-v).exp()).log())

PEARSON_AS_PUBLISHED = replace(
    PEARSON,
    name=PEARSON.name + AS_PUBLISHED,
    conjugate_formula="t**2/4 + t",
    conjugate=lambda t: t**2 / 4 + t,
    fake_score=lambda v: v**2 / 4 + v,
    flaw="the conjugate t²/4 + t is wrong below t = -2, where the generator's gradient then has the wrong sign",
)
