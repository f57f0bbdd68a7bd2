"""What the compiler asks of Python's syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

NUMBER, BYTES, WORDS = "int", "ptr8", "ptr32"
LOOP_WEIGHT = 8
MOST_WEIGHT = LOOP_WEIGHT**3
LEAST, MOST = -(2**31), 2**32 - 1


class LanguageError(Exception):
    """The source says something that this compiler does not know."""


class TooDeepError(Exception):
    """An expression needs more registers than there are."""


def weighed(function: ast.FunctionDef) -> Iterator[tuple[ast.AST, int]]:
    """Everything in a function's body, the heavier the deeper it lies in loops."""
    waiting: list[tuple[ast.AST, int]] = [(statement, 1) for statement in function.body]
    while waiting:
        node, weight = waiting.pop()
        yield node, weight
        inner = min(weight * LOOP_WEIGHT, MOST_WEIGHT) if isinstance(node, ast.While) else weight
        waiting += [(child, inner) for child in ast.iter_child_nodes(node)]


def calls(node: ast.AST) -> Iterator[ast.Call]:
    """Calls of functions below a node."""
    casts = (NUMBER, BYTES, WORDS)
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) and inner.func.id not in casts:
            yield inner


def constant(node: ast.expr) -> int | None:
    """The value of a constant expression, or None."""
    match node:
        case ast.Constant(int(value)):
            return int(value)
        case ast.UnaryOp(ast.USub(), inner):
            positive = constant(inner)
            return None if positive is None else -positive
        case ast.BinOp(left, _, right):
            one, other = constant(left), constant(right)
            if one is not None and other is not None:
                value = int(eval(compile(ast.fix_missing_locations(ast.Expression(copy(node))), "constant", "eval"), {}))
                return value if LEAST <= value <= MOST else None  # in more than 32 bits the device would not find this
    return None


def targets(node: ast.AST) -> list[str]:
    """The local that a statement sets."""
    match node:
        case ast.Assign([ast.Name(name)]) | ast.AugAssign(ast.Name(name)):
            return [name]
    return []


def own_loop(body: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    """Everything below statements, but for what lies in loops of its own."""
    for statement in body:
        yield statement
        if not isinstance(statement, ast.While):
            yield from own_loop([child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.stmt)])


def copy(node: ast.expr) -> ast.expr:
    """An expression that may be changed; its lines are those of the whole."""
    copied = ast.parse(ast.unparse(node), mode="eval").body
    for inner in ast.walk(copied):
        if isinstance(inner, ast.expr):
            ast.copy_location(inner, node)
    return copied
