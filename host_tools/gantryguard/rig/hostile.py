"""Bytes that no console sends: recorded frames, frames that lie about their length, frames inside frames, floods."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gantryguard.profiles.profile import Profile
from gantryguard.rig.endpoint import Commands
from gantryguard.rig.plan import ExamPlan
from gantryguard.rig.scenario import exam_scenario
from gantryguard.rig.wire import run_on_wire
from interposer.core.link import F_CHECK_FROM, F_CHECK_SIZE, F_LENGTH_AT, F_LENGTH_EXTRA, check_value, crc16_table, put_check

Numbers = Callable[[], int]
Make = Callable[[Numbers], bytes]

KEEP_ALIVES, EXPOSURES = 500, 2400  # together two seconds of a line of 115,200 baud
LEFT_OUT = ("keep_alive", "exam_context")


def record(profile: Profile, plan: ExamPlan) -> list[tuple[int, bytes]]:
    """Time in ns and bytes of each command of an exam as it crosses the wire, without context and keep-alives."""
    result = run_on_wire(profile, exam_scenario(plan))
    heard = [event for event in result.timeline if event.kind == "console>"]
    frames = [(event.t_ns, event.what.split()) for event in heard]
    return [(t_ns, bytes.fromhex(words[1])) for t_ns, words in frames if words[0] not in LEFT_OUT]


def as_recorded(frame: bytes) -> Make:
    """A recorded frame as it was, old number and all."""
    return lambda _number: frame


def sealed(frame: bytearray, writer: Commands) -> bytes:
    """A frame with the length and the check that fit its bytes; the last bytes are the place of the check."""
    framing = writer.framing
    end = len(frame) - framing[F_CHECK_SIZE]
    frame[framing[F_LENGTH_AT]] = len(frame) - framing[F_LENGTH_EXTRA]
    put_check(frame, end, check_value(frame, framing[F_CHECK_FROM], end, framing, crc16_table(framing)), framing)
    return bytes(frame)


def lies(writer: Commands) -> Iterator[Make]:
    """Frames around a hidden expose: a false check, a false length, a broken-off beginning, a right frame too long."""

    def around(number: Numbers) -> tuple[bytes, bytes]:
        return writer.build("keep_alive", number(), {}), writer.build("expose", number(), {"series": 1})

    def false_check(number: Numbers) -> bytes:
        outer, hidden = around(number)
        body = bytearray(outer[:-2] + hidden + b"\x00\x00")
        body[writer.framing[F_LENGTH_AT]] += len(hidden)
        return bytes(body)

    def false_length(number: Numbers) -> bytes:
        outer, hidden = around(number)
        body = bytearray(outer + hidden)
        body[writer.framing[F_LENGTH_AT]] += len(hidden) - 2
        return bytes(body)

    def broken_off(number: Numbers) -> bytes:
        outer, hidden = around(number)
        return outer[:1] + outer[:4] + hidden

    def too_long(number: Numbers) -> bytes:
        outer, hidden = around(number)
        return sealed(bytearray(outer[:-2] + hidden + b"\x00\x00"), writer)

    yield from (too_long, false_check, false_length, broken_off)


def flood(writer: Commands) -> Make:
    """Thousands of frames without a pause, each well-formed, with the numbers that are due."""

    def make(number: Numbers) -> bytes:
        alive = (writer.build("keep_alive", number(), {}) for _ in range(KEEP_ALIVES))
        fire = (writer.build("expose", number(), {"series": 1}) for _ in range(EXPOSURES))
        return b"".join((*alive, *fire))

    return make
