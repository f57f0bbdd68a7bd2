"""A serial cable, one `Line` per direction: bytes arrive at the pace of the baud rate, never faster.

A `contact` in the line (the guard's relay) passes a byte only if it is closed at the byte's start and end. It
takes milliseconds to move and a byte lasts microseconds, so that it cannot open and close within one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from gantryguard.rig.clock import Clock, Handle

BITS_PER_BYTE = 10
FRAMING = 0x100  # the receiver's error flags, as the PL011 tags a character in its data register
PARITY = 0x200
BREAK = 0x400

Deliver = Callable[[int, int], None]
Watch = Callable[[int, bool], None]


class Arrival(NamedTuple):
    """One byte at the far end, at the end of its stop bit."""

    t_ns: int
    byte: int


def byte_time_ns(baud: int) -> int:
    """Duration of a byte of 8N1 in nanoseconds, rounded up so that no line is ever too fast."""
    return -(-BITS_PER_BYTE * 1_000_000_000 // baud)


class Line:
    """One direction of a serial cable.

    `deliver(byte, flags)` is called at each arrival (flags: 0 or FRAMING, PARITY, BREAK). `faults` maps the
    position of a byte (counted from 0 over the line's life, lost bytes included) to flags to arrive with.
    `watch(byte, arrived)` is for recorders: it is called before `deliver`, and for lost bytes too. `begin(byte)` is called at
    the falling edge of each start bit.
    """

    def __init__(
        self,
        clock: Clock,
        baud: int,
        deliver: Deliver | None = None,
        contact: Callable[[], bool] | None = None,
    ) -> None:
        self.baud = baud
        self.deliver = deliver
        self.contact = contact
        self.watch: Watch | None = None
        self.begin: Callable[[int], None] | None = None
        self.arrivals: list[Arrival] = []
        self.faults: dict[int, int] = {}
        self.sent = 0
        self.lost = 0
        self._clock = clock
        self._queue: deque[tuple[int, int]] = deque()
        self._busy = False
        self._flight: Handle | None = None

    @property
    def idle(self) -> bool:
        """True if no byte is on the wire or waiting."""
        return not self._busy

    @property
    def data(self) -> bytes:
        """Everything that has arrived."""
        return bytes(arrival.byte for arrival in self.arrivals)

    def send(self, data: bytes, flags: int = 0) -> None:
        """Queue `data`; it goes back to back behind what is already waiting."""
        self._queue.extend((byte, flags) for byte in data)
        if not self._busy:
            self._next()

    def clear(self) -> None:
        """Forget what waits; the byte on the wire still arrives."""
        self._queue.clear()

    def carry(self, byte: int, duration_ns: int, flags: int = 0) -> None:
        """Put one byte on the wire now, paced by the caller (a transmitter that keeps its own time).

        The caller starts no byte before the last one has arrived.
        """
        flags |= self.faults.pop(self.sent, 0)
        self.sent += 1
        if self.begin is not None:
            self.begin(byte)
        whole = self.closed
        end_ns = self._clock.now_ns + duration_ns
        self._flight = self._clock.call_at(end_ns, lambda: self.arrive(byte, flags, whole))

    def abort(self) -> None:
        """The transmitter fails in the middle of a byte: that byte and all that wait are lost."""
        self._queue.clear()
        if self._flight is not None:
            self._flight.cancel()
            self._flight = None
            self.lost += 1

    @property
    def closed(self) -> bool:
        """Whether the contact in the line, if there is one, is closed now."""
        return self.contact is None or self.contact()

    def _next(self) -> None:
        self._busy = bool(self._queue)
        if not self._busy:
            return
        byte, flags = self._queue.popleft()
        duration_ns = byte_time_ns(self.baud)
        self.carry(byte, duration_ns, flags)
        self._clock.call_at(self._clock.now_ns + duration_ns, self._next)

    def arrive(self, byte: int, flags: int, whole: bool) -> None:
        """A byte ends now, as the receiver read it; `whole`: the contact was closed when it began."""
        self._flight = None
        arrived = whole and self.closed
        if self.watch is not None:
            self.watch(byte, arrived)
        if not arrived:
            self.lost += 1
            return
        self.arrivals.append(Arrival(self._clock.now_ns, byte))
        if self.deliver is not None:
            self.deliver(byte, flags)
