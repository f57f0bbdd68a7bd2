"""Reads a profile package: the one definition of its layout, for the device and for the host's compiler.

Rules, in the order in which they are applied; the first that fails gives the reason, and nothing of the package is used:
 1. the file is at least HEADER_BYTES long and begins with MAGIC                        PACKAGE_CORRUPT
 2. the stated length is the file's, or what follows is a whole tail (`core/trust.py`)  PACKAGE_CORRUPT
 3. the SHA-256 over the stated length but for the digest itself fits                   PACKAGE_CORRUPT
 4. the root records in the tail and the signatures hold: rules 1 to 8 of `core/trust.py`   PACKAGE_FORGED
 5. the format and the layout hash are this program's                                   PACKAGE_FOREIGN
 6. the board hash is this board's, and the one that the root record names              PACKAGE_BOARD
 7. the wire-format hash is the one that the root record names                          PACKAGE_WIRE
 8. the feature-schema hash is the one that the root record names                       PACKAGE_SCHEMA
 9. the security counter is not below the one that is asked for                         PACKAGE_OLD
10. the name is ASCII; every section lies behind the table of sections and inside the stated length, begins on a
    word and has whole words, as many as are stated; a packed one holds just these      PACKAGE_UNUSABLE
11. the wire-format hash is that of the tables                                          PACKAGE_WIRE
12. the feature-schema hash is that of the tables                                       PACKAGE_SCHEMA
13. every index in every table points inside what it indexes (`core/audit.py`)          PACKAGE_UNUSABLE

Rules 4 and 9, and what the root record names, are the device's; the host reads a package without them where nothing is trusted
because of it. Rules 1 to 9 need no more memory than a signature: they are asked of a package that arrives, all of them whenever
one is loaded.

Byte tables: `docs/package-format.md`. A package is data only, never code.
"""

import hashlib
import io
import struct
from array import array

from interposer.core.codec import C_LENGTH, COMMAND_WORDS
from interposer.core.compat import const, micropython, ptr8, ptr32
from interposer.core.reasons import (
    NONE,
    PACKAGE_BOARD,
    PACKAGE_CORRUPT,
    PACKAGE_FOREIGN,
    PACKAGE_OLD,
    PACKAGE_SCHEMA,
    PACKAGE_UNUSABLE,
    PACKAGE_WIRE,
)

MAGIC = b"GGPK"
# magic format mode length layout board counter sections words-per-entry name wire schema issued expires digest
HEADER = "<4sHHI4s4sIHH16s4s4sII4x32s"
HEADER_BYTES = const(96)
DIGEST_AT = const(64)
ENTRY = "<IIII"  # section, offset, bytes, words
ENTRY_BYTES = const(16)
PIECE_BYTES = const(1024)
LAST_ASCII = const(126)
SMALL = const(0x3FFFFFFF)  # the largest integer that needs no heap on the device
FORMAT = const(3)
WIRE_WORDS = const(C_LENGTH + 1)  # of a command: opcode, direction, length
TAIL_MAGIC = b"GGSG"  # begins what follows the stated length: signatures, see `core/trust.py`
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
    "golden",
)
BYTE_SECTIONS = ("weights", "names", "golden")  # read from the file when somebody asks
PACKED_SECTIONS = ("rows", "curves", "limits", "nets")  # the long ones: two fifths of their words' size
MOST_WORDS = const(16384)  # of all packed sections
ANY = b"\0\0\0\0"  # of a root record: it does not say

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
P_REST_SLOT = const(21)  # slot of the gantry's state, or -1
P_REST_VALUES = const(22)  # one bit for each of its values, 0 to 29, at which nothing moves or radiates
P_REST_COMMAND = const(23)  # index of the reply that tells the state, or -1
P_PARAMS = const(24)

# A latch, LATCH_WORDS words: when its command is let through, state slot = source slot.
LATCH_WORDS = const(2)

# What a field can be set to, EXECUTABLE_WORDS words by field slot: a step from the lowest value of its range, or a set; and
# what is usual for it, where a row tells.
EXECUTABLE_WORDS = const(5)
E_STEP = const(0)  # 0: a set; -1: never corrected
E_SET_AT = const(1)  # word in curves
E_SET_COUNT = const(2)
E_LEVEL = const(3)  # slot of a logarithm: how far the field is above its usual value; -1: none
E_USUAL = const(4)  # slot of the usual value as the networks' output for this field says values; -1: none

# A derived field, DERIVED_WORDS words: field slot = row slot whenever another field was corrected.
DERIVED_WORDS = const(2)

# What to do about a reason that is no limit and no network, by reason code.
POLICY_BLOCK = const(0)
POLICY_MOMENTARY = const(1)
POLICY_REFUSE = const(2)

LAYOUT = (
    HEADER + ENTRY + " ".join(SECTIONS + PACKED_SECTIONS) + " f24 c14 e3 r3 q7 l10 t2 n12 y8 o8 p24 x3 d2 k3 log10 slope12"
).encode()


@micropython.viper
def all_small(words: ptr32, count: int) -> int:
    """1 if the device holds every word without heap: it reads them while a frame is being judged."""
    i = 0
    while i < count:
        if words[i] > SMALL or words[i] < -SMALL - 1:
            return 0
        i += 1
    return 1


@micropython.viper
def unpack(packed: ptr8, size: int, words: ptr32, count: int) -> int:
    """1 where `packed` holds just `count` words, which are small, and then less than a word of zeros; else 0.

    A word is its lowest seven bits in a byte, then the next, as often as needed: 128 is added to every byte but the last, whose
    bit of 64 is the sign (signed LEB128, as in DWARF).
    """
    at = 0
    index = 0
    while index < count:
        value = 0
        shift = 0
        while shift >= 0:
            if at >= size:
                return 0
            part = packed[at]
            at += 1
            if part < 128:
                if part & 64:
                    part -= 128
                if shift == 28 and (part > 3 or part < -4):
                    return 0
                words[index] = value + (part << shift)
                shift = -1
            elif shift == 28:
                return 0
            else:
                value += (part & 127) << shift
                shift += 7
        index += 1
    if size - at > 3:
        return 0
    while at < size:
        if packed[at]:
            return 0
        at += 1
    return 1


def layout_hash():
    """First four bytes of the SHA-256 of the layout: differs whenever a table's shape does."""
    return hashlib.sha256(LAYOUT).digest()[:4]


def board_hash(board_name):
    """First four bytes of the SHA-256 of a board's name."""
    return hashlib.sha256(board_name.encode()).digest()[:4]


def wire_hash(table):
    """First four bytes of the SHA-256 of what frames look like; `table` gives a section by name."""
    commands = table("commands")
    hashed = hashlib.sha256(table("framings"))
    hashed.update(table("fields"))
    for at in range(0, len(commands), COMMAND_WORDS):
        hashed.update(commands[at : at + WIRE_WORDS])
    return hashed.digest()[:4]


def schema_hash(table):
    """First four bytes of the SHA-256 of what quantities and features are made of: rows and curves."""
    hashed = hashlib.sha256(table("rows"))
    hashed.update(table("curves"))
    return hashed.digest()[:4]


def digest_of(source, length, breathe=None):
    """SHA-256 over the first `length` bytes of a package (bytes, or a file) without its digest field."""
    file = io.BytesIO(source) if isinstance(source, (bytes, bytearray)) else source
    file.seek(0)
    digest = hashlib.sha256(file.read(DIGEST_AT))
    file.seek(HEADER_BYTES)
    piece = memoryview(bytearray(PIECE_BYTES))
    left = length - HEADER_BYTES
    while left > 0:
        count = file.readinto(piece[:left])
        digest.update(piece[:count])
        if breathe:
            breathe()
        left = left - count if count else 0
    return digest.digest()


class Package:
    """A package's header and tables. `reason` is NONE where it may be used.

    Read from bytes, or piece by piece from an open binary file, which then has to stay open: weights, names and golden frames
    are never kept. `trust` (`core/trust.py`) is asked about its signatures. Without `reads` its tables come with `read_tables`.
    """

    def __init__(self, source, board_name, trust=None, reads=True):
        self.file = io.BytesIO(source) if isinstance(source, (bytes, bytearray)) else source
        self.places = {}
        self.tables = {}
        self.name = ""
        self.mode = ENFORCE
        self.counter = self.issued = self.expires = self.length = 0
        self.digest = self.wire = self.schema = b""
        self.trust = trust
        self.breathe = trust.breathe if trust else None
        self.reason = self._read(board_name)
        self.trust = self.breathe = None  # keys are needed once
        if reads:
            self.read_tables()

    def read_tables(self):
        """Read them into memory, where nothing is wrong so far."""
        if self.reason == NONE:
            self.reason = self._read_sections()

    def table(self, name):
        """An int32 section as `array("i")`, a byte section as bytes, read anew each time."""
        return self._section(name) if name in BYTE_SECTIONS else self.tables[name]

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
        fields = struct.unpack(HEADER, header)
        _, form, mode, length, layout, board, self.counter, sections, _, name, self.wire, self.schema = fields[:12]
        self.issued, self.expires, self.digest = fields[12:]
        if not HEADER_BYTES <= length <= size or self.digest != digest_of(self.file, length, self.breathe):
            return PACKAGE_CORRUPT
        reason = self._check_tail(length, size)
        if reason != NONE:
            return reason
        if form != FORMAT or layout != layout_hash():
            return PACKAGE_FOREIGN
        if board != board_hash(board_name):
            return PACKAGE_BOARD
        if mode > ENFORCE or sections != len(SECTIONS) or max(name) > LAST_ASCII:
            return PACKAGE_UNUSABLE
        self.mode = mode
        self.length = length
        self.name = name.rstrip(b"\x00").decode()
        return self._check_pins(board)

    def _check_tail(self, length, size):
        if self.trust is not None:
            return self.trust.check(self.file, length, size, self.digest)
        if length == size:
            return NONE
        self.file.seek(length)
        return NONE if self.file.read(4) == TAIL_MAGIC else PACKAGE_CORRUPT

    def _check_pins(self, board):
        """What the root record says that the guard is installed for, and the counter."""
        trust = self.trust
        if trust is None:
            return NONE
        root = trust.root
        for pin, ours, reason in (
            (root.board, board, PACKAGE_BOARD),
            (root.wire, self.wire, PACKAGE_WIRE),
            (root.schema, self.schema, PACKAGE_SCHEMA),
        ):
            if pin not in (ANY, ours):
                return reason
        return NONE if self.counter >= trust.least_counter else PACKAGE_OLD

    def _read_sections(self):
        first = HEADER_BYTES + len(SECTIONS) * ENTRY_BYTES
        if self.length < first:
            return PACKAGE_UNUSABLE
        self.file.seek(HEADER_BYTES)
        entries = self.file.read(len(SECTIONS) * ENTRY_BYTES)
        counts = {}
        left = MOST_WORDS
        for index in range(len(SECTIONS)):
            at = index * ENTRY_BYTES
            section, offset, size, words = struct.unpack(ENTRY, entries[at : at + ENTRY_BYTES])
            if section != index or offset % 4 or size % 4 or offset < first or offset + size > self.length:
                return PACKAGE_UNUSABLE
            name = SECTIONS[index]
            is_packed = name in PACKED_SECTIONS
            left -= words if is_packed else 0
            if left < 0 or (words > size if is_packed else words != size // 4):
                return PACKAGE_UNUSABLE
            self.places[name] = (offset, size)
            counts[name] = words
        for name in SECTIONS:
            if name not in BYTE_SECTIONS:
                self.tables[name] = array("i", range(counts[name]))
                if not self._fill(name, self.tables[name]):
                    return PACKAGE_UNUSABLE
        if self.wire != wire_hash(self.table):
            return PACKAGE_WIRE
        return NONE if self.schema == schema_hash(self.table) else PACKAGE_SCHEMA

    def _section(self, name):
        offset, size = self.places[name]
        self.file.seek(offset)
        return self.file.read(size)

    def _fill(self, name, table):
        """Read a section's words into their place, the device has no room for long ones twice; whether they are all there."""
        if name in PACKED_SECTIONS:
            return unpack(self._section(name), self.places[name][1], table, len(table))
        self.file.seek(self.places[name][0])
        return self.file.readinto(table) == 4 * len(table)
