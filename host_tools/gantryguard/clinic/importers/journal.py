"""The journal of an import: an SQLite file beside the output, which makes the run resumable and its memory constant.

It holds the files still to be read, every event, and everything left out. A batch of files is one transaction, so that an
interrupted run goes on where the last whole batch ended. Duplicates meet in the key of an event; images of one scan add
up in it; at the end image headers fill in what the dose report of the same irradiation event does not say.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from gantryguard import errors
from gantryguard.clinic.importers.found import COLUMNS, Cell, Found, Left, Part
from gantryguard.errors import UserError

VERSION = 1
TABLES = """
CREATE TABLE meta (settings TEXT);
CREATE TABLE files (path BLOB PRIMARY KEY, done INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE events (
    id INTEGER PRIMARY KEY, key TEXT UNIQUE, uid TEXT, source TEXT, place INTEGER, cells TEXT,
    images INTEGER, z_low REAL, z_high REAL, ma_sum REAL, ma_count INTEGER, acquisition TEXT
);
CREATE INDEX by_uid ON events (uid) WHERE uid != '';
CREATE INDEX by_acquisition ON events (acquisition) WHERE acquisition != '';
CREATE TABLE skips (id INTEGER PRIMARY KEY, source TEXT, place INTEGER, reason TEXT);
"""
INSERT = """
INSERT INTO events (key, uid, source, place, cells, images, z_low, z_high, ma_sum, ma_count, acquisition)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING
"""
ADD_IMAGE = """
UPDATE events SET images = images + 1, z_low = min(ifnull(z_low, ?1), ifnull(?1, z_low)),
    z_high = max(ifnull(z_high, ?1), ifnull(?1, z_high)), ma_sum = ma_sum + ifnull(?2, 0),
    ma_count = ma_count + (?2 IS NOT NULL) WHERE key = ?3
"""
# Series of one acquisition with the same mean current over the same range: reconstructions of one scan.
RECONSTRUCTIONS = """
CREATE TEMP TABLE twins AS
SELECT id, source, place, (SELECT first.source FROM events first WHERE first.id = twin) AS first
FROM (
    SELECT id, source, place, min(id) OVER (
        PARTITION BY acquisition, round(ma_sum / ma_count), round(z_low / 10), round(z_high / 10)
    ) AS twin
    FROM events WHERE acquisition != '' AND z_low < z_high AND ma_count > 0
) WHERE id != twin
"""
# Scans whose irradiation event is that of exactly one event of a dose report.
SAME_EVENT = """
CREATE TEMP TABLE pairs AS
SELECT image.id, image.source, image.place, min(report.id) AS report, report.source AS first
FROM events image JOIN events report ON report.uid = image.uid
WHERE image.uid != '' AND report.uid != '' AND report.images IS NULL AND image.images IS NOT NULL
GROUP BY image.id HAVING count(*) = 1
"""


class Journal:
    """An open journal. Raises UserError (exit 17) for one that belongs to another run."""

    def __init__(self, path: Path, settings: dict[str, object], *, resume: bool) -> None:
        self.path = path
        wanted = json.dumps({"version": VERSION, **settings}, sort_keys=True)
        is_there = path.exists()
        if is_there and not resume:
            self._fail(f"{path} is left of an interrupted run.", "Add --resume to go on with it, or delete the file.")
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")  # with NORMAL: a power cut may lose a batch, never the journal
            self._db.execute("PRAGMA synchronous = NORMAL")
            if is_there:
                self._check(wanted)
            else:
                self._db.executescript(TABLES)
                self._db.execute("INSERT INTO meta VALUES (?)", (wanted,))
        except sqlite3.DatabaseError:
            self._db.close()
            self._fail(f"{path} is no journal, or damaged.", "Delete it and begin again.")
        self._db.execute("BEGIN")
        self._last = b""

    def _check(self, wanted: str) -> None:
        row = self._db.execute("SELECT settings FROM meta").fetchone()
        if row is None or row[0] != wanted:
            self._db.close()
            self._fail(f"{self.path} is of a run with other paths or options.", "Repeat that run, or delete the file.")

    def _fail(self, what: str, remedy: str) -> None:
        raise UserError(what, remedy=remedy, exit_code=errors.JOURNAL)

    # ---- files

    def add_files(self, paths: Iterable[bytes]) -> None:
        """Remember files to be read; those that are known stay as they are."""
        self._db.executemany("INSERT OR IGNORE INTO files (path) VALUES (?)", ((path,) for path in paths))
        self.commit()

    def pending(self, count: int) -> list[bytes]:
        """The next files that were not read yet, in order of their paths."""
        query = "SELECT path FROM files WHERE done = 0 AND path > ? ORDER BY path LIMIT ?"
        rows = [bytes(row[0]) for row in self._db.execute(query, (self._last, count))]
        self._last = rows[-1] if rows else b""
        return rows

    def counts(self) -> tuple[int, int]:
        """Files that were read, and files altogether."""
        done, total = self._db.execute("SELECT ifnull(sum(done), 0), count(*) FROM files").fetchone()
        return int(done), int(total)

    def finish_file(self, path: bytes) -> None:
        """A file was read."""
        self._db.execute("UPDATE files SET done = 1 WHERE path = ?", (path,))

    def commit(self) -> None:
        """What was said so far survives an interruption."""
        self._db.execute("COMMIT")
        self._db.execute("BEGIN")

    # ---- events

    def take(self, source: str, item: Found | Left) -> None:
        """An event, or something left out."""
        if isinstance(item, Left):
            self.skip(source, item.index, item.reason)
        elif not self._insert(source, item):
            self._again(source, item)

    def _insert(self, source: str, item: Found) -> bool:
        part = item.part or Part(None, None)
        images = None if item.part is None else 1
        cells = json.dumps({name: value for name, value in item.cells.items() if value is not None})
        state = (images, part.z_mm, part.z_mm, part.ma or 0.0, int(part.ma is not None), part.acquisition)
        cursor = self._db.execute(INSERT, (item.key, item.uid, source, item.index, cells, *state))
        return cursor.rowcount == 1

    def _again(self, source: str, item: Found) -> None:
        if item.part is not None:
            self._db.execute(ADD_IMAGE, (item.part.z_mm, item.part.ma, item.key))
            return
        first, place = self._db.execute("SELECT source, place FROM events WHERE key = ?", (item.key,)).fetchone()
        self.skip(source, item.index, f"the same event as in {first}" if first != source else f"the same event as {place}")

    def skip(self, source: str, index: int | None, reason: str) -> None:
        """List something left out."""
        self._db.execute("INSERT INTO skips (source, place, reason) VALUES (?, ?, ?)", (source, index, reason))

    def settle(self) -> None:
        """All files were read: reconstructions of one scan become one event, and headers complete dose reports."""
        self._db.execute(RECONSTRUCTIONS)
        for event, source, place, first in self._db.execute("SELECT id, source, place, first FROM twins"):
            self._drop(event, source, place, f"another reconstruction of the scan in {first}")
        self._db.execute(SAME_EVENT)
        for image, source, place, report, where in self._db.execute("SELECT id, source, place, report, first FROM pairs"):
            known, more = self._cells(report), self._cells(image)
            names = [name for name, value in more.items() if value not in (None, "") and known.get(name) in (None, "")]
            gained = [name for name in names if name not in ("images", "patient")]
            notes = [known.get("notes"), f"from image headers: {', '.join(gained)}" if gained else ""]
            known |= {name: more[name] for name in names}
            known["notes"] = "; ".join(str(note) for note in notes if note)
            self._db.execute("UPDATE events SET cells = ? WHERE id = ?", (json.dumps(known), report))
            self._drop(image, source, place, f"the same event as in {where}, which it completes")
        self.commit()

    def _drop(self, event: int, source: str, place: int, reason: str) -> None:
        self._db.execute("DELETE FROM events WHERE id = ?", (event,))
        self.skip(source, place, reason)

    def _cells(self, event: int) -> dict[str, Cell]:
        return next(self.rows("WHERE id = ?", event))

    # ---- results

    def rows(self, where: str = "", *values: object) -> Iterator[dict[str, Cell]]:
        """Every event as its cells, in the order found; images added up."""
        query = f"SELECT source, place, cells, images, z_low, z_high, ma_sum, ma_count FROM events {where} ORDER BY id"
        for source, place, text, images, low, high, total, count in self._db.execute(query, values):
            cells: dict[str, Cell] = {**dict.fromkeys(COLUMNS), **json.loads(text), "source": source, "source_index": place}
            if images is not None:
                cells["images"] = images
                cells["ma"] = round(total / count, 1) if count else cells["ma"]
                thick = cells["slice_mm"]
                if images > 1 and high > low and isinstance(thick, float):
                    cells["scan_length_mm"] = round(high - low + thick, 1)
            yield cells

    def skips(self) -> Iterator[tuple[str, int | None, str]]:
        """(source, event or row, reason) of everything left out, in the order found."""
        yield from self._db.execute("SELECT source, place, reason FROM skips ORDER BY id")

    def reasons(self) -> dict[str, int]:
        """How often each reason was given, most frequent first; names of files do not tell reasons apart."""
        query = "SELECT reason, count(*) FROM skips GROUP BY reason"
        counts: dict[str, int] = {}
        for reason, count in self._db.execute(query):
            short = general(reason)
            counts[short] = counts.get(short, 0) + count
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def events(self) -> int:
        """How many events there are."""
        return int(self._db.execute("SELECT count(*) FROM events").fetchone()[0])

    def close(self, *, delete: bool) -> None:
        """Close the journal and forget what was not committed; delete it when the run is over."""
        self._db.execute("ROLLBACK")
        self._db.close()
        if delete:
            self.path.unlink(missing_ok=True)


def general(reason: str) -> str:
    """A reason without what is particular to one file."""
    for start in ("the same event as", "another reconstruction of the scan", "cannot be read", "quality assurance"):
        if reason.startswith(start):
            return f"{start}..." if start != "the same event as" else "the same event as another"
    return reason
