"""Commands inside frames: which one it is, what its fields hold, and writing one.

A command's fields are read into slots of the exam's value vector (`exam.py`). Which opcodes and fields exist is the
package's; here are only the kinds of field. Reading never raises and never allocates: the result is a reason.
"""

from array import array

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

NO_COMMAND = const(255)  # in the index of opcodes

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


@micropython.viper
def command_of(frame: ptr8, framing: ptr32, index_of: ptr8) -> int:
    """Index of the frame's command, or -1."""
    at = framing[F_OPCODE_AT]
    code = int(frame[at])
    if framing[F_OPCODE_FORM] != OPCODE_BYTE:
        low = int(frame[at + 1]) - 48
        code -= 48
        if code < 0 or code > 9 or low < 0 or low > 9:
            return -1
        code = code * 10 + low
    index = int(index_of[code])
    return -1 if index == NO_COMMAND else index


# What `decode` found, one word each.
FOUND_COMMAND = const(0)  # index, or -1
FOUND_SLOT = const(1)  # of the field that is out of its range, or -1
FOUND_WORDS = const(2)


@micropython.viper
def decode(
    frame: ptr8,
    length: int,
    framing: ptr32,
    index_of: ptr8,
    commands: ptr32,
    fields: ptr32,
    ranges: ptr32,
    values: ptr32,
    found: ptr32,
) -> int:
    """Find a frame's command and read its fields into `values`; returns a reason."""
    command = int(command_of(frame, framing, index_of))
    found[FOUND_COMMAND] = command
    found[FOUND_SLOT] = -1
    if command < 0:
        return UNKNOWN_COMMAND
    at = command * COMMAND_WORDS
    first = commands[at + C_FIELD]
    count = commands[at + C_FIELDS]
    bad = -1
    if framing[F_KIND] == DELIMITED:
        end = length - 1 - framing[F_CHECK_SIZE]
        bad = int(read_text(frame, framing[F_BODY_AT], end, fields, first, count, values, ranges))
    elif length != commands[at + C_LENGTH]:
        return WRONG_LENGTH
    elif count:
        bad = int(read_binary(frame, fields, first, count, values, ranges))
    if bad == -1:
        return NONE
    if bad == -2:
        return WRONG_LENGTH
    found[FOUND_SLOT] = bad
    return BAD_FIELD


@micropython.viper
def encode(
    frame: ptr8,
    framing: ptr32,
    table: ptr32,
    commands: ptr32,
    fields: ptr32,
    command: int,
    sequence: int,
    values: ptr32,
) -> int:
    """Build the frame of a command from `values`; returns its length."""
    at = command * COMMAND_WORDS
    first = commands[at + C_FIELD]
    count = commands[at + C_FIELDS]
    i = 0
    while i < framing[F_STARTS]:
        frame[i] = framing[F_START + i]
        i += 1
    if framing[F_SEQUENCE_AT] >= 0:
        frame[framing[F_SEQUENCE_AT]] = sequence & 255
    opcode = commands[at + C_OPCODE]
    if framing[F_OPCODE_FORM] == OPCODE_BYTE:
        frame[framing[F_OPCODE_AT]] = opcode
    else:
        frame[framing[F_OPCODE_AT]] = 48 + opcode // 10
        frame[framing[F_OPCODE_AT] + 1] = 48 + opcode % 10
    if framing[F_KIND] == COUNTED:
        length = commands[at + C_LENGTH]
        frame[framing[F_LENGTH_AT]] = length - framing[F_LENGTH_EXTRA]
        write_binary(frame, fields, first, count, values)
        end = length - framing[F_CHECK_SIZE]
    else:
        end = int(write_text(frame, framing[F_BODY_AT], fields, first, count, values))
    if framing[F_CHECK] != CHECK_NONE:
        value = int(check_value(frame, framing[F_CHECK_FROM], end, framing, table))
        end = int(put_check(frame, end, value, framing))
    if framing[F_KIND] == DELIMITED:
        frame[end] = framing[F_END]
        end += 1
    return end


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
        self.index_of = bytearray([NO_COMMAND] * 256)
        for index in range(len(commands) // COMMAND_WORDS):
            if commands[index * COMMAND_WORDS + C_DIRECTION] == direction:
                self.index_of[commands[index * COMMAND_WORDS + C_OPCODE]] = index
        self.buffer = bytearray(self.framing[F_MAX])
        self.sequence_at = self.framing[F_SEQUENCE_AT]
        self.found = array("i", bytes(4 * FOUND_WORDS))
        self.command = -1

    def sequence_of(self, frame):
        """The frame's sequence number, or -1 where the link has none."""
        return frame[self.sequence_at] if self.sequence_at >= 0 else -1

    def read(self, frame, length, values):
        """Find the command of an intact frame and read its fields into `values`; returns a reason.

        `command` is its index, or -1.
        """
        found = self.found
        reason = decode(frame, length, self.framing, self.index_of, self.commands, self.fields, self.ranges, values, found)
        self.command = found[FOUND_COMMAND]
        return reason

    def write(self, command, sequence, values):
        """Build the frame of a command from `values` in `self.buffer`; returns its length."""
        return encode(self.buffer, self.framing, self.table, self.commands, self.fields, command, sequence, values)
