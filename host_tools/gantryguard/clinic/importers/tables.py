"""CSV files of scan commands, as `model score` takes them: a row that cannot be read is left out, and the rest goes on."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

from gantryguard.clinic import schema
from gantryguard.clinic.cells import LONGEST_LINE, REQUIRED, CellError, lines, number
from gantryguard.clinic.importers.found import NUMBERS, SOURCE_COLUMNS, Cell, Found, Left


def read(path: Path, name: str) -> Iterator[Found | Left]:
    """The rows of a CSV, counted from 1. Raises csv.Error and OSError for a file that breaks off."""
    csv.field_size_limit(LONGEST_LINE)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(lines(file))
        header = [cell.strip() for cell in next(reader, [])]
        missing = [column for column in REQUIRED if column not in header]
        if missing:
            yield Left(None, f"a CSV, but not of scan commands: lacks {', '.join(missing[:3])}{'...' if missing[3:] else ''}")
            return
        for index, row in enumerate((row for row in reader if row), 1):
            yield (
                _row(name, index, dict(zip(header, row, strict=False)))
                if len(row) == len(header)
                else Left(index, f"{len(row)} cells, but {len(header)} columns")
            )


def _row(name: str, index: int, texts: dict[str, str]) -> Found | Left:
    cells: dict[str, Cell] = {"kind": "table"}
    for column in SOURCE_COLUMNS[2:]:
        if texts.get(column):
            cells[column] = _source_cell(column, texts[column])
    for column in schema.NAMES:
        try:
            value = number(schema.COLUMN[column], texts.get(column, ""))
        except CellError as error:
            return Left(index, f"{column}: {error}")
        cells[column] = None if math.isnan(value) else value
    return Found(f"table:{name}:{index}", index, cells)


def _source_cell(column: str, text: str) -> Cell:
    if column not in NUMBERS:
        return text
    try:
        return float(text)
    except ValueError:
        return None
