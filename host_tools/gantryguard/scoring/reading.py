"""Reads a CSV of scan commands block by block, in constant memory, and names every mistake by row and column.

Rows are counted from 1, without the header. Columns come in any order; those that the schema does not know are carried
through; columns of an earlier score are replaced.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TextIO

import numpy as np

from gantryguard import errors
from gantryguard.clinic import schema
from gantryguard.clinic.cells import LONGEST_LINE, REQUIRED, CellError, lines, nearest, number, numbers
from gantryguard.clinic.commands import FloatArray
from gantryguard.errors import UserError

STDIN = "-"
BLOCK_ROWS = 4096
BEGIN = f"Begin with {','.join(REQUIRED[:3])},... as `gantryguard model score --help` lists them."


@dataclass(frozen=True)
class Block:
    """Rows in order: `first_row` is the number of the first one, `cells` the text as read, `columns` float64 (n,) each."""

    first_row: int
    cells: list[list[str]]
    columns: dict[str, FloatArray]

    def __len__(self) -> int:
        return len(self.cells)


class CommandFile:
    """An open CSV of scan commands; `header` are its column names. Raises UserError (exit 10 to 14)."""

    def __init__(self, file: TextIO, name: str) -> None:
        csv.field_size_limit(LONGEST_LINE)
        self.name = name
        self._file = file
        self._reader = csv.reader(lines(file))
        with self._readable():
            self.header = [cell.strip() for cell in next(self._reader, [])]
        check_header(self.header, name)
        self._places = {column: self.header.index(column) for column in schema.NAMES if column in self.header}

    def bytes_read(self) -> int:
        """How far the file was read, in bytes; 0 where it is no file."""
        return self._file.buffer.tell() if self._file.seekable() else 0

    def blocks(self, rows: int = BLOCK_ROWS) -> Iterator[Block]:
        """All rows, at most `rows` at a time; blank lines are left out."""
        first = 1
        while held := self._rows(first, rows):
            yield Block(first, held, self._parsed(first, held))
            first += len(held)

    def _rows(self, first: int, count: int) -> list[list[str]]:
        held: list[list[str]] = []
        with self._readable(first):
            for row in self._reader:
                if row:
                    held.append(row)
                    if len(row) != len(self.header):
                        self._fail(first + len(held) - 1, f"{len(row)} cells, but {len(self.header)} columns")
                    if len(held) == count:
                        break
        return held

    def _parsed(self, first: int, rows: list[list[str]]) -> dict[str, FloatArray]:
        columns = {}
        for name in schema.NAMES:
            at = self._places.get(name)
            if at is None:
                columns[name] = np.full(len(rows), np.nan)
                continue
            cells = [row[at] for row in rows]
            try:
                columns[name] = numbers(schema.COLUMN[name], cells)
            except CellError:
                self._name_the_cell(first, name, cells)
        return columns

    def _name_the_cell(self, first: int, name: str, cells: list[str]) -> NoReturn:
        for offset, cell in enumerate(cells):
            try:
                number(schema.COLUMN[name], cell)
            except CellError as error:
                self._fail(first + offset, f"column {name}: {error}", is_name=error.is_name)
        raise AssertionError("a cell was refused once and then taken")

    def _fail(self, row: int, what: str, *, is_name: bool = False) -> NoReturn:
        raise UserError(
            f"{self.name}, row {row}: {what}.",
            remedy="Use one of these names." if is_name else "Mend the row, or leave a cell empty if its value is unknown.",
            exit_code=errors.UNKNOWN_NAME if is_name else errors.BAD_CELL,
        )

    @contextmanager
    def _readable(self, row: int = 0) -> Iterator[None]:
        try:
            yield
        except csv.Error as error:
            self._fail(row, f"the table breaks off at line {self._reader.line_num} ({error})")
        except (OSError, UnicodeDecodeError) as error:
            message = f"{self.name} cannot be read: {errors.cause(error)}."
            raise UserError(message, remedy="Give a CSV file in UTF-8.", exit_code=errors.NO_FILE) from error


@contextmanager
def opened(path: str) -> Iterator[CommandFile]:
    """The CSV at `path`, or standard input for "-". Raises UserError (exit 10 to 12)."""
    if path == STDIN:
        yield CommandFile(sys.stdin, "standard input")
        return
    with _open(path) as file:
        yield CommandFile(file, path)


def _open(path: str) -> TextIO:
    try:
        return Path(path).open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise UserError(
            f"{path} cannot be opened: {error.strerror}.",
            remedy="Name an existing CSV file, or - for standard input.",
            exit_code=errors.NO_FILE,
        ) from error


def check_header(header: list[str], name: str) -> None:
    """Raises UserError (exit 11, 12) unless every required column is there once."""
    if not any(column in header for column in schema.NAMES):
        raise UserError(
            f"{name} has no header: its first line names no column of a scan command.",
            remedy="Separate cells by commas." if set(";\t") & set("".join(header)) else BEGIN,
            exit_code=errors.NO_HEADER,
        )
    missing = [column for column in REQUIRED if column not in header]
    if missing:
        like = [n for n in nearest(missing[0], header, 1) if n not in schema.NAMES]
        hint = f" (is {like[0]!r} meant for {missing[0]}?)" if like else ""
        raise UserError(
            f"{name} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}{hint}.",
            remedy="Add the column; its cells may be empty.",
            exit_code=errors.NO_COLUMN,
        )
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise UserError(f"{name} has the column {twice[0]!r} twice.", remedy="Keep one of them.", exit_code=errors.NO_COLUMN)
