"""Repeats the console's line to the gantry, half a bit late, as far as words allow it: docs/adr/0010-cut-through.md.

A state machine samples each bit in its middle, drives it on for a whole bit, and hands each byte over. What it hands over is
what has left. It repeats no byte without a word, and spoils the first one that needs a word and has none: from its last bit on
the line is held low for longer than a byte, and the machine stops until it is armed anew.
"""

from array import array

import rp2
from machine import Pin, mem32

from interposer.core.compat import const, micropython, ptr8, ptr32
from interposer.core.link import F_CHECK_SIZE, F_LENGTH_AT, F_LENGTH_EXTRA, F_MAX, F_MIN, F_OPCODE_AT, F_START, F_STARTS
from interposer.core.ring import unread
from interposer.hal import board_record as board
from interposer.hal.repeater import STEPS_PER_BIT, repeat

PIO = const(0x50200000)
# By word in its registers.
CONTROL = const(0)
FIFOS = const(1)  # their state
DEBUG = const(2)
SEND = const(4)
RECEIVE = const(8)
FLAGS = const(12)
MACHINE_PLACE = const(53)
MACHINE_EXECUTE = const(54)
RECEIVE_EMPTY_BIT = const(8)
SEND_FULL_BIT = const(16)
SEND_EMPTY_BIT = const(24)
RESTART = const(0x110)  # the machine and its divider
HIGH = const(0xE001)  # set(pins, 1)
PULL = const(0x8080)  # pull(noblock)
CLOCK = const(0x40054028)  # microseconds
INPUTS = const(0xD0000004)
PINS = const(0x40014004)  # what a pin belongs to
UART_FUNCTION = const(2)
PIO_FUNCTION = const(6)

# Words for the machine. None at all spoils, and so does REFUSED, but in one bit and with an end of its own.
MORE = const(3)  # with a count above: this byte passes, and so many after it
LAST = const(1)  # this byte passes, and nothing after it
REFUSED = const(-4)  # with what the last bit is to be above bit 0

# What `follow` works on.
W_PIO = const(0)
W_CLOCK = const(1)
W_INPUTS = const(2)
W_PIN = const(3)  # bit of the console's line
W_BEGIN = const(4)  # place of the machine's first step
W_RESTING = const(5)  # and of the one where it waits for a byte
W_QUIET_US = const(6)  # silence inside a frame after which it is given up
W_IDLE_US = const(7)  # of a line on which no byte is under way
W_OUTPUT = const(8)  # what the pin of the gantry's line belongs to
W_IS_ANSWERED = const(9)  # the byte that is kept back has its word


@micropython.viper
def is_idle(cut: ptr32) -> int:
    """1 if the console's line has been high for longer than a byte could keep it so."""
    clock = ptr32(cut[W_CLOCK])
    inputs = ptr32(cut[W_INPUTS])
    since = clock[0]
    while clock[0] - since < cut[W_IDLE_US]:
        if not inputs[0] & cut[W_PIN]:
            return 0
    return 1


@micropython.viper
def restart(cut: ptr32, free: int):
    """Begin anew, without what was left of words and bytes: `free` bytes pass, then one needs a word."""
    pio = ptr32(cut[W_PIO])
    pio[CONTROL] = 0
    pio[CONTROL] = RESTART
    while not (pio[FIFOS] >> RECEIVE_EMPTY_BIT) & 1:
        pio[RECEIVE]
    while not (pio[FIFOS] >> SEND_EMPTY_BIT) & 1:
        pio[MACHINE_EXECUTE] = PULL
    pio[MACHINE_EXECUTE] = HIGH
    pio[MACHINE_EXECUTE] = cut[W_BEGIN]  # a jump
    pio[FLAGS] = 1
    pio[DEBUG] = 1
    pio[CONTROL] = 1
    pio[SEND] = free
    cut[W_IS_ANSWERED] = 0


@micropython.viper
def is_under_way(cut: ptr32) -> int:
    """Whether a byte of a frame has begun to leave."""
    pio = ptr32(cut[W_PIO])
    return 0 if (pio[FIFOS] >> RECEIVE_EMPTY_BIT) & 1 and pio[MACHINE_PLACE] == cut[W_RESTING] else 1


@micropython.viper
def attend(cut: ptr32, backward: ptr32, most_us: int) -> int:
    """Wait awake until a byte begins to leave, for so long at most and while the gantry is silent; whether one did."""
    clock = ptr32(cut[W_CLOCK])
    since = clock[0]
    while clock[0] - since < most_us:
        if int(is_under_way(cut)):
            return 1
        if int(unread(backward)):
            return 0
    return 0


@micropython.viper
def answer(cut: ptr32, word: int):
    """Say what becomes of the byte that is kept back, unless that was said."""
    if not cut[W_IS_ANSWERED]:
        cut[W_IS_ANSWERED] = 1
        ptr32(cut[W_PIO])[SEND] = word


@micropython.viper
def follow(cut: ptr32, frame: ptr8, framing: ptr32, stops: ptr8) -> int:
    """Take the bytes of a frame as they leave, up to its check, and let as many more leave as are safe; its length.

    0 where it is given up: no frame, one that begins inside it, a silence, or the processor came late. No word is given then.
    What has passed never suffices for a frame that began anywhere but here, and of this one the last byte is kept back, unless
    it always passes: `stops` has the lengths of such frames by opcode.
    """
    pio = ptr32(cut[W_PIO])
    clock = ptr32(cut[W_CLOCK])
    starts = framing[F_STARTS]
    least = framing[F_MIN]
    given = least - 1
    most = given
    end = 0
    is_stop = 0
    count = 0
    heard = clock[0]
    while not end or count < end or given < most:
        if (pio[FIFOS] >> RECEIVE_EMPTY_BIT) & 1:
            if pio[FLAGS] & 1 or clock[0] - heard > cut[W_QUIET_US]:
                return 0
        elif count < end or not end:
            heard = clock[0]
            frame[count] = (pio[RECEIVE] >> 24) & 255
            count += 1
            i = 0
            at = count - starts if count > starts else 0
            while at + i < count and int(frame[at + i]) == framing[F_START + i]:
                i += 1
            is_start = 1 if at + i == count else 0
            wants_start = 1 if count <= starts else 0
            if is_start != wants_start:
                return 0
            if count == framing[F_LENGTH_AT] + 1:
                most = int(frame[count - 1]) + framing[F_LENGTH_EXTRA] - 1
                if most < least - 1 or most >= framing[F_MAX]:
                    return 0
                end = most + 1 - framing[F_CHECK_SIZE]
            if count == framing[F_OPCODE_AT] + 1 and end and int(stops[frame[count - 1]]) == most + 1:
                is_stop = 1
        if pio[DEBUG] & 1:  # bytes have left that nobody took
            return 0
        free = count + least - starts
        if free > most:
            free = most
        if free > given and not (pio[FIFOS] >> SEND_FULL_BIT) & 1:
            pio[SEND] = ((free - given - 1) << 2) | MORE
            given = free
    if is_stop:
        answer(cut, LAST)
    return most + 1


@micropython.viper
def has_left(cut: ptr32, count: int) -> int:
    """Wait until `count` bytes more have left; 0 if one of them was spoiled."""
    pio = ptr32(cut[W_PIO])
    clock = ptr32(cut[W_CLOCK])
    heard = clock[0]
    while count:
        if not (pio[FIFOS] >> RECEIVE_EMPTY_BIT) & 1:
            pio[RECEIVE]
            heard = clock[0]
            count -= 1
        elif pio[FLAGS] & 1 or clock[0] - heard > cut[W_QUIET_US]:
            return 0
    return 1


@micropython.viper
def has_arrived(cut: ptr32, ring: ptr32, count: int) -> int:
    """Wait until the UART has heard so many bytes too, which it does half a bit after they have left; 0 if it never does."""
    clock = ptr32(cut[W_CLOCK])
    since = clock[0]
    while int(unread(ring)) < count:
        if clock[0] - since > cut[W_IDLE_US]:
            return 0
    return 1


@micropython.viper
def give(cut: ptr32, function: int):
    """Hand the pin of the gantry's line to the UART or to the machine; both have it high at rest."""
    ptr32(cut[W_OUTPUT])[0] = function


@micropython.viper
def stop(cut: ptr32):
    """Wait until the machine has stopped by itself or no byte is under way, so that none is cut in two; then it is off."""
    pio = ptr32(cut[W_PIO])
    waiting = 1
    while waiting:
        if pio[FLAGS] & 1 or pio[MACHINE_PLACE] == cut[W_BEGIN] or int(is_idle(cut)):
            waiting = 0
    pio[CONTROL] = 0


class CutThrough:
    """The gantry's line in the hands of the state machine (`armed`), or of its UART; nothing allocates after construction."""

    def __init__(self, baud, gap_ms):
        self.machine = rp2.StateMachine(
            0,
            repeat,
            freq=STEPS_PER_BIT * baud,
            in_base=Pin(board.CONSOLE_RX),
            out_base=Pin(board.GANTRY_TX),
            set_base=Pin(board.GANTRY_TX),
        )
        byte_us = 10 * 1000000 // baud + 1
        begin = mem32[PIO + 4 * MACHINE_PLACE]
        pin = 1 << board.CONSOLE_RX
        idle_us = byte_us + byte_us // 8
        output = PINS + 8 * board.GANTRY_TX
        self.words = array("i", (PIO, CLOCK, INPUTS - (1 << 32), pin, begin, begin + 2, 1000 * gap_ms, idle_us, output, 0))
        self.armed = False
        give(self.words, UART_FUNCTION)

    @micropython.native
    def arm(self, free):
        """Repeat the next frame, of which `free` bytes need no word, where the line is idle. Nothing may be on its way."""
        if is_idle(self.words):
            restart(self.words, free)
            give(self.words, PIO_FUNCTION)
            self.armed = True

    @micropython.native
    def disarm(self):
        """Give the line back to the UART."""
        if self.armed:
            stop(self.words)
            give(self.words, UART_FUNCTION)
            self.armed = False
