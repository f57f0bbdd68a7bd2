"""No byte on the maintenance port leads to the REPL: not while the guard starts, runs, fails or starts again. A wire does."""

from __future__ import annotations

from pathlib import Path

import pytest
from guard import Guard
from test_audit_log_on_device import rest

from gantryguard.client import log as logs
from gantryguard.client.maintenance import Guard as Client
from gantryguard.profiles.profile import Profile
from gantryguard.rig import trace
from gantryguard.rig.board import load_board
from gantryguard.rig.clock import MS
from gantryguard.rig.pico import EmulatedPico
from interposer.core import reasons
from interposer.service.events import BOOT

PROOF = b"print(6*7)"
ANSWER = b"42"
PROMPTS = (b">>>", b"raw REPL", b"paste mode", b"Traceback", b"MicroPython v", ANSWER)
# What opens a REPL, or leaves whatever runs: interrupts, raw and friendly mode, soft reset, paste mode, the raw-paste request.
TRICKS = {
    "interrupts": b"\x03\x03\x03\r\n" + PROOF + b"\r\n",
    "raw REPL": b"\r\x03\x03\x01" + PROOF + b"\x04",
    "raw paste": b"\x03\x01\x05A\x01" + PROOF + b"\x04",
    "soft reset": b"\x03\x04\r\n" + PROOF + b"\r\n",
    "paste mode": b"\x03\x05" + PROOF + b"\x04",
    "friendly": b"\x02\x03\r\n" + PROOF + b"\r\n",
}
EVERY_MS = 2


def silent(guard: Guard) -> bool:
    """Whether nothing that a REPL says has come."""
    return not any(prompt in guard.pico.maintenance.data for prompt in PROMPTS)


def pester(guard: Guard, for_ms: int, data: bytes = b"\x03") -> None:
    """Send the same bytes again and again, from the moment that the port is there."""
    port, clock = guard.pico.maintenance, guard.pico.clock

    def send() -> None:
        if port.connected:
            port.send(data)

    for at_ms in range(0, for_ms, EVERY_MS):
        clock.call_at(guard.pico.now_ns + at_ms * MS, send)


@pytest.mark.forked
@pytest.mark.parametrize("trick", TRICKS)
def test_no_keystroke_stops_a_guard_that_runs(guard: Guard, trick: str) -> None:
    guard.pico.maintenance.send(TRICKS[trick])
    guard.pico.run_for(100 * MS)
    assert silent(guard)
    assert guard.pico.relay.closed
    assert guard.times(trace.RESET, 1) == guard.times(trace.RESET, 2) == []
    assert guard.send(alive := guard.frame("keep_alive")) == alive
    guard.exchange(b"\n" * 2 + b"status\n")  # ends whatever line the trick has begun
    assert guard.ask("status")["state"] == 0


def test_no_keystroke_catches_a_guard_that_cannot_start(micropython_uf2: Path, ct: Profile) -> None:
    guard = Guard(micropython_uf2, ct, usb=True, extra={"interposer/bridge.mpy": None})
    pester(guard, 2000, b"\x03" + PROOF + b"\r\n")
    assert guard.run_until(lambda: len(guard.times(trace.RESET, 2)) == 3, 2000)
    assert silent(guard)
    assert guard.times(trace.RELAY_DRIVE, 1) == []


def test_the_strap_gives_the_repl_and_without_it_no_keystroke_stops_a_start(micropython_uf2: Path, ct: Profile) -> None:
    """Once power comes with the strap in place, the relay open; afterwards the guard runs again, and its log tells of it."""
    guard = Guard(micropython_uf2, ct, usb=True)
    guard.pico.strap()
    assert guard.run_until(lambda: b">>>" in guard.pico.maintenance.data, 2000)
    guard.pico.maintenance.send(PROOF + b"\r\n")
    assert guard.run_until(lambda: ANSWER in guard.pico.maintenance.data, 100)
    assert guard.times(trace.RELAY_DRIVE, 1) == []
    assert guard.pico.lamp_red
    assert guard.pico.lamp_green
    assert guard.send(guard.frame("keep_alive")) == b""
    guard.pico = EmulatedPico(guard.pico.flash.content(), load_board(), baud=115200, usb=True)
    pester(guard, 1500)
    guard.boot()
    assert guard.pico.maintenance.connected
    assert silent(guard)
    assert guard.times(trace.RESET, 2) == []
    guard.pico.run_for(1500 * MS)  # until the last of them has come
    guard.pico.maintenance.send(b"\n")
    guard.pico.run_for(100 * MS)
    assert guard.send(alive := guard.frame("keep_alive")) == alive
    rest(guard)
    log = logs.fetch(Client(guard), lambda _done: None)
    boots = [record.values["reason"] for record in log.records() if record.values["kind"] == BOOT]
    assert boots == [reasons.SERVICE, reasons.NONE]


@pytest.mark.forked
def test_the_strap_counts_only_when_power_comes(guard: Guard) -> None:
    """Neither while the guard runs nor at a reset of its own."""
    guard.pico.strap()
    guard.pico.run_for(50 * MS)
    assert guard.pico.relay.closed
    guard.pico.maintenance.send(PROOF + b"\r\n")
    guard.pico.run_for(50 * MS)
    assert silent(guard)
