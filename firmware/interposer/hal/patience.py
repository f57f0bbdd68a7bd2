"""Bounds how long reading from the maintenance port may take: MicroPython's own read waits for ever for the rest of a packet.

While it waits it asks a second terminal, too. This one has nothing to say until the time is over, and then says zeros: the read
comes to its end, and whoever asked for it looks at the time.
"""

import io
import os
import time

from machine import Timer

from interposer.core.compat import const

LIMIT_MS = const(40)
TICK_MS = const(20)  # an interrupt that lets a waiting processor look


def _tick(_timer):
    pass


class Patience(io.IOBase):
    """A terminal that ends reads which take longer than LIMIT_MS. `start` before each read, `close` after the last."""

    def __init__(self):
        self.started = time.ticks_ms()
        self.timer = Timer(-1, period=TICK_MS, mode=Timer.PERIODIC, callback=_tick)
        os.dupterm(self)

    def start(self):
        """From now on the time counts."""
        self.started = time.ticks_ms()

    def is_over(self):
        """Whether the time is over."""
        return time.ticks_diff(time.ticks_ms(), self.started) > LIMIT_MS

    def close(self):
        """Stop watching."""
        os.dupterm(None)
        self.timer.deinit()

    def readinto(self, buffer):
        """A zero once the time is over, nothing before."""
        if not self.is_over():
            return None
        buffer[0] = 0
        return 1

    def write(self, buffer):
        """What is printed goes to the port itself; here it is dropped."""
        return len(buffer)

    def ioctl(self, _request, _argument):
        """Never ready: who polls the port asks for its own bytes."""
        return 0
