"""The maintenance port tells what happened, and nothing that its host does reaches the link."""

from __future__ import annotations

import random
from functools import partial

import pytest
from guard import Guard
from test_holds import BLOCKING, HELD, HOLDING, PASSING, hold
from test_traffic import verdict_times_us

from gantryguard.client.maintenance import Guard as Client
from gantryguard.rig import cases
from gantryguard.rig.clock import MS, US
from interposer.core import reasons
from interposer.core.reasons import BLOCK, HOLD
from interposer.service.events import EVENTS

MOST_BUFFERED = 64  # the one packet that the device had already handed over
USUAL_ROTATION_S = (0.5, 0.6)  # of 98 in 100 generated scans of the abdomen
LATE_US = 50_000  # while an answer is being written, collection of its garbage included

pytestmark = pytest.mark.forked


def happened(guard: Guard, kind: str) -> list[dict[str, int]]:
    """Events of one kind, through the client."""
    return [event for event in Client(guard).events(0) if event["kind"] == kind]


def limit_name(guard: Guard, line: int) -> str:
    """Name of the limit that an event points at: a line of the names that the device itself keeps."""
    return Client(guard).names().split("\n")[line].split("\t")[1]


def proposed(guard: Guard) -> tuple[str, float]:
    """Field and value that the guard proposes, within half a second, in status and event alike."""
    guard.pico.run_for(500 * MS)
    (proposal,) = happened(guard, "proposal")
    field = guard.profile.slot_names[proposal["blamed"]]
    assert guard.profile.command_names[proposal["command"]] == "scan_parameters"
    assert Client(guard).status()["proposal"] == [proposal["blamed"], proposal["value"]]
    return field, guard.profile.from_raw(field, proposal["value"])


def test_a_held_command_is_explained(guard: Guard) -> None:
    """Reason, blamed field with its value, the limit by name, and a proposal that passes once the held one is cancelled."""
    hold(guard)
    profile = guard.profile
    status = Client(guard).status()
    assert (status["state"], status["reason"]) == (HOLDING, reasons.NOTIFICATION)
    assert status["reasons"] == {str(reasons.NOTIFICATION): 1}
    (verdict,) = happened(guard, "verdict")
    assert (verdict["verdict"], verdict["reason"]) == (HOLD, reasons.NOTIFICATION)
    assert profile.command_names[verdict["command"]] == "scan_parameters"
    assert profile.slot_names[verdict["blamed"]] == "ma"
    assert profile.from_raw("ma", verdict["value"]) == HELD.parameters["ma"]
    assert limit_name(guard, verdict["extra"]) == "notification adult torso"
    field, ma = proposed(guard)
    assert field == "ma"
    better = cases.abdomen(kvp=140, ma=ma, rotation_s=0.8, pitch=0.8, scan_length_mm=460).parameters
    assert 0.7 * 50 < better["ctdivol_mgy"] < 0.97 * 50  # what is usual for such a patient, not just what passes
    guard.press("cancel", 700)
    frame = guard.frame("scan_parameters", better)
    assert guard.send(frame) == frame
    assert [event["extra"] for event in happened(guard, "state")] == [PASSING, HOLDING, PASSING]


def test_a_network_tells_score_and_threshold_and_what_would_pass(guard: Guard) -> None:
    context = guard.frame("exam_context", cases.ADULT)
    assert guard.send(context) == context
    assert guard.send(guard.frame("scan_parameters", cases.abdomen(**cases.SLOW).parameters)) == b""
    (verdict,) = happened(guard, "verdict")
    assert verdict["reason"] == reasons.ABNORMAL_FOR_CONTEXT
    assert verdict["extra"] > verdict["threshold"] > 0
    field, rotation_s = proposed(guard)
    assert field == "rotation_s"
    assert USUAL_ROTATION_S[0] <= rotation_s <= USUAL_ROTATION_S[1] < cases.SLOW["rotation_s"]
    guard.press("cancel", 700)
    frame = guard.frame("scan_parameters", cases.abdomen(**cases.SLOW | {"rotation_s": rotation_s}).parameters)
    assert guard.send(frame) == frame


def test_a_blocked_command_is_explained(guard: Guard) -> None:
    """The proposal stays to be read while the guard blocks, and passes after the acknowledgement."""
    context = guard.frame("exam_context", cases.ADULT)
    assert guard.send(context) == context
    assert guard.send(guard.frame("scan_parameters", cases.abdomen(kvp=133).parameters)) == b""
    assert guard.send(guard.frame("keep_alive")) == b""
    status = Client(guard).status()
    assert (status["state"], status["reason"]) == (BLOCKING, reasons.ENVELOPE)
    assert (status["relay_closed"], status["relay_agrees"]) == (False, True)
    verdict = happened(guard, "verdict")[0]
    assert (verdict["verdict"], verdict["reason"], verdict["value"]) == (BLOCK, reasons.ENVELOPE, 133)
    assert guard.profile.slot_names[verdict["blamed"]] == "kvp"
    assert limit_name(guard, verdict["extra"]) == "kVp is a station"
    field, kvp = proposed(guard)
    assert (field, kvp in (120, 140)) == ("kvp", True)
    guard.press("cancel", 700)
    frame = guard.frame("scan_parameters", cases.abdomen(kvp=kvp).parameters)
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


def comes_to_rest(guard: Guard) -> bool:
    """Whether the device has read and answered everything that its host has sent, within half a minute."""
    port = guard.pico.maintenance
    for _ in range(60):
        before = port.waiting, len(port.data)
        guard.pico.run_for(500 * MS)  # long enough for what the device keeps of it in its own buffer
        if before == (0, len(port.data)):
            return True
    return False


def test_garbage_and_long_lines_do_not_reach_the_link(guard: Guard) -> None:
    """Nor do they the request behind them."""
    dice = random.Random(11)
    guard.pico.maintenance.send(bytes(dice.randrange(256) for _ in range(1500)) + b"x" * 1500)
    assert carried(guard) <= LATE_US
    guard.pico.maintenance.send(b"\n")
    assert comes_to_rest(guard)
    status = guard.ask("status")
    assert (status["verdicts"][0], status["state"], status["bad_frames"]) == (40, PASSING, {})


@pytest.mark.parametrize(
    "request_line", ["status", "events 0", "names", "events 99999999999999999999999", "\x03\x04\x01", "status x"]
)
def test_many_requests_do_not_reach_the_link(guard: Guard, request_line: str) -> None:
    guard.pico.maintenance.send((request_line + "\n").encode() * 20)
    assert carried(guard) <= LATE_US


def test_a_long_history_does_not_reach_the_link(guard: Guard) -> None:
    """Every event that the guard keeps, asked for while frames pass."""
    for number in range(EVENTS):  # two kinds of bad frames in turn: no event is counted up
        guard.send(b"\x00" if number % 2 else guard.frame("keep_alive")[:-2], 40)
    guard.pico.maintenance.send(b"events 0\n" * 3)
    assert carried(guard, 60) <= LATE_US
    assert comes_to_rest(guard)
    assert len(Client(guard).events(0)) == EVENTS


def test_the_names_are_the_packages(guard: Guard) -> None:
    assert Client(guard).names().encode() == guard.profile.package.table("names")
    assert guard.pico.relay.closed


def test_a_host_that_never_reads_does_not_reach_the_link(guard: Guard) -> None:
    guard.deafen_host()
    guard.pico.maintenance.send(b"x\nx\nstatus\nevents 0\n" * 5)  # two short answers first: no piece fits evenly
    assert carried(guard) <= LATE_US
    assert len(guard.pico.maintenance.data) <= MOST_BUFFERED, "the host did read"
