"""Reads a profile package: the one definition of its layout, for the device and for the host's compiler.

Rules, in the order in which they are applied; the first that fails gives the reason, and nothing of the package is used:
 1. the file is at least HEADER_BYTES long and begins with MAGIC                        PACKAGE_CORRUPT
 2. the stated length is the file's length                                              PACKAGE_CORRUPT
 3. the SHA-256 over everything but the digest itself fits                              PACKAGE_CORRUPT
 4. the layout hash is this program's                                                   PACKAGE_FOREIGN
 5. the board hash is this board's                                                      PACKAGE_FOREIGN
 6. the name is ASCII; every section lies inside the file, begins on a word, has whole words; none is missing   PACKAGE_UNUSABLE
 7. every index in every table points inside what it indexes (`core/audit.py`)          PACKAGE_UNUSABLE

Byte tables: `docs/package-format.md`. A package is data only, never code.
"""

import hashlib
import io
import struct
from array import array

from interposer.core.compat import const, micropython, ptr32
from interposer.core.reasons import NONE, PACKAGE_CORRUPT, PACKAGE_FOREIGN, PACKAGE_UNUSABLE

MAGIC = b"GGPK"
HEADER = "<4sHHI4s4sIHH16s4x32s"  # magic format mode length layout board counter sections words-per-entry name digest
HEADER_BYTES = const(80)
DIGEST_AT = const(48)
ENTRY = "<III"  # section, offset, bytes
ENTRY_BYTES = const(12)
PIECE_BYTES = const(1024)
LAST_ASCII = const(126)
SMALL = const(0x3FFFFFFF)  # the largest integer that needs no heap on the device
FORMAT = const(1)
MONITOR = const(0)
ENFORCE = const(1)

SECTIONS = (
    "params",
    "framings",
    "commands",
    "fields",
    "ranges",
    "states",
    "sequence",
    "rows",
    "curves",
    "limits",
    "latches",
    "nets",
    "weights",
    "executables",
    "derived",
    "policy",
    "names",
)
BYTE_SECTIONS = ("weights", "names")

# Words of the params section.
P_BAUD = const(0)
P_GAP_MS = const(1)  # silence that ends a frame
P_HOLD_MS = const(2)
P_MOMENTARY_MS = const(3)
P_KEY_HOLD_MS = const(4)
P_RATE_FRAMES = const(5)
P_RATE_WINDOW_MS = const(6)
P_SEQUENCE_WINDOW = const(7)
P_RETRIES = const(8)
P_HELD_REPLY = const(9)  # command index, or -1
P_REFUSED_REPLY = const(10)
P_REASON_SLOT = const(11)  # slot of the reason inside both replies
P_VALUES = const(12)  # length of the value vector
P_FIELDS = const(13)
P_STATES = const(14)
P_FIRST_STATE = const(15)
P_NETS = const(16)
P_WIDEST = const(17)
P_SEQUENCE_STATES = const(18)
P_COMMANDS = const(19)
P_RETRY_MS = const(20)  # how long the same frame under its own number counts as a retry
P_PARAMS = const(21)

# A latch, LATCH_WORDS words: when its command is let through, state slot = source slot.
LATCH_WORDS = const(2)

# What a field can be set to, EXECUTABLE_WORDS words by field slot: a step from the lowest value of its range, or a set.
EXECUTABLE_WORDS = const(3)
E_STEP = const(0)  # 0: a set; -1: never corrected
E_SET_AT = const(1)  # word in curves
E_SET_COUNT = const(2)

# A derived field, DERIVED_WORDS words: field slot = row slot whenever another field was corrected.
DERIVED_WORDS = const(2)

# What to do about a reason that is no limit and no network, by reason code.
POLICY_BLOCK = const(0)
POLICY_MOMENTARY = const(1)
POLICY_REFUSE = const(2)

LAYOUT = (HEADER + ENTRY + " ".join(SECTIONS) + " f24 c14 e3 r3 q7 l10 t2 n12 y8 o8 p21 x3 d2 k3 log10 slope12").encode()


@micropython.viper
def all_small(words: ptr32, count: int) -> int:
    """1 if the device holds every word without heap: it reads them while a frame is being judged."""
    i = 0
    while i < count:
        if words[i] > SMALL or words[i] < -SMALL - 1:
            return 0
        i += 1
    return 1


def layout_hash():
    """First four bytes of the SHA-256 of the layout: differs whenever a table's shape does."""
    return hashlib.sha256(LAYOUT).digest()[:4]


def board_hash(board_name):
    """First four bytes of the SHA-256 of a board's name."""
    return hashlib.sha256(board_name.encode()).digest()[:4]


def digest_of(source):
    """SHA-256 over a package (bytes, or a file) without its digest field."""
    file = io.BytesIO(source) if isinstance(source, (bytes, bytearray)) else source
    file.seek(0)
    digest = hashlib.sha256(file.read(DIGEST_AT))
    file.seek(HEADER_BYTES)
    piece = memoryview(bytearray(PIECE_BYTES))
    while True:
        count = file.readinto(piece)
        if not count:
            return digest.digest()
        digest.update(piece[:count])


class Package:
    """A package's header and tables. `reason` is NONE where it may be used.

    Read from bytes, or piece by piece from an open binary file, which then has to stay open: the names are never kept.
    """

    def __init__(self, source, board_name):
        self.file = io.BytesIO(source) if isinstance(source, (bytes, bytearray)) else source
        self.places = {}
        self.tables = {}
        self.name = ""
        self.mode = ENFORCE
        self.counter = 0
        self.digest = b""
        self.reason = self._read(board_name)

    def table(self, name):
        """An int32 section as `array("i")`, a byte section as bytes; the names are read anew each time."""
        return self._section(name) if name == "names" else self.tables[name]

    def count_names(self):
        """How many lines the names have."""
        offset, size = self.places["names"]
        self.file.seek(offset)
        count = 0
        while size:
            piece = self.file.read(min(size, PIECE_BYTES))
            count += piece.count(b"\n")
            size -= len(piece)
        return count

    def name_lines(self):
        """Yield the names line by line, as bytes: the whole section is more than a device should hold at once."""
        offset, size = self.places["names"]
        end = offset + size
        while offset < end:
            self.file.seek(offset)
            line = self.file.readline()
            offset += len(line)
            yield line

    def _read(self, board_name):
        size = self.file.seek(0, 2)
        self.file.seek(0)
        header = self.file.read(HEADER_BYTES)
        if size < HEADER_BYTES or header[:4] != MAGIC:
            return PACKAGE_CORRUPT
        _, form, mode, length, layout, board, counter, sections, _, name, digest = struct.unpack(HEADER, header)
        if length != size or digest != digest_of(self.file):
            return PACKAGE_CORRUPT
        if form != FORMAT or layout != layout_hash() or board != board_hash(board_name):
            return PACKAGE_FOREIGN
        if mode > ENFORCE or sections != len(SECTIONS) or max(name) > LAST_ASCII:
            return PACKAGE_UNUSABLE
        self.mode = mode
        self.counter = counter
        self.digest = digest
        self.name = name.rstrip(b"\x00").decode()
        return self._read_sections(size)

    def _read_sections(self, length):
        self.file.seek(HEADER_BYTES)
        entries = self.file.read(len(SECTIONS) * ENTRY_BYTES)
        if len(entries) < len(SECTIONS) * ENTRY_BYTES:
            return PACKAGE_UNUSABLE
        for index in range(len(SECTIONS)):
            at = index * ENTRY_BYTES
            section, offset, size = struct.unpack(ENTRY, entries[at : at + ENTRY_BYTES])
            if section != index or offset % 4 or size % 4 or offset + size > length:
                return PACKAGE_UNUSABLE
            self.places[SECTIONS[index]] = (offset, size)
        for name in SECTIONS:
            if name != "names":
                self.tables[name] = self._section(name) if name in BYTE_SECTIONS else self._words(name)
        return NONE

    def _section(self, name):
        offset, size = self.places[name]
        self.file.seek(offset)
        return self.file.read(size)

    def _words(self, name):
        """A section as int32, read into its place: the device has no room for a large one twice."""
        offset, size = self.places[name]
        self.file.seek(offset)
        words = array("i", range(size // 4))
        self.file.readinto(words)
        return words
