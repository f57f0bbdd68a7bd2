"""The names section: what the host calls slots, commands, limits, networks and states. The device never reads it.

UTF-8 lines of tab-separated cells, the first being the kind of line; empty cells at the end of a line are left out, and the
section is padded to whole words with newlines. It costs the device's memory, hence one letter per kind:

    f | m | r  name unit scale offset log unknown    a field, memory or row: one line per slot, in slot order
    c          value name                            a code of the field before it
    C          name role                             a command, by index
    s          name                                  a state of the sequence, by number
    l          name why                              a limit
    n          name                                  a network, by index

`scale` is left out where it is 1, `offset` where it is 0; a logarithm has L in the cell `log` and scale 1/1024. `unknown` is
the raw value that means unknown. A row without a name is one that a form of the sources needed for itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from gantryguard.profiles.vector import LOG_SCALE, Quantity, Vector

TAB = "\t"
SLOT_KINDS = {"f": "field", "m": "memory", "r": "row"}
LETTERS = {kind: letter for letter, kind in SLOT_KINDS.items()}
COMMAND, STATE, LIMIT, NETWORK, CODE = "C", "s", "l", "n", "c"
SLOT_CELLS = 7


@dataclass
class NamesWriter:
    """Collects lines; a line's number is what the tables refer to."""

    lines: list[str] = field(default_factory=list)

    def add(self, *cells: object) -> int:
        """Append a line; returns its number."""
        self.lines.append(TAB.join(_clean(str(cell)) for cell in cells).rstrip(TAB))
        return len(self.lines) - 1

    def add_vector(self, vector: Vector) -> None:
        """Lines of every slot and code."""
        for q in vector:
            if "#" in q.name:
                self.add(LETTERS[q.kind])
                continue
            scale = "" if q.is_log or q.scale == 1 else repr(q.scale)
            offset = repr(q.offset) if q.offset else ""
            unknown = "" if q.unknown is None else q.unknown
            self.add(LETTERS[q.kind], q.name, q.unit, scale, offset, "L" if q.is_log else "", unknown)
            for name, code in q.codes.items():
                self.add(CODE, code, name)

    def section(self) -> bytes:
        """The section's bytes."""
        text = "".join(line + "\n" for line in self.lines).encode()
        return text + b"\n" * (-len(text) % 4)


@dataclass(frozen=True)
class Names:
    """The section read back. `quantities` are by name; `lines` hold the cells of every line, the lists are by index."""

    quantities: dict[str, Quantity]
    commands: list[str]
    roles: list[str]
    states: list[str]
    networks: list[str]
    lines: list[list[str]]


def read_names(section: bytes) -> Names:
    """Parse a names section. Raises ValueError where it is none."""
    lines = [line.split(TAB) for line in section.decode().rstrip("\n").split("\n")]
    commands = list(_of_kind(lines, COMMAND))
    return Names(
        _quantities(lines),
        [cells[1] for cells in commands],
        [cells[2] for cells in commands],
        [cells[1] for cells in _of_kind(lines, STATE)],
        [cells[1] for cells in _of_kind(lines, NETWORK)],
        lines,
    )


def _quantities(lines: Sequence[list[str]]) -> dict[str, Quantity]:
    found: list[Quantity] = []
    for cells in lines:
        if cells[0] in SLOT_KINDS:
            found.append(_quantity(len(found), cells + [""] * (SLOT_CELLS - len(cells))))
        elif cells[0] == CODE:
            found[-1] = replace(found[-1], codes={**found[-1].codes, cells[2]: int(cells[1])})
    return {quantity.name: quantity for quantity in found if quantity.name}


def _quantity(slot: int, cells: Sequence[str]) -> Quantity:
    letter, name, unit, scale, offset, log, unknown = cells
    return Quantity(
        name,
        slot,
        SLOT_KINDS[letter],
        unit,
        LOG_SCALE if log else float(scale or 1),
        0,
        0,
        offset=float(offset or 0),
        is_log=bool(log),
        unknown=int(unknown) if unknown else None,
    )


def _of_kind(lines: Sequence[list[str]], kind: str) -> Iterator[list[str]]:
    return (cells for cells in lines if cells[0] == kind)


def _clean(cell: str) -> str:
    return " ".join(cell.split())
