"""The audit log of a guard on the device: what is in it, when it is written, and what power cuts leave of it."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from guard import Guard
from sweep import Files, Flash, Recorder, cuts
from test_holds import BLOCKING, HOLDING, KEY_MS, MOVE, PASSING, gantry_reports, hold

from gantryguard.client import log as logs
from gantryguard.client.maintenance import Guard as Client
from gantryguard.rig import cases
from gantryguard.rig.board import load_board
from gantryguard.rig.clock import MS
from gantryguard.rig.pico import EmulatedPico
from interposer.core import journal, reasons
from interposer.hal.segments import Segments
from interposer.service.events import BOOT, STATE, VERDICT
from interposer.service.logbook import REST_MS

WRITTEN_WITHIN_MS = REST_MS + 300
NOW_S = 1_800_000_000

pytestmark = pytest.mark.forked


def fetched(guard: Guard) -> logs.Log:
    """The whole log, whose chain holds."""
    log = logs.fetch(Client(guard), lambda _done: None)
    assert [record.fault for record in log.records() if record.fault] == []
    return log


def told(log: logs.Log) -> list[tuple[int, int, int]]:
    """(kind, reason, extra) of every record."""
    return [(r.values["kind"], r.values["reason"], r.values["extra"]) for r in log.records()]


def rest(guard: Guard) -> None:
    """The gantry says that it rests, and the log has time to be written."""
    gantry_reports(guard, gantry_state="idle")
    guard.pico.run_for(WRITTEN_WITHIN_MS * MS)


def digest(frame: bytes) -> bytes:
    return hashlib.sha256(frame).digest()[: journal.DIGEST_BYTES]


def test_what_happened_is_in_the_log_with_the_frames_digest(guard: Guard) -> None:
    Client(guard).tell_time(NOW_S)
    held = hold(guard)
    guard.press("override", KEY_MS)
    move = guard.frame("table_move", MOVE | {"table_position_mm": 3000})
    assert guard.send(move) == b""
    guard.press("cancel", KEY_MS)
    rest(guard)
    log = fetched(guard)
    records = log.records()
    boot = records[0].values
    assert (boot["kind"], boot["boot"], boot["reason"], boot["digest"]) == (BOOT, 1, 0, guard.profile.package.digest[:12])
    assert (boot["value"], boot["extra"]) == (guard.profile.package.counter, guard.profile.package.mode)
    verdicts = [record.values for record in records if record.values["kind"] == VERDICT]
    assert [(v["verdict"], v["reason"], v["digest"]) for v in verdicts] == [
        (1, reasons.NOTIFICATION, digest(held)),
        (2, reasons.RANGE, digest(move)),
    ]
    states = [(reason, state) for kind, reason, state in told(log) if kind == STATE]
    assert states == [
        (0, PASSING),
        (reasons.NOTIFICATION, HOLDING),
        (reasons.OVERRIDDEN, PASSING),
        (reasons.RANGE, BLOCKING),
        (reasons.ACKNOWLEDGED, PASSING),
    ]
    assert log.unwritten == 0
    assert all(abs(record.values["host_s"] - NOW_S) <= 60 for record in records)


def operations(guard: Guard) -> list[Any]:
    """Flash operations from now on."""
    return Recorder(guard.pico).changes


def test_nothing_is_written_while_the_link_lives(guard: Guard) -> None:
    """Neither between frames nor while the gantry exposes; soon after it says that it rests."""
    rest(guard)
    changes = operations(guard)
    gantry_reports(guard, gantry_state="exposing")
    assert guard.send(guard.frame("prepare")) == b""
    guard.pico.run_for(2 * WRITTEN_WITHIN_MS * MS)
    assert changes == []
    guard.send(guard.frame("keep_alive"), 20)
    gantry_reports(guard, gantry_state="idle")
    for _ in range(6):
        guard.send(guard.frame("keep_alive"), REST_MS // 2)
    assert changes == []
    rest(guard)
    assert changes
    count = len(changes)
    rest(guard)
    assert len(changes) == count, "what is written is written once"
    assert (VERDICT, reasons.OUT_OF_SEQUENCE) in [(kind, reason) for kind, reason, _ in told(fetched(guard))]


def test_frames_that_come_while_it_is_written_are_not_lost(guard: Guard) -> None:
    """Nor is a key's press cut in two by it."""
    rest(guard)
    changes = operations(guard)
    assert guard.send(guard.frame("prepare"), 150) == b""
    guard.pico.press("cancel")
    guard.pico.run_for((KEY_MS + 100) * MS)
    assert guard.pico.relay.closed, "the press did not count"
    guard.pico.release("cancel")
    gantry_reports(guard, gantry_state="idle")
    assert guard.run_until(lambda: bool(changes), 2 * WRITTEN_WITHIN_MS)
    alive = b"".join(guard.frame("keep_alive") for _ in range(10))
    assert guard.send(alive, 300) == alive
    assert guard.ask("status")["bad_frames"] == {}


def test_a_command_that_passes_makes_what_the_gantry_said_before_it_old(guard: Guard) -> None:
    """Until the gantry speaks again; a keep-alive changes nothing."""
    rest(guard)
    changes = operations(guard)
    stop = guard.frame("stop")
    assert guard.send(stop, 20) == stop
    assert guard.send(guard.frame("prepare"), 20) == b"", "something to write"
    guard.pico.run_for(2 * WRITTEN_WITHIN_MS * MS)
    assert changes == []
    rest(guard)
    assert changes
    guard.press("cancel", KEY_MS)
    rest(guard)
    changes.clear()
    alive = guard.frame("keep_alive")
    assert guard.send(alive, 20) == alive
    assert guard.send(guard.frame("prepare"), 20) == b""
    guard.pico.run_for(WRITTEN_WITHIN_MS * MS)
    assert changes


def test_a_stop_that_wakes_the_guard_goes_before_the_log(guard: Guard) -> None:
    """The loop may sleep when the log becomes due: a byte that ends its sleep must not find it writing."""
    rest(guard)
    context = guard.frame("exam_context", cases.VERY_OBESE)
    assert guard.send(context, 20) == context, "what the gantry said before is old now"
    assert guard.send(guard.frame("prepare"), 200) == b""
    guard.press("cancel", KEY_MS)
    changes = operations(guard)
    assert guard.send(alive := guard.frame("keep_alive"), 10) == alive
    quiet_since_ns = guard.pico.now_ns - 10 * MS
    gantry_reports(guard, gantry_state="idle")
    guard.pico.run_until(quiet_since_ns + (REST_MS + 3) * MS)
    assert changes == []
    assert guard.send(stop := guard.frame("stop"), 5) == stop
    assert changes == []


def test_a_cut_while_it_is_written_loses_no_more_than_that(guard: Guard) -> None:
    """Every flash operation, three ways: what was written is there, the chain holds, and what is missing is counted.

    A guard that starts from one of these, where records had been announced and never came, says how many.
    """
    rest(guard)
    before = fetched(guard)
    recorder = Recorder(guard.pico)
    hold(guard)
    guard.press("override", KEY_MS)
    rest(guard)
    after = fetched(guard)
    kept, whole = len(before.records()), len(after.records())
    assert whole > kept > 0
    seen = set()
    torn: dict[int, bytes] = {}
    for number, way, flash in cuts(recorder.start, recorder.changes):
        files = Files(Flash(flash))
        segments = Segments(after.identity, files.open, files)
        assert kept <= segments.last <= whole, (number, way)
        assert segments.last <= segments.given <= whole, (number, way)
        assert segments.link == after.records()[segments.last - 1].link, (number, way)
        missing = segments.given - segments.last
        seen.add(segments.last)
        if missing:
            torn.setdefault(missing, flash)
    assert len(recorder.changes) > 4
    assert seen >= {kept, whole}
    assert torn, "no cut fell between the announcement and the records"
    missing, flash = torn.popitem()
    guard.pico = EmulatedPico(flash, load_board(), baud=115200, usb=True)
    guard.boot()
    rest(guard)
    log = fetched(guard)
    assert (journal.LOST, 0, missing) in told(log)
    assert [record.values["boot"] for record in log.records()][-1] == 2
