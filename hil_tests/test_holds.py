"""A held command on the device, with its keys: only a fresh OVERRIDE releases it, once; everything else drops it."""

from __future__ import annotations

from typing import Any

import pytest
from guard import Guard
from stage import Stage

from gantryguard.rig import cases, trace
from gantryguard.rig.clock import MS
from interposer.core import reasons
from interposer.core.package import P_HOLD_MS, P_KEY_HOLD_MS

PASSING, HOLDING, BLOCKING = range(3)
HELD = cases.abdomen(kvp=140, ma=560, rotation_s=0.8, pitch=0.8, scan_length_mm=460)  # above the notification value
NORMAL = cases.abdomen(kvp=140, ma=400, rotation_s=0.8, pitch=0.8, scan_length_mm=460)
MOVE = {"table_position_mm": 600, "move_speed_mm_s": 100}
KEY_MS = 700
SHORT_MS = 300

pytestmark = pytest.mark.forked


def hold(guard: Guard) -> bytes:
    """Begin an exam of a very obese patient and have its parameters held; returns the held frame."""
    context = guard.frame("exam_context", cases.VERY_OBESE)
    assert guard.send(context) == context
    held = guard.frame("scan_parameters", HELD.parameters)
    assert guard.send(held) == b""
    assert guard.said()[-1] == ("held", reasons.NOTIFICATION)
    assert guard.pico.relay.closed
    return held


def gantry_reports(guard: Guard, **values: Any) -> None:
    """A status of the gantry, as it sends one once a second and after every keep-alive."""
    guard.pico.gantry_in.send(guard.profile.encode("status", 0, values))
    guard.pico.run_for(20 * MS)


def left(guard: Guard) -> int:
    """How many bytes have reached the gantry so far."""
    return len(guard.pico.gantry_out.arrivals)


def passes(guard: Guard, command: str, values: dict[str, float] | None = None) -> bool:
    """Whether the next command reaches the gantry."""
    frame = guard.frame(command, values)
    return guard.send(frame) == frame


def test_the_profile_fits_the_presses(guard: Guard) -> None:
    params = guard.profile.package.table("params")
    assert SHORT_MS < params[P_KEY_HOLD_MS] < KEY_MS < params[P_HOLD_MS]


def test_override_releases_the_very_bytes_once_and_the_exam_goes_on(guard: Guard) -> None:
    """Afterwards the console moves the table, waits until it stands there, prepares and exposes, as with any parameters."""
    held = hold(guard)
    before = left(guard)
    guard.press("override", KEY_MS)
    assert guard.pico.gantry_out.data[before:] == held
    guard.press("override", KEY_MS)
    assert guard.pico.gantry_out.data[before:] == held
    assert passes(guard, "table_move", MOVE)
    assert not passes(guard, "prepare")  # the gantry has not said yet that the table is there
    assert guard.said()[-1] == ("refuse", reasons.IMPOSSIBLE)
    gantry_reports(guard, gantry_state="ready", gantry_position_mm=MOVE["table_position_mm"])
    assert passes(guard, "prepare")
    assert passes(guard, "expose", {"series": 1})
    status = guard.ask("status")
    assert (status["released"], status["state"], status["proposal"]) == (1, PASSING, None)
    assert (status["verdicts"][1], guard.pico.relay.closed) == (1, True)


def test_a_released_frame_is_never_sent_again(guard: Guard) -> None:
    held = hold(guard)
    before = left(guard)
    guard.press("override", KEY_MS)
    assert guard.send(held) == b""
    assert guard.said()[-1] == ("refuse", reasons.TOO_MANY_RETRIES)
    guard.press("override", KEY_MS)
    guard.pico.run_for(1500 * MS)
    assert guard.send(held) == b""
    guard.press("override", KEY_MS)
    assert guard.pico.gantry_out.data[before:] == held


@pytest.mark.parametrize("pause_ms", [60, 25])
def test_short_presses_do_nothing_however_many(guard: Guard, pause_ms: int) -> None:
    hold(guard)
    before = left(guard)
    for _ in range(4):
        guard.pico.press("override")
        guard.pico.run_for(SHORT_MS * MS)
        guard.pico.release("override")
        guard.pico.run_for(pause_ms * MS)
    assert left(guard) == before
    status = guard.ask("status")
    assert (status["state"], status["released"]) == (HOLDING, 0)


def test_a_bouncing_key_does_nothing(guard: Guard) -> None:
    hold(guard)
    before = left(guard)
    for _ in range(60):
        guard.pico.press("override")
        guard.pico.run_for(9 * MS)
        guard.pico.release("override")
        guard.pico.run_for(4 * MS)
    assert left(guard) == before


def test_a_key_pressed_before_the_hold_does_nothing_until_it_is_pressed_anew(guard: Guard) -> None:
    guard.pico.press("override")
    guard.pico.run_for(100 * MS)
    held = hold(guard)
    before = left(guard)
    guard.pico.run_for(1500 * MS)
    assert left(guard) == before
    guard.pico.release("override")
    guard.pico.run_for(100 * MS)
    assert left(guard) == before
    guard.press("override", KEY_MS)
    assert guard.pico.gantry_out.data[before:] == held


def test_a_key_stuck_since_the_start_does_nothing(stage: Stage) -> None:
    guard = stage.choose("ct")
    guard.pico.press("override")
    hold(guard.boot())
    before = left(guard)
    guard.pico.run_for(1500 * MS)
    assert left(guard) == before


def test_cancel_drops_the_frame(guard: Guard) -> None:
    held = hold(guard)
    before = left(guard)
    guard.press("cancel", KEY_MS)
    assert guard.said()[-1] == ("refuse", reasons.CANCELLED)
    guard.press("override", KEY_MS)
    assert left(guard) == before
    assert passes(guard, "scan_parameters", dict(NORMAL.parameters))
    assert held not in guard.pico.gantry_out.data


@pytest.mark.parametrize("order", [("override", "cancel"), ("cancel", "override")])
def test_both_keys_cancel(guard: Guard, order: tuple[str, str]) -> None:
    hold(guard)
    before = left(guard)
    for key in order:
        guard.pico.press(key)
        guard.pico.run_for(200 * MS)
    guard.pico.run_for(KEY_MS * MS)
    assert left(guard) == before
    assert guard.said()[-1] == ("refuse", reasons.CANCELLED)


def test_keep_alive_passes_and_nothing_else_does(guard: Guard) -> None:
    held = hold(guard)
    before = left(guard)
    alive = [guard.frame("keep_alive")]
    assert guard.send(alive[0]) == alive[0]
    for command, values in (("table_move", MOVE), ("tilt", {"gantry_tilt_deg": 5}), ("scan_parameters", NORMAL.parameters)):
        assert not passes(guard, command, dict(values))
        assert guard.said()[-1] == ("refuse", reasons.HOLD_PENDING)
    assert guard.ask("status")["state"] == HOLDING
    assert guard.pico.relay.closed
    alive.append(guard.frame("keep_alive"))
    guard.send(alive[1])
    assert guard.pico.gantry_out.data[before:] == b"".join(alive)
    guard.press("override", KEY_MS)
    assert guard.pico.gantry_out.data[before:] == b"".join(alive) + held


@pytest.mark.parametrize("command", ["prepare", "expose"])
def test_a_command_that_blocks_drops_the_held_one(guard: Guard, command: str) -> None:
    """Neither can come before parameters stand: while they are held it is a block as at any other time."""
    held = hold(guard)
    before = left(guard)
    said = len(guard.said())
    assert not passes(guard, command)
    assert sorted(guard.said(said)) == [("refuse", reasons.OUT_OF_SEQUENCE)] * 2  # the held command's final reply, and its own
    assert guard.ask("status")["state"] == BLOCKING
    assert not guard.pico.relay.closed
    guard.press("override", KEY_MS)
    guard.press("cancel", KEY_MS)
    guard.press("override", KEY_MS)
    assert guard.pico.relay.closed
    assert left(guard) == before
    assert held not in guard.pico.gantry_out.data


def test_the_held_frame_again_is_still_held(guard: Guard) -> None:
    held = hold(guard)
    before = left(guard)
    assert guard.send(held) == b""
    assert guard.said()[-1] == ("held", reasons.NOTIFICATION)
    guard.press("override", KEY_MS)
    assert guard.pico.gantry_out.data[before:] == held


def test_stop_passes_and_ends_the_hold(guard: Guard) -> None:
    held = hold(guard)
    stop = guard.frame("stop")
    assert guard.send(stop) == stop
    assert guard.said()[-1] == ("refuse", reasons.STOPPED)
    before = left(guard)
    guard.press("override", KEY_MS)
    assert left(guard) == before
    assert held not in guard.pico.gantry_out.data
    assert passes(guard, "keep_alive")


def test_a_key_pressed_while_stop_comes_releases_nothing(guard: Guard) -> None:
    held = hold(guard)
    guard.pico.press("override")
    guard.pico.run_for(200 * MS)
    stop = guard.frame("stop")
    assert guard.send(stop) == stop
    guard.pico.run_for(1000 * MS)
    assert held not in guard.pico.gantry_out.data


def test_nobody_decides(guard: Guard) -> None:
    """The time-out becomes a block, in which OVERRIDE does nothing and CANCEL acknowledges."""
    held = hold(guard)
    hold_ms = guard.profile.package.table("params")[P_HOLD_MS]
    began = guard.verdicts[-1]
    guard.pico.run_until(began + (hold_ms - 100) * MS)
    assert guard.pico.relay.closed
    guard.pico.run_for(200 * MS)
    assert not guard.pico.relay.closed
    assert guard.said()[-1] == ("refuse", reasons.HOLD_TIMEOUT)
    opened = guard.times(trace.CONTACT, 0)[-1]
    print(f"relay open {(opened - began) / MS:.1f} ms after the hold began, of {hold_ms} ms")
    guard.press("override", KEY_MS)
    assert not guard.pico.relay.closed
    guard.press("cancel", KEY_MS)
    assert guard.pico.relay.closed
    assert passes(guard, "keep_alive")
    assert held not in guard.pico.gantry_out.data


def test_the_lamps_tell_the_states(guard: Guard) -> None:
    """Green alone; green with red flashing while held; red alone while blocked."""
    assert (guard.pico.lamp_green, guard.pico.lamp_red) == (True, False)
    hold(guard)
    guard.pico.run_for(600 * MS)
    assert guard.pico.lamp_green
    assert len(guard.times(trace.LAMP_RED, 1)) >= 3
    assert not passes(guard, "expose", {"series": 1})  # out of sequence: a block
    guard.pico.run_for(100 * MS)
    assert (guard.pico.lamp_green, guard.pico.lamp_red) == (False, True)
    flashes = len(guard.times(trace.LAMP_RED, 1))
    guard.pico.run_for(600 * MS)
    assert len(guard.times(trace.LAMP_RED, 1)) == flashes
    assert guard.ask("status")["state"] == BLOCKING
