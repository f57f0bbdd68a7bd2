"""A device that shares nothing with CT, an invented contrast injector on a text link, behind the same firmware image.

Its frames are ASCII with a sum as check, its line runs at 9,600 baud, it has limits and a network of its own: data, not code.
"""

from __future__ import annotations

import pytest
from guard import Guard
from stage import Stage

from gantryguard.rig.clock import MS
from interposer.core import reasons
from interposer.core.package import P_HOLD_MS

PATIENT = {"weight_kg": 70, "agent": "iodine"}
LOAD = {"volume_ml": 80, "rate_ml_s": 2, "needle_mm": 0.8, "offset": 0}
KEY_MS = 500  # the key time of 300 ms, and what the guard needs to see the key

pytestmark = pytest.mark.forked


@pytest.fixture
def injector(stage: Stage, request: pytest.FixtureRequest) -> Stage:
    """The stage: the injector's package is loaded in the test's own fork."""
    assert request.node.get_closest_marker("forked")
    return stage


def begun(stage: Stage) -> Guard:
    """A guard for the injector that knows its patient."""
    guard = stage.load("injector")
    patient = guard.frame("patient", PATIENT)
    assert guard.send(patient) == patient
    return guard


def held(guard: Guard) -> bytes:
    """Give 80 ml, and have the next 80 held: 160 ml are more than 2 ml per kg. The held frame."""
    for command, values in (("load", LOAD), ("inject", {})):
        frame = guard.frame(command, values)
        assert guard.send(frame) == frame
    second = guard.frame("load", LOAD)
    assert guard.send(second) == b""
    assert guard.said() == [("waits", reasons.NOTIFICATION)]
    assert guard.pico.relay.closed
    return second


def proposal(guard: Guard) -> tuple[str, float]:
    """What the guard proposes within half a second."""
    guard.pico.run_for(500 * MS)
    slot, raw = guard.ask("status")["proposal"]
    name = guard.profile.slot_names[slot]
    return name, guard.profile.from_raw(name, raw)


def test_a_hold_is_explained_cancelled_and_the_proposal_passes(injector: Stage) -> None:
    guard = begun(injector)
    before = len(guard.pico.gantry_out.arrivals) + len(guard.frame("load", LOAD, step=0) + guard.frame("inject", step=0))
    second = held(guard)
    status = guard.ask("status")
    assert (status["package"], status["state"], status["reason"]) == ("injector", 1, reasons.NOTIFICATION)
    assert proposal(guard) == ("volume_ml", 60)
    guard.press("cancel", KEY_MS)
    assert guard.said()[-1] == ("denied", reasons.CANCELLED)
    better = guard.frame("load", LOAD | {"volume_ml": 60})
    assert guard.send(better) == better
    assert guard.pico.gantry_out.data[before:] == better
    assert second != better


def test_override_releases_the_very_bytes_once_and_the_limit_still_holds(injector: Stage) -> None:
    guard = begun(injector)
    second = held(guard)
    before = len(guard.pico.gantry_out.arrivals)
    guard.press("override", KEY_MS)
    guard.press("override", KEY_MS)
    assert guard.pico.gantry_out.data[before:] == second
    inject = guard.frame("inject")  # the limit holds for this command too
    assert guard.send(inject) == b""
    assert guard.said()[-1] == ("waits", reasons.NOTIFICATION)
    guard.press("override", KEY_MS)
    assert guard.pico.gantry_out.data[before:] == second + inject
    assert guard.ask("status")["released"] == 2


def test_nobody_decides_and_halt_passes(injector: Stage) -> None:
    guard = begun(injector)
    held(guard)
    before = len(guard.pico.gantry_out.arrivals)
    guard.pico.run_for((guard.profile.package.table("params")[P_HOLD_MS] + 100) * MS)
    assert guard.said()[-1] == ("denied", reasons.HOLD_TIMEOUT)
    assert not guard.pico.relay.closed
    guard.press("override", KEY_MS)
    halt = guard.frame("halt")
    assert guard.send(halt) == halt
    assert not guard.pico.relay.closed
    assert guard.pico.gantry_out.data[before:] == halt
    guard.press("cancel", KEY_MS)
    assert guard.pico.relay.closed
    patient = guard.frame("patient", PATIENT)
    assert guard.send(patient) == patient


def test_halt_ends_a_hold(injector: Stage) -> None:
    guard = begun(injector)
    second = held(guard)
    halt = guard.frame("halt")
    assert guard.send(halt) == halt
    assert guard.said()[-1] == ("denied", reasons.STOPPED)
    guard.press("override", KEY_MS)
    assert guard.pico.gantry_out.data.endswith(halt)
    assert guard.pico.gantry_out.data.count(second) == 1  # the first load had the same bytes


def test_limits_order_and_check(injector: Stage) -> None:
    guard = begun(injector)
    assert guard.send(guard.frame("inject")) == b""  # nothing is loaded: refused, nothing else
    assert guard.said()[-1] == ("denied", reasons.OUT_OF_SEQUENCE)
    assert guard.pico.relay.closed
    load = bytearray(guard.frame("load", LOAD))
    load[5] ^= 1
    assert guard.send(bytes(load), 150) == b""
    assert guard.ask("status")["bad_frames"] == {str(reasons.BAD_CHECK): 1}
    odd = guard.frame("load", LOAD | {"offset": 60})  # momentary
    assert guard.send(odd, 30) == b""
    assert not guard.pico.relay.closed
    guard.pico.run_for(200 * MS)
    assert guard.pico.relay.closed
    strong = guard.frame("load", LOAD | {"rate_ml_s": 10, "needle_mm": 0.5})
    assert guard.send(strong) == b""
    assert guard.said()[-1] == ("denied", reasons.ENVELOPE)
    assert not guard.pico.relay.closed
    rows = [row for row in guard.ask("events 0")["rows"] if row[1] == 1]
    assert guard.profile.slot_names[rows[-1][6]] == "rate_ml_s"
    assert guard.send(guard.frame("load", LOAD)) == b""
    halt = guard.frame("halt")
    assert guard.send(halt) == halt
    guard.press("cancel", KEY_MS)
    assert guard.pico.relay.closed


def test_its_network_is_asked(injector: Stage) -> None:
    """Its little network repeats its inputs saturated: a volume beyond its reach is abnormal."""
    guard = begun(injector)
    patient = guard.frame("patient", {"weight_kg": 400, "agent": "saline"})
    assert guard.send(patient) == patient
    load = guard.frame("load", LOAD | {"volume_ml": 290})
    through = guard.send(load)
    scores = [row[8:] for row in guard.ask("events 0")["rows"] if row[1] == 1]
    print(through, guard.said(), scores)
