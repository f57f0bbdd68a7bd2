"""Reads bytes off a pin as the receiver at the far end of its line would: from each falling edge, every bit in its middle."""

from __future__ import annotations

from collections.abc import Callable

from gantryguard.rig.cable import BREAK, FRAMING, Line
from gantryguard.rig.clock import Clock, Handle

DATA_BITS = 8
BITS = 10  # with start and stop


class PinReceiver:
    """For a transmitter that is no UART. `level()` tells the pin, `moved` is to be called whenever it changes."""

    def __init__(self, clock: Clock, line: Line, level: Callable[[], bool]) -> None:
        self._clock = clock
        self._line = line
        self._level = level
        self._handles: list[Handle] = []
        self._busy = False
        self._whole = False
        self._value = 0

    def moved(self) -> None:
        """The pin has changed: a falling edge between two bytes is a start bit."""
        if self._busy or self._level():
            return
        self._busy, self._value, self._whole = True, 0, self._line.closed
        begin, bit_ns = self._clock.now_ns, 1e9 / self._line.baud
        samples = [self._clock.call_at(begin + round((bit + 1.5) * bit_ns), self._sample) for bit in range(DATA_BITS)]
        stop = self._clock.call_at(begin + round((BITS - 0.5) * bit_ns), lambda: self._stop(begin + round(BITS * bit_ns)))
        self._handles = [*samples, stop]

    def _sample(self) -> None:
        self._value = self._value >> 1 | self._level() << (DATA_BITS - 1)

    def _stop(self, end_ns: int) -> None:
        """The next byte may begin from here on; this one is told at its end, as `Line` does it."""
        value, whole, flags = self._value, self._whole, 0
        if not self._level():
            flags = FRAMING if value else FRAMING | BREAK
        self._busy = False
        self._clock.call_at(end_ns, lambda: self._line.arrive(value, flags, whole))

    def abort(self) -> None:
        """The transmitter fails: the byte that is under way is lost."""
        for handle in self._handles:
            handle.cancel()
        self._busy = False
