"""Golden frames of a profile: `golden.toml` says which commands, and core's own reference judges them when a package is built.

Without the file there is one frame for each command of the console, its fields at their start values.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from gantryguard.profiles.link import Command, Link
from gantryguard.profiles.source import Entry
from gantryguard.profiles.vector import Vector
from interposer.core import golden as core
from interposer.core.package import Package
from interposer.core.verdict import Judge


@dataclass(frozen=True)
class GoldenFrame:
    """One command and the raw values of those fields that do not hold their start values, by slot."""

    command: int
    values: tuple[tuple[int, int], ...]


def read_golden(root: Entry, vector: Vector, link: Link) -> list[GoldenFrame]:
    """The frames that a profile wants. Raises UserError (exit 4)."""
    entries = root.items("frame")
    root.done()
    if not entries:
        return [GoldenFrame(command.index, ()) for command in link.commands.values() if command.is_forward]
    return [_frame(entry, vector, link) for entry in entries]


def _frame(entry: Entry, vector: Vector, link: Link) -> GoldenFrame:
    command = link.find(entry.text("command"), entry, "command")
    if not command.is_forward:
        entry.fail("command", "is not sent by the console", "name one of the console's commands.")
    values = [_value(entry.child("values"), name, command, vector) for name in entry.data.get("values", {})]
    entry.has("values")
    entry.done()
    return GoldenFrame(command.index, tuple(values))


def _value(values: Entry, name: str, command: Command, vector: Vector) -> tuple[int, int]:
    quantity = vector.find(name, values, name)
    if quantity not in [field.quantity for field in command.fields]:
        values.fail(name, f"is no field of {command.name}", "leave it out.")
    raw = values.raw(name)
    if isinstance(raw, str) and raw in quantity.codes:
        return quantity.slot, quantity.codes[raw]
    return quantity.slot, quantity.to_raw(values.number(name))


def golden_section(frames: Sequence[GoldenFrame], package: Package) -> bytes:
    """The golden section of a package that is otherwise complete: its frames and what becomes of them."""
    judge, section = Judge(package), b""
    start = array("i", judge.exam.values)
    for number, golden in enumerate(frames):
        frame = _encode(golden, number, start, judge)
        verdict, reason, outcome = core.judge_next(judge, frame, number)
        section += struct.pack(core.FRAME, len(frame), verdict, reason, outcome) + frame + bytes(-len(frame) % 4)
    return section


def _encode(golden: GoldenFrame, number: int, start: array[int], judge: Judge) -> bytes:
    values = array("i", start)
    for slot, raw in golden.values:
        values[slot] = raw
    length = judge.forward.write(golden.command, number & 255, values)
    return bytes(judge.forward.buffer[:length])
