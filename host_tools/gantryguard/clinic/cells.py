"""Cells of a table of scan commands: text to numbers, and what is wrong with a text that is no number.

An empty cell is NaN, which means unknown. Enumerations are read by name (any case) or by code; flags also as true/false.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TextIO

import numpy as np

from gantryguard.clinic import schema
from gantryguard.clinic.commands import FloatArray

LONGEST_LINE = 1 << 20  # characters
FLAG_WORDS = {"true": 1, "false": 0}
REQUIRED: tuple[str, ...] = tuple(name for name in schema.NAMES if name not in schema.OPTIONAL)


def lines(file: TextIO) -> Iterator[str]:
    """Lines of a text file, cut at LONGEST_LINE: a file without line ends must not fill the memory."""
    return iter(partial(file.readline, LONGEST_LINE), "")


class CellError(ValueError):
    """A cell that says nothing its column can hold; `is_name` where a name was given that does not exist."""

    def __init__(self, text: str, *, is_name: bool = False) -> None:
        super().__init__(text)
        self.is_name = is_name


def number(column: schema.Column, cell: str) -> float:
    """The number of one cell; NaN for an empty one. Raises CellError."""
    text = cell.strip()
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        return _named(column, text)
    if not math.isfinite(value) or "_" in text:
        raise CellError(f"{text!r} is no finite number")
    return value


def numbers(column: schema.Column, cells: Sequence[str]) -> FloatArray:
    """The numbers of a column's cells, float64 (n,). Raises CellError without saying where: see `number`."""
    known = {cell: number(column, cell) for cell in set(cells)}  # most columns hold few different values
    return np.array([known[cell] for cell in cells], dtype=np.float64)


def text_of(column: schema.Column, value: float | None) -> str:
    """The cell that reads back as `value`: a name where there is one, empty for NaN or None."""
    if value is None or math.isnan(value):
        return ""
    for name, code in (column.names or {}).items():
        if code == value:
            return name
    return f"{value:.10g}"


def nearest(text: str, names: Sequence[str], count: int = 3) -> list[str]:
    """The names most like a text, best first; all of them where none is like it and they are few."""
    found = difflib.get_close_matches(text.lower(), names, n=count, cutoff=0.4)
    return found or (list(names) if len(names) <= 4 else sorted(names)[:count])


def _named(column: schema.Column, text: str) -> float:
    names = column.names
    if names is None:
        raise CellError(f"{text!r} is no number")
    known = {**names, **(FLAG_WORDS if column.kind == "flag" else {})}
    if text.lower() in known:
        return float(known[text.lower()])
    raise CellError(f"there is no {text!r}; nearest: {', '.join(nearest(text, list(names)))}", is_name=True)
