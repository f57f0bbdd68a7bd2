"""Frames at the full rate of the line: none lost, every verdict in time, nothing allocated."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from statistics import median

import pytest
from commands import consistent
from guard import Guard
from on_target import run_on_target
from stage import Stage

from gantryguard.profiles.profile import Profile
from gantryguard.rig import cases
from gantryguard.rig.cable import FRAMING
from gantryguard.rig.clock import MS
from gantryguard.rig.endpoint import Commands
from gantryguard.rig.result import frames_in
from gantryguard.rig.trace import RESET
from interposer.core import reasons
from interposer.core.gate import PASSING
from interposer.core.link import FORWARD

VERDICT_LIMIT_US = 5000
BACK_TO_BACK = 300
FULL_BACK_TO_BACK = 10_000
FLOOD = 1500
HELD_LOW_NS = 3000 * MS  # longer than the watchdog's time
CONTEXT = {"exam_number": 1, "objective": "abdomen_pelvis", "age_years": 58, "sex": "female", "weight_kg": 72, "height_cm": 168}
TECHNIQUE = {
    "scan_mode": "helical", "kvp": 120, "ma": 300, "rotation_s": 0.5, "pitch": 1.0, "collimation_mm": 40, "slice_mm": 5,
    "scan_length_mm": 440, "phantom_cm": 32, "rotations": 1, "table_speed_mm_s": 80,
}  # fmt: skip


def last_bytes(guard: Guard) -> list[int]:
    """When the last byte of each intact frame of the console arrived, ns."""
    return [t_ns for t_ns, _ in frames_in(guard.pico.console_in.arrivals, Commands(guard.profile, FORWARD, any_value=True))]


def verdict_times_us(guard: Guard, count: int) -> list[float]:
    """Simulated time from a frame's last byte to its verdict, of the last `count` frames."""
    ends, verdicts = last_bytes(guard)[-count:], guard.verdicts[-count:]
    times = [(verdict - end) / 1000 for verdict, end in zip(verdicts, ends, strict=True)]
    print(f"{count} verdicts, simulated us: min {min(times):.0f}, median {median(times):.0f}, max {max(times):.0f}")
    return times


def technique(guard: Guard) -> bytes:
    """Scan parameters, judged by every network."""
    return guard.frame("scan_parameters", consistent(guard.profile, CONTEXT | TECHNIQUE))


def back_to_back(guard: Guard, count: int) -> None:
    context = guard.frame("exam_context", CONTEXT)
    assert guard.send(context) == context
    stream = [technique(guard) if number % 2 else guard.frame("keep_alive") for number in range(count)]
    verdicts = len(guard.verdicts)
    assert guard.send(b"".join(stream), 200) == b"".join(stream)
    assert len(guard.verdicts) - verdicts == count
    assert guard.pico.console_uart.overruns == 0
    assert max(verdict_times_us(guard, count)) <= VERDICT_LIMIT_US


@pytest.mark.forked
def test_back_to_back_frames_all_arrive_in_time(stage: Stage) -> None:
    back_to_back(stage.load("unhurried"), BACK_TO_BACK)


@pytest.mark.full
@pytest.mark.forked
@pytest.mark.timeout(3600)
def test_ten_thousand_back_to_back(stage: Stage) -> None:
    back_to_back(stage.load("unhurried"), FULL_BACK_TO_BACK)


@pytest.mark.forked
def test_both_directions_at_once(stage: Stage) -> None:
    guard = stage.load("unhurried")
    replies = b"".join(guard.profile.encode("status", number, {"gantry_position_mm": number}) for number in range(100))
    context = guard.frame("exam_context", CONTEXT)
    assert guard.send(context) == context
    stream = b"".join(technique(guard) if number % 2 else guard.frame("keep_alive") for number in range(80))
    guard.pico.gantry_in.send(replies)
    assert guard.send(stream, 300) == stream
    assert guard.pico.console_out.data == replies
    assert max(verdict_times_us(guard, 80)) <= VERDICT_LIMIT_US


@pytest.mark.forked
@pytest.mark.parametrize("first", ["scan_parameters", "keep_alive"])
def test_what_waits_behind_a_frame_that_is_leaving_leaves_with_it(guard: Guard, first: str) -> None:
    """A stop right after a longer frame, and then silence: nothing that comes later has to push it on."""
    context = guard.frame("exam_context", CONTEXT)
    assert guard.send(context, 100) == context
    frames = (technique(guard) if first == "scan_parameters" else guard.frame(first)) + guard.frame("stop")
    assert guard.send(frames, 20) == frames
    status = guard.profile.encode("status", 0, {})
    before = len(guard.pico.console_out.arrivals)
    guard.pico.gantry_in.send(6 * status)
    guard.pico.run_for(40 * MS)
    assert bytes(arrival.byte for arrival in guard.pico.console_out.arrivals[before:]) == 6 * status


@pytest.mark.forked
def test_noise_is_dropped_counted_and_survived(guard: Guard) -> None:
    good = guard.frame("keep_alive")
    spoilt = bytearray(guard.frame("keep_alive"))
    spoilt[-1] ^= 1
    assert guard.send(b"\x00\xff" + bytes(spoilt) + b"\xa5\x5a\x20\x00" + good, 120) == good
    partial = guard.frame("keep_alive")[:-2]
    assert guard.send(partial, 120) == b""
    hurt = guard.frame("keep_alive")
    guard.pico.console_in.faults[guard.pico.console_in.sent + 3] = FRAMING
    guard.send(hurt, 120)
    assert guard.send(alive := guard.frame("keep_alive")) == alive
    bad = {int(code): count for code, count in guard.ask("status")["bad_frames"].items()}
    assert {reasons.BAD_CHECK, reasons.INCOMPLETE, reasons.STRAY_BYTES} <= set(bad)
    assert guard.pico.relay.closed


@pytest.mark.forked
def test_noise_between_frames_costs_no_frame(guard: Guard) -> None:
    """Random bytes that hold no start of a frame, between frames: every frame passes, and nothing else."""
    dice = random.Random(7)
    frames = [guard.frame("keep_alive") for _ in range(30)]
    noise = [
        bytes(dice.choice([byte for byte in range(256) if byte != 0xA5]) for _ in range(dice.randrange(12))) for _ in frames
    ]
    assert guard.send(b"".join(rubbish + frame for rubbish, frame in zip(noise, frames, strict=True)), 120) == b"".join(frames)
    assert guard.pico.relay.closed


@pytest.mark.forked
def test_a_line_that_is_held_low_stops_nothing(guard: Guard) -> None:
    """A console without power: the guard goes on, and carries what comes once it is back."""
    guard.pico.hold_console_line(True)
    guard.pico.run_for(HELD_LOW_NS)
    assert guard.pico.trace.of(RESET) == []
    reply = guard.profile.encode("status", 1, {})
    guard.pico.gantry_in.send(reply)
    guard.pico.run_for(50 * MS)
    assert guard.pico.console_out.data.endswith(reply)
    assert guard.ask("status")["state"] == PASSING
    guard.pico.hold_console_line(False)
    guard.pico.run_for(50 * MS)
    alive = guard.frame("keep_alive")
    assert guard.send(alive) == alive


@pytest.mark.forked
@pytest.mark.parametrize("every_ms", [10, 40])
@pytest.mark.parametrize("what", ["replies of the gantry", "frames with a wrong check"])
def test_what_comes_again_and_again_holds_nothing_up(guard: Guard, what: str, every_ms: int) -> None:
    """No frame passes, but the guard is woken each time: its loop goes on all the same."""
    reply = guard.profile.encode("status", 1, {})
    alive = guard.frame("keep_alive")
    bad = alive[:-1] + bytes((alive[-1] ^ 1,))
    send = partial(guard.pico.gantry_in.send, reply) if "gantry" in what else partial(guard.pico.console_in.send, bad)
    for number in range(HELD_LOW_NS // (every_ms * MS)):
        guard.pico.clock.call_at(guard.pico.now_ns + number * every_ms * MS, send)
    guard.pico.run_for(HELD_LOW_NS + 100 * MS)
    assert guard.pico.trace.of(RESET) == []
    assert guard.pico.relay.closed
    alive = guard.frame("keep_alive")
    assert guard.send(alive) == alive


@pytest.mark.forked
def test_a_flood_is_refused_and_stop_still_passes(guard: Guard) -> None:
    flood = b"".join(guard.frame("keep_alive") for _ in range(FLOOD))
    through = guard.send(flood, 200)
    assert len(through) < len(flood) / 10
    assert not guard.pico.relay.closed
    assert guard.pico.console_uart.overruns == 0
    assert len(guard.verdicts) == FLOOD
    verdict_times_us(guard, FLOOD)
    stop = guard.frame("stop")
    assert guard.send(stop) == stop
    assert not guard.pico.relay.closed
    assert guard.ask("status")["reasons"][str(reasons.RATE)] > 100


@pytest.mark.forked
def test_stop_passes_in_the_middle_of_a_flood(guard: Guard) -> None:
    flood = [guard.frame("keep_alive") for _ in range(400)]
    stop = guard.frame("stop")
    stream = [*flood[:300], stop, *flood[300:]]
    through = guard.send(b"".join(stream), 200)
    assert stop in through
    end = last_bytes(guard)[300]
    assert (passed_at(guard, stop) - end) / MS <= VERDICT_LIMIT_US / 1000 + guard.pico.board.relay_operate_us / 1000 + 1


def passed_at(guard: Guard, wanted: bytes) -> int:
    """When the last byte of a frame reached the gantry, ns."""
    heard = frames_in(guard.pico.gantry_out.arrivals, Commands(guard.profile, FORWARD, any_value=True))
    return next(t_ns for t_ns, frame in heard if frame == wanted)


@pytest.mark.forked
def test_stop_passes_within_the_time_of_a_pass(guard: Guard) -> None:
    """Through an open relay it takes the relay's operate time more, and the relay closes for that frame alone."""

    def delay_us(frame: bytes) -> float:
        count = len(guard.pico.gantry_out.arrivals)
        assert guard.send(frame, 100) == frame
        return (guard.pico.gantry_out.arrivals[count].t_ns - guard.pico.console_in.arrivals[-1].t_ns) / 1000

    usual = delay_us(guard.frame("keep_alive"))
    passing = delay_us(guard.frame("stop"))
    held = cases.abdomen(kvp=140, ma=560, rotation_s=0.8, pitch=0.8, scan_length_mm=460).parameters
    guard.send(guard.frame("exam_context", cases.VERY_OBESE))
    assert guard.send(guard.frame("scan_parameters", held)) == b""
    holding = delay_us(guard.frame("stop"))
    assert guard.send(guard.frame("keep_alive", step=100)) == b""
    assert not guard.pico.relay.closed
    blocked = delay_us(guard.frame("stop"))
    assert not guard.pico.relay.closed
    print(
        f"first byte out, simulated us: keep-alive {usual:.0f}, STOP {passing:.0f}, held {holding:.0f}, blocked {blocked:.0f}"
    )
    assert max(passing, holding) <= usual + 500
    assert blocked - passing <= guard.pico.board.relay_operate_us + 1000


def test_no_allocation_from_first_byte_to_verdict(micropython_uf2: Path, ct: Profile) -> None:
    """On the device, heap locked: reception, judging and acceptance of an exam's passing commands."""
    values = [
        ("keep_alive", {}),
        ("exam_context", CONTEXT),
        ("scan_parameters", consistent(ct, CONTEXT | TECHNIQUE)),
        ("table_move", {"table_position_mm": 100, "move_speed_mm_s": 80}),
        ("prepare", {}),
        ("expose", {"series": 1}),
        ("stop", {}),
    ]
    stream = b"".join(ct.encode(name, number + 1, fields) for number, (name, fields) in enumerate(values))
    source = (Path(__file__).parent / "heap_on_target.py").read_bytes().replace(b"FRAMES", str(len(values)).encode())
    arrived = ct.encode("status", 1, {"gantry_position_mm": 100, "gantry_state": "ready"})  # before every frame
    files = {"package.bin": ct.blob, "stream.bin": stream, "reply.bin": arrived}
    outcomes = run_on_target(micropython_uf2, {"heap_on_target": source}, files)
    assert list(outcomes.values()) == ["ok"], outcomes
