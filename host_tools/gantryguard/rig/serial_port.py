"""The same console and gantry on real serial ports, in real time: for a board on the bench.

Only here is wall time used; nothing that runs through a port can be reproduced to the byte.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Protocol

import serial

from gantryguard.errors import UserError, cause
from gantryguard.profiles.profile import Profile
from gantryguard.rig.clock import Action, Agenda, Handle, S
from gantryguard.rig.console import SimulatedConsole
from gantryguard.rig.endpoint import Endpoint
from gantryguard.rig.gantry import SimulatedGantry
from gantryguard.rig.plan import ExamPlan
from gantryguard.rig.session import Timing
from gantryguard.rig.trust import TRUSTING, Trust
from interposer.core.package import P_BAUD

WAIT_S = 0.005  # longest wait for a byte: the grain of the clock's actions


class Port(Protocol):
    """What is needed of an open serial port."""

    @property
    def in_waiting(self) -> int: ...
    def read(self, size: int = 1) -> bytes: ...
    def write(self, data: bytes) -> int | None: ...
    def close(self) -> None: ...


class WallClock:
    """A `Clock` of real time that starts at 0; actions run when `run_due` is called."""

    def __init__(self) -> None:
        self._start_ns = time.monotonic_ns()
        self._agenda = Agenda()

    @property
    def now_ns(self) -> int:
        """Nanoseconds since the clock was made."""
        return time.monotonic_ns() - self._start_ns

    def call_at(self, t_ns: int, action: Action) -> Handle:
        """Run `action` once `t_ns` has passed."""
        return self._agenda.add(t_ns, action)

    def run_due(self) -> None:
        """Run every action whose time has come."""
        while (due_ns := self._agenda.next_ns()) is not None and due_ns <= self.now_ns:
            self._agenda.pop()()


def open_port(name: str, baud: int) -> Port:
    """Open a serial port for 8N1. Raises UserError (exit 6) if that fails."""
    try:
        port: Port = serial.Serial(name, baud, timeout=WAIT_S)
    except (OSError, ValueError) as error:
        remedy = "Check the name, the cable and your rights to the port."
        raise UserError(f"The port {name} cannot be opened ({cause(error)}).", remedy=remedy, exit_code=6) from error
    return port


def serve_gantry(
    port: str,
    profile: Profile,
    *,
    keep_on: Callable[[], bool] = lambda: True,
    trust: Trust = TRUSTING,
) -> SimulatedGantry:
    """Be the gantry on `port` while `keep_on()` holds; returns it with what it executed. UserError (exit 6)."""
    clock, line = WallClock(), open_port(port, profile.package.table("params")[P_BAUD])
    gantry = SimulatedGantry(clock, profile, line.write, trust=trust)
    with _failures_told(port), closing(line):
        gantry.start()
        _pump(line, clock, gantry.endpoint, keep_on)
        gantry.close()
    return gantry


def play_console(
    port: str,
    exams: Sequence[ExamPlan],
    profile: Profile,
    *,
    timing: Timing | None = None,
    limit_s: float = 3600,
) -> SimulatedConsole:
    """Be the console on `port` until all exams are played; returns it with outcomes and transcript. UserError (exit 6, 8)."""
    clock, line = WallClock(), open_port(port, profile.package.table("params")[P_BAUD])
    console = SimulatedConsole(clock, profile, line.write, exams, timing=timing)
    with _failures_told(port), closing(line):
        console.start()
        _pump(line, clock, console.endpoint, lambda: console.busy and clock.now_ns < limit_s * S)
    if console.busy:
        message = f"The exams did not end within {limit_s:g} s."
        raise UserError(message, remedy="Allow more time, or play fewer exams.", exit_code=8)
    console.session.close()
    return console


@contextmanager
def _failures_told(name: str) -> Iterator[None]:
    """A port that fails in use is an error that the user can mend."""
    try:
        yield
    except OSError as error:
        remedy = "Check the cable and try again."
        raise UserError(f"The port {name} failed ({error}).", remedy=remedy, exit_code=6) from error


def _pump(line: Port, clock: WallClock, endpoint: Endpoint, keep_on: Callable[[], bool]) -> None:
    """Bytes first, then what is due: a stall of this program must not look like a silence of the line."""
    while keep_on():
        for byte in line.read(max(1, line.in_waiting)):
            endpoint.on_byte(byte)
        clock.run_due()
