"""Commands inside frames: which one it is, what its fields hold, and writing one.

A command's fields are read into slots of the exam's value vector (`exam.py`). Which opcodes and fields exist is the
package's; here are only the kinds of field. Reading never raises and never allocates: the result is a reason.
"""

from interposer.core.compat import const, micropython, ptr8, ptr32
from interposer.core.link import (
    CHECK_NONE,
    COUNTED,
    DELIMITED,
    F_BODY_AT,
    F_CHECK,
    F_CHECK_FROM,
    F_CHECK_SIZE,
    F_END,
    F_KIND,
    F_LENGTH_AT,
    F_LENGTH_EXTRA,
    F_MAX,
    F_OPCODE_AT,
    F_OPCODE_FORM,
    F_SEQUENCE_AT,
    F_START,
    F_STARTS,
    FRAMING_WORDS,
    OPCODE_BYTE,
    check_value,
    crc16_table,
    put_check,
)
from interposer.core.reasons import BAD_FIELD, NONE, UNKNOWN_COMMAND, WRONG_LENGTH

# A command, COMMAND_WORDS words.
COMMAND_WORDS = const(14)
C_OPCODE = const(0)
C_DIRECTION = const(1)
C_LENGTH = const(2)  # of the whole frame; 0 where fields are text
C_FIELD = const(3)  # first field entry
C_FIELDS = const(4)
C_FLAGS = const(5)
C_ROW = const(6)  # word where the command's rows begin
C_ROWS = const(7)
C_LIMIT = const(8)
C_LIMITS = const(9)
C_LATCH = const(10)
C_LATCHES = const(11)
C_NETS = const(12)  # bit per network
C_NAME = const(13)

ALWAYS_PASSES = const(1)
PASSES_WHILE_HELD = const(2)
ANY_SEQUENCE = const(4)

# A field of a command, FIELD_WORDS words: kind, place in the frame (or number of the argument), slot.
FIELD_WORDS = const(3)
U8 = const(0)
I8 = const(1)
U16_LITTLE = const(2)
I16_LITTLE = const(3)
U32_LITTLE = const(4)
I32_LITTLE = const(5)
U16_BIG = const(6)
I16_BIG = const(7)
DECIMAL = const(8)  # ASCII digits, each argument ended by a comma

# What a slot may hold, RANGE_WORDS words: lowest, highest, value before it is known.
RANGE_WORDS = const(3)
MAX_DIGITS = const(9)


@micropython.viper
def read_binary(frame: ptr8, fields: ptr32, first: int, count: int, values: ptr32, ranges: ptr32) -> int:
    """Read fixed-width fields into `values`; -1, or the slot whose value is out of its range."""
    entry = first * FIELD_WORDS
    end = entry + count * FIELD_WORDS
    while entry < end:
        kind = fields[entry]
        at = fields[entry + 1]
        slot = fields[entry + 2]
        value = int(frame[at])
        if kind == U8:
            pass
        elif kind == I8:
            value = (value ^ 0x80) - 0x80
        elif kind < U16_BIG:
            value |= int(frame[at + 1]) << 8
            if kind >= U32_LITTLE:
                high = int(frame[at + 3])
                if kind == I32_LITTLE:
                    high = (high ^ 0x80) - 0x80
                elif high > 63:
                    return slot
                value |= (int(frame[at + 2]) << 16) | (high << 24)
        else:
            value = (value << 8) | int(frame[at + 1])
        if kind == I16_LITTLE or kind == I16_BIG:
            value = (value ^ 0x8000) - 0x8000
        if value < ranges[slot * RANGE_WORDS] or value > ranges[slot * RANGE_WORDS + 1]:
            return slot
        values[slot] = value
        entry += FIELD_WORDS
    return -1


@micropython.viper
def read_text(frame: ptr8, at: int, end: int, fields: ptr32, first: int, count: int, values: ptr32, ranges: ptr32) -> int:
    """Read comma-ended decimal arguments; -1, or the slot that is wrong, or -2 where the count does not fit."""
    entry = first * FIELD_WORDS
    last = entry + count * FIELD_WORDS
    while entry < last:
        slot = fields[entry + 2]
        minus = 0
        if at < end and int(frame[at]) == 45:
            minus = 1
            at += 1
        digits = 0
        value = 0
        while at < end and int(frame[at]) >= 48 and int(frame[at]) <= 57:
            if digits == MAX_DIGITS:
                return slot
            value = value * 10 + int(frame[at]) - 48
            digits += 1
            at += 1
        if at >= end:
            return -2
        if digits == 0 or int(frame[at]) != 44:
            return slot
        if minus:
            value = 0 - value
        if value < ranges[slot * RANGE_WORDS] or value > ranges[slot * RANGE_WORDS + 1]:
            return slot
        values[slot] = value
        at += 1
        entry += FIELD_WORDS
    return -1 if at == end else -2


@micropython.viper
def write_binary(frame: ptr8, fields: ptr32, first: int, count: int, values: ptr32):
    """Write fixed-width fields from `values`."""
    entry = first * FIELD_WORDS
    end = entry + count * FIELD_WORDS
    while entry < end:
        kind = fields[entry]
        at = fields[entry + 1]
        value = values[fields[entry + 2]]
        if kind >= U16_BIG:
            frame[at] = (value >> 8) & 255
            frame[at + 1] = value & 255
        else:
            frame[at] = value & 255
            if kind > I8:
                frame[at + 1] = (value >> 8) & 255
            if kind > I16_LITTLE:
                frame[at + 2] = (value >> 16) & 255
                frame[at + 3] = (value >> 24) & 255
        entry += FIELD_WORDS


@micropython.viper
def write_text(frame: ptr8, at: int, fields: ptr32, first: int, count: int, values: ptr32) -> int:
    """Write comma-ended decimal arguments; returns the place after them."""
    entry = first * FIELD_WORDS
    end = entry + count * FIELD_WORDS
    while entry < end:
        value = values[fields[entry + 2]]
        if value < 0:
            frame[at] = 45
            at += 1
            value = 0 - value
        power = 1
        while value >= power * 10:
            power *= 10
        while power:
            frame[at] = 48 + (value // power) % 10
            at += 1
            power //= 10
        frame[at] = 44
        at += 1
        entry += FIELD_WORDS
    return at


class Codec:
    """The commands of one direction: finds, reads and writes them by the package's tables.

    `framing`, `commands`, `fields` and `ranges` are `array("i")` tables. Only the scratch of `write` is allocated here.
    """

    def __init__(self, direction, framings, commands, fields, ranges):
        self.direction = direction
        start = direction * FRAMING_WORDS
        self.framing = framings[start : start + FRAMING_WORDS]
        self.commands = commands
        self.fields = fields
        self.ranges = ranges
        self.table = crc16_table(self.framing)
        self.index_of = bytearray(b"\xff" * 256)
        for index in range(len(commands) // COMMAND_WORDS):
            if commands[index * COMMAND_WORDS + C_DIRECTION] == direction:
                self.index_of[commands[index * COMMAND_WORDS + C_OPCODE]] = index
        self.buffer = bytearray(self.framing[F_MAX])
        self.bad_slot = -1

    def command_of(self, frame):
        """Index of the frame's command, or -1."""
        at = self.framing[F_OPCODE_AT]
        code = frame[at]
        if self.framing[F_OPCODE_FORM] != OPCODE_BYTE:
            code = self._digits(frame, at)
            if code < 0:
                return -1
        index = self.index_of[code]
        return -1 if index == 255 else index

    def _digits(self, frame, at):
        high = frame[at] - 48
        low = frame[at + 1] - 48
        return high * 10 + low if 0 <= high <= 9 and 0 <= low <= 9 else -1

    def sequence_of(self, frame):
        """The frame's sequence number, or -1 where the link has none."""
        at = self.framing[F_SEQUENCE_AT]
        return frame[at] if at >= 0 else -1

    def read(self, frame, length, command, values):
        """Read the fields of a known command into `values`; returns a reason. `bad_slot` names the field of BAD_FIELD."""
        self.bad_slot = -1
        if command < 0:
            return UNKNOWN_COMMAND
        at = command * COMMAND_WORDS
        first = self.commands[at + C_FIELD]
        count = self.commands[at + C_FIELDS]
        if self.framing[F_KIND] == COUNTED:
            if length != self.commands[at + C_LENGTH]:
                return WRONG_LENGTH
            bad = read_binary(frame, self.fields, first, count, values, self.ranges)
        else:
            end = length - 1 - self.framing[F_CHECK_SIZE]
            bad = read_text(frame, self.framing[F_BODY_AT], end, self.fields, first, count, values, self.ranges)
        if bad == -2:
            return WRONG_LENGTH
        self.bad_slot = bad
        return NONE if bad < 0 else BAD_FIELD

    def write(self, command, sequence, values):
        """Build the frame of a command from `values` in `self.buffer`; returns its length."""
        framing = self.framing
        frame = self.buffer
        at = command * COMMAND_WORDS
        first = self.commands[at + C_FIELD]
        count = self.commands[at + C_FIELDS]
        for i in range(framing[F_STARTS]):
            frame[i] = framing[F_START + i]
        if framing[F_SEQUENCE_AT] >= 0:
            frame[framing[F_SEQUENCE_AT]] = sequence & 255
        self._write_opcode(self.commands[at + C_OPCODE])
        if framing[F_KIND] == COUNTED:
            length = self.commands[at + C_LENGTH]
            frame[framing[F_LENGTH_AT]] = length - framing[F_LENGTH_EXTRA]
            write_binary(frame, self.fields, first, count, values)
            end = length - framing[F_CHECK_SIZE]
        else:
            end = write_text(frame, framing[F_BODY_AT], self.fields, first, count, values)
        if framing[F_CHECK] != CHECK_NONE:
            value = check_value(frame, framing[F_CHECK_FROM], end, framing, self.table)
            end = put_check(frame, end, value, framing)
        if framing[F_KIND] == DELIMITED:
            frame[end] = framing[F_END]
            end += 1
        return end

    def _write_opcode(self, opcode):
        at = self.framing[F_OPCODE_AT]
        if self.framing[F_OPCODE_FORM] == OPCODE_BYTE:
            self.buffer[at] = opcode
        else:
            self.buffer[at] = 48 + opcode // 10
            self.buffer[at + 1] = 48 + opcode % 10
