"""Which rows each command evaluates: the closure of what its limits, latches, networks and corrections need, in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gantryguard.profiles.executables import Corrections
from gantryguard.profiles.limits import Limit
from gantryguard.profiles.link import Command
from gantryguard.profiles.networks import Network
from gantryguard.profiles.rows import Row
from gantryguard.profiles.sequence import SequenceTable


def program_of(
    command: Command,
    rows: Mapping[int, Row],
    limits: Sequence[Limit],
    sequence: SequenceTable,
    networks: Sequence[Network],
    corrections: Corrections,
) -> list[Row]:
    """Rows of one command: first those that read nothing of its fields, then the others, each in their order of definition.

    A device evaluates the first while the frame is still coming.
    """
    wanted: set[int] = {slot for slot, row in rows.items() if command.name in row.on}
    mine = [limit for limit in limits if command in limit.commands]
    asked = [network for network in networks if command in network.commands]
    for limit in mine:
        wanted.update(limit.sources())
    for network in asked:
        wanted.update(network.sources())
    wanted.update(latch.source.slot for latch in sequence.latches_of(command))
    wanted.update(corrections.told_by(field.quantity.slot for field in command.fields))
    if _reads_derived(command, wanted, rows, corrections):
        wanted.update(row.slot for _, row in corrections.derived)
    slots = sorted(_closure(wanted, rows))
    told = {field.quantity.slot for field in command.fields}
    for slot in slots:
        if told.intersection(rows[slot].sources()):
            told.add(slot)
    return [rows[slot] for slot in sorted(slots, key=lambda slot: (slot in told, slot))]


def _closure(wanted: Iterable[int], rows: Mapping[int, Row]) -> set[int]:
    """The wanted rows and every row that they are computed from."""
    open_slots = [slot for slot in wanted if slot in rows]
    found: set[int] = set()
    while open_slots:
        slot = open_slots.pop()
        if slot not in found:
            found.add(slot)
            open_slots.extend(source for source in rows[slot].sources() if source in rows)
    return found


def _reads_derived(command: Command, wanted: Iterable[int], rows: Mapping[int, Row], corrections: Corrections) -> bool:
    """Whether a stated value that follows a correction is part of the command or of what it is judged by."""
    derived = {field.slot for field, _ in corrections.derived}
    read = {source for slot in _closure(wanted, rows) for source in rows[slot].sources()}
    return bool(derived & (read | {field.quantity.slot for field in command.fields}))
