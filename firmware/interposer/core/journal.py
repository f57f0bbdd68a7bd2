"""Records of the audit log: fixed size, each chained to the one before by SHA-256.

A record is BODY and, after it, the first 16 bytes of SHA-256(link of the record before, BODY): its link. Whoever alters, drops
or reorders a record has to make every later link anew, and then the last one is not that which somebody has signed. A segment
is HEADER and records that follow one another; the header says where the first of them belongs. Bytes: `docs/audit-log.md`.
"""

import hashlib
import struct

from interposer.core.compat import const

BODY = "<IIIIBBBxhhiii12s"  # number boot at_ms host_s kind verdict reason command blamed value extra detail digest
BODY_BYTES = const(48)
LINK_BYTES = const(16)
RECORD_BYTES = const(64)
DIGEST_BYTES = const(12)
FIELDS = (
    "number", "boot", "at_ms", "host_s", "kind", "verdict", "reason", "command", "blamed", "value", "extra", "detail", "digest",
)  # fmt: skip

HEADER = "<4sHHI4x16s"  # magic, format, record bytes, number of the first record, link of the one before it
HEADER_BYTES = const(32)
MAGIC = b"GGAL"
FORMAT = const(1)

LOST = const(6)  # the kind of a record that says how many before it were lost (`extra`); other kinds are those of events


def beginning(identity):
    """The link that the first record of a device follows."""
    return hashlib.sha256(MAGIC + identity).digest()[:LINK_BYTES]


def link_of(before, body):
    """The link of a record with this body after one with the link `before`."""
    digest = hashlib.sha256(before)
    digest.update(body)
    return digest.digest()[:LINK_BYTES]


def read_body(body):
    """The values of a record's body, in the order of FIELDS."""
    return struct.unpack(BODY, body)


def header(first, before):
    """A segment's header: the number of its first record, and the link of the record before that."""
    return struct.pack(HEADER, MAGIC, FORMAT, RECORD_BYTES, first, before)


def read_header(data):
    """(number of the first record, link before it), or None where this is no segment's header."""
    if len(data) < HEADER_BYTES:
        return None
    magic, form, size, first, before = struct.unpack(HEADER, data[:HEADER_BYTES])
    return (first, before) if (magic, form, size) == (MAGIC, FORMAT, RECORD_BYTES) and first else None
