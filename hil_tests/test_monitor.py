"""Monitor mode on the device: every verdict is computed, told and shown, and every intact frame passes."""

from __future__ import annotations

import pytest
from guard import Guard
from stage import Stage

from gantryguard.rig import cases, trace
from gantryguard.rig.clock import MS
from interposer.core import reasons
from interposer.core.package import MONITOR

HELD = cases.abdomen(kvp=140, ma=560, rotation_s=0.8, pitch=0.8, scan_length_mm=460).parameters


def stream_of(guard: Guard) -> list[bytes]:
    """Frames that in enforce mode would be passed, held, blocked for a limit, for their order, for their number."""
    return [
        guard.frame("exam_context", cases.VERY_OBESE),
        guard.frame("scan_parameters", HELD),
        guard.frame("scan_parameters", cases.abdomen(kvp=133).parameters),
        guard.frame("expose", {"series": 1}),
        guard.frame("keep_alive", step=100),
        guard.frame("stop"),
        guard.frame("keep_alive"),
    ]


@pytest.mark.forked
def test_everything_intact_passes_and_is_shown(stage: Stage) -> None:
    guard = stage.load("monitor")
    for frame in stream_of(guard):
        assert guard.send(frame) == frame
    damaged = bytearray(guard.frame("keep_alive"))
    damaged[-1] ^= 1
    assert guard.send(bytes(damaged)) == b""
    assert guard.times(trace.RELAY_DRIVE, 0) == []
    assert guard.replies() == []
    guard.pico.run_for(1200 * MS)
    assert len(guard.times(trace.LAMP_GREEN, 0)) >= 1, "the green lamp does not flash"
    status = guard.ask("status")
    assert status["mode"] == MONITOR
    passed, held, blocked = status["verdicts"]
    assert (passed + held + blocked, held) == (7, 1)
    assert blocked >= 3
    told = {int(code) for code in status["reasons"]}
    assert {reasons.NOTIFICATION, reasons.ENVELOPE, reasons.OUT_OF_SEQUENCE, reasons.STALE} <= told
    assert status["bad_frames"] == {str(reasons.BAD_CHECK): 1}
    verdicts = [row for row in guard.ask("events 0")["rows"] if row[1] == 1]
    assert len(verdicts) == held + blocked
