"""Frames on the wire: finding them, checking them, reading and writing their fields.

Knows kinds of framing, of checks and of fields. Which of them a link uses, and every opcode, comes from the package's
link table. A bad frame is a status, never an exception. Nothing here allocates after construction.

Framing record, FRAMING_WORDS words per direction (0 console to gantry, 1 gantry to console); see `docs/package-format.md`.
"""

from array import array

from interposer.core.compat import const, micropython, pointers, ptr8, ptr32
from interposer.core.reasons import BAD_CHECK, BAD_LENGTH, INCOMPLETE, STRAY_BYTES

FRAMING_WORDS = const(24)
F_KIND = const(0)
F_STARTS = const(1)
F_START = const(2)  # four words
F_LENGTH_AT = const(6)
F_LENGTH_EXTRA = const(7)
F_MIN = const(8)
F_MAX = const(9)
F_END = const(10)
F_CHECK = const(11)
F_CHECK_SIZE = const(12)
F_CHECK_FROM = const(13)
F_CHECK_A = const(14)  # polynomial, or the mask that is kept
F_CHECK_B = const(15)  # initial value, or the bits that are set
F_CHECK_C = const(16)  # reflected, or negated
F_CHECK_D = const(17)  # final exclusive-or
F_CHECK_FORM = const(18)
F_SEQUENCE_AT = const(19)
F_OPCODE_AT = const(20)
F_OPCODE_FORM = const(21)
F_BODY_AT = const(22)
F_CUT_THROUGH = const(23)  # 1: frames may leave while they come, and are spoiled where they may not; console to gantry alone

COUNTED = const(1)
DELIMITED = const(2)
CHECK_NONE = const(0)
CHECK_CRC16 = const(1)
CHECK_SUM = const(2)
CHECK_XOR = const(3)
FORM_LITTLE = const(0)
FORM_BIG = const(1)
FORM_HEX = const(2)
OPCODE_BYTE = const(0)
OPCODE_DIGITS = const(1)

FORWARD = const(0)
BACKWARD = const(1)

COUNT_MASK = const(0x3FFFFFFF)


_NO_TABLE = array("i", (0,))
# By polynomial and direction of its bits: both directions of a link and their readers share them.
_tables = {}  # type: dict[tuple[int, int], array[int]]


def crc16_table(framing):
    """The 256 steps of the framing's CRC-16, reflected or not; a single zero where the link has another check."""
    if framing[F_CHECK] != CHECK_CRC16:
        return _NO_TABLE
    key = (framing[F_CHECK_A], framing[F_CHECK_C])
    if key not in _tables:
        _tables[key] = _steps(framing)
    return _tables[key]


def _steps(framing):
    table = array("i", bytes(1024))
    polynomial = framing[F_CHECK_A]
    if framing[F_CHECK_C]:
        mirrored = 0
        for bit in range(16):
            if polynomial >> bit & 1:
                mirrored |= 1 << (15 - bit)
        for value in range(256):
            step = value
            for _ in range(8):
                step = step >> 1 ^ (mirrored if step & 1 else 0)
            table[value] = step
        return table
    for value in range(256):
        step = value << 8
        for _ in range(8):
            step = (step << 1 ^ (polynomial if step & 0x8000 else 0)) & 0xFFFF
        table[value] = step
    return table


@micropython.viper
def check_value(buffer: ptr8, start: int, stop: int, framing: ptr32, table: ptr32) -> int:
    """The check over `buffer[start:stop]`, by the kind that the framing names."""
    kind = framing[F_CHECK]
    value = framing[F_CHECK_B] if kind == CHECK_CRC16 else 0
    i = start
    if kind == CHECK_CRC16 and framing[F_CHECK_C]:
        while i < stop:
            value = (value >> 8) ^ table[(value ^ buffer[i]) & 255]
            i += 1
        return value ^ framing[F_CHECK_D]
    if kind == CHECK_CRC16:
        while i < stop:
            value = ((value << 8) & 0xFF00) ^ table[((value >> 8) ^ buffer[i]) & 255]
            i += 1
        return value ^ framing[F_CHECK_D]
    while i < stop:
        value = value + buffer[i] if kind == CHECK_SUM else value ^ buffer[i]
        i += 1
    if framing[F_CHECK_C]:
        value = 0 - value
    return (value & framing[F_CHECK_A]) | framing[F_CHECK_B]


@micropython.viper
def put_check(buffer: ptr8, at: int, value: int, framing: ptr32) -> int:
    """Write a check value in the framing's form; returns the place after it."""
    size = framing[F_CHECK_SIZE]
    form = framing[F_CHECK_FORM]
    i = 0
    while i < size:
        place = i if form == FORM_LITTLE else size - 1 - i
        if form == FORM_HEX:
            digit = (value >> (4 * place)) & 15
            buffer[at + i] = digit + 48 if digit < 10 else digit + 55
        else:
            buffer[at + i] = (value >> (8 * place)) & 255
        i += 1
    return at + size


@micropython.viper
def check_holds(buffer: ptr8, at: int, value: int, framing: ptr32) -> int:
    """1 if the check on the wire is exactly `value` in the framing's form, else 0."""
    size = framing[F_CHECK_SIZE]
    form = framing[F_CHECK_FORM]
    i = 0
    while i < size:
        place = i if form == FORM_LITTLE else size - 1 - i
        if form == FORM_HEX:
            digit = (value >> (4 * place)) & 15
            wanted = digit + 48 if digit < 10 else digit + 55
        else:
            wanted = (value >> (8 * place)) & 255
        if int(buffer[at + i]) != wanted:
            return 0
        i += 1
    return 1


@micropython.viper
def move(buffer: ptr8, to: int, source: ptr8, start: int, count: int):
    """Copy `count` bytes; within one buffer only towards its beginning."""
    end = start + count
    while start + 4 <= end:
        buffer[to] = source[start]
        buffer[to + 1] = source[start + 1]
        buffer[to + 2] = source[start + 2]
        buffer[to + 3] = source[start + 3]
        to += 4
        start += 4
    while start < end:
        buffer[to] = source[start]
        to += 1
        start += 1


@micropython.viper
def frame_length(buffer: ptr8, start: int, count: int, framing: ptr32) -> int:
    """Length of the frame that begins at `start`: > 0 known, 0 not known yet, < 0 there is none (the reason, negated)."""
    starts = framing[F_STARTS]
    i = 0
    while i < starts:
        if start + i >= count:
            return 0
        if int(buffer[start + i]) != framing[F_START + i]:
            return -STRAY_BYTES
        i += 1
    if framing[F_KIND] == COUNTED:
        place = start + framing[F_LENGTH_AT]
        if place >= count:
            return 0
        length = int(buffer[place]) + framing[F_LENGTH_EXTRA]
        if length < framing[F_MIN] or length > framing[F_MAX]:
            return -BAD_LENGTH
        return length
    i = start + starts
    while i < count:
        if int(buffer[i]) == framing[F_END]:
            length = i + 1 - start
            return length if length >= framing[F_MIN] else -BAD_LENGTH
        if int(buffer[i]) == framing[F_START]:
            return -BAD_LENGTH
        i += 1
        if i - start >= framing[F_MAX]:
            return -BAD_LENGTH
    return 0


@micropython.viper
def same(left: ptr8, left_length: int, right: ptr8, right_length: int) -> int:
    """1 if both hold the same bytes, else 0."""
    if left_length != right_length:
        return 0
    i = 0
    while i < left_length:
        if left[i] != right[i]:
            return 0
        i += 1
    return 1


@micropython.viper
def is_intact(buffer: ptr8, start: int, length: int, framing: ptr32, table: ptr32) -> int:
    """1 if the frame of `length` bytes at `start` carries the check that its bytes have, else 0."""
    check = framing[F_CHECK]
    if check == CHECK_NONE:
        return 1
    at = start + length - framing[F_CHECK_SIZE]
    if framing[F_KIND] == DELIMITED:
        at -= 1
    if check != CHECK_CRC16 or framing[F_CHECK_C] or framing[F_CHECK_FORM] != FORM_LITTLE:
        value = int(check_value(buffer, start + framing[F_CHECK_FROM], at, framing, table))
        return int(check_holds(buffer, at, value, framing))
    value = framing[F_CHECK_B]  # the usual one without another call
    i = start + framing[F_CHECK_FROM]
    while i < at:
        value = ((value << 8) & 0xFFFF) ^ table[(value >> 8) ^ buffer[i]]
        i += 1
    value ^= framing[F_CHECK_D]
    return 1 if value == int(buffer[at]) | (int(buffer[at + 1]) << 8) else 0


# State of a deframer, one word each; behind D_BAD one counter per reason for which a frame is bad.
D_LENGTH = const(0)  # of the good frame that stands at the beginning of the buffer
D_COUNT = const(1)  # bytes in the buffer
D_MISSING = const(2)  # bytes that must come at least before another frame can be complete
D_LAST_BAD = const(3)
D_BAD = const(4)
BAD_REASONS = const(10)


@micropython.viper
def cut(state: ptr32, frame: ptr8, framing: ptr32, table: ptr32, source: ptr8, start: int, stop: int, is_over: int) -> int:
    """Move bytes of `source[start:stop]` into `frame` until a good frame stands at its beginning; returns the place after them.

    What cannot begin a frame is dropped and counted on the way. With `is_over` an unfinished frame is given up too.
    """
    at = state[D_LENGTH]
    count = state[D_COUNT]
    state[D_LENGTH] = 0
    missing = framing[F_MIN]
    first = framing[F_START]
    stray = 0
    searching = 1
    while searching:
        count -= at
        if at and count:  # what has been dealt with leaves the buffer
            move(frame, 0, frame, at, count)
        at = 0
        more = framing[F_MAX] - count
        if more > stop - start:
            more = stop - start
        move(frame, count, source, start, more)
        count += more
        start += more
        while at < count:
            if int(frame[at]) != first:
                if not stray:
                    state[D_BAD + STRAY_BYTES] = (state[D_BAD + STRAY_BYTES] + 1) & COUNT_MASK
                    state[D_LAST_BAD] = STRAY_BYTES
                stray = 1
                at += 1
                continue
            length = int(frame_length(frame, at, count, framing))
            reason = BAD_CHECK
            if length < 0:
                reason = 0 - length
            elif length and at + length <= count:
                if int(is_intact(frame, at, length, framing, table)):
                    state[D_LENGTH] = length
                    searching = 0
                    break
            elif is_over:
                reason = INCOMPLETE
            else:
                missing = (length if length else missing) - (count - at)
                break
            state[D_BAD + reason] = (state[D_BAD + reason] + 1) & COUNT_MASK
            state[D_LAST_BAD] = reason
            stray = 1  # what follows up to the next start belongs to this one
            at += 1
        if start == stop:
            searching = 0
    count -= at
    if at and count:
        move(frame, 0, frame, at, count)
    state[D_COUNT] = count
    state[D_MISSING] = missing if missing > 0 else 1
    return start


class Deframer:
    """Cuts a byte stream into frames with a right check; whatever lies between is dropped and counted.

    While `length` is not 0, `frame[:length]` is a frame that reception does not touch before the next call. A frame that
    turns out bad loses only what cannot begin another one, so a good frame inside or behind it is still found.
    """

    def __init__(self, framing):
        self.framing = framing
        self.table = crc16_table(framing)
        self.frame = bytearray(framing[F_MAX])
        self.state = array("i", bytes(4 * (D_BAD + BAD_REASONS)))
        self.block = pointers(self.state, self.frame, framing, self.table)  # as `core.ring` wants it
        self.clear()

    @property
    def length(self):
        """Bytes of the good frame that stands at the beginning of `frame`; 0 where there is none."""
        return self.state[D_LENGTH]

    @property
    def count(self):
        """Bytes in `frame`."""
        return self.state[D_COUNT]

    def feed(self, source, start, stop):
        """Take bytes of `source[start:stop]`, at most up to the end of the next good frame or a little further.

        Returns the place after them; call again while `length` is not 0 or something is left.
        """
        return cut(self.state, self.frame, self.framing, self.table, source, start, stop, 0)

    def expire(self):
        """The line went quiet inside a frame: give that frame up, but find a good one that it may have hidden."""
        cut(self.state, self.frame, self.framing, self.table, self.frame, 0, 0, 1)

    def clear(self):
        """Forget everything received so far."""
        self.state[D_LENGTH] = self.state[D_COUNT] = 0
        self.state[D_MISSING] = self.framing[F_MIN]

    def bad(self):
        """How many bad frames there were by reason, as a dictionary without the reasons that had none."""
        counts = self.state
        return {reason: counts[D_BAD + reason] for reason in range(BAD_REASONS) if counts[D_BAD + reason]}
