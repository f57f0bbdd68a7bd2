"""Two slots for packages, the root record, and which slot counts: files of which each is replaced at once or not at all.

A package is written into the slot that does not count. Everything that decides lies in one small state record, which is renamed
into its place: before the rename the old package counts, after it the new one. littlefs makes a rename one step, whatever
happens to the power. Rules of the states:
  IDLE     the active slot counts
  PENDING  the other slot has been verified; at the next start it becomes RUNNING before anything is loaded
  RUNNING  the other slot is on trial: a start that finds this goes back to the active slot, for nobody has confirmed
"""

import hashlib
import os
import struct

from interposer.core.compat import const
from interposer.core.reasons import NONE
from interposer.core.trust import Root, root_bytes

PACKAGES = ("package.bin", "package2.bin")
ROOT = "root.bin"
STATE = "state.bin"
NEW = "new.bin"
MOST_BYTES = const(73728)  # of a slot, and of what a start may be asked to read

RECORD = "<4sHBBIB3x16s"  # magic format active trial counter refusal digest
RECORD_BYTES = const(32)
DIGEST_AT = const(16)
MAGIC = b"GGST"
FORMAT = const(1)
IDLE = const(0)
PENDING = const(1)
RUNNING = const(2)


class Slots:
    """What is installed. `open_file` and `system` are `open` and `os`, of the device or of a test."""

    def __init__(self, open_file=open, system=os):
        self.open_file = open_file
        self.system = system
        self.active = 0
        self.trial = IDLE
        self.counter = 0
        self.refusal = NONE  # why the last update came to nothing
        self.is_known = self._read()
        if not self.is_known and self._stated_counter(1) > self._stated_counter(0):
            self.active = 1  # the state is lost, or was never written: by what the packages themselves state

    def _read(self):
        record = self._content(STATE, RECORD_BYTES + 1)
        if len(record) != RECORD_BYTES or record[:4] != MAGIC or record[DIGEST_AT:] != _digest(record):
            return False
        _, form, active, trial, counter, refusal, _ = struct.unpack(RECORD, record)
        if form != FORMAT or active > 1 or trial > RUNNING:
            return False
        self.active = active
        self.trial = trial
        self.counter = counter
        self.refusal = refusal
        return True

    def _content(self, name, most):
        try:
            with self.open_file(name, "rb") as file:
                return file.read(most)
        except OSError:
            return b""

    def _write(self):
        record = struct.pack(RECORD, MAGIC, FORMAT, self.active, self.trial, self.counter, self.refusal, bytes(16))
        self._replace(STATE, record[:DIGEST_AT] + _digest(record))

    def _replace(self, name, content):
        with self.open_file(NEW, "wb") as file:
            file.write(content)
        self.system.rename(NEW, name)

    # ---- at the start

    def begin(self):
        """Make the start's step of the rules above; the slots to be tried, or None where nobody has confirmed a trial."""
        if self.trial == PENDING:
            self.trial = RUNNING
            self._write()
            return (1 - self.active,)
        if self.trial == RUNNING:
            return None
        return (self.active, 1 - self.active)

    def settle_on(self, slot):
        """This slot can be used, the other one cannot: it is the one that no update may touch."""
        if slot != self.active:
            self.active = slot
            self._write()

    def _stated_counter(self, slot):
        header = self._content(PACKAGES[slot], 24)
        return int.from_bytes(header[20:24], "little") if len(header) == 24 else -1

    def open(self, slot):
        """The file of a slot for reading, or None where there is none."""
        try:
            return self.open_file(PACKAGES[slot], "rb")
        except OSError:
            return None

    def root(self):
        """The installed root record; its `reason` says whether it can be used."""
        try:
            with self.open_file(ROOT, "rb") as file:
                length = root_bytes(file, 0, file.seek(0, 2))
                file.seek(0)
                return Root(file.read(length))
        except OSError:
            return Root(b"")

    # ---- an update

    def open_spare(self):
        """The file of the slot that does not count, empty, for writing. Which one that is has to be written down first."""
        if not self.is_known:
            self._write()
        return self.open_file(PACKAGES[1 - self.active], "wb")

    def install(self):
        """The other slot has been verified: it is tried at the next start."""
        self.trial = PENDING
        self.refusal = NONE
        self._write()

    def confirm(self, counter, record):
        """The other slot is the active one from now on; `record`: a new root record that came with it, or b"".

        The record comes last: a start in between finds it in the package again.
        """
        self.active = 1 - self.active
        self.trial = IDLE
        self.counter = counter
        self._write()
        if record:
            self.adopt(record)

    def adopt(self, record):
        """Install a root record that the active package carries."""
        self._replace(ROOT, record)

    def refuse(self, reason):
        """The update came to nothing: the active slot counts."""
        self.trial = IDLE
        self.refusal = reason
        self._write()


def _digest(record):
    return hashlib.sha256(record[:DIGEST_AT]).digest()[:16]
