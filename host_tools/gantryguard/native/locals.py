"""Where the locals of a function live: in registers, the most used ones, or on the stack."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from gantryguard.native.source import Place
from gantryguard.native.syntax import BYTES, LOOP_WEIGHT, NUMBER, WORDS, constant, targets, weighed

KEPT = (4, 5, 6, 7)
HIGH = (9, 10, 11)  # kept as well; whatever is done with them goes by way of others
MOST_OFFSET = 31  # that fits a load
MOVES_WORTH = 2  # uses of a cursor that pay for one move of it


class Locals:
    """The locals of one function, by their uses.

    A cursor is a hidden local, the address that a base and an index make, where that is asked for more often than it moves.
    """

    def __init__(self, node: ast.FunctionDef, bound: Iterable[str], functions: Sequence[Place], outgoing: int) -> None:
        """`bound`: parameters that are functions. `functions`: what `functions(...)` hands out. `outgoing`: words kept free."""
        self.node = node
        self.bound = frozenset(bound)
        self.declared = {each.arg: each.annotation.id for each in node.args.args if isinstance(each.annotation, ast.Name)}
        self.types = dict(self.declared)
        self.parameters = [each.arg for each in node.args.args if each.arg not in self.bound]
        self.names = set(self.types) | {name for inner in ast.walk(node) for name in targets(inner)}
        self.aliases = dict(self._find_aliases(functions))
        self.cursors = self._find_cursors()
        self.uses = self._count_uses()
        ranked = [name for name, _uses in self.uses.most_common()]
        self.homes = dict(zip(ranked, KEPT, strict=False))  # registers
        busy = [name for name in ranked[len(KEPT) :] if self.uses[name] >= LOOP_WEIGHT * MOVES_WORTH]
        self.high = dict(zip(busy, HIGH, strict=False))  # registers that hardly any instruction knows
        rest = [name for name in dict.fromkeys([*self.parameters, *ranked]) if name in self.uses]
        rest = [name for name in rest if name not in self.homes and name not in self.high]
        self.slots = {name: outgoing + number for number, name in enumerate(rest)}  # words of the stack
        self.end = outgoing + len(rest)

    def is_static(self, name: str) -> bool:
        """Whether a name stands for a function, a module's array, or a word of the language."""
        return name in self.bound or name in self.aliases or name not in self.names

    def type_of(self, node: ast.expr) -> str:
        """What a value is: NUMBER, BYTES or WORDS."""
        match node:
            case ast.Call(ast.Name(name)) if name in (BYTES, WORDS):
                return name
            case ast.Name(name):
                return self.types.get(name, NUMBER)
            case ast.IfExp(_, body, _):
                return self.type_of(body)
        return NUMBER

    def cursor_of(self, base: ast.expr, index: ast.expr) -> tuple[str, int] | None:
        """The cursor that `base[index]` goes by, and how many elements behind it; None where there is none."""
        place = _place_of(base, index)
        cursor = None if place is None else self.cursors.get(place[:2])
        return None if place is None or cursor is None else (cursor, place[2])

    def _find_aliases(self, functions: Sequence[Place]) -> Iterator[tuple[str, Place | Sequence[Place]]]:
        """Locals that stand for functions: `works = functions(...)`, `room = works[2]`."""
        sources = set()
        for statement in self.node.body:
            match statement:
                case ast.Assign([ast.Name(name)], ast.Call(ast.Name("functions"))):
                    sources.add(name)
                    yield name, functions
                case ast.Assign([ast.Name(name)], ast.Subscript(ast.Name(source), ast.Constant(int(at)))) if source in sources:
                    yield name, functions[at]

    def _count_uses(self) -> Counter[str]:
        uses: Counter[str] = Counter()
        for node, weight in weighed(self.node):
            if isinstance(node, ast.Name) and not self.is_static(node.id):
                uses[node.id] += weight
            if isinstance(node, ast.Subscript) and (cursor := self.cursor_of(node.value, node.slice)) is not None:
                uses[cursor[0]] += weight
                uses.subtract({name.id: weight for name in ast.walk(node) if isinstance(name, ast.Name)})
        return uses

    def _find_cursors(self) -> dict[tuple[str, str], str]:
        """Places in words that are asked for more often than they move: base and index become one address, a hidden local."""
        asked: Counter[tuple[str, str]] = Counter()
        moved: Counter[str] = Counter(self.parameters)
        for node, weight in weighed(self.node):
            if isinstance(node, ast.Subscript) and (place := _place_of(node.value, node.slice)) is not None:
                asked[place[:2]] += weight
            for name in targets(node):
                moved[name] += weight
        return {
            (base, index): f"{base} at {index}"
            for (base, index), weight in asked.items()
            if weight >= MOVES_WORTH * (moved[base] + moved[index]) and self._points_to_words(base)
        }

    def _points_to_words(self, name: str) -> bool:
        """Whether that is all that a local ever does."""
        kinds = {self.types[name]} if name in self.types else set()
        for node in ast.walk(self.node):
            if isinstance(node, ast.Assign) and name in targets(node):
                kinds.add(self.type_of(node.value))
        return kinds == {WORDS}


def _place_of(base: ast.expr, index: ast.expr) -> tuple[str, str, int] | None:
    """(base, index, number) of `base[index]` and `base[index + number]`; None for any other place."""
    match base, index:
        case ast.Name(start), ast.Name(at):
            return start, at, 0
        case ast.Name(start), ast.BinOp(ast.Name(at), ast.Add(), more):
            number = constant(more)
            return (start, at, number) if number is not None and 0 <= number <= MOST_OFFSET else None
    return None
