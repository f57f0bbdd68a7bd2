"""Exceptions in every callback, hangs and resets: the relay opens within a millisecond, and the next start tells why."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults import CALLBACKS, KINDS, NO_FAULT, patch, provoke
from guard import OPEN_WITHIN_NS, Guard
from test_audit_log_on_device import rest

from gantryguard.client import log as logs
from gantryguard.client.maintenance import Guard as Client
from gantryguard.profiles.profile import Profile
from gantryguard.rig import trace
from gantryguard.rig.clock import MS
from interposer.core import reasons
from interposer.core.journal import LOST
from interposer.service.events import BOOT

RESTART_NS = 4000 * MS  # boot, and the answer to what was asked meanwhile


@pytest.fixture(scope="module")
def faulty(micropython_uf2: Path, ct: Profile) -> Guard:
    """A guard in which every callback can be made to fail; which one does is chosen by a frame's sequence number."""
    return Guard(micropython_uf2, ct, patch=patch(), usb=True).boot()


def fail(guard: Guard, number: int) -> tuple[int, int]:
    """Provoke fault `number`; times of the fault and of the open contact."""
    provoke(guard, number)
    assert guard.run_until(lambda: not guard.pico.relay.closed, 2500), "the fault never came"
    opened = guard.times(trace.CONTACT, 0)[-1]
    return guard.verdicts[-1], opened


@pytest.mark.forked
@pytest.mark.parametrize("number", range(len(CALLBACKS)), ids=CALLBACKS)
def test_an_exception_anywhere_opens_the_relay(faulty: Guard, number: int) -> None:
    raised, opened = fail(faulty, number)
    print(f"open after {(opened - raised) / 1000:.0f} us")
    assert opened - raised <= OPEN_WITHIN_NS
    assert faulty.run_until(lambda: bool(faulty.times(trace.RESET, 2)), 100), "the guard went on"
    left = len(faulty.pico.gantry_out.arrivals)
    faulty.pico.run_for(20 * MS)
    assert len(faulty.pico.gantry_out.arrivals) == left
    assert faulty.times(trace.CONTACT, 1)[-1] < opened


@pytest.mark.forked
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_raised_opens_the_relay(faulty: Guard, kind: str) -> None:
    raised, opened = fail(faulty, len(CALLBACKS) + list(KINDS).index(kind))
    assert opened - raised <= OPEN_WITHIN_NS
    assert faulty.run_until(lambda: bool(faulty.times(trace.RESET, 2)), 100), "the guard went on"


@pytest.mark.forked
def test_a_crash_must_be_acknowledged(faulty: Guard) -> None:
    """And it is in the log, with how much was not written before it."""
    assert told_after(faulty, len(CALLBACKS) + list(KINDS).index("ZeroDivisionError")) == "ZeroDivi"
    must_be_acknowledged(faulty)
    rest(faulty)
    records = [record.values for record in logs.fetch(Client(faulty), lambda _done: None).records()]
    boot = next(values for values in records if values["boot"] == 2 and values["kind"] == BOOT)
    assert boot["reason"] == reasons.CRASH
    assert any(values["kind"] == LOST and values["extra"] > 0 for values in records)


@pytest.mark.forked
def test_a_crash_is_told_wherever_it_happened(faulty: Guard) -> None:
    """Also in the maintenance port's turn, the only one in which the heap is not locked."""
    assert told_after(faulty, CALLBACKS.index("service.status.Status._running")) == "ValueErr"


def told_after(guard: Guard, number: int) -> str:
    """Provoke fault `number`; the exception's name that the guard tells after its restart, blocking."""
    fail(guard, number)
    assert guard.run_until(lambda: bool(guard.times(trace.RESET, 2)), 100)
    guard.pico.run_for(RESTART_NS)
    status = guard.ask("status")
    assert (status["last_reset"], status["state"]) == (reasons.CRASH, 2)
    return str(status["crash"])


@pytest.mark.forked
def test_a_hang_is_ended_by_the_watchdog(faulty: Guard) -> None:
    provoke(faulty, len(CALLBACKS) + len(KINDS))
    assert faulty.run_until(lambda: bool(faulty.times(trace.RESET, 1)), 3000), "the watchdog never came"
    reset = faulty.times(trace.RESET, 1)[0]
    faulty.pico.run_for(RESTART_NS)
    assert faulty.times(trace.CONTACT, 0)[0] - reset <= OPEN_WITHIN_NS
    status = faulty.ask("status")
    assert (status["last_reset"], status["crash"], status["state"]) == (reasons.WATCHDOG, "", 2)
    must_be_acknowledged(faulty)


def must_be_acknowledged(guard: Guard) -> None:
    """After a crash nothing passes until CANCEL is pressed at the device."""
    guard.sequence = NO_FAULT
    assert not guard.pico.relay.closed
    assert guard.send(guard.frame("keep_alive")) == b""
    guard.press("override", 700)
    assert not guard.pico.relay.closed
    guard.press("cancel", 700)
    assert guard.pico.relay.closed
    assert guard.send(alive := guard.frame("keep_alive")) == alive


@pytest.mark.parametrize("lacking", ["interposer/bridge.mpy", "archive.mpy"])
def test_a_guard_that_cannot_start_never_closes_the_relay(micropython_uf2: Path, ct: Profile, lacking: str) -> None:
    """It starts again and again instead, and the REPL is never reached."""
    guard = Guard(micropython_uf2, ct, extra={lacking: None})
    assert guard.run_until(lambda: len(guard.times(trace.RESET, 2)) == 2, 2000)
    assert guard.times(trace.RELAY_DRIVE, 1) == []


@pytest.mark.forked
def test_a_reset_opens_the_relay(guard: Guard) -> None:
    at = guard.pico.now_ns
    guard.pico.reset()
    guard.pico.run_for(50 * MS)
    assert guard.times(trace.CONTACT, 0)[-1] - at <= OPEN_WITHIN_NS
    assert guard.times(trace.CONTACT, 1)[-1] < at
