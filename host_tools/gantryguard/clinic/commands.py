"""A table of scan commands: one float64 array per column of the schema, all of one length."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol, TextIO

import numpy as np
import numpy.typing as npt

from gantryguard.clinic import schema
from gantryguard.errors import UserError, cause

FloatArray = npt.NDArray[np.float64]
CSV_CHUNK_ROWS = 8192


class Columns(Protocol):
    """Anything that gives a column by name: `Commands`, or a dict of arrays or of single numbers."""

    def __getitem__(self, key: str, /) -> npt.ArrayLike: ...


class Commands:
    """Scan commands as columns, float64 arrays of shape (n,), NaN where unknown.

    `extras` are further columns of text that a CSV file brought along; they are carried through.
    Raises ValueError for missing or unknown columns and for unequal lengths.
    """

    def __init__(self, columns: Mapping[str, npt.ArrayLike], extras: Mapping[str, Sequence[str]] | None = None) -> None:
        wrong = set(columns) ^ set(schema.NAMES)
        if wrong:
            raise ValueError(f"missing or unknown columns: {', '.join(sorted(wrong))}")
        self.columns: dict[str, FloatArray] = {
            name: np.atleast_1d(np.asarray(columns[name], dtype=np.float64)) for name in schema.NAMES
        }
        self.extras: dict[str, list[str]] = {name: list(cells) for name, cells in (extras or {}).items()}
        lengths = {len(c) for c in self.columns.values()} | {len(c) for c in self.extras.values()}
        if len(lengths) != 1 or any(c.ndim != 1 for c in self.columns.values()):
            raise ValueError(f"columns of unequal length: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.columns[schema.NAMES[0]])

    def __getitem__(self, name: str) -> FloatArray:
        return self.columns[name]

    def take(self, index: npt.ArrayLike) -> Commands:
        """The rows that an index or boolean array of shape (m,) or (n,) selects, copied."""
        rows = np.asarray(index)
        rows = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows.astype(np.int64)
        extras = {name: [cells[row] for row in rows] for name, cells in self.extras.items()}
        return Commands({name: column[rows] for name, column in self.columns.items()}, extras)

    def replace(self, **columns: npt.ArrayLike) -> Commands:
        """A copy with some columns replaced; single numbers are spread over all rows."""
        fresh = {name: column.copy() for name, column in self.columns.items()}
        for name, value in columns.items():
            fresh[name] = np.array(np.broadcast_to(np.asarray(value, dtype=np.float64), len(self)))
        return Commands(fresh, self.extras)

    def row(self, index: int) -> dict[str, float]:
        """One command as plain numbers."""
        return {name: float(column[index]) for name, column in self.columns.items()}

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, float]]) -> Commands:
        """Commands from single rows; every row has every column."""
        held = list(rows)
        return cls({name: np.array([row[name] for row in held], dtype=np.float64) for name in schema.NAMES})

    @classmethod
    def concat(cls, parts: Iterable[Commands]) -> Commands:
        """All rows of the parts in order. Raises ValueError if their extra columns differ."""
        held = list(parts)
        if len({tuple(part.extras) for part in held}) > 1:
            raise ValueError("parts with different extra columns")
        columns = {name: np.concatenate([p[name] for p in held] or [np.empty(0)]) for name in schema.NAMES}
        names = held[0].extras if held else ()
        return cls(columns, {name: [cell for part in held for cell in part.extras[name]] for name in names})

    def to_csv(self, file: TextIO, *, header: bool = True) -> None:
        """Write the rows as CSV: codes by name, numbers in the shortest form that reads back the same."""
        writer = csv.writer(file, lineterminator="\n")
        if header:
            writer.writerow([*schema.NAMES, *self.extras])
        cells = [[_cell(schema.COLUMN[n], v) for v in self.columns[n].tolist()] for n in schema.NAMES]
        writer.writerows(zip(*cells, *self.extras.values(), strict=True))


def _cell(column: schema.Column, value: float) -> str:
    if math.isnan(value):
        return ""
    if column.kind == "code" and column.names is not None:
        try:
            return schema.name_of(column.names, value)
        except KeyError:
            pass  # an anomaly may carry a code that has no name: written as the number
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def from_csv(path: Path, *, chunk_rows: int = CSV_CHUNK_ROWS) -> Iterator[Commands]:
    """Read a CSV of commands in pieces of at most `chunk_rows` rows.

    Columns may come in any order; an empty cell is NaN; columns that the schema does not know go to `extras`;
    `rotations` may be missing altogether (NaN). Raises UserError (exit 7) naming file, line and column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            yield from _chunks(path, reader, _header(path, next(reader, [])), chunk_rows)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read: {cause(error)}.", remedy="Give a CSV file in UTF-8.", exit_code=7) from error


def _header(path: Path, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    missing = [name for name in schema.NAMES if name not in names and name not in schema.OPTIONAL]
    twice = sorted({name for name in names if names.count(name) > 1})
    if missing or twice:
        what = f"lacks {', '.join(missing)}" if missing else f"repeats {', '.join(twice)}"
        raise UserError(
            f"{path}, line 1: the header {what}.",
            remedy="Name every column of a scan command once.",
            exit_code=7,
        )
    return names


def _chunks(path: Path, reader: Iterator[list[str]], names: list[str], size: int) -> Iterator[Commands]:
    line = 2
    while rows := list(islice(reader, size)):
        for offset, row in enumerate(rows):
            if len(row) != len(names):
                raise UserError(
                    f"{path}, line {line + offset}: {len(row)} cells, {len(names)} columns.",
                    remedy="Give every row as many cells as the header.",
                    exit_code=7,
                )
        yield _parsed(path, rows, names, line)
        line += len(rows)


def _parsed(path: Path, rows: list[list[str]], names: list[str], line: int) -> Commands:
    columns: dict[str, FloatArray] = {name: np.full(len(rows), np.nan) for name in schema.NAMES}
    extras: dict[str, list[str]] = {}
    for at, name in enumerate(names):
        if name not in schema.COLUMN:
            extras[name] = [row[at] for row in rows]
            continue
        for index, row in enumerate(rows):
            try:
                columns[name][index] = _number(schema.COLUMN[name], row[at].strip())
            except ValueError as error:
                raise UserError(
                    f"{path}, line {line + index}, {name}: {error}.",
                    remedy="Mend the cell, or leave it empty if the value is unknown.",
                    exit_code=7,
                ) from None
    return Commands(columns, extras)


def _number(column: schema.Column, text: str) -> float:
    if not text:
        return math.nan
    if column.names is not None and text.lower() in column.names:
        return float(column.names[text.lower()])
    try:
        value = float(text)
    except ValueError:
        allowed = f" (one of {', '.join(column.names)})" if column.names else " (a number)"
        raise ValueError(f"{text!r} is no value of this column{allowed}") from None
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not finite")
    return value
