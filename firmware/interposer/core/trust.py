"""Who may sign what: root records, and the signatures below a package or a root record.

A root record names keys by role, how many signatures of each role are needed, and what the guard is installed for. The one on
the device is believed as it was provisioned, and while it is unusable nothing is (ROOT_UNUSABLE). A package may carry newer
ones, oldest first. Rules for each of these, in order:
 1. it is complete and its digest fits                                                  ROOT_UNUSABLE
 2. its version is higher than that of the record before it                             ROOT_OLD
 3. every signature is by a root key of the record before it or of its own, and fits, no key signs twice; enough root keys of
    the record before it and enough of its own have signed                              ROOT_UNTRUSTED
A record that equals the installed one is passed over. Rules for the package's signatures, by the last of the records:
 4. there is one                                                                        PACKAGE_UNSIGNED
 5. each is by a package key of the record                                              PACKAGE_WRONG_KEY
 6. none is by the same key as another                                                  PACKAGE_DUPLICATE_KEY
 7. each fits                                                                           PACKAGE_FORGED
 8. there are as many as the record asks for                                            PACKAGE_TOO_FEW

What is signed is a text that says what it is, and the SHA-256 of everything else. Pure; read piece by piece.
"""

import hashlib
import struct

from interposer.core import lms
from interposer.core.compat import const
from interposer.core.package import ANY, TAIL_MAGIC
from interposer.core.reasons import (
    NONE,
    PACKAGE_CORRUPT,
    PACKAGE_DUPLICATE_KEY,
    PACKAGE_FORGED,
    PACKAGE_TOO_FEW,
    PACKAGE_UNSIGNED,
    PACKAGE_WRONG_KEY,
    ROOT_OLD,
    ROOT_UNTRUSTED,
    ROOT_UNUSABLE,
)

ROOT_MAGIC = b"GGRT"
ROOT_HEAD = (
    "<4sHHIIBBH4s4s4s32s"  # magic format keys version counter root-threshold package-threshold 0 board wire schema digest
)
ROOT_HEAD_BYTES = const(64)
ROOT_DIGEST_AT = const(32)
ROOT_FORMAT = const(1)
NO_RESET = const(0xFFFFFFFF)
KEY_BYTES = const(48)
KEY_ENTRY_BYTES = const(52)  # role, three zeros, public key
ROOT_ROLE = const(1)
PACKAGE_ROLE = const(2)
MOST_KEYS = const(8)

TAIL = "<4sBBH"  # magic signatures root-records 0
TAIL_BYTES = const(8)
SIGNATURE_BYTES = const(1500)
SIGNED_BY_BYTES = const(16)  # before each signature: the identifier of its key
MOST_SIGNATURES = const(8)
MOST_ROOTS = const(4)
# A signature of one kind of thing is none of another.
OF_PACKAGE = b"GantryGuard package 1\0"
OF_ROOT = b"GantryGuard root record 1\0"


def tail_bytes(signatures):
    """Length of a tail of so many signatures, without its root records."""
    return TAIL_BYTES + signatures * (SIGNED_BY_BYTES + SIGNATURE_BYTES)


def root_digest(record):
    """SHA-256 over a root record (without signatures) but for its digest."""
    hashed = hashlib.sha256(record[:ROOT_DIGEST_AT])
    hashed.update(record[ROOT_HEAD_BYTES:])
    return hashed.digest()


class Root:
    """A root record. `reason` is NONE where it is whole; `keys` maps a role to public keys by identifier."""

    def __init__(self, record):
        self.record = record
        self.keys = {ROOT_ROLE: {}, PACKAGE_ROLE: {}}  # type: ignore[var-annotated]  # of public keys by identifier
        self.thresholds = {}  # numbers of signatures by role
        self.version = self.counter = 0
        self.board = self.wire = self.schema = ANY
        self.reason = NONE if self._read(record) else ROOT_UNUSABLE

    def _read(self, record):
        if len(record) < ROOT_HEAD_BYTES or record[:4] != ROOT_MAGIC:
            return False
        head = struct.unpack(ROOT_HEAD, record[:ROOT_HEAD_BYTES])
        _, form, count, self.version, self.counter, roots, packages, _, self.board, self.wire, self.schema, digest = head
        if form != ROOT_FORMAT or count > MOST_KEYS or len(record) != ROOT_HEAD_BYTES + count * KEY_ENTRY_BYTES:
            return False
        if digest != root_digest(record):
            return False
        for at in range(ROOT_HEAD_BYTES, len(record), KEY_ENTRY_BYTES):
            if not self._take(record[at], record[at + KEY_ENTRY_BYTES - KEY_BYTES : at + KEY_ENTRY_BYTES]):
                return False
        self.thresholds = {ROOT_ROLE: roots, PACKAGE_ROLE: packages}
        return 0 < roots <= len(self.keys[ROOT_ROLE]) and 0 < packages <= len(self.keys[PACKAGE_ROLE])

    def _take(self, role, public):
        identifier = public[lms.IDENTIFIER_AT : lms.IDENTIFIER_AT + lms.IDENTIFIER_BYTES]
        for keys in self.keys.values():
            if identifier in keys:
                return False
        if role not in self.keys or lms.signature_bytes(public) != SIGNATURE_BYTES:
            return False
        self.keys[role][identifier] = public
        return True


def root_bytes(file, at, end):
    """Length of the root record (without signatures) that begins at `at` of a file, if it ends before `end`; else 0."""
    file.seek(at)
    head = file.read(TAIL_BYTES)
    if len(head) < TAIL_BYTES or head[:4] != ROOT_MAGIC:
        return 0
    count = int.from_bytes(head[6:], "little")
    length = ROOT_HEAD_BYTES + count * KEY_ENTRY_BYTES
    return length if count <= MOST_KEYS and at + length <= end else 0


def read_tail(file, at, end):
    """(signatures, root records) of the tail that begins at `at` of a file, or None where there is no whole one."""
    file.seek(at)
    head = file.read(TAIL_BYTES)
    if len(head) < TAIL_BYTES or head[:4] != TAIL_MAGIC:
        return None
    _, signatures, roots, zero = struct.unpack(TAIL, head)
    if signatures > MOST_SIGNATURES or roots > MOST_ROOTS or zero or at + tail_bytes(signatures) > end:
        return None
    return signatures, roots


def signers(file, at, count, message, keys, breathe):
    """(identifiers of the keys whose signatures, `count` of them behind a tail at `at`, hold, NONE), or (None, reason).

    `keys`: public keys by identifier. A single signature that does not hold spoils all.
    """
    found = []
    for index in range(count):
        file.seek(at + tail_bytes(index))
        identifier = file.read(SIGNED_BY_BYTES)
        if identifier not in keys:
            return None, PACKAGE_WRONG_KEY
        if identifier in found:
            return None, PACKAGE_DUPLICATE_KEY
        if not lms.verify(keys[identifier], message, file.read(SIGNATURE_BYTES), breathe):
            return None, PACKAGE_FORGED
        found.append(identifier)
    return found, NONE


class Trust:
    """What a device believes: an installed root record, and the least counter that a package must have.

    After `check` said NONE, `root` is the record that the package was checked by, and `is_newer` whether it came with it.
    """

    def __init__(self, root, least_counter, breathe=lms.keep_on):
        self.root = root
        self.least_counter = least_counter
        self.breathe = breathe
        self.is_newer = False

    def check(self, file, length, end, digest):
        """Whether the tail of a package of `length` bytes holds; a reason. `end`: of the file."""
        if self.root.reason != NONE:
            return ROOT_UNUSABLE
        if length == end:
            return PACKAGE_UNSIGNED
        counts = read_tail(file, length, end)
        if counts is None:
            return PACKAGE_CORRUPT
        count, roots = counts
        at = length + tail_bytes(count)
        for _ in range(roots):
            size, reason = self._follow(file, at, end)
            if reason != NONE:
                return reason
            at += size
        if at != end:
            return PACKAGE_CORRUPT
        return self._signed(file, length, count, digest)

    def _signed(self, file, at, count, digest):
        if not count:
            return PACKAGE_UNSIGNED
        found, reason = signers(file, at, count, OF_PACKAGE + digest, self.root.keys[PACKAGE_ROLE], self.breathe)
        if reason != NONE:
            return reason
        return NONE if len(found) >= self.root.thresholds[PACKAGE_ROLE] else PACKAGE_TOO_FEW

    def _follow(self, file, at, end):
        """(bytes of the root record with signatures at `at`, NONE): it is the one believed from now on; or (None, reason)."""
        length = root_bytes(file, at, end)
        if not length:
            return None, ROOT_UNUSABLE
        file.seek(at)
        root = Root(file.read(length))
        counts = read_tail(file, at + length, end)
        if root.reason != NONE or counts is None or counts[1]:
            return None, ROOT_UNUSABLE
        size = length + tail_bytes(counts[0])
        if root.record == self.root.record:
            return size, NONE
        if root.version <= self.root.version:
            return None, ROOT_OLD
        if not self._is_signed_by_both(file, at + length, counts[0], root):
            return None, ROOT_UNTRUSTED
        if root.counter != NO_RESET:
            self.least_counter = root.counter
        self.root = root
        self.is_newer = True
        return size, NONE

    def _is_signed_by_both(self, file, at, count, root):
        old, new = self.root.keys[ROOT_ROLE], root.keys[ROOT_ROLE]
        known = dict(old)
        known.update(new)
        found, _ = signers(file, at, count, OF_ROOT + root_digest(root.record), known, self.breathe)
        if found is None:
            return False
        by_old = len([identifier for identifier in found if identifier in old])
        by_new = len([identifier for identifier in found if identifier in new])
        return by_old >= self.root.thresholds[ROOT_ROLE] and by_new >= root.thresholds[ROOT_ROLE]
