"""Frames on the wire: finding them, checking them, reading and writing their fields.

Knows kinds of framing, of checks and of fields. Which of them a link uses, and every opcode, comes from the package's
link table. A bad frame is a status, never an exception. Nothing here allocates after construction.

Framing record, FRAMING_WORDS words per direction (0 console to gantry, 1 gantry to console); see `docs/package-format.md`.
"""

from array import array

from interposer.core.compat import const, micropython, ptr8, ptr32
from interposer.core.reasons import BAD_CHECK, INCOMPLETE

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

NOT_YET = const(0)
COUNT_MASK = const(0x3FFFFFFF)
NO_LENGTH = const(1)  # reasons.BAD_LENGTH and reasons.STRAY_BYTES, as constants that viper code can fold
STRAY = const(8)


def crc16_table(framing):
    """The 256 steps of the framing's CRC-16, reflected or not; zeros where the link has another check."""
    table = array("i", bytes(1024))
    if framing[F_CHECK] != CHECK_CRC16:
        return table
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
def frame_length(buffer: ptr8, start: int, count: int, framing: ptr32) -> int:
    """Length of the frame that begins at `start`: > 0 known, 0 not known yet, < 0 there is none (the reason, negated)."""
    starts = framing[F_STARTS]
    i = 0
    while i < starts:
        if start + i >= count:
            return 0
        if int(buffer[start + i]) != framing[F_START + i]:
            return -STRAY
        i += 1
    if framing[F_KIND] == COUNTED:
        place = start + framing[F_LENGTH_AT]
        if place >= count:
            return 0
        length = int(buffer[place]) + framing[F_LENGTH_EXTRA]
        if length < framing[F_MIN] or length > framing[F_MAX]:
            return -NO_LENGTH
        return length
    i = start + starts
    while i < count:
        if int(buffer[i]) == framing[F_END]:
            length = i + 1 - start
            return length if length >= framing[F_MIN] else -NO_LENGTH
        if int(buffer[i]) == framing[F_START]:
            return -NO_LENGTH
        i += 1
        if i - start >= framing[F_MAX]:
            return -NO_LENGTH
    return 0


@micropython.viper
def move(buffer: ptr8, to: int, source: ptr8, start: int, count: int):
    """Copy `count` bytes; within one buffer only towards its beginning."""
    i = 0
    while i < count:
        buffer[to + i] = source[start + i]
        i += 1


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
def find(buffer: ptr8, start: int, stop: int, value: int) -> int:
    """First place of a byte value in `buffer[start:stop]`, or `stop`."""
    i = start
    while i < stop:
        if int(buffer[i]) == value:
            return i
        i += 1
    return stop


class Deframer:
    """Cuts a byte stream into frames with a right check; whatever lies between is dropped and counted.

    While `length` is not 0, `frame[:length]` is a frame that reception does not touch before the next call. A frame that
    turns out bad loses only what cannot begin another one, so a good frame inside or behind it is still found.
    """

    def __init__(self, framing):
        self.framing = framing
        self.table = crc16_table(framing)
        self.frame = bytearray(framing[F_MAX])
        self.length = 0
        self.count = 0
        self.bad = array("i", bytes(40))  # how many of each reason 1..8
        self.last_bad = 0

    def feed(self, source, start, stop):
        """Take bytes of `source[start:stop]` up to the end of the next good frame; returns the place after them."""
        self.release()
        if not self.count:
            length = frame_length(source, start, stop, self.framing)
            if 0 < length <= stop - start and self._check(source, start, length):
                return start + self._take(source, start, length)
        while True:
            if self._settle() or start == stop:
                return start
            if not self.count:
                start = self._skip(source, start, stop)
            take = self._wanted(source, start, stop)
            move(self.frame, self.count, source, start, take)
            self.count += take
            start += take

    def missing(self):
        """How many bytes must come at least before another frame can be complete."""
        if self.count == self.length:
            return self.framing[F_MIN]
        length = frame_length(self.frame, 0, self.count, self.framing)
        return max((length if length > 0 else self.framing[F_MIN]) - self.count, 1)

    def expire(self):
        """The line went quiet inside a frame: give that frame up, but find a good one that it may have hidden."""
        self.release()
        while self.count and not self._settle():
            if self.count:
                self._reject(INCOMPLETE)

    def release(self):
        """Done with the frame: its bytes go, those behind it stay."""
        if self.length:
            self._shift(self.length)
            self.length = 0

    def clear(self):
        """Forget everything received so far."""
        self.length = 0
        self.count = 0

    def _settle(self):
        """Drop what cannot be a frame; true once a good frame stands at the beginning."""
        while self.count:
            length = frame_length(self.frame, 0, self.count, self.framing)
            if length < 0:
                self._reject(-length)
            elif length == NOT_YET or length > self.count:
                return False
            elif self._check(self.frame, 0, length):
                self.length = length
                return True
            else:
                self._reject(BAD_CHECK)
        return False

    def _take(self, source, start, length):
        """The usual case: a whole good frame in one piece."""
        move(self.frame, 0, source, start, length)
        self.length = self.count = length
        return length

    def _check(self, buffer, start, length):
        framing = self.framing
        if framing[F_CHECK] == CHECK_NONE:
            return True
        at = start + length - framing[F_CHECK_SIZE] - (1 if framing[F_KIND] == DELIMITED else 0)
        value = check_value(buffer, start + framing[F_CHECK_FROM], at, framing, self.table)
        return check_holds(buffer, at, value, framing)

    def _skip(self, source, start, stop):
        place = find(source, start, stop, self.framing[F_START])
        if place != start:
            self.bad[STRAY] = (self.bad[STRAY] + 1) & COUNT_MASK
            self.last_bad = STRAY
        return place

    def _wanted(self, source, start, stop):
        """How many bytes may be taken without running past the end of this frame."""
        framing = self.framing
        if framing[F_KIND] == DELIMITED:
            room = framing[F_MAX] - self.count
            stop = min(stop, start + room)
            return min(find(source, start, stop, framing[F_END]) + 1, stop) - start
        length = frame_length(self.frame, 0, self.count, framing)
        if length <= self.count:
            length = framing[F_LENGTH_AT] + 1
        return min(max(length - self.count, 1), stop - start)

    def _reject(self, reason):
        self.bad[reason] = (self.bad[reason] + 1) & COUNT_MASK
        self.last_bad = reason
        self._shift(find(self.frame, 1, self.count, self.framing[F_START]))

    def _shift(self, by):
        self.count -= by
        move(self.frame, 0, self.frame, by, self.count)
