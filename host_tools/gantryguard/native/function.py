"""Statements: one function from its prologue to its ways out."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from gantryguard.native.conditions import Conditions
from gantryguard.native.expressions import ALIKE, BY_REGISTER, POP, PUSH, SHIFTS, Instance, Program
from gantryguard.native.locals import KEPT
from gantryguard.native.syntax import TooDeepError, constant, own_loop
from gantryguard.native.thumb import Label

PUSHED_LR = 1


class Function(Conditions):
    """One function of a program."""

    def __init__(self, program: Program, instance: Instance) -> None:
        super().__init__(program, instance)
        self.loops: list[tuple[Label, Label]] = []  # where the next turn begins, and where the loop ends
        self.saved = sorted(self.locals.homes.values())
        self.frame = 0  # words of the stack

    def compile(self) -> None:
        """Write it; a second time once the size of its stack is known."""
        start = len(self.code.items)
        self._body()
        if self.locals.end + self.most_spilled:
            del self.code.items[start:]
            self.frame = self.locals.end + self.most_spilled
            self._body()

    def _body(self) -> None:
        self.locals.types = dict(self.locals.declared)  # what an assignment makes of a parameter holds from there on
        self.code.push(self.saved)
        if self.locals.high:  # r4 and on are free by now; r3 may hold an argument
            for number, register in enumerate(self.locals.high.values()):
                self.code.move(KEPT[number], register)
            self.code.put(PUSH | (1 << len(self.locals.high)) - 1 << KEPT[0])
        self.code.grow_stack(self.frame)
        for number, name in enumerate(self.locals.parameters):
            if name not in self.locals.uses:
                continue
            register = number
            if number >= BY_REGISTER:  # by now r0 to r3 have been put away
                register = self.locals.homes.get(name, 0)
                self.code.load_stack(
                    register, self.frame + len(self.locals.high) + len(self.saved) + PUSHED_LR + number - BY_REGISTER
                )
            self._put(name, register)
        for name in self.locals.parameters:
            self._move_cursors(name)
        if self._block(self.node.body):
            self._return()

    def _return(self) -> None:
        self.code.shrink_stack(self.frame)
        if self.locals.high:
            self.code.put(POP | (1 << len(self.locals.high)) - 1 << KEPT[0])
            for number, register in enumerate(self.locals.high.values()):
                self.code.move(register, KEPT[number])
        self.code.pop(self.saved)

    def _put(self, name: str, register: int) -> None:
        """A register becomes the value of a local."""
        if name in self.locals.homes:
            self.code.move(self.locals.homes[name], register)
        elif name in self.locals.high:
            self.code.move(self.locals.high[name], register)
        elif name in self.locals.slots:
            self.code.store_stack(register, self.locals.slots[name])

    def _move_cursors(self, name: str, step: int | None = None) -> None:
        """A base or an index has got another value; `step`: that is so much more."""
        for (base, index), cursor in self.locals.cursors.items():
            if name not in (base, index):  # where the other one has no value yet, this makes nothing worse
                continue
            home = self.locals.homes.get(cursor, 0)
            if step is not None and name == index and home and abs(4 * step) < 256:
                self.code.add_number(home, home, 4 * step)
                continue
            self.code.shift("lsl", 0, self._operand(ast.Name(index), 0), 2)
            self.code.add(home, self._operand(ast.Name(base), 1), 0)
            self._put(cursor, home)

    def _block(self, body: Sequence[ast.stmt]) -> bool:
        """Statements; whether their end is reached."""
        for statement in body:
            try:
                reached = self._statement(statement)
            except TooDeepError:
                raise self._fault(statement, "takes more than four registers") from None
            if not reached:
                return False
        return True

    def _statement(self, node: ast.stmt) -> bool:
        self.spilled = 0
        match node:
            case ast.Expr(ast.Constant()) | ast.Pass():
                pass
            case ast.Expr(ast.Call() as call):
                self._call(call)
            case ast.Expr(ast.Subscript() as read):  # of a register, which such a look may change
                self._value(read, 0)
            case ast.Assign([ast.Name(name)], value):
                if not self.locals.is_static(name):
                    self._assign(name, value)
            case ast.Assign([ast.Subscript() as target], value):
                self._store(target, self._hoist(value))
            case ast.AugAssign(ast.Name(name) as target, operator, value):
                counted = ast.copy_location(ast.Name(name, ast.Load()), target)
                self._assign(name, ast.copy_location(ast.BinOp(counted, operator, value), node))
            case ast.AugAssign(ast.Subscript(base, index) as target, operator, value):
                read_item = ast.copy_location(ast.Subscript(base, index, ast.Load()), target)
                self._store(target, self._hoist(ast.copy_location(ast.BinOp(read_item, operator, value), node)))
            case ast.If(test, body, orelse):
                return self._if(test, body, orelse)
            case ast.While(test, body, []):
                return self._while(test, body)
            case ast.Return(value):
                if value is not None:
                    self._value(self._hoist(value), 0)
                self._return()
                return False
            case ast.Break():
                self.code.branch(self.loops[-1][1])
                return False
            case ast.Continue():
                self.code.branch(self.loops[-1][0])
                return False
            case _:
                raise self._fault(node, "is not in the language")
        return True

    def _assign(self, name: str, value: ast.expr) -> None:
        self._set(name, value)
        step = None
        match value:
            case ast.BinOp(ast.Name(source), ast.Add() | ast.Sub(), number) if source == name:
                step = constant(number)
                step = -step if step is not None and isinstance(value.op, ast.Sub) else step
        self._move_cursors(name, step)

    def _set(self, name: str, value: ast.expr) -> None:
        self.locals.types[name] = self.locals.type_of(value)
        value = self._hoist(value)
        if name not in self.locals.homes:
            self._put(name, self._operand(value, 0))
            return
        home = self.locals.homes[name]
        if isinstance(value, ast.Subscript):
            self._load(value.value, value.slice, 0, home)
        elif not self._straight(value, home, name):
            self.code.move(home, self._operand(value, 0))

    def _straight(self, value: ast.expr, home: int, name: str) -> bool:
        """Work a value out in the very register of its local, where one instruction does it."""
        match value:
            case ast.Constant(int(number)) if 0 <= number < 256:
                self.code.number(home, number)
                return True
            case ast.BinOp(ast.Name(source), ast.Add() | ast.Sub(), ast.Constant(int(number))) if (
                source == name and number < 256
            ):
                self.code.add_number(home, home, number if isinstance(value.op, ast.Add) else -number)
                return True
            case ast.BinOp(ast.Name(source), ast.Add(), right) if source == name:
                self.code.add(home, home, self._operand(right, 0))
                return True
            case ast.BinOp(ast.Name(source), operator, right) if source == name and type(operator) in ALIKE:
                self.code.alu(ALIKE[type(operator)], home, self._operand(right, 0))
                return True
            case ast.BinOp(ast.Name(source), operator, ast.Constant(int(number))) if (
                type(operator) in SHIFTS and 0 < number < 32
            ):
                if source in self.locals.homes:
                    self.code.shift(SHIFTS[type(operator)], home, self.locals.homes[source], number)
                    return True
        return False

    def _if(self, test: ast.expr, body: Sequence[ast.stmt], orelse: Sequence[ast.stmt]) -> bool:
        yes, no, end = Label(), Label(), Label()
        self._condition(test, yes, no, next_is=yes)
        self.code.label(yes)
        reached = self._block(body)
        if not orelse:
            self.code.label(no)
            return True
        if reached:
            self.code.branch(end)
        self.code.label(no)
        reached_too = self._block(orelse)
        self.code.label(end)
        return reached or reached_too

    def _while(self, test: ast.expr, body: Sequence[ast.stmt]) -> bool:
        """The condition stands at the loop's end: one branch a turn."""
        again, first, end = Label(), Label(), Label()
        is_endless = isinstance(test, ast.Constant) and bool(test.value)
        if not is_endless:
            self.code.branch(again)
        self.code.label(first)
        self.loops.append((first if is_endless else again, end))
        reached = self._block(body)
        self.loops.pop()
        if is_endless:
            if reached:
                self.code.branch(first)
        else:
            self.code.label(again)
            self.spilled = 0
            self._condition(test, first, end, next_is=end)
        self.code.label(end)
        return not is_endless or any(isinstance(node, ast.Break) for node in own_loop(body))
