"""What readers give: an event with its cells, or what was left out and why."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from gantryguard.clinic import schema

Cell = float | str | None

# Beside the columns of a scan command: where a row comes from, and what the command does not say.
SOURCE_COLUMNS = (
    "source",  # file
    "source_index",  # event, row or acquisition in it
    "kind",
    "maker",
    "model",
    "protocol",
    "region",
    "acquisition",
    "ma_max_ma",
    "exposure_s",
    "exam",  # pseudonym of the study
    "patient",  # pseudonym, where the data are public
    "images",
    "notes",  # everything that was mended, derived or dropped
)
COLUMNS = (*schema.NAMES, *SOURCE_COLUMNS)
NUMBERS = (*schema.NAMES, "ma_max_ma", "exposure_s", "images")


@dataclass
class Found:
    """One event. `key` is the same for duplicates; `uid` is the irradiation event's, "" if unknown.

    `cells`: numbers in the schema's units (codes as numbers), texts, None for unknown. `part` is set where the file is one
    image of many: what adds up over them (see `journal.py`).
    """

    key: str
    index: int
    cells: dict[str, Cell]
    uid: str = ""
    part: Part | None = None


@dataclass(frozen=True)
class Part:
    """One image of a scan: position along the table in mm and tube current in mA, None where unknown."""

    z_mm: float | None
    ma: float | None
    acquisition: str = ""  # of the study: two series of one acquisition are one scan


@dataclass(frozen=True)
class Left:
    """An event (or, with index None, a file) that was left out."""

    index: int | None
    reason: str


@dataclass
class Notes:
    """Collects what was done to a row."""

    lines: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        """Remember a line."""
        self.lines.append(line)

    def __str__(self) -> str:
        return "; ".join(self.lines)


def pseudonym(identifier: str) -> str:
    """Twelve hexadecimal digits that stand for an identifier; "" for none."""
    return hashlib.sha256(identifier.encode()).hexdigest()[:12] if identifier else ""
