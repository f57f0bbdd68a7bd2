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
KEY_MS = 400

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


def test_pass_hold_override_cancel_and_time_out(injector: Stage) -> None:
    guard = begun(injector)
    for command, values in (("load", LOAD), ("inject", {})):
        frame = guard.frame(command, values)
        assert guard.send(frame) == frame
    second = guard.frame("load", LOAD)  # 160 ml are more than 2 ml per kg
    assert guard.send(second) == b""
    assert guard.said() == [("waits", reasons.NOTIFICATION)]
    status = guard.ask("status")
    assert (status["package"], status["state"]) == ("injector", 1)
    assert status["proposal"] == [guard.profile.slot("volume_ml"), guard.profile.to_raw("volume_ml", 60)]
    before = len(guard.pico.gantry_out.arrivals)
    guard.press("override", KEY_MS)
    assert guard.pico.gantry_out.data[before:] == second

    third = guard.frame("inject")  # the limit holds for this command too
    assert guard.send(third) == b""
    guard.press("cancel", KEY_MS)
    assert guard.said()[-1] == ("denied", reasons.CANCELLED)
    assert guard.send(third) == b""
    guard.pico.run_for((guard.profile.package.table("params")[P_HOLD_MS] + 100) * MS)
    assert guard.said()[-1] == ("denied", reasons.HOLD_TIMEOUT)
    assert not guard.pico.relay.closed
    halt = guard.frame("halt")
    assert guard.send(halt) == halt
    assert not guard.pico.relay.closed
    assert guard.pico.gantry_out.data[before:] == second + halt


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
