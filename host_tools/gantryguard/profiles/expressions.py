"""Arithmetic in profile sources: numbers, names of `scanner.toml`, + - * / **, log2, sqrt, min, max. Nothing else."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence

Value = float | Sequence[float]

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {"log2": math.log2, "sqrt": math.sqrt, "min": min, "max": max}
LONGEST = 200


class ExpressionError(ValueError):
    """The text is no expression of this kind, or it has no value."""


def calculate(text: str, names: Mapping[str, Value]) -> Value:
    """Value of an expression; a lone name may also stand for a list. Raises ExpressionError."""
    if len(text) > LONGEST:
        raise ExpressionError(f"is longer than {LONGEST} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        name = _dotted(tree)
        if name in names:
            return names[name]
        return _number(tree, names)
    except (SyntaxError, ArithmeticError, ValueError, TypeError, RecursionError) as error:
        if isinstance(error, ExpressionError):
            raise
        raise ExpressionError(f"{text!r} has no value ({error})") from error


def _number(node: ast.expr, names: Mapping[str, Value]) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return float(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_number(node.operand, names)
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        value = _BINARY[type(node.op)](_number(node.left, names), _number(node.right, names))
        if isinstance(value, complex) or not math.isfinite(value):
            raise ExpressionError("has no real, finite value")
        return float(value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        function = _FUNCTIONS.get(node.func.id)
        if function is None:
            raise ExpressionError(f"knows no function {node.func.id!r}, only {', '.join(sorted(_FUNCTIONS))}")
        return float(function(*_arguments(node.args, names)))
    return _named(node, names)


def _arguments(nodes: Sequence[ast.expr], names: Mapping[str, Value]) -> list[float]:
    """Arguments of a function; a name of a list stands for its elements."""
    values: list[float] = []
    for node in nodes:
        named = names.get(_dotted(node))
        values += [float(v) for v in named] if isinstance(named, Sequence) else [_number(node, names)]
    return values


def _named(node: ast.expr, names: Mapping[str, Value]) -> float:
    name = _dotted(node)
    if not name:
        raise ExpressionError("holds something else than numbers, names and + - * / **")
    value = names.get(name)
    if value is None:
        raise ExpressionError(f"uses {name!r}, which scanner.toml does not state")
    if isinstance(value, Sequence):
        raise ExpressionError(f"uses the list {name!r} where a number belongs")
    return float(value)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""
