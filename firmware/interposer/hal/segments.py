"""The audit log in flash: files of records, appended to in turn, the oldest dropped where there are too many.

littlefs makes the closing of a file one step whatever happens to the power, and takes its blocks in turn, so that none wears
out before the others. What is about to be written is announced first, in a file of its own: records that were announced and
never came are counted at the next start.
"""

import hashlib
import os
import struct

from interposer.core import journal
from interposer.core.compat import const

FOLDER = "log"
NOTE = "log/note"  # how far numbers are given away, and how many starts there were
NEW = "log/new"
MOST_RECORDS = const(512)  # of a segment
MOST_SEGMENTS = const(24)  # 12,288 records, 768 kB

NOTE_FORMAT = "<4sII4x16s"  # magic, last number given away, starts, digest
NOTE_BYTES = const(32)
NOTE_MAGIC = b"GGAN"


class Segments:
    """What is kept. `open_file` and `system` are `open` and `os`, of the device or of a test."""

    def __init__(self, identity, open_file=open, system=os):
        self.identity = identity
        self.open_file = open_file
        self.system = system
        self.numbers = []  # of the segments that are kept, oldest first
        self.first = 1  # number of the oldest record that is kept
        self.last = 0  # and of the newest
        self.link = journal.beginning(identity)  # of the newest
        self.count = 0  # records in the newest segment
        self.given = 0  # numbers that were announced
        self.boots = 0
        self._find()

    def _find(self):
        self.numbers = self._segments()
        noted = self._content(NOTE, 0, NOTE_BYTES)
        if len(noted) == NOTE_BYTES and noted[16:] == _digest(noted):
            _, self.given, self.boots, _ = struct.unpack(NOTE_FORMAT, noted)
        if self.numbers:
            self._find_end()
        self.given = max(self.given, self.last)

    def _segments(self):
        """Numbers of the segments, oldest first; a last one without a header was begun when power went."""
        try:
            names = self.system.listdir(FOLDER)
        except OSError:
            return []  # whatever is appended fails, and the next record that does not says how many are missing
        numbers = sorted([int(name[:-4]) for name in names if name.endswith(".seg") and name[:-4].isdigit()])
        if numbers and not self._content(_name(numbers[-1]), 0, 1):
            self.system.remove(_name(numbers.pop()))
        return numbers

    def _find_end(self):
        begun = journal.read_header(self._content(_name(self.numbers[-1]), 0, journal.HEADER_BYTES))
        oldest = journal.read_header(self._content(_name(self.numbers[0]), 0, journal.HEADER_BYTES))
        if begun is None or oldest is None:  # not written by us: a new segment says where it goes on
            self.first = self.last + 1
            self.count = MOST_RECORDS
            return
        self.first = oldest[0]
        number, self.link = begun
        with self.open_file(_name(self.numbers[-1]), "rb") as file:
            self.count = max(file.seek(0, 2) - journal.HEADER_BYTES, 0) // journal.RECORD_BYTES
            if self.count:
                file.seek(journal.HEADER_BYTES + (self.count - 1) * journal.RECORD_BYTES)
                record = file.read(journal.RECORD_BYTES)
                self.link = record[journal.BODY_BYTES :]
                number = int.from_bytes(record[:4], "little") + 1
        self.last = number - 1

    def _content(self, name, at, most):
        try:
            with self.open_file(name, "rb") as file:
                file.seek(at)
                return file.read(most)
        except OSError:
            return b""

    def announce(self, number):
        """Write down that numbers up to this one are given away."""
        self.given = number
        with self.open_file(NEW, "wb") as file:
            file.write(note(self.given, self.boots))
        self.system.rename(NEW, NOTE)

    def has_room(self, count):
        """Whether so many records fit into the newest segment; else `begin` comes before `append`."""
        return bool(self.numbers) and self.count + count <= MOST_RECORDS

    def append(self, bodies):
        """Write records, all or none: bodies whose numbers follow one another, of which the first may leave some out."""
        link = self.link
        with self.open_file(_name(self.numbers[-1]), "ab") as file:
            for body in bodies:
                link = journal.link_of(link, body)
                file.write(body)
                file.write(link)
        self.link = link
        self.count += len(bodies)
        self.last = int.from_bytes(bodies[-1][:4], "little")

    def begin(self, first):
        """A new segment, whose records begin with this number; the oldest goes, where there would be too many."""
        while len(self.numbers) >= MOST_SEGMENTS:
            self.system.remove(_name(self.numbers.pop(0)))
        number = self.numbers[-1] + 1 if self.numbers else 0
        with self.open_file(_name(number), "wb") as file:
            file.write(journal.header(first, self.link))
        self.numbers.append(number)
        self.count = 0
        oldest = journal.read_header(self._content(_name(self.numbers[0]), 0, journal.HEADER_BYTES))
        self.first = oldest[0] if oldest else first

    def read(self, index, at, most):
        """Bytes of the segment with this index among those that are kept; b"" where there is none, or nothing more of it."""
        return self._content(_name(self.numbers[index]), at, most) if index < len(self.numbers) else b""


def _name(number):
    return FOLDER + "/" + str(number) + ".seg"


def note(given, boots):
    """The content of the note; an image is flashed with that of a device that was never started."""
    content = struct.pack(NOTE_FORMAT, NOTE_MAGIC, given, boots, bytes(16))
    return content[:16] + _digest(content)


def _digest(noted):
    return hashlib.sha256(noted[:16]).digest()[:16]
