"""Formulas of declarations, in Python syntax, as LaTeX; divergan.report.formulas is the same for Typst."""

from __future__ import annotations

import ast
from math import inf, isclose, log

SUM, PRODUCT, POWER, ATOM = range(4)  # how tightly an expression binds

CALLS = {
    "exp": ("e^{{{}}}", POWER),
    "sqrt": (r"\sqrt{{{}}}", ATOM),
    "abs": (r"\left|{}\right|", ATOM),
    "log": (r"\log\left({}\right)", ATOM),
    "tanh": (r"\tanh\left({}\right)", ATOM),
    "omega": (r"\omega\left({}\right)", ATOM),
    "softplus": (r"\log\left(1 + e^{{{}}}\right)", ATOM),
    "sigmoid": (r"\frac{{1}}{{1 + e^{{-\left({}\right)}}}}", ATOM),
    "minimum": (r"\min\left({}, {}\right)", ATOM),
    "maximum": (r"\max\left({}, {}\right)", ATOM),
}


def latex(formula: str) -> str:
    """LaTeX for a formula such as "u*log(u) - (u + 1)*log((u + 1)/2)"."""
    return printed(ast.parse(formula, mode="eval").body)[0]


def printed(node: ast.expr) -> tuple[str, int]:
    """The expression and how tightly it binds."""
    match node:
        case ast.Name(id=name) if len(name) == 1:
            return name, ATOM
        case ast.Constant(value=int() | float() as value):
            return f"{value:.4g}", ATOM
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return f"-{inside(operand, PRODUCT)}", SUM
        case ast.Call(func=ast.Name(id="log"), args=[ast.Name() | ast.Constant() as plain]):
            return rf"\log {printed(plain)[0]}", PRODUCT
        case ast.Call(func=ast.Name(id=name), args=arguments):
            form, bond = CALLS[name]
            return form.format(*(printed(each)[0] for each in arguments)), bond
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return rf"\frac{{{printed(left)[0]}}}{{{printed(right)[0]}}}", PRODUCT
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return f"{inside(left, ATOM)}^{{{printed(right)[0]}}}", POWER
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            dot = r" \cdot " if isinstance(right, ast.Constant) else r"\,"
            first = printed(left)[0] if isinstance(left, ast.UnaryOp) else inside(left, PRODUCT)
            return f"{first}{dot}{inside(right, PRODUCT)}", PRODUCT
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
            sign = "+" if isinstance(op, ast.Add) else "-"
            return f"{printed(left)[0]} {sign} {inside(right, PRODUCT)}", SUM
    raise ValueError(f"the site cannot print {ast.unparse(node)!r} in a formula: see docs/formulas_page.py")


def inside(node: ast.expr, bond: int) -> str:
    """The expression as a part of one that binds as tightly as `bond`."""
    text, own = printed(node)
    return text if own >= bond else rf"\left({text}\right)"


def number(value: float) -> str:
    """-log 2, infinity, or up to four digits."""
    if abs(value) == inf:
        return r"\infty" if value > 0 else r"-\infty"
    if isclose(abs(value), log(2)):
        return r"\log 2" if value > 0 else r"-\log 2"
    return f"{value + 0.0:.4g}"


def domain(low: float, high: float) -> str:
    return r"\mathbb{R}" if (low, high) == (-inf, inf) else f"({number(low)}, {number(high)})"
