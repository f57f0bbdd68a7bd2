"""How long a frame stays in the guard, and which rate of the line it follows, in simulated microseconds.

Traffic: an adult's examination that passes with every network asked, keep-alives between, and the gantry's status in the other
direction. The guard believes its own profile but for two numbers: the line's rate, and how many commands in a row it tolerates.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gantryguard.client.device_image import build_flash, device_files
from gantryguard.errors import UserError
from gantryguard.profiles.profile import Profile
from gantryguard.rig import cases
from gantryguard.rig.board import load_board
from gantryguard.rig.cable import Arrival
from gantryguard.rig.clock import MS, S
from gantryguard.rig.endpoint import Commands
from gantryguard.rig.pico import EmulatedPico
from gantryguard.rig.result import frames_in
from gantryguard.rig.trace import STROBE
from interposer.core.link import BACKWARD, FORWARD
from interposer.core.package import DIGEST_AT, HEADER_BYTES, P_BAUD, P_RATE_FRAMES, digest_of

MANY = 1_000_000  # commands in a row
WORD_BYTES = 4
BOOT_LIMIT_NS = 5 * S
REST_NS = 5 * MS  # of the line before a frame whose latency is measured
TAIL_NS = 60 * MS
NS_PER_US = 1000
BITS_PER_BYTE = 10
PATTERN = ("scan_parameters", "keep_alive")


@dataclass(frozen=True)
class Spread:
    """Minimum, median, 99th percentile and maximum."""

    min: float
    median: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value, each figure one of them."""
        ordered = sorted(values)
        last = len(ordered) - 1
        return cls(ordered[0], ordered[last // 2], ordered[round(last * 0.99)], ordered[-1])


@dataclass(frozen=True)
class Measured:
    """One run at one rate. `lost`: frames of both directions that did not arrive, or not in their order."""

    mode: str
    baud: int
    frames: int
    lost: int
    verdict_us: Spread | None
    first_byte_out_us: Spread | None


def guard_at(profile: Profile, micropython: Path, baud: int) -> EmulatedPico:
    """A booted guard of this profile on a line of another rate. UserError (exit 8) if it refuses."""
    blob = with_params(profile, {P_BAUD: baud, P_RATE_FRAMES: MANY})
    board = load_board()
    pico = EmulatedPico(build_flash(micropython, device_files(board, {"package.bin": blob})), board, baud=baud, usb=False)
    if not pico.run_while(lambda: not pico.relay.closed, BOOT_LIMIT_NS):
        raise UserError(f"The guard does not start at {baud} baud.", remedy="Choose 9600 to 3000000.", exit_code=8)
    return pico


def with_params(profile: Profile, words: dict[int, int]) -> bytes:
    """The profile's package with other words in its first section."""
    blob = bytearray(profile.blob)
    start, _size = profile.package.places["params"]
    for index, value in words.items():
        struct.pack_into("<i", blob, start + index * WORD_BYTES, value)
    blob[DIGEST_AT:HEADER_BYTES] = digest_of(bytes(blob))
    return bytes(blob)


def measure(pico: EmulatedPico, profile: Profile, baud: int, frames: int, *, is_spaced: bool) -> Measured:
    """Play `frames` commands, and the gantry's status all the while; uses the guard up.

    Spaced, each command meets a line at rest; otherwise both lines are busy without a pause.
    """
    stream = commands(profile, frames)
    answers = replies(profile, sum(map(len, stream)))[: frames if is_spaced else None]
    begin = pico.now_ns + REST_NS
    if is_spaced:
        end = _send_spaced(pico, stream, answers, begin, baud)
    else:
        pico.console_in.send(b"".join(stream))
        pico.gantry_in.send(b"".join(answers))
        end = begin + sum(map(len, answers)) * BITS_PER_BYTE * S // baud
    pico.run_until(end + TAIL_NS)
    ends = [t_ns for t_ns, _frame in _frames(pico.console_in.arrivals, profile, FORWARD)]
    passed = _frames(pico.gantry_out.arrivals, profile, FORWARD)
    verdicts = [entry.t_ns for entry in pico.trace.of(STROBE) if entry.value]
    firsts = [t_ns - (len(frame) - 1) * BITS_PER_BYTE * S // baud for t_ns, frame in passed]
    back = [frame for _t_ns, frame in _frames(pico.console_out.arrivals, profile, BACKWARD)]
    lost = missing(stream, [frame for _t_ns, frame in passed]) + missing(answers, back)
    mode = "store-and-forward, at rest" if is_spaced else "store-and-forward, both lines busy"
    return Measured(mode, baud, frames, lost, _spread(ends, verdicts), _spread(ends, firsts))


def _send_spaced(pico: EmulatedPico, stream: list[bytes], answers: list[bytes], begin: int, baud: int) -> int:
    at = begin
    for number, frame in enumerate(stream):
        pico.clock.call_at(at, partial(pico.console_in.send, frame))
        at += len(frame) * BITS_PER_BYTE * S // baud + REST_NS
        if number < len(answers):
            pico.clock.call_at(at - REST_NS // 2, partial(pico.gantry_in.send, answers[number]))
    return at


def _frames(arrivals: Sequence[Arrival], profile: Profile, direction: int) -> list[tuple[int, bytes]]:
    return frames_in(arrivals, Commands(profile, direction, any_value=True))


def _spread(ends: list[int], events: list[int]) -> Spread | None:
    """Of the times between; None where frames were lost, so that nobody knows which belong together."""
    if len(ends) != len(events):
        return None
    return Spread.of([(event - end) / NS_PER_US for end, event in zip(ends, events, strict=True)])


def missing(sent: list[bytes], arrived: list[bytes]) -> int:
    """How many of the frames that were sent did not arrive in their order, and how many arrived that were not sent."""
    found = 0
    for frame in sent:
        if found < len(arrived) and arrived[found] == frame:
            found += 1
    return len(sent) - found + len(arrived) - found


def commands(profile: Profile, count: int) -> list[bytes]:
    """An examination that passes: its context, then parameters and keep-alives in turn."""
    writer = Commands(profile, FORWARD)
    parameters = cases.abdomen().parameters
    frames = [writer.build("exam_context", 1, cases.ADULT)]
    for number in range(2, count + 1):
        name = PATTERN[number % len(PATTERN)]
        frames.append(writer.build(name, number & 255, parameters if name == "scan_parameters" else {}))
    return frames


def replies(profile: Profile, size: int) -> list[bytes]:
    """The gantry's status again and again, about `size` bytes of it."""
    writer = Commands(profile, BACKWARD)
    length = len(writer.build("status", 0, {}))
    return [writer.build("status", number & 255, {"gantry_position_mm": number % 100}) for number in range(size // length)]
