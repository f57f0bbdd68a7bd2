"""An emulated interposer as if it lay on the table: its three ports are terminals of this machine, its time is real time.

The device's own clock never runs ahead of the wall clock; where this machine is too slow it falls behind, and says so.
"""

from __future__ import annotations

import os
import time
import tty
from collections.abc import Callable

from gantryguard.rig.clock import MS, S
from gantryguard.rig.pico import EmulatedPico

SLICE_NS = 5 * MS
READ_BYTES = 4096
LATE_NS = S


class Terminal:
    """One end of a pseudo-terminal that another program can open by `name` like a serial port."""

    def __init__(self) -> None:
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.name = os.ttyname(self._theirs)

    def read(self) -> bytes:
        """What the other program has written."""
        try:
            return os.read(self._ours, READ_BYTES)
        except BlockingIOError:
            return b""

    def write(self, data: bytes) -> None:
        """Hand bytes to the other program; like a wire, what nobody reads is lost."""
        try:
            os.write(self._ours, data)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Close both ends."""
        os.close(self._ours)
        os.close(self._theirs)


class ServedPico:
    """Joins an emulated Pico to three terminals: `console`, `gantry` and `maintenance`."""

    def __init__(self, pico: EmulatedPico) -> None:
        self._pico = pico
        self.console, self.gantry, self.maintenance = Terminal(), Terminal(), Terminal()
        pico.console_out.deliver = lambda byte, _flags: self.console.write(bytes((byte,)))
        pico.gantry_out.deliver = lambda byte, _flags: self.gantry.write(bytes((byte,)))
        pico.maintenance.on_data = self.maintenance.write

    def serve(self, keep_on: Callable[[], bool], say: Callable[[str], None]) -> None:
        """Run in real time while `keep_on()` holds."""
        pico = self._pico
        start_ns = time.monotonic_ns() - pico.now_ns
        while keep_on():
            pico.console_in.send(self.console.read())
            pico.gantry_in.send(self.gantry.read())
            if request := self.maintenance.read():
                pico.maintenance.send(request)
            pico.run_for(SLICE_NS)
            ahead_ns = pico.now_ns - (time.monotonic_ns() - start_ns)
            if ahead_ns > 0:
                time.sleep(ahead_ns / S)
            elif ahead_ns < -LATE_NS:
                say(f"this machine is {-ahead_ns / S:.1f} s behind; going on from here")
                start_ns -= ahead_ns

    def close(self) -> None:
        """Close all terminals."""
        for terminal in (self.console, self.gantry, self.maintenance):
            terminal.close()
