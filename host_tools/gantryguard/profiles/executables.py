"""`corrections.toml`: what a field can be set to, and which fields follow when another is corrected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gantryguard.profiles.curves import Curves
from gantryguard.profiles.source import Entry
from gantryguard.profiles.vector import ALMOST, Quantity, Vector
from interposer.core import package

NEVER = -1


@dataclass(frozen=True)
class Corrections:
    """(step, place of the set, its size) by field slot, and (field, row) pairs of derived fields."""

    executables: Mapping[int, tuple[int, int, int]]
    derived: tuple[tuple[Quantity, Quantity], ...]

    def executable_words(self, fields: int) -> list[int]:
        """EXECUTABLE_WORDS words by field slot."""
        words: list[int] = []
        for slot in range(fields):
            one = [0] * package.EXECUTABLE_WORDS
            one[package.E_STEP], one[package.E_SET_AT], one[package.E_SET_COUNT] = self.executables.get(slot, (NEVER, 0, 0))
            words += one
        return words

    def derived_words(self) -> list[int]:
        """DERIVED_WORDS words by derived field."""
        return [word for field, row in self.derived for word in (field.slot, row.slot)]


def read_corrections(root: Entry, vector: Vector, curves: Curves) -> Corrections:
    """Compile `[executable.<field>]` (a `step` from the lowest value, or a `set`) and `[derived]` (field = row)."""
    executables: dict[int, tuple[int, int, int]] = {}
    for name, entry in root.children("executable"):
        field = vector.find(name, entry, "")
        if field.kind != "field":
            entry.fail("", f"({name}) is no field", "name a field of link.toml.")
        executables[field.slot] = _executable(entry, field, curves)
        entry.done()
    table = root.child("derived") if root.has("derived") else None
    pairs = tuple(_derived(table, name, vector) for name in table.data) if table else ()
    root.done()
    return Corrections(executables, pairs)


def _executable(entry: Entry, field: Quantity, curves: Curves) -> tuple[int, int, int]:
    if entry.has("step") == entry.has("set"):
        entry.fail("step", "and `set` are both or neither stated", "state exactly one of them.")
    if entry.has("step"):
        step = entry.number("step") / field.scale
        if step < 1 - ALMOST or abs(step - round(step)) > ALMOST * step:
            entry.fail("step", f"is {step:g} raw steps", "choose a whole number of the field's raw steps.")
        return round(step), 0, 0
    members = [field.exact(value) for value in entry.numbers("set")]
    words = [round(member) for member in members]
    low, high = field.bounds
    if not words or any(not low <= word <= high for word in words):
        entry.fail("set", "is empty or leaves the field's range", "name values that the field can hold.")
    if any(abs(member - word) > ALMOST * max(1, abs(word)) for member, word in zip(members, words, strict=True)):
        entry.fail("set", "holds a value that is no raw step of the field", "name values that it can hold exactly.")
    return 0, curves.add(words), len(words)


def _derived(table: Entry, name: str, vector: Vector) -> tuple[Quantity, Quantity]:
    field = vector.find(name, table, name)
    row = vector.find(table.text(name), table, name)
    if field.kind != "field" or row.kind != "row":
        table.fail(name, f"= {row.name} is not `field = row`", "write the field left and a row right.")
    if not field.same_scale(row) or row.is_log:
        table.fail(name, f"has another scale than {row.name}", "give the row the field's scale.")
    if row.low < field.bounds[0] or row.high > field.bounds[1]:
        table.fail(name, f"cannot hold all of {row.name} ({row.low}..{row.high})", "clamp the row.")
    return field, row
