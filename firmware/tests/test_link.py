"""Framing and checks, on CPython and on the RP2040 alike: plain functions, no test framework."""

import sys
from array import array

from interposer.core.link import (
    CHECK_CRC16,
    CHECK_SUM,
    CHECK_XOR,
    COUNTED,
    DELIMITED,
    FORM_BIG,
    FORM_HEX,
    FORM_LITTLE,
    FRAMING_WORDS,
    Deframer,
    check_holds,
    check_value,
    crc16_table,
    put_check,
)
from interposer.core.reasons import BAD_CHECK, BAD_LENGTH, INCOMPLETE, STRAY_BYTES


def framing(**words):
    """A framing record from the names of its words."""
    names = ("kind", "starts", "s0", "s1", "s2", "s3", "length_at", "length_extra", "min", "max", "end")
    names += ("check", "check_size", "check_from", "a", "b", "c", "d", "form")
    names += ("sequence_at", "opcode_at", "opcode_form", "body_at")
    record = array("i", bytes(4 * FRAMING_WORDS))
    for index, name in enumerate(names):
        record[index] = words.get(name, 0)
    return record


# fmt: off
BINARY = framing(kind=COUNTED, starts=2, s0=0xA5, s1=0x5A, length_at=2, length_extra=5, min=7, max=40,
                 check=CHECK_CRC16, check_size=2, check_from=2, a=0x1021, b=0xFFFF, form=FORM_LITTLE)
TEXT = framing(kind=DELIMITED, starts=1, s0=2, min=4, max=32, end=3, check=CHECK_SUM, check_size=1, check_from=1,
               a=0x7F, b=0x40, c=1, form=FORM_LITTLE)
# fmt: on


def build(record, body):
    """A good frame around a body."""
    table = crc16_table(record)
    if record[0] == COUNTED:
        frame = bytearray(bytes((0xA5, 0x5A, len(body))) + body + b"\x00\x00")
        put_check(frame, len(frame) - 2, check_value(frame, 2, len(frame) - 2, record, table), record)
        return bytes(frame)
    frame = bytearray(b"\x02" + body + b"\x00\x03")
    put_check(frame, len(frame) - 2, check_value(frame, 1, len(frame) - 2, record, table), record)
    return bytes(frame)


def frames_in(record, stream, cuts=()):
    """What a deframer finds in a stream that arrives in pieces, then falls silent."""
    deframer = Deframer(record)
    found = []
    start = 0
    for stop in tuple(cuts) + (len(stream),):
        at = deframer.feed(stream, start, stop)
        while deframer.length:
            found.append(bytes(deframer.frame[: deframer.length]))
            at = deframer.feed(stream, at, stop)
        start = stop
    deframer.expire()
    while deframer.length:
        found.append(bytes(deframer.frame[: deframer.length]))
        deframer.expire()
    assert deframer.count == 0
    return found, deframer


def test_crc16_check_values():
    """Published check values of "123456789": CRC-16/IBM-3740, /MODBUS, /X-25, /XMODEM (the `crc` package agrees)."""
    for a, b, c, d, wanted in (
        (0x1021, 0xFFFF, 0, 0, 0x29B1),
        (0x8005, 0xFFFF, 1, 0, 0x4B37),
        (0x1021, 0xFFFF, 1, 0xFFFF, 0x906E),
        (0x1021, 0, 0, 0, 0x31C3),
    ):
        record = framing(check=CHECK_CRC16, a=a, b=b, c=c, d=d)
        assert check_value(b"123456789", 0, 9, record, crc16_table(record)) == wanted


def test_sum_check_vectors():
    """Generator vectors: arguments through the trailing comma, negated, seven bits, bit six set."""
    table = crc16_table(TEXT)
    for text, wanted in ((b"28,", b"j"), (b"10,3071,", b"|"), (b"14,", b"o"), (b"98,1,", b"F"), (b"22,", b"p")):
        assert check_value(text, 0, len(text), TEXT, table) == wanted[0]


def test_xor_and_forms():
    record = framing(check=CHECK_XOR, check_size=2, a=0xFF, form=FORM_HEX)
    value = check_value(b"\x0f\xf0\x3c", 0, 3, record, crc16_table(record))
    buffer = bytearray(2)
    assert value == 0xC3
    assert put_check(buffer, 0, value, record) == 2
    assert bytes(buffer) == b"C3"
    assert check_holds(buffer, 0, 0xC3, record)
    assert not check_holds(buffer, 0, 0xC4, record)
    big = framing(check_size=2, form=FORM_BIG)
    put_check(buffer, 0, 0x1234, big)
    assert bytes(buffer) == b"\x12\x34"
    assert check_holds(buffer, 0, 0x1234, big)
    assert not check_holds(buffer, 0, 0x3412, big)


def test_every_split_finds_the_same_frames():
    stream = build(BINARY, b"\x01\x10abc") + build(BINARY, b"\x02\xa5\x5a\x02") + build(BINARY, b"\x03\x30")
    wanted, _ = frames_in(BINARY, stream)
    assert len(wanted) == 3
    stride = 5 if sys.implementation.name == "cpython" else 11  # the emulated device has less time
    for first in range(0, len(stream), stride - 4):
        for second in range(first, len(stream), stride):
            assert frames_in(BINARY, stream, (first, second))[0] == wanted


def test_text_frames_and_restarts():
    good = build(TEXT, b"10,3071,")
    assert frames_in(TEXT, good)[0] == [good]
    found, deframer = frames_in(TEXT, b"\x02nonsense" + good + b"\x03\x02\x03" + good)
    assert found == [good, good]
    assert deframer.bad()[BAD_LENGTH] >= 2


def test_corrupt_frame_is_counted_and_the_next_found():
    good = build(BINARY, b"\x01\x10abc")
    for at in range(3, len(good)):
        spoiled = bytearray(good)
        spoiled[at] ^= 0x40
        found, deframer = frames_in(BINARY, bytes(spoiled) + good)
        assert found == [good]
        assert deframer.bad()[BAD_CHECK] == 1


def test_length_lie_cannot_swallow_a_frame():
    good = build(BINARY, b"\x01\x10abc")
    for lie in (0, 1, 2, 9, 35, 36, 255):
        found, _ = frames_in(BINARY, bytes((0xA5, 0x5A, lie)) + good)
        assert found == [good]


def test_nested_frame_of_a_good_frame_stays_inside():
    inner = build(BINARY, b"\x07\x31")
    outer = build(BINARY, b"\x01\x10" + inner)
    assert frames_in(BINARY, outer)[0] == [outer]


def test_partial_frame_is_given_up():
    good = build(BINARY, b"\x01\x10abc")
    for stop in range(1, len(good)):
        found, deframer = frames_in(BINARY, good[:stop])
        assert found == []
        assert deframer.bad()[INCOMPLETE] == 1


def test_stray_bytes_are_counted():
    good = build(BINARY, b"\x01\x10abc")
    found, deframer = frames_in(BINARY, b"\x00\x11\xa5\x22" + good)
    assert found == [good]
    assert deframer.bad()[STRAY_BYTES] >= 1


def test_frame_survives_until_released():
    good = build(BINARY, b"\x01\x10abc")
    other = build(BINARY, b"\x02\x30")
    deframer = Deframer(BINARY)
    stream = good + other
    at = deframer.feed(stream, 0, len(stream))
    assert bytes(deframer.frame[: deframer.length]) == good
    deframer.feed(stream, at, len(stream))
    assert bytes(deframer.frame[: deframer.length]) == other
    deframer.clear()
    assert deframer.count == 0
