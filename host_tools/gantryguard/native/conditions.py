"""Conditions: what becomes a branch, and values that depend on one."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from gantryguard.native.expressions import Expressions
from gantryguard.native.syntax import TooDeepError, calls, constant
from gantryguard.native.thumb import EQ, GE, GT, LE, LT, NE, OPPOSITE, WHEN_SWAPPED, Label

COMPARISONS: Mapping[type[ast.cmpop], int] = {ast.Eq: EQ, ast.NotEq: NE, ast.Lt: LT, ast.LtE: LE, ast.Gt: GT, ast.GtE: GE}


class Conditions(Expressions):
    """Expressions, and what is chosen by them."""

    def _value(self, node: ast.expr, to: int) -> None:
        match node:
            case ast.IfExp(test, body, orelse):
                self._choice(test, body, orelse, to)
            case ast.Compare() | ast.UnaryOp(ast.Not()):
                self._choice(node, ast.Constant(1), ast.Constant(0), to)
            case _:
                super()._value(node, to)

    def _choice(self, test: ast.expr, body: ast.expr, orelse: ast.expr, to: int) -> None:
        if to:
            raise TooDeepError  # the condition needs all registers
        yes, no, end = Label(), Label(), Label()
        self._condition(test, yes, no, next_is=yes)
        self.code.label(yes)
        self._value(self._hoist(body), to)
        self.code.branch(end)
        self.code.label(no)
        self._value(self._hoist(orelse), to)
        self.code.label(end)

    def _condition(self, node: ast.expr, yes: Label, no: Label, next_is: Label) -> None:
        """Branch to `yes` or `no`, of which one comes next."""
        match node:
            case ast.BoolOp(operator, values):
                stops = no if isinstance(operator, ast.And) else yes
                for value in values[:-1]:
                    more = Label()
                    if stops is no:
                        self._condition(value, more, no, next_is=more)
                    else:
                        self._condition(value, yes, more, next_is=more)
                    self.code.label(more)
                self._condition(values[-1], yes, no, next_is)
            case ast.UnaryOp(ast.Not(), value):
                self._condition(value, no, yes, next_is)
            case ast.Compare(left, operators, rights) if len(rights) > 1:
                if any(True for middle in rights[:-1] for _call in calls(middle)):
                    raise self._fault(node, "would call twice what it names once")
                pairs = zip([left, *rights], operators, rights, strict=False)
                parts = [ast.copy_location(ast.Compare(one, [operator], [other]), node) for one, operator, other in pairs]
                self._condition(ast.copy_location(ast.BoolOp(ast.And(), list(parts)), node), yes, no, next_is)
            case ast.Constant(value):
                if (yes if value else no) is not next_is:
                    self.code.branch(yes if value else no)
            case _:
                condition = self._flags(node)
                if next_is is yes:
                    self.code.branch(no, OPPOSITE[condition])
                else:
                    self.code.branch(yes, condition)
                    if next_is is not no:
                        self.code.branch(no)

    def _flags(self, node: ast.expr) -> int:
        """Set the flags; the condition under which `node` holds."""
        if not isinstance(node, ast.Compare):
            self.code.compare_number(self._operand(self._hoist(node), 0), 0)
            return NE
        condition = COMPARISONS.get(type(node.ops[0]), -1)
        if condition < 0:
            raise self._fault(node, "is not in the language")
        left, right = node.left, node.comparators[0]
        if any(True for _call in calls(right)) and not isinstance(left, ast.Name) and constant(left) is None:
            left = self._wait(self._hoist(left))  # before the call, as it stands
        right, left = self._hoist(right, whole=True), self._hoist(left)
        if isinstance(left, ast.Constant):
            left, right, condition = right, left, WHEN_SWAPPED[condition]
        if (number := constant(right)) is not None and 0 <= number < 256:
            self.code.compare_number(self._operand(left, 0), number)
            return condition
        first = self._operand(left, 0)
        second = self._operand(right, 1 if first == 0 else 0)
        self.code.alu("cmp", first, second)
        return condition
