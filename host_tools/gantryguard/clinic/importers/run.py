"""`gantryguard data import`: files of any kind in, one table of scan commands out, everything else listed with its reason.

Whatever a file contains, the run goes on. Files are read one at a time, in the order of their paths.
"""

from __future__ import annotations

import os
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pydicom

from gantryguard import errors
from gantryguard.clinic import schema
from gantryguard.clinic.importers import dicom, export, headers, nlst, public, reports, tables, walk
from gantryguard.clinic.importers.fit import fitted
from gantryguard.clinic.importers.found import Cell, Found, Left
from gantryguard.clinic.importers.journal import Journal
from gantryguard.clinic.importers.patients import text
from gantryguard.clinic.rdsr import STRUCTURED_REPORTS
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.errors import UserError

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2.1"
MAGIC_AT, MAGIC, PARQUET_MAGIC = 128, b"DICM", b"PAR1"
LARGEST_REPORT_BYTES = 64 << 20
BATCH_FILES = 64
LONGEST_REASON = 200

Say = Callable[[str], None]
Progress = Callable[[float, float | None, str], None]


@dataclass(frozen=True)
class Order:
    """What to import and where to; `objective` stands in where a file does not say, `tests` keeps quality assurance,
    `fit` maps every row to the reference scanner (`fit.py`).
    """

    output: Path
    paths: tuple[Path, ...] = ()
    public: tuple[str, ...] = ()
    skipped: Path | None = None
    resume: bool = False
    tests: bool = False
    objective: str | None = None
    fit: bool = False

    @property
    def skip_list(self) -> Path:
        """Where the list of what was left out goes."""
        return self.skipped or self.output.with_name(f"{self.output.stem}.skipped.csv")

    @property
    def journal(self) -> Path:
        """The journal, beside the output."""
        return self.output.with_name(f"{self.output.name}.journal")

    def settings(self) -> dict[str, object]:
        """What a resumed run must have in common with the first one."""
        return {
            "paths": [str(path.absolute()) for path in self.paths],
            "public": list(self.public),
            "tests": self.tests,
            "objective": self.objective,
        }


@dataclass(frozen=True)
class Outcome:
    """How many files were read, events imported, and things left out by reason."""

    files: int
    imported: int
    skipped: int
    reasons: dict[str, int] = field(default_factory=dict)


def run(order: Order, say: Say = lambda _line: None, progress: Progress = lambda _done, _total, _text: None) -> Outcome:
    """Import. Raises UserError (exit 3, 10, 14, 16, 17)."""
    _check(order)
    reading = _Reading(order, public.openrem(say) if "openrem" in order.public else {})
    given = list(order.paths)
    if "nlst" in order.public:
        given.append(public.nlst(say))
        reading.names[os.fsencode(given[-1])] = f"nlst:{given[-1].name}"
    try:
        return _imported(order, given, reading, progress)
    except sqlite3.Error as error:
        raise UserError(
            f"The journal {order.journal} cannot be used: {error}.",
            remedy="Look for space in its folder and for another import there, then repeat with --resume.",
            exit_code=errors.JOURNAL,
        ) from error


def _imported(order: Order, given: list[Path], reading: _Reading, progress: Progress) -> Outcome:
    journal = Journal(order.journal, order.settings(), resume=order.resume)
    is_over = False
    try:
        _list_files(order, given, reading, journal, progress)
        _read_files(reading, journal, progress)
        journal.settle()
        outcome = _results(order, journal, progress)
        is_over = True
    finally:
        journal.close(delete=is_over)
    return outcome


def _check(order: Order) -> None:
    for path in order.paths:
        if not path.exists():
            raise UserError(f"{path} does not exist.", remedy="Name files or folders.", exit_code=errors.NO_FILE)
    if not order.output.absolute().parent.is_dir():
        raise _unwritable(order.output, FileNotFoundError(2, "no such folder"))
    if "nlst" in order.public or any(path.suffix == ".parquet" for path in (*order.paths, order.output)):
        nlst.parquet()
    if order.objective is not None and order.objective not in schema.OBJECTIVES:
        raise UserError(
            f"There is no objective {order.objective!r}.",
            remedy=f"Use one of {', '.join(schema.OBJECTIVES)}.",
            exit_code=errors.UNKNOWN_NAME,
        )


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path} cannot be written: {error.strerror}.",
        remedy="Name a file in a folder that you may write to.",
        exit_code=errors.NO_FILE,
    )


def _list_files(order: Order, given: list[Path], reading: _Reading, journal: Journal, progress: Progress) -> None:
    refused: list[tuple[str, str]] = []

    def counted() -> Iterator[bytes]:
        own = (order.output, order.skip_list, order.journal, *_sqlite_files(order.journal))
        for count, path in enumerate(walk.files(given, own, lambda *why: refused.append(why))):
            if count % 1000 == 0:
                progress(count, None, f"listing files: {count}")
            yield path

    journal.add_files(os.fsencode(name) for name in reading.held)
    journal.add_files(counted())
    if not order.resume:
        for place, reason in refused:
            journal.skip(place, None, reason)


def _sqlite_files(path: Path) -> list[Path]:
    return [path.with_name(path.name + ending) for ending in ("-journal", "-wal", "-shm")]


def _read_files(reading: _Reading, journal: Journal, progress: Progress) -> None:
    done, total = journal.counts()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # real files break the standard in many small ways
        while batch := journal.pending(BATCH_FILES):
            for path in batch:
                name = reading.names.get(path) or walk.shown(path)
                for count, item in enumerate(reading.read(path, name)):
                    journal.take(name, item)
                    if count % 1000 == 999:
                        progress(done, total, f"{Path(name).name}: {count + 1} rows")
                journal.finish_file(path)
                done += 1
                progress(done, total, f"{done} of {total} files")
            journal.commit()


def _results(order: Order, journal: Journal, progress: Progress) -> Outcome:
    with _written(order.output) as part:
        rows = _told(journal.rows(), journal.events(), progress)
        export.write_rows(part, fitted(rows, reference_scanner()) if order.fit else rows)
    with _written(order.skip_list) as part:
        export.write_skips(part, journal.skips())
    reasons = journal.reasons()
    return Outcome(journal.counts()[0], journal.events(), sum(reasons.values()), reasons)


def _told(rows: Iterator[dict[str, Cell]], total: int, progress: Progress) -> Iterator[dict[str, Cell]]:
    for count, row in enumerate(rows):
        if count % 1000 == 0:
            progress(count, total, f"writing row {count} of {total}")
        yield row


@contextmanager
def _written(target: Path) -> Iterator[Path]:
    """A file that appears at `target` only when it is whole."""
    part = target.with_name(f".{target.stem}.part{target.suffix}")
    try:
        yield part
        part.replace(target)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        part.unlink(missing_ok=True)


class _Reading:
    """Reads one file after another; `held` are files in memory by name, `names` what fetched files are called."""

    def __init__(self, order: Order, held: dict[str, bytes]) -> None:
        self.order = order
        self.held = held
        self.names: dict[bytes, str] = {}
        self.recent = headers.Recent()

    def read(self, path: bytes, name: str) -> Iterator[Found | Left]:
        """Everything in one file. Never raises for what a file contains."""
        try:
            for item in self._items(Path(os.fsdecode(path)), name):
                if isinstance(item, Found) and item.cells and item.cells.get("objective") is None and self.order.objective:
                    item.cells["objective"] = schema.OBJECTIVES[self.order.objective]
                yield item
        except UserError:
            yield Left(None, "a parquet file, but pyarrow is not installed")
        except Exception as error:  # whatever a broken file makes a parser raise: listed, and on with the rest
            yield Left(None, f"cannot be read: {type(error).__name__}: {error}"[:LONGEST_REASON].strip())

    def _items(self, path: Path, name: str) -> Iterator[Found | Left]:
        held = self.held.get(name)
        if held is not None:
            yield from self._dicom(name, held)
            return
        with path.open("rb") as file:
            start = file.read(MAGIC_AT + len(MAGIC))
        if start[MAGIC_AT:] == MAGIC:
            yield from self._dicom(name, path)
        elif start[: len(PARQUET_MAGIC)] == PARQUET_MAGIC:
            yield from nlst.read(path)
        elif path.suffix.lower() == ".csv":
            yield from tables.read(path, name)
        elif path.suffix.lower() == ".dcm":  # old files may lack the preamble
            yield from self._dicom(name, path)
        else:
            yield Left(None, "no DICOM file, CSV or parquet file")

    def _dicom(self, name: str, file: Path | bytes) -> Iterator[Found | Left]:
        if dicom.inflates_beyond(file, LARGEST_REPORT_BYTES):
            yield Left(None, "inflates to more than a header or a report can be")
            return
        header = dicom.header(file, headers.TAGS)
        kind = text(header, "SOPClassUID") or text(header.file_meta, "MediaStorageSOPClassUID")
        if kind in STRUCTURED_REPORTS:
            if isinstance(file, Path) and file.stat().st_size > LARGEST_REPORT_BYTES:
                yield Left(None, "too large for a dose report")
                return
            yield from reports.read(name, file if isinstance(file, bytes) else file.read_bytes(), tests=self.order.tests)
        elif reports.is_sheet(header):
            yield from reports.read_sheet(name, header)
        elif kind == CT_IMAGE:
            yield headers.read(name, header, self.recent)
        elif kind == ENHANCED_CT_IMAGE:
            yield Left(None, "an enhanced CT image: its technique, one for each frame, is not read")
        else:
            yield Left(None, f"no CT image and no dose report: {pydicom.uid.UID(kind).name or 'unknown class'}")
