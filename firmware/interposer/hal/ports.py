"""The two serial ports of the link."""

import time

from machine import UART, Pin

from interposer.core.compat import const, elapsed, micropython
from interposer.hal import board_record as board

RECEIVE_BYTES = const(2048)
SEND_BYTES = const(1024)
CHUNK_BYTES = const(128)
BITS_PER_BYTE = const(10)
LONGEST_PAUSE_US = const(5000)


class Port:
    """One UART with what the guard needs of it; nothing allocates after construction."""

    def __init__(self, number, tx, rx, baud, gap_ms):
        self.uart = UART(number, baud, tx=Pin(tx), rx=Pin(rx), rxbuf=RECEIVE_BYTES, txbuf=SEND_BYTES, timeout=0)
        self.chunk = bytearray(CHUNK_BYTES)
        self.byte_us = BITS_PER_BYTE * 1000000 // baud
        self.busy_until = time.ticks_us()
        self.gap_ms = gap_ms
        self.seen = self.seen_at = self.missing = 0
        self.is_over = False

    @micropython.native
    def take(self, wanted, now):
        """Read what has arrived, at most a chunk, into `chunk`; returns how many bytes, -1 where bytes were lost.

        0 while fewer than `wanted` bytes are there and the line has not been quiet for the gap: `missing` more are awaited.
        `is_over` tells that it has been: no frame goes on behind these bytes.
        """
        waiting = self.uart.any()
        if waiting != self.seen:
            self.seen = waiting
            self.seen_at = now
        self.missing = 0
        if not waiting:
            return 0
        if waiting >= RECEIVE_BYTES - 1:
            self._drain()
            return -1
        if waiting < wanted and elapsed(now, self.seen_at) < self.gap_ms:
            self.missing = wanted - waiting
            return 0
        self.is_over = waiting < wanted
        taken = self.uart.readinto(self.chunk, min(waiting, CHUNK_BYTES)) or 0
        self.seen -= taken
        return taken

    @micropython.native
    def missing_us(self):
        """Time that the awaited bytes need on the line, LONGEST_PAUSE_US at most; 0 where none are awaited."""
        return min(self.missing * self.byte_us, LONGEST_PAUSE_US)

    def _drain(self):
        while self.uart.any():
            self.uart.readinto(self.chunk, min(self.uart.any(), CHUNK_BYTES))
        self.seen = 0

    @micropython.native
    def send(self, buffer, start, count):
        """Send bytes; returns how many were taken."""
        return self.uart.write(buffer, start, count)  # type: ignore[call-arg]  # the stub lacks this form

    @micropython.native
    def queue(self, buffer, start, count):
        """As `send`, and `has_room` will know of it."""
        now = time.ticks_us()
        if time.ticks_diff(self.busy_until, now) < 0:
            self.busy_until = now
        self.busy_until = time.ticks_add(self.busy_until, count * self.byte_us)
        return self.uart.write(buffer, start, count)  # type: ignore[call-arg]  # as above

    def has_room(self, count):
        """Whether `count` bytes surely fit into what is waiting to be sent.

        A wait longer than the whole buffer takes is none: the port has been idle for half a turn of the clock.
        """
        waiting = time.ticks_diff(self.busy_until, time.ticks_us())
        return waiting < (SEND_BYTES - count - 1) * self.byte_us or waiting > SEND_BYTES * self.byte_us

    def finish(self):
        """Wait until every queued byte has left."""
        while not self.uart.txdone():
            pass


def open_ports(baud, gap_ms):
    """(console, gantry) ports of this board."""
    console = Port(board.CONSOLE_UART, board.CONSOLE_TX, board.CONSOLE_RX, baud, gap_ms)
    return console, Port(board.GANTRY_UART, board.GANTRY_TX, board.GANTRY_RX, baud, gap_ms)
