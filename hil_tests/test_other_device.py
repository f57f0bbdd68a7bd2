"""A device that shares nothing with CT, an invented contrast injector on a text link, behind the same firmware image.

Its frames are ASCII with a sum as check, its line runs at 9,600 baud, it has limits and a network of its own: data, not code.
"""

from __future__ import annotations

import pytest
from guard import Guard
from stage import Stage

from gantryguard.rig.clock import MS
from interposer.core import reasons

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
