"""Writes what an import found: rows as CSV or parquet, and the list of what was left out as CSV or JSON. All streaming."""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from gantryguard.clinic import schema
from gantryguard.clinic.cells import text_of
from gantryguard.clinic.importers.found import COLUMNS, NUMBERS, Cell
from gantryguard.clinic.importers.nlst import parquet

BATCH_ROWS = 8192
Row = dict[str, Cell]
Skip = tuple[str, int | None, str]


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Rows in the columns of `found.COLUMNS`; parquet where the name ends so. Raises OSError, UserError (exit 16)."""
    if path.suffix == ".parquet":
        _write_parquet(path, iter(rows))
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([text(name, row.get(name)) for name in COLUMNS] for row in rows)


def write_skips(path: Path, skips: Iterable[Skip]) -> None:
    """What was left out: file, event or row, reason; a JSON list where the name ends so. Raises OSError."""
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".json":
            _write_json(file, skips)
            return
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("source", "source_index", "reason"))
        writer.writerows((source, "" if index is None else index, reason) for source, index, reason in skips)


def text(name: str, value: Cell) -> str:
    """One cell of the CSV."""
    if value is None or isinstance(value, str):
        return value or ""
    return text_of(schema.COLUMN[name], value) if name in schema.COLUMN else f"{value:.10g}"


def _write_json(file: TextIO, skips: Iterable[Skip]) -> None:
    between = "["
    for source, index, reason in skips:
        file.write(f"{between}\n{json.dumps({'source': source, 'source_index': index, 'reason': reason})}")
        between = ","
    file.write("[]\n" if between == "[" else "\n]\n")


def _write_parquet(path: Path, rows: Iterator[Row]) -> None:
    writer_of = parquet().ParquetWriter
    arrow: Any = importlib.import_module("pyarrow")
    types = arrow.schema([(name, arrow.float64() if _is_number(name) else arrow.string()) for name in COLUMNS])
    with writer_of(path, types) as writer:
        while batch := list(islice(rows, BATCH_ROWS)):
            columns = {name: [_typed(name, row.get(name)) for row in batch] for name in COLUMNS}
            writer.write_table(arrow.table(columns, schema=types))


def _is_number(name: str) -> bool:
    """Codes and flags are written by name, as in the CSV."""
    return name == "source_index" or (name in NUMBERS and (name not in schema.COLUMN or schema.COLUMN[name].names is None))


def _typed(name: str, value: Cell) -> Cell:
    if value is None or value == "":
        return None
    return float(value) if _is_number(name) else text(name, value)
