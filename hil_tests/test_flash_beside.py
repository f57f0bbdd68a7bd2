"""Both lines full at 921,600 baud while the guard's flash erases and programs: nothing is lost, and verdicts go on falling."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from guard import Guard
from updates import bare, pushing, signed

from gantryguard.benchmarks.latency import commands, frames_within, guard_at, missing, replies
from gantryguard.client.device_image import BLOCK, FS_OFFSET
from gantryguard.client.maintenance import Guard as Client
from gantryguard.profiles.files import baud_of
from gantryguard.profiles.profile import Profile
from gantryguard.rig import cases
from gantryguard.rig.clock import MS, S
from gantryguard.rig.endpoint import Commands
from gantryguard.rig.pico import EmulatedPico
from gantryguard.rig.result import frames_in
from gantryguard.rig.trace import FLASH_ERASE, FLASH_PROGRAM, GANTRY_LOST, HALT, RESET, STROBE
from interposer.core import reasons
from interposer.core.link import BACKWARD, FORWARD

BAUD = 921_600
ERASE_MS = 45
RETRIES = 18  # of one frame: most are refused, each is told by the log
REPORTED_MS = 700  # the log is written within so long of a report that the gantry rests
STOP_MS = 37
FLOOD = 400
MOST_STOP_MS = 70  # an erase, what leaves before it, and the relay
PAGE_BYTES = 256


def filling_log(pico: EmulatedPico, ct: Profile) -> int:
    """Let the log be written until a sector is erased, which has just begun; the last sequence number of the console."""
    for number in range(1, 40):
        pico.gantry_in.send(ct.encode("status", number, {"gantry_state": "idle"}))
        if pico.run_while(lambda: not pico.trace.of(FLASH_ERASE), REPORTED_MS * MS):
            return number - 1
        for _ in range(RETRIES):
            pico.console_in.send(ct.encode("keep_alive", number, {}))
            pico.run_for(20 * MS)
    raise AssertionError("nothing was erased")


def heard(pico: EmulatedPico, ct: Profile, since_ns: int) -> tuple[list[bytes], list[bytes]]:
    """Frames that reached the gantry, and the console, since then."""
    lines = ((pico.gantry_out, FORWARD), (pico.console_out, BACKWARD))
    forth, back = (frames_in(line.arrivals, Commands(ct, direction, any_value=True)) for line, direction in lines)
    return [frame for t_ns, frame in forth if t_ns > since_ns], [frame for t_ns, frame in back if t_ns > since_ns]


def saturate(pico: EmulatedPico, forth: Sequence[bytes], back: Sequence[bytes]) -> None:
    """Fill both lines, and let everything arrive."""
    pico.console_in.send(b"".join(forth))
    pico.gantry_in.send(b"".join(back))
    pico.run_for(100 * MS + sum(map(len, back)) * 10 * S // BAUD)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "seconds", [0.5, pytest.param(2.0, marks=pytest.mark.full), pytest.param(10.0, marks=pytest.mark.full)]
)
def test_the_log_is_written_beside_saturated_lines(micropython_uf2: Path, ct: Profile, seconds: float) -> None:
    pico = guard_at(ct, micropython_uf2, BAUD)
    stream = commands(ct, frames_within(ct, BAUD, seconds), after=filling_log(pico, ct))
    back = replies(ct, sum(map(len, stream)))
    begin_ns = pico.now_ns
    saturate(pico, stream, back)
    forth_heard, back_heard = heard(pico, ct, begin_ns)
    assert (missing(stream, forth_heard), missing(back, back_heard)) == (0, 0)
    assert pico.console_uart.overruns == pico.gantry_uart.overruns == 0
    end_ns = begin_ns + ERASE_MS * MS
    verdicts = [entry.t_ns for entry in pico.trace.of(STROBE) if entry.value and begin_ns < entry.t_ns < end_ns]
    assert len(verdicts) > 100, "verdicts fall while a sector is erased"
    everything = [entry.t_ns for entry in pico.trace.of(STROBE) if entry.value and entry.t_ns > begin_ns]
    print(f"longest time between two verdicts: {max(b - a for a, b in pairwise(everything)) / MS:.1f} ms")
    assert any(entry.t_ns > begin_ns for entry in pico.trace.of(FLASH_PROGRAM)), "the log goes on being written"
    assert pico.trace.of(HALT) == pico.trace.of(RESET) == []


def push_beside(pico: EmulatedPico, ct: Profile, seconds: float, stops_ms: int) -> int:
    """Bring a package while the gantry's line is full, and stops come now and again (0: never); how many replies were lost.

    Every stop passes, and in time.
    """
    pico.run_for(30 * MS)
    blob = signed(bare(ct))
    update = pushing(Guard.of(pico, ct), blob)
    assert update._begin() == 0
    begin_ns, erases = pico.now_ns, len(pico.trace.of(FLASH_ERASE))
    back = replies(ct, int(seconds * BAUD / 10))
    stops = [ct.encode("stop", number & 255, {}) for number in range(1, int(seconds * 1000 / stops_ms) if stops_ms else 1)]
    for number, frame in enumerate(stops):
        pico.clock.call_at(begin_ns + number * stops_ms * MS, partial(pico.console_in.send, frame))
    pico.gantry_in.send(b"".join(back))
    at = 0
    while not pico.gantry_in.idle and at < len(blob):
        at = update._piece(at)["at"]
    pico.run_until(max(pico.now_ns, begin_ns + int(seconds * S)) + 100 * MS)
    forth_heard, back_heard = heard(pico, ct, begin_ns)
    assert forth_heard == stops
    lines = (pico.console_in, pico.gantry_out)
    heard_at = [frames_in(line.arrivals, Commands(ct, FORWARD, any_value=True)) for line in lines]
    came, left = ([t_ns for t_ns, _frame in frames if t_ns > begin_ns] for frames in heard_at)
    assert max((there - here for here, there in zip(came, left, strict=True)), default=0) <= MOST_STOP_MS * MS
    assert at > 0
    assert len(pico.trace.of(FLASH_ERASE)) > erases
    assert pico.trace.of(HALT) == pico.trace.of(RESET) == []
    sent = set(back)
    lost = missing(back, [frame for frame in back_heard if frame in sent])
    print(f"{lost} of {len(back)} replies were lost, {at} of {len(blob)} bytes of the package came")
    return lost


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("seconds", "stops_ms"), [(0.5, STOP_MS), pytest.param(10.0, 0, marks=pytest.mark.full)])
def test_a_package_comes_beside_a_saturated_line(micropython_uf2: Path, ct: Profile, seconds: float, stops_ms: int) -> None:
    """In the safe mode of an update no command passes but a stop; the gantry's line is carried. In ten seconds all has come."""
    assert push_beside(guard_at(ct, micropython_uf2, BAUD), ct, seconds, stops_ms) == 0


def test_commands_in_a_flood_are_refused_one_by_one_while_a_package_comes(micropython_uf2: Path, ct: Profile) -> None:
    """At the link's own rate; in machine code where the flash works or no answer is left: each is counted, none passes."""
    pico = guard_at(ct, micropython_uf2, baud_of(ct))
    pico.run_for(30 * MS)
    blob = signed(bare(ct))
    guard = Guard.of(pico, ct)
    update = pushing(guard, blob)
    assert update._begin() == 0
    begin_ns, erases = pico.now_ns, len(pico.trace.of(FLASH_ERASE))
    stream = commands(ct, FLOOD)
    pico.console_in.send(b"".join(stream))
    at = 0
    while len(pico.trace.of(FLASH_ERASE)) < erases + 1 or not pico.console_in.idle:
        at = update._piece(at)["at"]
    pico.run_for(50 * MS)
    assert heard(pico, ct, begin_ns)[0] == []
    status = guard.ask("status")
    assert sum(status["verdicts"]) == len(stream)
    assert str(reasons.OVERRUN) not in status["reasons"]


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_stops_all_the_while_add_up_and_that_is_told(micropython_uf2: Path, ct: Profile) -> None:
    """Each through the open relay: on a line that never pauses what stood still stays late (ADR 21). A loss is noticed."""
    pico = guard_at(ct, micropython_uf2, BAUD)
    lost = push_beside(pico, ct, 7.0, STOP_MS)
    told = Guard.of(pico, ct).ask("status")["reasons"].get(str(reasons.OVERRUN), 0)
    assert bool(told) == bool(lost)


def test_a_chip_that_is_at_work_cannot_be_read(micropython_uf2: Path, ct: Profile) -> None:
    """The rig would stop a guard that ran or read anything in flash meanwhile; afterwards all is there again."""
    pico = guard_at(ct, micropython_uf2, BAUD)
    filling_log(pico, ct)
    before = pico.flash.content()
    shown = bytes(pico._mcu.flash[: len(before)])
    assert shown == b"\xbe" * len(before)
    at = pico.trace.of(FLASH_ERASE)[-1].value
    pico.run_for((ERASE_MS + 1) * MS)
    after = bytes(pico._mcu.flash[: len(before)])
    assert after[at + PAGE_BYTES : at + BLOCK] == b"\xff" * (BLOCK - PAGE_BYTES)
    assert after[:FS_OFFSET] == before[:FS_OFFSET]


def test_a_stop_leaves_though_a_frame_behind_it_waits(micropython_uf2: Path, ct: Profile) -> None:
    """A refused command needs bytecode, which an erase does not let run; what has passed before it leaves all the same."""
    pico = guard_at(ct, micropython_uf2, BAUD)
    after = filling_log(pico, ct)
    begin_ns = pico.now_ns
    stream = commands(ct, 3, after=after)
    stop = ct.encode("stop", after + 4 & 255, {})
    refused = ct.encode("expose", after + 5 & 255, {"series": 1})
    pico.console_in.send(b"".join([*stream, stop, refused]))
    pico.run_for(10 * MS)
    assert heard(pico, ct, begin_ns)[0] == [*stream, stop]
    pico.run_for(100 * MS)
    assert not pico.relay.closed
    assert heard(pico, ct, begin_ns)[0] == [*stream, stop]


def test_replies_leave_a_frame_that_waits_as_it_was(micropython_uf2: Path, ct: Profile) -> None:
    """The gantry tells its state while a held command waits for the end of an erase: what is remembered of it is its own."""
    pico = guard_at(ct, micropython_uf2, BAUD)
    after = filling_log(pico, ct)
    (context,) = commands(ct, 1, after=after)
    held = cases.abdomen(kvp=140, ma=560, rotation_s=0.8, pitch=0.8, scan_length_mm=460).parameters
    frame = Commands(ct, FORWARD).build("scan_parameters", after + 2 & 255, held)
    pico.console_in.send(context + frame)
    pico.run_for(2 * MS)
    pico.gantry_in.send(ct.encode("status", 9, {"gantry_state": "idle", "gantry_position_mm": 700}))
    pico.run_for(120 * MS)
    told = [event for event in Client(Guard.of(pico, ct)).events(0) if event["kind"] == "verdict" and event["blamed"] >= 0]
    name = ct.slot_names[told[-1]["blamed"]]
    assert ct.from_raw(name, told[-1]["value"]) == pytest.approx(held[name])


@pytest.mark.parametrize("at_ms", [640, 670, 690, 700])
def test_nothing_is_carried_before_the_guard_has_started(micropython_uf2: Path, ct: Profile, at_ms: int) -> None:
    """A stop that comes while the filesystem is mounted waits until the relay is closed."""
    guard = Guard(micropython_uf2, ct)
    guard.pico.run_until(at_ms * MS)
    stop = guard.frame("stop")
    guard.pico.console_in.send(stop)
    assert guard.run_until(lambda: guard.pico.relay.closed, 1000)
    guard.pico.run_for(50 * MS)
    assert guard.pico.trace.of(GANTRY_LOST) == []
    assert guard.pico.gantry_out.data == stop
