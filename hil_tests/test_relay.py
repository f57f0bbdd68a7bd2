"""A relay whose contact does not follow its coil is a fault that only a reset ends."""

from __future__ import annotations

import pytest
from guard import Guard
from stage import Stage

from gantryguard.rig.clock import MS
from interposer.core import reasons


@pytest.mark.forked
@pytest.mark.parametrize("closed", [True, False], ids=["welded", "broken"])
def test_a_relay_that_does_not_obey_is_a_latched_fault(guard: Guard, closed: bool) -> None:
    guard.pico.relay.jam(closed)
    if closed:
        guard.send(guard.frame("keep_alive") + guard.frame("keep_alive", step=100))  # stale: a block, so that it must open
    guard.pico.run_for(300 * MS)
    status = guard.ask("status")
    assert (status["state"], status["reason"]) == (3, reasons.RELAY_FAULT)
    assert guard.send(guard.frame("keep_alive")) == b""
    assert guard.said()[-1] == ("refuse", reasons.RELAY_FAULT)
    stop = guard.frame("stop")
    assert guard.send(stop) == (stop if closed else b"")
    guard.pico.relay.free()
    guard.pico.run_for(300 * MS)
    guard.press("cancel", 700)
    assert guard.ask("status")["state"] == 3
    assert not guard.pico.relay.closed
    assert guard.send(guard.frame("keep_alive")) == b""


@pytest.mark.forked
@pytest.mark.parametrize("closed", [True, False], ids=["welded", "broken"])
def test_a_relay_that_does_not_obey_at_the_start_is_a_fault(stage: Stage, closed: bool) -> None:
    guard = stage.choose("ct")
    guard.pico.relay.jam(closed)
    guard.pico.run_for(800 * MS)
    assert guard.ask("status")["reason"] == reasons.RELAY_FAULT
    assert guard.send(guard.frame("keep_alive")) == b""
