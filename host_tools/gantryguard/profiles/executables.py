"""`corrections.toml`: what a field can be set to, and which fields follow when another is corrected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gantryguard.profiles.curves import Curves
from gantryguard.profiles.source import Entry
from gantryguard.profiles.vector import ALMOST, Quantity, Vector
from interposer.core import package

NEVER = NOTHING = -1


@dataclass(frozen=True)
class Corrections:
    """EXECUTABLE_WORDS words by field slot, and (field, row) pairs of derived fields."""

    executables: Mapping[int, tuple[int, int, int, int, int]]
    derived: tuple[tuple[Quantity, Quantity], ...]

    def executable_words(self, fields: int) -> list[int]:
        """EXECUTABLE_WORDS words by field slot."""
        words: list[int] = []
        for slot in range(fields):
            one = [0] * package.EXECUTABLE_WORDS
            told = self.executables.get(slot, (NEVER, 0, 0, NOTHING, NOTHING))
            one[package.E_STEP], one[package.E_SET_AT], one[package.E_SET_COUNT] = told[:3]
            one[package.E_LEVEL], one[package.E_USUAL] = told[3:]
            words += one
        return words

    def told_by(self, fields: Iterable[int]) -> set[int]:
        """Rows that tell what is usual for these fields."""
        told = (self.executables[slot][3:] for slot in fields if slot in self.executables)
        return {row for rows in told for row in rows if row != NOTHING}

    def derived_words(self) -> list[int]:
        """DERIVED_WORDS words by derived field."""
        return [word for field, row in self.derived for word in (field.slot, row.slot)]


def read_corrections(root: Entry, vector: Vector, curves: Curves) -> Corrections:
    """Compile `[executable.<field>]` (a `step` from the lowest value, or a `set`) and `[derived]` (field = row).

    `level` of an executable names a logarithm: how far the field is above its usual value. `usual` names a row that holds the
    usual value as the networks' outputs for the field say it.
    """
    executables: dict[int, tuple[int, int, int, int, int]] = {}
    for name, entry in root.children("executable"):
        field = vector.find(name, entry, "")
        if field.kind != "field":
            entry.fail("", f"({name}) is no field", "name a field of link.toml.")
        step, place, count = _executable(entry, field, curves)
        executables[field.slot] = (step, place, count, _row(entry, "level", vector), _row(entry, "usual", vector))
        entry.done()
    table = root.child("derived") if root.has("derived") else None
    pairs = tuple(_derived(table, name, vector) for name in table.data) if table else ()
    root.done()
    return Corrections(executables, pairs)


def _row(entry: Entry, key: str, vector: Vector) -> int:
    """Slot of the row that a key names, or `NOTHING`. A `level` is a logarithm, a `usual` value is not."""
    if not entry.has(key):
        return NOTHING
    row = vector.find(entry.text(key), entry, key)
    if row.kind != "row" or row.is_log != (key == "level"):
        entry.fail(key, f"= {row.name} is no row of the right kind", "name a logarithm as `level`, another row as `usual`.")
    return row.slot


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
