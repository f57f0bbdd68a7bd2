"""The maintenance port tells what happened, and nothing that its host does reaches the link."""

from __future__ import annotations

from functools import partial

import pytest
from guard import Guard
from test_traffic import verdict_times_us

from gantryguard.client.maintenance import Guard as Client
from gantryguard.rig import cases
from gantryguard.rig.clock import MS, US
from interposer.core import reasons

MOST_BUFFERED = 64  # the one packet that the device had already handed over
LATE_US = 50_000  # while an answer is being written, collection of its garbage included

pytestmark = pytest.mark.forked


def happened(guard: Guard, kind: str) -> list[dict[str, int]]:
    """Events of one kind, through the client."""
    return [event for event in Client(guard).events(0) if event["kind"] == kind]


def limit_name(guard: Guard, line: int) -> str:
    """Name of the limit that an event points at: a line of the names that the device itself keeps."""
    return Client(guard).names().split("\n")[line].split("\t")[1]


def test_a_network_tells_score_threshold_and_a_better_value(guard: Guard) -> None:
    context = guard.frame("exam_context", cases.ADULT)
    assert guard.send(context) == context
    assert guard.send(guard.frame("scan_parameters", cases.abdomen(kvp=140, ma=500).parameters)) == b""
    (verdict,) = happened(guard, "verdict")
    assert verdict["reason"] == reasons.ABNORMAL_FOR_CONTEXT
    assert verdict["extra"] > verdict["threshold"] > 0
    (proposal,) = happened(guard, "proposal")
    field = guard.profile.slot_names[proposal["blamed"]]
    assert field == guard.profile.slot_names[verdict["blamed"]]
    better = cases.abdomen(**{"kvp": 140, "ma": 500, field: guard.profile.from_raw(field, proposal["value"])}).parameters
    guard.press("cancel", 700)
    frame = guard.frame("scan_parameters", better)
    assert guard.send(frame) == frame


def test_bad_frames_are_counted_by_reason(guard: Guard) -> None:
    frame = guard.frame("keep_alive")
    damaged = frame[:-1] + bytes((frame[-1] ^ 1,))
    guard.send(damaged * 3, 60)
    guard.send(b"\x00\x01\x02" + frame, 60)
    guard.send(guard.frame("keep_alive")[:-2], 100)
    bad = Client(guard).status()["bad_frames"]
    assert bad == {str(reasons.BAD_CHECK): 3, str(reasons.STRAY_BYTES): 1, str(reasons.INCOMPLETE): 1}
    assert sum(event["extra"] for event in happened(guard, "bad_frame")) >= 3


# ---- hosts that misbehave


def carried(guard: Guard, count: int = 40, each_us: int = 17_300) -> float:
    """Send keep-alives at their pace; all have to pass. The worst time of a verdict in us."""
    frames = [guard.frame("keep_alive") for _ in range(count)]
    before = len(guard.pico.gantry_out.arrivals)
    for number, frame in enumerate(frames):
        guard.pico.clock.call_at(guard.pico.now_ns + number * each_us * US, partial(guard.pico.console_in.send, frame))
    guard.pico.run_for(count * each_us * US + 100 * MS)
    assert guard.pico.gantry_out.data[before:] == b"".join(frames)
    assert guard.pico.relay.closed
    return max(verdict_times_us(guard, count))


@pytest.mark.parametrize("request_line", ["status", "events 0", "events 99999999999999999999999", "\x03\x04\x01", "status x"])
def test_many_requests_do_not_reach_the_link(guard: Guard, request_line: str) -> None:
    guard.pico.maintenance.send((request_line + "\n").encode() * 20)
    assert carried(guard) <= LATE_US


def test_a_host_that_never_reads_does_not_reach_the_link(guard: Guard) -> None:
    guard.deafen_host()
    guard.pico.maintenance.send(b"x\nx\nstatus\nevents 0\n" * 5)  # two short answers first: no piece fits evenly
    assert carried(guard) <= LATE_US
    assert len(guard.pico.maintenance.data) <= MOST_BUFFERED, "the host did read"
