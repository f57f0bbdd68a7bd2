"""Wakes the loop: when one of the lines begins to speak, or after some microseconds.

Reception itself goes by DMA and interrupts nobody. The falling edge of a start bit interrupts once and is then off until the
loop goes to rest again. A timer takes the place of `time.sleep_us`, which spends what is less than a millisecond awake.
Registers: RP2040 data sheet, 2.19.6.
"""

import io
from array import array

from machine import Pin, Timer

from interposer.core.compat import const, micropython, ptr32
from interposer.hal import board_record as board

BANK = const(0x40014000)
RAW = const(0x0F0)
ENABLE = const(0x100)
TO_SET = const(0x2000)
TO_CLEAR = const(0x3000)
TICKS_PER_S = const(1000000)
PINS_PER_WORD = const(8)
BITS_PER_PIN = const(4)
EDGE_LOW = const(4)
POLL = const(3)  # MicroPython's request to a stream: is it ready?

# Per pin: its bit, and the addresses of the words in which that is cleared as raw flag, enabled, disabled.
PIN_WORDS = const(4)
W_WOKEN = const(0)
W_PINS = const(1)
_words = array("i", bytes(4 * (W_PINS + 2 * PIN_WORDS)))


@micropython.viper
def _woken(_pin):
    words = ptr32(_words)
    words[W_WOKEN] = 1
    at = W_PINS
    while at < W_PINS + 2 * PIN_WORDS:
        ptr32(words[at + 3])[0] = words[at]
        at += PIN_WORDS


@micropython.viper
def _is_due(_timer):
    ptr32(_words)[W_WOKEN] = 1


class Wake(io.IOBase):
    """A stream for `poll`: ready once a line has begun to speak since `arm`, or once the time of `arm_timer` is over."""

    def __init__(self):
        self.timer = Timer(-1)
        self.pins = (Pin(board.CONSOLE_RX), Pin(board.GANTRY_RX))
        for index, number in enumerate((board.CONSOLE_RX, board.GANTRY_RX)):
            at = W_PINS + index * PIN_WORDS
            word = BANK + number // PINS_PER_WORD * 4
            _words[at] = EDGE_LOW << number % PINS_PER_WORD * BITS_PER_PIN
            _words[at + 1] = word + RAW
            _words[at + 2] = word + ENABLE + TO_SET
            _words[at + 3] = word + ENABLE + TO_CLEAR
        for pin in self.pins:
            pin.irq(_woken, Pin.IRQ_FALLING, hard=True)  # type: ignore[arg-type]  # a viper function answers with a number

    @micropython.viper
    def arm(self):
        """From now on an edge counts."""
        words = ptr32(_words)
        words[W_WOKEN] = 0
        at = W_PINS
        while at < W_PINS + 2 * PIN_WORDS:
            ptr32(words[at + 1])[0] = words[at]
            ptr32(words[at + 2])[0] = words[at]
            at += PIN_WORDS

    def arm_timer(self, pause_us):
        """After so long it is time."""
        _words[W_WOKEN] = 0
        self.timer.init(mode=Timer.ONE_SHOT, period=pause_us, tick_hz=TICKS_PER_S, callback=_is_due)  # type: ignore[call-overload]  # as documented

    @micropython.native
    def is_due(self):
        """Whether somebody has been woken since."""
        return _words[W_WOKEN]

    @micropython.native
    def ioctl(self, request, flags):
        """Answer `poll`."""
        return flags if request == POLL and _words[W_WOKEN] else 0
