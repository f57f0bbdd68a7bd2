"""The answer to `log N`: records of one segment of the audit log, in base64. Loaded when somebody asks.

N is the segment's place among those that are kept, times 1024, plus the place of the first record in it. The host asks until a
segment has no more of them; where `first` has changed meanwhile, the oldest segment has gone and it has to begin anew.
"""

import binascii
import json

from interposer.core import journal
from interposer.core.compat import const

SEGMENT_SHIFT = const(10)
ANSWERED = const(32)  # records
PIECE = const(4)  # records of one text


def export(logbook, number):
    """Pieces of the answer."""
    segments = logbook.segments
    index = number >> SEGMENT_SHIFT
    at = journal.HEADER_BYTES + (number & ((1 << SEGMENT_SHIFT) - 1)) * journal.RECORD_BYTES
    head = {
        "identity": binascii.hexlify(segments.identity).decode(),
        "first": segments.first,
        "last": segments.last,
        "segments": len(segments.numbers),
        "unwritten": logbook.unwritten(),
        "header": _base64(segments.read(index, 0, journal.HEADER_BYTES)),
    }
    yield json.dumps(head)[:-1] + ', "records": ['
    comma = ""
    for _ in range(ANSWERED // PIECE):
        records = segments.read(index, at, PIECE * journal.RECORD_BYTES)
        if records:
            yield comma + '"' + _base64(records) + '"'
            comma = ","
        at += len(records)
    yield "]}"


def _base64(data):
    return binascii.b2a_base64(data).decode().strip()
