"""A noisy line at the device: nothing but frames that were sent reaches the gantry, and the next good one does."""

from __future__ import annotations

import random

import pytest
from guard import Guard
from noise import Piece, late_recoveries, noisy, passed
from stage import Stage
from test_traffic import CONTEXT, technique

from gantryguard.rig.endpoint import Commands
from gantryguard.rig.result import frames_in
from interposer.core.link import FORWARD
from interposer.core.package import P_GAP_MS

FRAMES = 400
FULL_FRAMES = 2000
STRETCH = 100  # frames between two silences
PARAMETERS_EVERY = 20  # frames: the long ones that every network judges


def send(guard: Guard, pieces: list[Piece]) -> bytes:
    """What reached the gantry of a stretch of frames, with the flags that the receiver would see, and the silence after it."""
    line = guard.pico.console_in
    start = line.sent
    for piece in pieces:
        line.faults |= {start + at: flags for at, flags in piece.errors.items()}
        start += len(piece.wire)
    return guard.send(b"".join(piece.wire for piece in pieces), 2 * guard.profile.package.table("params")[P_GAP_MS])


def endure(guard: Guard, count: int) -> None:
    assert guard.send(context := guard.frame("exam_context", CONTEXT)) == context
    frames = [guard.frame("keep_alive") if number % PARAMETERS_EVERY else technique(guard) for number in range(count)]
    pieces = list(noisy(frames, random.Random(5)))
    before = len(guard.pico.gantry_out.arrivals)
    through = b"".join(send(guard, pieces[at : at + STRETCH]) for at in range(0, count, STRETCH))
    heard = frames_in(guard.pico.gantry_out.arrivals[before:], Commands(guard.profile, FORWARD, any_value=True))
    came = [frame for _t_ns, frame in heard]
    assert b"".join(came) == through, "something else than frames reached the gantry"
    found = passed(pieces, came)
    late = late_recoveries(pieces, found)
    spoilt = sum(piece.is_spoilt for piece in pieces)
    print(f"{count} frames, {spoilt} spoilt, {count - sum(found)} lost, {late} times the first intact one after a disturbance")
    assert spoilt > count / 4
    assert guard.pico.relay.closed
    assert sum(guard.ask("status")["bad_frames"].values()) > 0


@pytest.mark.forked
def test_no_bad_frame_reaches_the_gantry_and_the_next_good_one_does(stage: Stage) -> None:
    endure(stage.load("unhurried"), FRAMES)


@pytest.mark.full
@pytest.mark.forked
@pytest.mark.timeout(3600)
def test_two_thousand_frames_on_a_noisy_line(stage: Stage) -> None:
    endure(stage.load("unhurried"), FULL_FRAMES)
