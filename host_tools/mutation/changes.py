"""Every small change of a module: another comparison, another operator, a number one larger, `and` for `or`, and their like."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}


@dataclass(frozen=True)
class Mutant:
    """One change: where it is, the statement before and after, and the whole program with it."""

    module: str
    scope: str
    before: str
    after: str
    program: str

    @property
    def name(self) -> str:
        """How mutants.toml calls it: stays the same where other lines move."""
        return f"{self.module.rsplit('.', 1)[-1]}.{self.scope}: {self.before} -> {self.after}"


def mutants_of(module: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its source."""
    tree = ast.parse((ROOT / "firmware" / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    for scope, statement in _statements(tree, ""):
        before = ast.unparse(_head(statement))
        for node in ast.walk(_head(statement)):
            for undo in _changes(node):
                yield Mutant(module, scope or "(module)", before, ast.unparse(_head(statement)), ast.unparse(tree))
                undo()
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            kept, statement.value = statement.value, ast.Constant(None)
            yield Mutant(module, scope or "(module)", before, "None", ast.unparse(tree))
            statement.value = kept


def _statements(node: ast.AST, scope: str) -> Iterator[tuple[str, ast.stmt]]:
    """Statements of functions with the name of their function; constants of the module are spelt out elsewhere."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            yield from _statements(child, f"{scope}.{child.name}".lstrip("."))
        elif isinstance(child, ast.stmt):
            if scope and not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)):
                yield scope, child
            yield from _statements(child, scope)


def _head(statement: ast.stmt) -> ast.AST:
    """What of a statement is its own: of an `if` or a loop, what it looks at."""
    match statement:
        case ast.If(test=test) | ast.While(test=test):
            return test
        case ast.For(iter=over):
            return over
        case ast.With(items=items):
            return items[0]
        case ast.Try():
            return ast.Pass()
    return statement


def _changes(node: ast.AST) -> Iterator[Undo]:
    """Make each change of a node in turn; what is yielded takes it back."""
    match node:
        case ast.Compare(ops=ops):
            for place, op in enumerate(ops):
                yield _set(node, "ops", [*ops[:place], COMPARISONS[type(op)](), *ops[place + 1 :]])
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in OPERATORS:
            yield _set(node, "op", OPERATORS[type(op)]())
        case ast.BoolOp(op=op):
            yield _set(node, "op", ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not()):
            yield _set(node, "op", ast.UAdd())
        case ast.Constant(value=bool() as value):
            yield _set(node, "value", not value)
        case ast.Constant(value=int() as value):
            yield _set(node, "value", value + 1)
        case ast.IfExp(test=test):
            yield _set(node, "test", ast.UnaryOp(ast.Not(), copy.deepcopy(test)))


class Undo:
    """Takes a change back."""

    def __init__(self, node: ast.AST, name: str, value: object) -> None:
        self.node, self.name, self.value = node, name, value

    def __call__(self) -> None:
        setattr(self.node, self.name, self.value)


def _set(node: ast.AST, name: str, value: object) -> Undo:
    undo = Undo(node, name, getattr(node, name))
    setattr(node, name, value)
    return undo
