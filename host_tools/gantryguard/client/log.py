"""The audit log of a device: fetched whole, its chain verified, and compared with a head that somebody has signed.

The chain shows whether what was fetched belongs together. That nothing is missing at its end, or was made anew from some
record on, only a head shows that was signed before: `seal` and `compare` (docs/audit-log.md).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from gantryguard.errors import LOG, NOT_SIGNED, UserError
from gantryguard.reasons import VERDICTS, reason_name
from gantryguard.signing.records import identifier
from gantryguard.signing.signer import Signer
from interposer.core import journal
from interposer.core.lms import verify
from interposer.hal.segments import MOST_SEGMENTS
from interposer.service.events import KINDS
from interposer.service.export import SEGMENT_SHIFT

SEAL_FORMAT = "gantryguard-log-head-1"
MOST_TRIES = 5
FULL = MOST_SEGMENTS - 1  # segments are there between the end of the oldest and the beginning of a new one
KIND_NAMES = {**dict(enumerate(KINDS)), journal.LOST: "lost"}

Say = Callable[[float], None]


class Asked(Protocol):
    """A guard that answers requests for its log."""

    def log(self, number: int) -> dict[str, Any]:
        """The answer to `log N`."""


class Segment(NamedTuple):
    """A segment as it lies in flash: its header, and its records."""

    header: bytes
    records: bytes


@dataclass(frozen=True)
class Record:
    """One record, and what is wrong with it: "" where it follows the one before."""

    values: dict[str, Any]
    link: bytes
    fault: str


@dataclass(frozen=True)
class Log:
    """What a device has told: its identity, how many records wait to be written, and the segments, oldest first."""

    identity: bytes
    unwritten: int
    segments: tuple[Segment, ...]

    @property
    def first(self) -> int:
        """Number of the oldest record that is kept."""
        begun = journal.read_header(self.segments[0].header) if self.segments else None
        return int(begun[0]) if begun else 1

    @property
    def fault(self) -> str:
        """What is wrong with where the log begins; "" where it is the start, or so full that the oldest records had to go."""
        begun = journal.read_header(self.segments[0].header) if self.segments else None
        if begun is None or begun[1] == journal.beginning(self.identity) or len(self.segments) >= FULL:
            return ""
        return (
            f"its first record is number {begun[0]}, and a device drops old ones only where it keeps {MOST_SEGMENTS} segments"
        )

    def records(self) -> list[Record]:
        """Every record, oldest first, checked against the one before it."""
        return list(_walk(self))


def fetch(guard: Asked, say: Say) -> Log:
    """Everything that a device keeps; `say(done 0..1)`. Raises UserError (exit 6, 30) where it does not hold still."""
    for _ in range(MOST_TRIES):
        log = _fetch(guard, say)
        if log is not None:
            return log
    raise UserError("The device's log changed while it was read.", remedy="repeat the command.", exit_code=LOG)


def _fetch(guard: Asked, say: Say) -> Log | None:
    segments: list[Segment] = []
    head = guard.log(0)
    first, kept = head["first"], int(head["segments"])
    for index in range(kept):
        records = b""
        while True:
            answer = guard.log((index << SEGMENT_SHIFT) + len(records) // journal.RECORD_BYTES)
            if answer["first"] != first:
                return None
            more = b"".join(base64.b64decode(text) for text in answer["records"])
            if not more:
                break
            records += more
            say((index + len(records) / (journal.RECORD_BYTES * 512)) / kept)
        segments.append(Segment(base64.b64decode(answer["header"]), records))
    return Log(bytes.fromhex(head["identity"]), int(head["unwritten"]), tuple(segments))


def _walk(log: Log) -> Iterator[Record]:
    link: bytes | None = None
    expected = 0
    for segment in log.segments:
        begun = journal.read_header(segment.header)
        if begun is None:
            yield Record({}, b"", "the segment has no header")
            continue
        first, before = begun
        fault = ""
        if link is None:
            begins = before == journal.beginning(log.identity)
            expected = 1 if begins else first
            if first == 1 and not begins:
                fault = "does not begin this device's log"
        elif before != link:
            fault = "does not follow the segment before"
        link = before
        for at in range(0, len(segment.records), journal.RECORD_BYTES):
            record = _record(segment.records[at : at + journal.RECORD_BYTES], link, expected, fault)
            yield record
            fault, link = "", record.link
            expected = record.values.get("number", expected) + 1


def _record(data: bytes, before: bytes, expected: int, fault: str) -> Record:
    body, link = data[: journal.BODY_BYTES], data[journal.BODY_BYTES :]
    if len(data) != journal.RECORD_BYTES:
        return Record({}, b"", "is cut off")
    values = dict(zip(journal.FIELDS, journal.read_body(body), strict=True))
    if not fault and link != journal.link_of(before, body):
        fault = "was altered, or one before it is missing or out of order"
    if not fault and values["number"] != expected:
        fault = _gap(values, expected)
    return Record(values, link, fault)


def _gap(values: dict[str, Any], expected: int) -> str:
    """Numbers may be left out only where the record says how many were lost, or more."""
    missing = values["number"] - expected
    if values["kind"] == journal.LOST and 0 < missing <= values["extra"]:
        return ""
    return f"has number {values['number']} where {expected} comes next"


def described(record: Record) -> dict[str, Any]:
    """A record for JSON: kinds, verdicts and reasons in words beside the numbers."""
    values = dict(record.values)
    if values:
        values["digest"] = values["digest"].hex()
        values["kind_name"] = KIND_NAMES.get(values["kind"], "unknown")
        values["verdict_name"] = VERDICTS[values["verdict"]] if values["verdict"] < len(VERDICTS) else "unknown"
        values["reason_name"] = reason_name(values["reason"])
    return values | {"link": record.link.hex(), "fault": record.fault}


def head_of(log: Log) -> dict[str, Any]:
    """What is signed of a log: whose it is, the number and the link of its newest record. Raises UserError (exit 30)."""
    records = log.records()
    bad = next((record for record in records if record.fault), None)
    if bad or log.fault or not records:
        what = f"Record {bad.values.get('number', '?')} {bad.fault}." if bad else "The log is empty."
        what = f"Records are missing: {log.fault}." if log.fault else what
        raise UserError(what, remedy="a head of such a log is worth nothing: find out what happened.", exit_code=LOG)
    last = records[-1]
    return {
        "format": SEAL_FORMAT,
        "identity": log.identity.hex(),
        "number": last.values["number"],
        "link": last.link.hex(),
    }


def seal(log: Log, signer: Signer) -> str:
    """A signed head, as JSON."""
    head = head_of(log)
    signed = {"public": signer.public.hex(), "signature": signer.sign(_message(head)).hex()}
    return json.dumps(head | signed, indent=1) + "\n"


def compare(log: Log, text: str, trusted: bytes) -> int:
    """Check that a log contains everything that a signed head saw; how many records are newer.

    `trusted`: identifier of the key that has to have signed. Raises UserError (exit 26 for the signature, 30).
    """
    try:
        head = json.loads(text)
        public, signature = bytes.fromhex(head.pop("public")), bytes.fromhex(head.pop("signature"))
        number, link = int(head["number"]), bytes.fromhex(head["link"])
        is_head = head["format"] == SEAL_FORMAT
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError("This is no signed head.", remedy="give a file that --seal has written.", exit_code=LOG) from error
    if not is_head or identifier(public) != trusted or not verify(public, _message(head), signature):
        remedy = "give the head as it was written, and --trusted as the key that signed it."
        raise UserError("The head is not signed by this key.", remedy=remedy, exit_code=NOT_SIGNED)
    if head["identity"] != log.identity.hex():
        raise UserError("The head is of another device.", remedy="give this device's.", exit_code=LOG)
    records = log.records()
    found = next((record for record in records if record.values.get("number") == number), None)
    if found is None and number < log.first:
        remedy = "seal more often: the log keeps some 12,000 records."
        raise UserError(f"Record {number}, the head's, is so old that the device has dropped it.", remedy=remedy, exit_code=LOG)
    if found is None or found.link != link:
        remedy = "treat the device as tampered with: records that had been there are gone or were made anew."
        raise UserError(f"The log is not the one of the head: record {number} differs.", remedy=remedy, exit_code=LOG)
    return int(records[-1].values["number"]) - number


def _message(head: dict[str, Any]) -> bytes:
    return json.dumps(head, sort_keys=True, separators=(",", ":")).encode()
