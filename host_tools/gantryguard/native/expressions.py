"""Values: what an expression becomes, in registers r0 to r3."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gantryguard.native.locals import MOST_OFFSET, Locals
from gantryguard.native.source import ASSEMBLER, VIPER, Place, kind_of, read_module
from gantryguard.native.syntax import BYTES, WORDS, LanguageError, TooDeepError, calls, constant, copy
from gantryguard.native.thumb import Code, Label

TEMPORARY = range(4)  # registers
OUTSIDE = 8
BY_REGISTER = 4  # arguments
SCRATCH = 12
WAITING = "stack "  # begins the name of a value that waits in that word of the stack
UXTB, UXTH = 0xB2C0, 0xB280
CALL_12 = 0x47E0  # blx r12
PUSH, POP = 0xB400, 0xBC00  # and the registers as bits
ALIKE: Mapping[type[ast.operator], str] = {ast.BitAnd: "and", ast.BitOr: "orr", ast.BitXor: "eor", ast.Mult: "mul"}
SHIFTS: Mapping[type[ast.operator], str] = {ast.LShift: "lsl", ast.RShift: "asr"}


@dataclass(frozen=True)
class Instance:
    """A function with those of its parameters that are functions; each such instance is compiled once."""

    place: Place
    bound: tuple[tuple[str, Place], ...] = ()


class Program(Protocol):
    """What a function's code becomes part of."""

    firmware: Path
    functions: Sequence[Place]
    code: Code

    def label_of(self, instance: Instance) -> Label:
        """Where a function is, or will be."""

    def outside_of(self, place: Place) -> int:
        """Number of the word with the address of what lies outside."""

    def resolve(self, place: Place) -> Place:
        """Where a name is defined, seen through imports and stand-ins."""


class Expressions:
    """One function's locals, and its expressions in r0 to r3."""

    def __init__(self, program: Program, instance: Instance) -> None:
        self.program = program
        self.code = program.code
        self.module = read_module(instance.place.module, program.firmware)
        self.node = self.module.functions[instance.place.name]
        if kind_of(self.node) != VIPER:
            raise LanguageError(f"{instance.place} is neither viper nor inline assembler")
        self.bound = dict(instance.bound)
        self.outgoing = max([0, *(len(call.args) - BY_REGISTER for call in calls(self.node))])
        self.locals = Locals(self.node, self.bound, program.functions, self.outgoing)
        self.spilled = 0
        self.most_spilled = 0

    def _place_of(self, name: str) -> Place | None:
        """The function or array that a name stands for."""
        static = self.bound.get(name) or self.locals.aliases.get(name)
        if isinstance(static, Place):
            return self.program.resolve(static)
        traced = self.module.trace(name)
        return None if traced is None else self.program.resolve(traced)

    def _function_of(self, name: str) -> ast.FunctionDef | None:
        """The source of the function that a name stands for."""
        place = self._place_of(name)
        return None if place is None else read_module(place.module, self.program.firmware).functions.get(place.name)

    def _hoist(self, node: ast.expr, *, whole: bool = False) -> ast.expr:
        """Do the calls inside an expression first, in their order; their results wait on the stack.

        So does what was read from memory before a call, which might change it. A call that is the whole expression stays where
        it is, but with `whole`.
        """
        left = sum(1 for _call in calls(node))
        if not left or (not whole and (isinstance(node, ast.IfExp) or self._callee(node) is not None)):
            return node

        def replaced(inner: ast.expr) -> ast.expr:
            nonlocal left
            inside = sum(1 for _call in calls(inner))
            if inside and isinstance(inner, ast.IfExp | ast.BoolOp):
                raise self._fault(inner, "has a call that may not be done, inside an expression")
            if self._callee(inner) is not None:
                left -= inside
                return self._wait(inner)
            if isinstance(inner, ast.Subscript) and left and not inside:
                return self._wait(inner)
            for name, child in ast.iter_fields(inner):
                if isinstance(child, ast.expr):
                    setattr(inner, name, replaced(child))
                elif isinstance(child, list):
                    setattr(inner, name, [replaced(item) if isinstance(item, ast.expr) else item for item in child])
            return inner

        return replaced(copy(node))

    def _wait(self, node: ast.expr) -> ast.expr:
        """Work a value out now; what stands for it from then on."""
        self._value(node, 0)
        slot = self._spill()
        self.code.store_stack(0, slot)
        return ast.copy_location(ast.Name(f"{WAITING}{slot}", ast.Load()), node)

    def _callee(self, node: ast.expr) -> ast.Call | None:
        """The call that an expression is, seen through `int(...)`; None if it is none."""
        match node:
            case ast.Call(ast.Name("int" | "ptr8" | "ptr32"), [inner]):
                return self._callee(inner)
            case ast.Call(ast.Name()):
                return node
        return None

    def _spill(self) -> int:
        slot = self.locals.end + self.spilled
        self.spilled += 1
        self.most_spilled = max(self.most_spilled, self.spilled)
        return slot

    def _operand(self, node: ast.expr, free: int) -> int:
        """The register in which a value is: its local's, or `free`."""
        match node:
            case ast.Name(name) if name in self.locals.homes:
                return self.locals.homes[name]
            case ast.Call(ast.Name("int" | "ptr8" | "ptr32"), [inner]) if self._callee(node) is None:
                return self._operand(inner, free)
        self._value(node, free)
        return free

    def _value(self, node: ast.expr, to: int) -> None:
        """Work a value out into the register `to`; those above it may be used on the way."""
        if to not in TEMPORARY:
            raise TooDeepError
        if (number := constant(node)) is not None:
            self.code.number(to, number)
            return
        match node:
            case ast.Name(name):
                self._name(node, name, to)
            case ast.Call():
                if (call := self._callee(node)) is not None:
                    if to:
                        raise self._fault(node, "stands where no call may")
                    self._call(call)
                else:
                    self._value(node.args[0], to)
            case ast.Subscript(base, index):
                self._load(base, index, to, to)
            case ast.BinOp(left, operator, right):
                self._binary(left, operator, right, to)
            case ast.UnaryOp(ast.USub(), value):
                self.code.alu("neg", to, self._operand(value, to))
            case ast.UnaryOp(ast.Invert(), value):
                self.code.alu("mvn", to, self._operand(value, to))
            case _:
                raise self._fault(node, "is not in the language")

    def _name(self, node: ast.expr, name: str, to: int) -> None:
        if name in self.locals.homes or name in self.locals.high:
            self.code.move(to, {**self.locals.homes, **self.locals.high}[name])
        elif name in self.locals.slots:
            self.code.load_stack(to, self.locals.slots[name])
        elif name.startswith(WAITING):
            self.code.load_stack(to, int(name.removeprefix(WAITING)))
        elif (place := self._place_of(name)) is not None and self._function_of(name) is None:
            self.code.move(to, OUTSIDE)
            self.code.load_at(to, to, self.program.outside_of(place))
        else:
            raise self._fault(node, f"({name}) has no value")

    def _binary(self, left: ast.expr, operator: ast.operator, right: ast.expr, to: int) -> None:
        number = constant(right)
        kind = type(operator)
        if number is None and constant(left) is not None and kind in (ast.Add, *ALIKE):
            left, right, number = right, left, constant(left)
        if number is not None and self._by_number(left, kind, number, to):
            return
        first = self._operand(left, to)
        second = self._operand(right, to + 1 if first == to else to)
        if kind is ast.Add:
            self.code.add(to, first, second)
        elif kind is ast.Sub:
            self.code.subtract(to, first, second)
        elif kind in ALIKE:
            if second == to:
                first, second = second, first
            self.code.move(to, first)
            self.code.alu(ALIKE[kind], to, second)
        elif kind in SHIFTS:
            if second == to:
                self.code.move(to + 1, second)
                second = to + 1
                if second not in TEMPORARY:
                    raise TooDeepError
            self.code.move(to, first)
            self.code.alu(SHIFTS[kind], to, second)
        else:
            raise self._fault(left, "is followed by an operator that is not in the language")

    def _by_number(self, left: ast.expr, kind: type[ast.operator], number: int, to: int) -> bool:
        """An operation with a constant in its short form, if it has one."""
        if kind in (ast.Add, ast.Sub) and abs(number) < 256:
            self.code.add_number(to, self._operand(left, to), number if kind is ast.Add else -number)
        elif kind in SHIFTS and 0 < number < 32:
            self.code.shift(SHIFTS[kind], to, self._operand(left, to), number)
        elif kind is ast.BitAnd and number in (0xFF, 0xFFFF):
            self.code.put((UXTB if number == 0xFF else UXTH) | self._operand(left, to) << 3 | to)
        elif kind is ast.BitAnd and number & number + 1 == 0 and 0xFF < number < 0xFFFFFFFF:
            places = 32 - number.bit_length()
            self.code.shift("lsl", to, self._operand(left, to), places)
            self.code.shift("lsr", to, to, places)
        elif kind is ast.BitXor and number == -1:
            self.code.alu("mvn", to, self._operand(left, to))
        elif kind is ast.Mult and number > 0 and number & number - 1 == 0:
            operand = self._operand(left, to)
            if number > 1:
                self.code.shift("lsl", to, operand, number.bit_length() - 1)
            else:
                self.code.move(to, operand)
        else:
            return False
        return True

    def _address(self, base: ast.expr, index: ast.expr, free: int) -> tuple[int, int | None, int]:
        """(register of the base, of an index or None, offset in elements); registers from `free` on are used."""
        unit = self._element(base)
        if (cursor := self.locals.cursor_of(base, index)) is not None:
            return self._operand(ast.Name(cursor[0]), free), None, cursor[1]
        offset = 0
        match index:
            case ast.BinOp(rest, ast.Add(), tail) if (number := constant(tail)) is not None and 0 <= number <= MOST_OFFSET:
                index, offset = rest, number
            case ast.BinOp(head, ast.Add(), rest) if (number := constant(head)) is not None and 0 <= number <= MOST_OFFSET:
                index, offset = rest, number
        if (number := constant(index)) is not None and not offset and 0 <= number <= MOST_OFFSET:
            return self._operand(base, free), None, number
        first = self._operand(base, free)
        rest_free = free + 1 if first == free else free
        second = self._operand(index, rest_free)
        if unit == WORDS:
            if rest_free not in TEMPORARY:
                raise TooDeepError
            self.code.shift("lsl", rest_free, second, 2)
            second = rest_free
        if not offset:
            return first, second, 0
        if rest_free not in TEMPORARY:
            raise TooDeepError
        self.code.add(rest_free, first, second)
        return rest_free, None, offset

    def _element(self, base: ast.expr) -> str:
        kind = self.locals.type_of(base)
        if kind not in (BYTES, WORDS):
            raise self._fault(base, "is indexed and is no pointer")
        return kind

    def _load(self, base: ast.expr, index: ast.expr, free: int, to: int) -> None:
        first, second, offset = self._address(base, index, free)
        is_words = self._element(base) == WORDS
        if second is None:
            (self.code.load_at if is_words else self.code.load_byte_at)(to, first, offset)
        else:
            (self.code.load if is_words else self.code.load_byte)(to, first, second)

    def _store(self, target: ast.Subscript, value: ast.expr) -> None:
        register = self._operand(value, 0)
        first, second, offset = self._address(target.value, target.slice, 1 if register == 0 else 0)
        is_words = self._element(target.value) == WORDS
        if second is None:
            (self.code.store_at if is_words else self.code.store_byte_at)(register, first, offset)
        else:
            (self.code.store if is_words else self.code.store_byte)(register, first, second)

    def _call(self, node: ast.Call) -> None:
        """Call a function; its result is in r0."""
        assert isinstance(node.func, ast.Name)
        definition, place = self._function_of(node.func.id), self._place_of(node.func.id)
        if place is None or definition is None:
            raise self._fault(node, f"calls {node.func.id}, which is no function of the firmware")
        parameters = [parameter.arg for parameter in definition.args.args]
        if len(parameters) != len(node.args) or node.keywords:
            raise self._fault(node, f"gives {len(node.args)} arguments to {place.name}, which takes {len(parameters)}")
        static = [self._static(argument) for argument in node.args]
        self._arguments([argument for argument, known in zip(node.args, static, strict=True) if known is None])
        if kind_of(definition) == ASSEMBLER:
            self._call_outside(place, len(parameters))
        else:
            bound = [(name, known) for name, known in zip(parameters, static, strict=True) if known is not None]
            self.code.call(self.program.label_of(Instance(place, tuple(bound))))

    def _call_outside(self, place: Place, count: int) -> None:
        """Call a function in assembler with so many arguments."""
        register = BY_REGISTER - 1 if count < BY_REGISTER else 0
        if register == 0:
            self.code.put(PUSH | 1)  # no register is free
        self.code.move(register, OUTSIDE)
        self.code.load_at(register, register, self.program.outside_of(place))
        self.code.move(SCRATCH, register)
        if register == 0:
            self.code.put(POP | 1)
        self.code.put(CALL_12)

    def _static(self, node: ast.expr) -> Place | None:
        """The function that an argument stands for."""
        if not isinstance(node, ast.Name) or not self.locals.is_static(node.id) or self._function_of(node.id) is None:
            return None
        return self._place_of(node.id)

    def _arguments(self, arguments: Sequence[ast.expr]) -> None:
        """What needs registers of others is worked out first and waits on the stack."""
        before = self.spilled
        if len(arguments) > BY_REGISTER and any(True for argument in arguments for _call in calls(argument)):
            raise self._fault(arguments[0], "is one of many arguments, of which none may be a call")
        waiting: dict[int, int] = {}
        for number, argument in enumerate(arguments):
            hoisted = self._hoist(argument)
            is_fixed = isinstance(argument, ast.Name) or constant(argument) is not None
            may_change = not is_fixed and any(True for later in arguments[number + 1 :] for _call in calls(later))
            if number >= BY_REGISTER:
                self.code.store_stack(self._operand(hoisted, 0), number - BY_REGISTER)
            elif may_change or not self._is_plain(hoisted, number):
                waiting[number] = self._spill()
                self.code.store_stack(self._operand(hoisted, 0), waiting[number])
        for number, argument in enumerate(arguments[:BY_REGISTER]):
            if number in waiting:
                self.code.load_stack(number, waiting[number])
            else:
                self._value(argument, number)
        self.spilled = before

    def _is_plain(self, argument: ast.expr, number: int) -> bool:
        """Whether a value can be worked out in the register of this number and those above it."""
        if any(True for _call in calls(argument)):
            return False
        length = len(self.code.items)
        try:
            self._value(argument, number)
        except TooDeepError:
            return False
        finally:
            del self.code.items[length:]
        return True

    def _fault(self, node: ast.expr | ast.stmt, complaint: str) -> LanguageError:
        return LanguageError(f"{self.module.name}, line {node.lineno}: {ast.unparse(node).splitlines()[0]!r} {complaint}")
