"""Lamps and keys at the device."""

from machine import Pin

from interposer.core.compat import const, elapsed, micropython
from interposer.core.gate import CANCEL_DOWN, OVERRIDE_DOWN, UNKNOWN
from interposer.hal import board_record as board

OFF = const(0)
ON = const(1)
SLOW = const(2)  # about once a second
FAST = const(3)  # about four times a second
PAUSE = const(4)  # debounce times without a reading, after which the keys are unknown again


class Lamp:
    """One lamp with a pattern; `show` writes the pin only where it changes."""

    def __init__(self, number):
        self.pin = Pin(number, Pin.OUT, value=0)
        self.pattern = OFF
        self.level = 0

    @micropython.native
    def show(self, now):
        """Follow the pattern at `now` ms."""
        pattern = self.pattern
        level = pattern if pattern <= ON else now >> 9 & 1 if pattern == SLOW else now >> 7 & 1
        if level != self.level:
            self.level = level
            self.pin(level)


class Keys:
    """OVERRIDE and CANCEL: down once it has been seen down for the board's debounce time, up as soon as it is seen up.

    Whatever interrupts a press ends it, so that several short ones never add up to a long one. UNKNOWN at the start and after
    every pause in reading, so that nothing is concluded from an old level.
    """

    def __init__(self):
        pull = Pin.PULL_DOWN if board.KEY_ACTIVE else Pin.PULL_UP
        self.override = Pin(board.KEY_OVERRIDE, Pin.IN, pull)
        self.cancel = Pin(board.KEY_CANCEL, Pin.IN, pull)
        self.seen = self.stable = UNKNOWN
        self.since = self.read_at = 0

    @micropython.native
    def read(self, now):
        """OVERRIDE_DOWN and CANCEL_DOWN bits, or UNKNOWN."""
        bits = OVERRIDE_DOWN if self.override() == board.KEY_ACTIVE else 0
        if self.cancel() == board.KEY_ACTIVE:
            bits |= CANCEL_DOWN
        if elapsed(now, self.read_at) > PAUSE * board.DEBOUNCE_MS:
            self.seen = self.stable = UNKNOWN
        self.read_at = now
        if bits != self.seen:
            self.seen = bits
            self.since = now
        elif elapsed(now, self.since) >= board.DEBOUNCE_MS:
            self.stable = bits
        self.stable &= bits | UNKNOWN
        return self.stable
