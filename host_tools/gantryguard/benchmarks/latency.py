"""How long a frame stays in the guard, and which rate of the line it follows, in simulated microseconds.

Traffic: an adult's examination that passes with every network asked, keep-alives between, and the gantry's status in the other
direction. The guard believes its own profile but for two numbers: the line's rate, and how many commands in a row it tolerates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from gantryguard.errors import UserError
from gantryguard.profiles.package import with_words
from gantryguard.profiles.profile import Profile
from gantryguard.rig import cases
from gantryguard.rig.cable import Arrival
from gantryguard.rig.clock import MS, S
from gantryguard.rig.endpoint import Commands
from gantryguard.rig.guarded import booted_guard
from gantryguard.rig.pico import EmulatedPico
from gantryguard.rig.result import frames_in
from gantryguard.rig.spread import Spread
from gantryguard.rig.trace import STROBE
from interposer.core.link import BACKWARD, FORWARD
from interposer.core.package import P_BAUD, P_RATE_FRAMES

MANY = 1_000_000  # commands in a row
REST_NS = 5 * MS  # of the lines before a frame whose latency is measured; and up to
DRIFT_NS, MORE_NS = 617_003, 3 * MS  # so much more, by steps: no two frames meet the guard's loop at the same place
TAIL_NS = 60 * MS
NS_PER_US = 1000
BITS_PER_BYTE = 10
AT_REST = "store-and-forward, lines at rest"
BUSY = "store-and-forward, both lines busy"
PATTERN = ("scan_parameters", "keep_alive")


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
    blob = with_words(profile.blob, {("params", P_BAUD): baud, ("params", P_RATE_FRAMES): MANY})
    return booted_guard(profile, micropython, blob=blob, baud=baud)


def measure(pico: EmulatedPico, profile: Profile, baud: int, frames: int, *, is_spaced: bool) -> Measured:
    """Play `frames` commands, and the gantry's status all the while; uses the guard up.

    Spaced, each command meets a line at rest; otherwise both lines are busy without a pause.
    """
    stream = commands(profile, frames)
    answers = replies(profile, sum(map(len, stream)))[: frames if is_spaced else None]
    times = _play(pico, profile, baud, stream, answers, is_spaced=is_spaced)
    lost = missing(stream, times.passed) + missing(answers, times.back)
    mode = AT_REST if is_spaced else BUSY
    return Measured(mode, baud, frames, lost, _spread(times.ends, times.verdicts), _spread(times.ends, times.firsts))


def seen_from_the_line(pico: EmulatedPico, profile: Profile, baud: int, frames: int) -> float:
    """Median over the scan parameters that meet a line at rest, in us: from a verdict to the first byte out."""
    stream = commands(profile, frames)
    times = _play(pico, profile, baud, stream, [], is_spaced=True)
    asked = [index for index in range(1, frames) if PATTERN[(index + 1) % len(PATTERN)] == "scan_parameters"]
    if len(times.verdicts) != frames or len(times.firsts) != frames:
        raise UserError("The guard lost frames of a line at rest.", remedy="choose a lower rate.", exit_code=8)
    return median((times.firsts[index] - times.verdicts[index]) / NS_PER_US for index in asked)


@dataclass(frozen=True)
class _Times:
    """When each command's last byte came, when each verdict fell, when each first byte left (ns), and what arrived."""

    ends: list[int]
    verdicts: list[int]
    firsts: list[int]
    passed: list[bytes]
    back: list[bytes]


def _play(
    pico: EmulatedPico, profile: Profile, baud: int, stream: list[bytes], answers: list[bytes], *, is_spaced: bool
) -> _Times:
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
    firsts = [t_ns - len(frame) * BITS_PER_BYTE * S // baud for t_ns, frame in passed]
    back = [frame for _t_ns, frame in _frames(pico.console_out.arrivals, profile, BACKWARD)]
    return _Times(ends, verdicts, firsts, [frame for _t_ns, frame in passed], back)


def _send_spaced(pico: EmulatedPico, stream: list[bytes], answers: list[bytes], begin: int, baud: int) -> int:
    at = begin
    for number, frame in enumerate(stream):
        pico.clock.call_at(at, partial(pico.console_in.send, frame))
        at += 2 * len(frame) * BITS_PER_BYTE * S // baud + REST_NS + number * DRIFT_NS % MORE_NS  # it comes, and leaves
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


def commands(profile: Profile, count: int, pattern: Sequence[str] = PATTERN, *, after: int = 0) -> list[bytes]:
    """An examination that passes: its context, then commands in turn, usually parameters and keep-alives.

    `after`: the console's last sequence number.
    """
    writer = Commands(profile, FORWARD)
    parameters = cases.abdomen().parameters
    frames = [writer.build("exam_context", after + 1 & 255, cases.ADULT)]
    for number in range(2, count + 1):
        name = pattern[number % len(pattern)]
        frames.append(writer.build(name, after + number & 255, parameters if name == "scan_parameters" else {}))
    return frames


def replies(profile: Profile, size: int) -> list[bytes]:
    """The gantry's status again and again, about `size` bytes of it."""
    writer = Commands(profile, BACKWARD)
    length = len(writer.build("status", 0, {}))
    return [writer.build("status", number & 255, {"gantry_position_mm": number % 100}) for number in range(size // length)]


def frames_within(profile: Profile, baud: int, seconds: float) -> int:
    """How many of these commands a line of this rate carries in so long; at least two."""
    some = commands(profile, 100)
    return max(2, int(seconds * baud / BITS_PER_BYTE * len(some) / sum(map(len, some))))
