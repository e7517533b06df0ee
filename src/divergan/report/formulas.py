"""A declaration's formula, in Python syntax, as Typst mathematics."""

from __future__ import annotations

import ast
from math import inf, isclose, log

from divergan.errors import DivergaNError


class FormulaError(DivergaNError):
    """A formula that the report cannot print."""


# How tightly an expression binds: a looser one inside a tighter one takes parentheses
SUM, NEGATION, PRODUCT, POWER, ATOM = range(5)

CALLS = {
    "exp": "e^({})",
    "sqrt": "sqrt({})",
    "abs": "abs({})",
    "tanh": "tanh({})",
    "omega": "omega({})",
    "softplus": "log(1 + e^({}))",
    "sigmoid": "1/(1 + e^(-({})))",
    "minimum": "min({}, {})",
    "maximum": "max({}, {})",
    "where": 'cases({1} &"where" {0}, {2} &"otherwise")',
}
LOOSE_CALLS = {"exp": POWER, "sigmoid": PRODUCT}
RELATIONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


def typst(formula: str) -> str:
    """Typst mathematics for a formula such as "u*log(u) - (u + 1)*log((u + 1)/2)".

    Reads + - * / **, comparisons, log and the functions of CALLS on numbers and one-letter names; anything else
    raises FormulaError.
    """
    try:
        return _print(ast.parse(formula, mode="eval").body)[0]
    except SyntaxError as error:
        raise FormulaError(f"The formula {formula!r} is not Python syntax: write it as in {'u*log(u)'!r}.") from error


def _print(node: ast.expr) -> tuple[str, int]:
    """The expression and how tightly it binds."""
    match node:
        case ast.Name(id=name) if len(name) == 1:
            return name, ATOM
        case ast.Constant(value=int() | float() as value):
            return f"{value:g}", ATOM
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return f"-{_inside(operand, PRODUCT)}", NEGATION
        case ast.BinOp(left=left, op=op, right=right):
            return _operation(left, op, right)
        case ast.Call(func=ast.Name(id="log"), args=[argument]):
            inner, bond = _print(argument)
            return (f"log {inner}" if bond == ATOM else f"log({inner})"), PRODUCT
        case ast.Call(func=ast.Name(id=name), args=arguments) if name in CALLS:
            return CALLS[name].format(*(_print(a)[0] for a in arguments)), LOOSE_CALLS.get(name, ATOM)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in RELATIONS:
            return f"{_print(left)[0]} {RELATIONS[type(op)]} {_print(right)[0]}", SUM
    raise FormulaError(
        f"The report cannot print {ast.unparse(node)!r} in a formula: use + - * / **, log, {', '.join(CALLS)}."
    )


def _operation(left: ast.expr, op: ast.operator, right: ast.expr) -> tuple[str, int]:
    match op:
        case ast.Add():
            return f"{_inside(left, SUM)} + {_inside(right, PRODUCT)}", SUM
        case ast.Sub():
            return f"{_inside(left, SUM)} - {_inside(right, PRODUCT)}", SUM
        case ast.Mult():
            dot = " dot " if isinstance(right, ast.Constant) else " "
            return f"{_factor(left)}{dot}{_inside(right, PRODUCT)}", PRODUCT
        case ast.Div():  # the parentheses group and are not printed
            return f"({_print(left)[0]})/({_print(right)[0]})", PRODUCT
        case ast.Pow():
            return f"{_inside(left, ATOM)}^({_print(right)[0]})", POWER
    raise FormulaError(f"The report cannot print the operator {type(op).__name__} in a formula: use + - * / **.")


def _inside(node: ast.expr, bond: int) -> str:
    """The expression as a part of one that binds as tightly as `bond`."""
    text, own = _print(node)
    return text if own >= bond else f"({text})"


def _factor(node: ast.expr) -> str:
    """The left factor of a product; "log u" needs its parentheses there, lest the rest be read into it."""
    text = _inside(node, PRODUCT)
    return f"log({text.removeprefix('log ')})" if text.startswith("log ") and isinstance(node, ast.Call) else text


def number(value: float) -> str:
    """A constant of a declaration: "-oo", "log 2", "-log 2", or up to four digits."""
    if abs(value) == inf:
        return "oo" if value > 0 else "-oo"
    if isclose(abs(value), log(2)):
        return "log 2" if value > 0 else "-log 2"
    return f"{value:.4g}"


def interval(low: float, high: float) -> str:
    """An open interval; the whole line has a name of its own."""
    return "RR" if (low, high) == (-inf, inf) else f"({number(low)}, {number(high)})"
