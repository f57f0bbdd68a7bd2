"""Simulated time and serial lines, without a processor."""

from __future__ import annotations

import pytest

from gantryguard.rig.cable import FRAMING, Arrival, Line, byte_time_ns
from gantryguard.rig.clock import MS, TIDY, Agenda, EventClock
from gantryguard.rig.relay import Relay

BYTE_NS = 86_806


def test_equal_times_keep_their_order_and_cancelled_actions_stay_away() -> None:
    clock, seen = EventClock(), list[str]()
    clock.call_at(20, lambda: seen.append("late"))
    clock.call_at(10, lambda: seen.append("first"))
    handle = clock.call_at(10, lambda: seen.append("cancelled"))
    clock.call_at(10, lambda: seen.append("second"))
    handle.cancel()
    clock.run_until(19)
    assert (seen, clock.now_ns) == (["first", "second"], 19)
    clock.call_at(5, lambda: seen.append("overdue"))
    clock.run_for(1)
    assert (seen[2:], clock.now_ns) == (["overdue", "late"], 20)


def test_cancelled_actions_do_not_pile_up() -> None:
    agenda, seen = Agenda(), list[int]()
    agenda.add(TIDY, lambda: seen.append(1))
    for t_ns in range(10 * TIDY):
        agenda.add(t_ns, lambda: seen.append(2)).cancel()
    assert len(agenda) <= TIDY
    assert agenda.next_ns() == TIDY
    agenda.pop()()
    assert (seen, agenda.next_ns(), len(agenda)) == ([1], None, 0)
    with pytest.raises(IndexError):
        agenda.pop()


def test_run_while_stops_at_the_event_or_at_the_limit() -> None:
    clock, seen = EventClock(), list[int]()
    for t_ns in (10, 20, 30):
        clock.call_at(t_ns, lambda: seen.append(clock.now_ns))
    assert clock.run_while(lambda: len(seen) < 2, 100)
    assert clock.now_ns == 20
    assert not clock.run_while(lambda: len(seen) < 9, 100)
    assert (clock.now_ns, seen) == (120, [10, 20, 30])


def test_bytes_arrive_back_to_back_and_never_faster() -> None:
    clock, got = EventClock(), list[tuple[int, int]]()
    line = Line(clock, 115200, lambda byte, flags: got.append((byte, flags)))
    assert byte_time_ns(115200) == BYTE_NS
    line.send(b"ab")
    clock.run_until(BYTE_NS // 2)
    line.send(b"c")
    clock.run_until(10 * BYTE_NS)
    assert line.arrivals == [Arrival(BYTE_NS * (k + 1), byte) for k, byte in enumerate(b"abc")]
    assert got == [(byte, 0) for byte in b"abc"]
    assert (line.idle, line.sent, line.lost) == (True, 3, 0)


def test_faults_hit_the_byte_named() -> None:
    clock, got = EventClock(), list[int]()
    line = Line(clock, 921600, lambda _byte, flags: got.append(flags))
    line.faults[1] = FRAMING
    line.send(b"abc")
    clock.run_for(1 * MS)
    assert got == [0, FRAMING, 0]


def test_a_byte_needs_the_contact_closed_from_start_to_end() -> None:
    clock = EventClock()
    closed = True
    line = Line(clock, 115200, contact=lambda: closed)
    line.send(b"abcd")

    def move(to: bool) -> None:
        nonlocal closed
        closed = to

    clock.call_at(BYTE_NS + BYTE_NS // 2, lambda: move(False))  # within b
    clock.call_at(2 * BYTE_NS + BYTE_NS // 2, lambda: move(True))  # within c
    clock.run_for(1 * MS)
    assert (line.data, line.lost) == (b"ad", 2)


def test_an_aborted_line_loses_the_byte_in_flight_and_goes_on() -> None:
    clock = EventClock()
    line = Line(clock, 115200)
    line.send(b"ab")
    clock.run_until(BYTE_NS // 2)
    line.abort()
    clock.run_for(1 * MS)
    assert (line.data, line.lost, line.idle) == (b"", 1, True)
    line.send(b"c")
    clock.run_for(1 * MS)
    assert line.data == b"c"


def test_the_contact_follows_the_coil_late_or_not_at_all() -> None:
    clock, moves = EventClock(), list[tuple[int, bool]]()
    relay = Relay(clock, 3 * MS, 2 * MS, lambda closed: moves.append((clock.now_ns, closed)))
    relay.drive(True)
    clock.run_for(1 * MS)
    relay.drive(False)
    clock.run_for(9 * MS)
    assert moves == []
    relay.drive(True)
    clock.run_for(5 * MS)
    relay.drive(False)
    clock.run_for(5 * MS)
    assert moves == [(13 * MS, True), (17 * MS, False)]


def test_a_jammed_contact_ignores_the_coil_until_freed() -> None:
    clock, moves = EventClock(), list[bool]()
    relay = Relay(clock, 3 * MS, 3 * MS, moves.append)
    relay.jam(closed=True)
    relay.drive(True)
    relay.drive(False)
    clock.run_for(9 * MS)
    assert relay.closed
    relay.free()
    assert moves == [True, False]
