"""The value vector: every field, memory and row with its slot, its scale and the raw values that it can take.

A physical value is `raw * scale + offset`. Rows of logarithms hold 1024 times a log2: there the physical value is the
log2 itself (`is_log`), `scale` is 1/1024, and bounds are written in the linear unit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gantryguard.profiles.source import Entry
from interposer.core.quantities import LOG_BITS

LOG_SCALE = 1.0 / (1 << LOG_BITS)
INT32_LOW, INT32_HIGH = -(1 << 31), (1 << 31) - 1
SMALL_LOW, SMALL_HIGH = -(1 << 30), (1 << 30) - 1  # the device's small integers: beyond them it would need heap
ALMOST = 1e-6


@dataclass(frozen=True)
class Quantity:
    """One slot; `kind` is "field", "memory" or "row".

    `low`..`high` are raw values that it can never leave, its start value included; `bounds` is what a field may hold on
    the wire.
    """

    name: str
    slot: int
    kind: str
    unit: str
    scale: float
    low: int
    high: int
    offset: float = 0.0
    is_log: bool = False
    start: int = 0
    unknown: int | None = None
    codes: Mapping[str, int] = field(default_factory=dict)
    bounds: tuple[int, int] = (0, 0)

    @property
    def largest(self) -> int:
        """Largest magnitude of the raw value."""
        return max(abs(self.low), abs(self.high))

    def exact(self, physical: float) -> float:
        """Raw value of a physical one, not yet rounded; for logarithms the physical value is linear."""
        if self.is_log:
            physical = math.log2(physical) if physical > 0 else -1e6
        return (physical - self.offset) / self.scale

    def to_raw(self, physical: float | None) -> int:
        """Nearest raw value; NaN and None give the field's code for unknown. Raises ValueError where it has none."""
        if physical is None or math.isnan(physical):
            if self.unknown is None:
                raise ValueError(f"{self.name} has no value that means unknown")
            return self.unknown
        return math.floor(self.exact(physical) + 0.5)

    def from_raw(self, raw: int) -> float:
        """Physical value (linear, for logarithms too); NaN where the raw value means unknown."""
        if raw == self.unknown:
            return math.nan
        value = raw * self.scale + self.offset
        return 2.0**value if self.is_log else value

    def same_scale(self, other: Quantity) -> bool:
        """Whether raw values of both mean the same."""
        return math.isclose(self.scale, other.scale) and abs(self.offset - other.offset) < 1e-9


class Vector:
    """Names to slots, in order: fields, then memory, then rows."""

    def __init__(self) -> None:
        self.by_name: dict[str, Quantity] = {}

    def __iter__(self) -> Iterator[Quantity]:
        return iter(self.by_name.values())

    def __len__(self) -> int:
        return len(self.by_name)

    def of_kind(self, kind: str) -> list[Quantity]:
        """The fields, the memory or the rows, in slot order."""
        return [quantity for quantity in self if quantity.kind == kind]

    def add(self, quantity: Quantity, entry: Entry) -> Quantity:
        """Take the next slot. Refuses a name that is taken and values beyond 31 bits."""
        if quantity.name in self.by_name:
            entry.fail("name" if "name" in entry.data else "", f"{quantity.name!r} is defined twice", "rename one.")
        if quantity.low < SMALL_LOW or quantity.high > SMALL_HIGH:
            entry.fail("", f"({quantity.name}) can leave 31 bits", "choose a coarser scale or a clamp.")
        self.by_name[quantity.name] = quantity
        return quantity

    def find(self, name: str, entry: Entry, key: str) -> Quantity:
        """The quantity that a key of a table names."""
        quantity = self.by_name.get(name)
        if quantity is None:
            entry.fail(key, f"names {name!r}, which is not defined above", "define it first, or mend the name.")
        return quantity


def raw_floor(value: float) -> int:
    """Largest whole number that is not above `value`, forgiving the last digits of a float."""
    return math.floor(value + ALMOST)


def raw_ceil(value: float) -> int:
    """Smallest whole number that is not below `value`, forgiving the last digits of a float."""
    return math.ceil(value - ALMOST)
