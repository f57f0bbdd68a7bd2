"""The audit log on the host: its chain, what is fetched, sealed and compared."""

from __future__ import annotations

import json
import random
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_device import IDENTITY, MANY, Device, numbers

from gantryguard.client import log as logs
from gantryguard.errors import LOG, NOT_SIGNED, UserError
from gantryguard.signing.development import PACKAGE, ROOT_1
from gantryguard.signing.records import identifier
from interposer.core import journal, reasons
from interposer.service.events import STATE, VERDICT


def chain(count: int, first: int = 1) -> logs.Log:
    """A log of so many records in one segment."""
    before = link = journal.beginning(IDENTITY)
    parts = []
    for number in range(first, first + count):
        body = struct.pack(journal.BODY, number, 1, number, 0, VERDICT, 2, 5, 1, -1, 0, 0, 0, bytes(12))
        link = journal.link_of(link, body)
        parts.append(body + link)
    return logs.Log(IDENTITY, 0, (logs.Segment(journal.header(first, before), b"".join(parts)),))


def changed(log: logs.Log, records: list[bytes]) -> logs.Log:
    return logs.Log(log.identity, 0, (logs.Segment(log.segments[0].header, b"".join(records)),))


def pieces(log: logs.Log) -> list[bytes]:
    data = log.segments[0].records
    return [data[at : at + journal.RECORD_BYTES] for at in range(0, len(data), journal.RECORD_BYTES)]


def first_fault(log: logs.Log) -> int | None:
    return next((place for place, record in enumerate(log.records()) if record.fault), None)


# ---- the chain


@pytest.fixture(scope="module")
def long() -> list[bytes]:
    return pieces(chain(MANY))


def window(log: list[bytes], at: int, changes: list[bytes], gone: int) -> logs.Log:
    """The log with `gone` records from `at` on replaced, as far as the chain needs to be looked at to see it."""
    start = max(at - 1, 0)
    before = log[start - 1][journal.BODY_BYTES :] if start else journal.beginning(IDENTITY)
    records = log[start:at] + changes + log[at + gone : at + gone + 2]
    return logs.Log(IDENTITY, 0, (logs.Segment(journal.header(start + 1, before), b"".join(records)),))


def test_ten_thousand_records_hold_together(long: list[bytes]) -> None:
    assert first_fault(changed(chain(1), long)) is None


def test_any_record_that_is_altered_is_found(long: list[bytes]) -> None:
    dice = random.Random(1)
    for at, record in enumerate(long):
        bit = dice.randrange(8 * journal.RECORD_BYTES)
        altered = bytearray(record)
        altered[bit // 8] ^= 1 << bit % 8
        assert first_fault(window(long, at, [bytes(altered)], 1)) == min(at, 1)


def test_any_record_that_is_dropped_is_found_unless_it_is_the_last(long: list[bytes]) -> None:
    for at in range(len(long) - 1):
        assert first_fault(window(long, at, [], 1)) == min(at, 1)


def test_any_two_neighbours_out_of_order_are_found(long: list[bytes]) -> None:
    for at in range(len(long) - 1):
        assert first_fault(window(long, at, [long[at + 1], long[at]], 2)) == min(at, 1)


@pytest.mark.parametrize("change", ["altered", "dropped", "out of order"])
def test_the_whole_log_tells_what_a_window_of_it_tells(long: list[bytes], change: str) -> None:
    """The places above are tried one by one in a window of the chain; here some of them in all of it."""
    for at in (0, 1, MANY // 2, MANY - 2):
        this, following = long[at], long[at + 1]
        put = {
            "altered": [bytes((this[0] ^ 1,)) + this[1:], following],
            "dropped": [following],
            "out of order": [following, this],
        }
        assert first_fault(changed(chain(1), long[:at] + put[change] + long[at + 2 :])) == at


@given(st.binary(max_size=3 * journal.RECORD_BYTES), st.binary(max_size=40))
def test_whatever_is_fetched_is_read_and_never_taken_for_good(records: bytes, header: bytes) -> None:
    log = logs.Log(IDENTITY, 0, (logs.Segment(header, records), logs.Segment(journal.header(1, bytes(16)), records)))
    assert all(record.fault for record in log.records())
    assert [logs.described(record)["fault"] != "" for record in log.records()]


# ---- seals


def test_a_later_log_is_proven_to_contain_what_was_sealed() -> None:
    device = Device()
    device.verdicts(5)
    device.logbook.flush()
    text = logs.seal(device.fetched(), PACKAGE)
    device.verdicts(4)
    device.logbook.flush()
    assert logs.compare(device.fetched(), text, identifier(PACKAGE.public)) == 4
    assert logs.compare(device.fetched(), text, identifier(PACKAGE.public)) == 4


def remade(count: int, kind: int) -> logs.Log:
    device = Device()
    for number in range(count):
        device.events.add(kind, number, 1, 2, reasons.STALE, 3, -4, 5, -1)
    device.logbook.flush()
    return device.fetched()


@pytest.mark.parametrize(("count", "kind"), [(4, VERDICT), (5, STATE), (9, STATE)])
def test_a_log_that_was_cut_or_made_anew_is_not_the_sealed_one(count: int, kind: int) -> None:
    text = logs.seal(remade(5, VERDICT), PACKAGE)
    with pytest.raises(UserError) as caught:
        logs.compare(remade(count, kind), text, identifier(PACKAGE.public))
    assert caught.value.exit_code == LOG


@pytest.mark.parametrize("change", ["number", "link", "identity", "signature", "other key"])
def test_a_seal_that_is_not_signed_so_is_refused(change: str) -> None:
    log = remade(5, VERDICT)
    head = json.loads(logs.seal(log, PACKAGE))
    trusted = identifier(ROOT_1.public) if change == "other key" else identifier(PACKAGE.public)
    if change == "number":
        head["number"] = 4
    elif change != "other key":
        head[change] = ("0" if head[change][0] != "0" else "1") + head[change][1:]
    with pytest.raises(UserError) as caught:
        logs.compare(log, json.dumps(head), trusted)
    assert caught.value.exit_code == NOT_SIGNED


@pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense", '{"public": 1, "signature": 2}'])
def test_what_is_no_seal_is_refused(text: str) -> None:
    with pytest.raises(UserError) as caught:
        logs.compare(remade(1, VERDICT), text, identifier(PACKAGE.public))
    assert caught.value.exit_code == LOG


def test_nothing_is_sealed_that_does_not_hold() -> None:
    log = chain(3)
    for bad in (changed(log, pieces(log)[1:]), logs.Log(IDENTITY, 0, ())):
        with pytest.raises(UserError):
            logs.seal(bad, PACKAGE)


def test_a_log_that_changes_while_it_is_read_is_read_again() -> None:
    device = Device()
    device.verdicts(40)
    device.logbook.flush_all()
    asked: list[int] = []

    class Restless:
        def log(self, number: int) -> dict[str, Any]:
            asked.append(number)
            return device.log(number) | ({"first": 7} if len(asked) == 2 else {})

    assert numbers(logs.fetch(Restless(), lambda _done: None)) == list(range(1, 41))

    class Never:
        def log(self, number: int) -> dict[str, Any]:
            asked.append(number)
            return device.log(number) | {"first": len(asked)}

    with pytest.raises(UserError) as caught:
        logs.fetch(Never(), lambda _done: None)
    assert caught.value.exit_code == LOG
