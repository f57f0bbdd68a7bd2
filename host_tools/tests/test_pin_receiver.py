"""Bytes read off a pin: sampled in the middle of each bit, with the errors that a receiver would tell."""

from __future__ import annotations

import pytest

from gantryguard.rig.cable import BREAK, FRAMING, Line
from gantryguard.rig.clock import EventClock
from gantryguard.rig.pin_receiver import PinReceiver

BAUD = 100_000
BIT_NS = 10_000
LATE_NS = 3_000  # of an edge, in the same bit

Got = list[tuple[int, int, int]]


def received(bits: list[int], *, closed: bool = True, fail_at_bit: int = 99) -> Got:
    """(time in bits, byte, flags) of what a receiver makes of bits, one after the other, idle before and after."""
    clock, got = EventClock(), Got()
    line = Line(clock, BAUD, lambda byte, flags: got.append((clock.now_ns // BIT_NS, byte, flags)), lambda: closed)
    levels, ends_ns = [1], fail_at_bit * BIT_NS
    receiver = PinReceiver(clock, line, lambda: bool(levels[-1]))

    def drive(level: int) -> None:
        if level != levels[-1] and clock.now_ns < ends_ns:
            levels.append(level)
            receiver.moved()

    for number, level in enumerate([*bits, 1]):
        clock.call_at(number * BIT_NS + (LATE_NS if number else 0), lambda level=level: drive(level))

    def fail() -> None:
        levels.append(1)
        receiver.abort()

    clock.call_at(ends_ns, fail)
    clock.run_for((len(bits) + 30) * BIT_NS)
    return got


def bits_of(byte: int, stop: int = 1) -> list[int]:
    return [0, *(byte >> bit & 1 for bit in range(8)), stop]


def test_bytes_without_a_pause_are_told_at_their_ends() -> None:
    assert received(bits_of(0xA5) + bits_of(0x00) + bits_of(0xFF)) == [(10, 0xA5, 0), (20, 0x00, 0), (30, 0xFF, 0)]


@pytest.mark.parametrize(("byte", "flags"), [(0x41, FRAMING), (0, FRAMING | BREAK)])
def test_a_low_stop_bit_is_an_error_and_begins_no_byte(byte: int, flags: int) -> None:
    assert received([*bits_of(byte, stop=0), 0, 0, 0]) == [(10, byte, flags)]


def test_nothing_comes_through_an_open_contact_or_from_a_transmitter_that_fails() -> None:
    assert received(bits_of(0x55), closed=False) == []
    assert received(bits_of(0x55), fail_at_bit=5) == []
