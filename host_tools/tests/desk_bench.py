"""The guard on the desk (`desk.py`) between two cables: fast runs of whole scenarios without an emulated chip.

The bridge takes a turn 100 us after bytes have come, and every 20 ms; relay and keys act at once.
"""

from __future__ import annotations

from collections.abc import Callable

from desk import Desk, DeskPort, DeskRelay

from gantryguard.profiles.profile import Profile
from gantryguard.rig.cable import Line
from gantryguard.rig.clock import MS, US, EventClock
from gantryguard.rig.trace import CONTACT, Trace
from interposer.core.package import P_BAUD

TURN_NS = 100 * US
IDLE_NS = 20 * MS


class DeskBench:
    """A bench with the firmware's own bridge in the middle."""

    def __init__(self, profile: Profile) -> None:
        baud = profile.package.table("params")[P_BAUD]
        self.clock = EventClock()
        self.trace = Trace(self.clock)
        self._desk = Desk(profile)
        self._turn_due = False
        self.console_in = self._line_in(baud, self._desk.console)
        self.gantry_in = self._line_in(baud, self._desk.gantry)
        self.console_out, self.gantry_out = Line(self.clock, baud), Line(self.clock, baud)
        self._tick()

    def _line_in(self, baud: int, port: DeskPort) -> Line:
        def deliver(byte: int, _flags: int) -> None:
            port.arrive(bytes((byte,)))
            if not self._turn_due:
                self._turn_due = True
                self.clock.call_at(self.clock.now_ns + TURN_NS, self._turn)

        return Line(self.clock, baud, deliver)

    @property
    def relay(self) -> DeskRelay:
        return self._desk.relay

    def press(self, key: str) -> None:
        self._desk.keys.set(**{key: True})

    def release(self, key: str) -> None:
        self._desk.keys.set(**{key: False})

    def run_for(self, duration_ns: int) -> None:
        self.clock.run_for(duration_ns)

    def run_while(self, wanted: Callable[[], bool], limit_ns: int) -> bool:
        return self.clock.run_while(wanted, limit_ns)

    def _tick(self) -> None:
        self._turn()
        self.clock.call_at(self.clock.now_ns + IDLE_NS, self._tick)

    def _turn(self) -> None:
        self._turn_due = False
        desk, closed = self._desk, self._desk.relay.closed
        desk.now = self.clock.now_ns // MS
        desk.step()
        for port, line in ((desk.console, self.console_out), (desk.gantry, self.gantry_out)):
            line.send(b"".join(port.left))
            port.left.clear()
        if desk.relay.closed != closed:
            self.trace.add(CONTACT, int(desk.relay.closed))
