"""What arrives at the gantry while frames leave as they come: which, how late, and that nothing else does.

Traffic: commands that pass, between them frames that are refused or damaged, among these such as turn good if their last bit is
inverted, and such as hide a whole frame. The guard believes its own profile but for the line's rate, cut-through, the silence
that ends a frame, how many commands in a row it tolerates, and that a refusal drops the frame alone, so that the traffic goes
on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gantryguard.benchmarks.latency import BITS_PER_BYTE, MANY, REST_NS, commands
from gantryguard.profiles.files import baud_of
from gantryguard.profiles.package import with_words
from gantryguard.profiles.profile import Profile
from gantryguard.rig.cable import byte_time_ns
from gantryguard.rig.clock import MS
from gantryguard.rig.endpoint import Commands, Endpoint, Message
from gantryguard.rig.guarded import booted_guard
from gantryguard.rig.spread import Spread
from interposer.core.link import (
    BACKWARD,
    F_CHECK_FROM,
    F_CHECK_SIZE,
    F_CUT_THROUGH,
    F_OPCODE_AT,
    FORWARD,
    check_value,
    crc16_table,
    put_check,
)
from interposer.core.package import P_BAUD, P_GAP_MS, P_RATE_FRAMES, POLICY_REFUSE

LAST_BIT = 0x80
HIDDEN_AT = 9  # byte of a frame at which another one begins
PATTERN = ("scan_parameters", "keep_alive", "scan_parameters", "stop")
LEAST_GAP_MS = 2
GAP_BYTES = 40
MS_PER_S = 1000
REST_GAPS = 3  # between two commands, in silences that end a frame: each finds both lines at rest


@dataclass(frozen=True)
class CutThrough:
    """One run at one rate. `wrong`: frames that the gantry took and should not have, or did not take and should have.

    Of `passing` commands `in_time` left while they came; the others arrived spoiled and were sent again once the gantry had
    given them up. `delay_bits`: how late every single byte was that left before its frame had ended, spoiled ones included.
    """

    baud: int
    frames: int
    passing: int
    in_time: int
    wrong: int
    delay_bits: Spread | None


def cutting_profile(profile: Profile, baud: int) -> Profile:
    """This profile for a line of another rate, with cut-through."""
    gap_ms = max(LEAST_GAP_MS, GAP_BYTES * BITS_PER_BYTE * MS_PER_S // baud)
    words = {
        ("params", P_BAUD): baud,
        ("params", P_GAP_MS): gap_ms,
        ("params", P_RATE_FRAMES): MANY,
        ("framings", F_CUT_THROUGH): 1,
        **{("policy", reason): POLICY_REFUSE for reason in range(len(profile.package.table("policy")))},
    }
    return Profile(with_words(profile.blob, words))


def mixed(profile: Profile, count: int) -> list[tuple[bytes, bool]]:
    """Frames of the console, and whether each is to arrive: two that pass, then one that does not, kind after kind."""
    writer = Commands(profile, FORWARD)
    stream: list[tuple[bytes, bool]] = []
    for frame in commands(profile, count, PATTERN):
        stream.append((frame, True))
        if len(stream) % 3 == 2:
            stream.append((bad_frame(writer, frame, len(stream) // 3), False))
    return stream[:count]


def bad_frame(writer: Commands, good: bytes, number: int) -> bytes:
    """Unknown opcode; a check wrong in its last bit; a whole frame inside a damaged one; a check that is all wrong."""
    framing = writer.framing
    opcode_at, check = framing[F_OPCODE_AT], framing[F_CHECK_SIZE]
    short = writer.build("keep_alive", 0, {})
    unknown = [_checked(writer, frame[:opcode_at] + b"\xee" + frame[opcode_at + 1 :]) for frame in (good, short)]
    if number % 4 == 1:
        return good[:-1] + bytes([good[-1] ^ LAST_BIT])
    if number % 4 == 2:
        outer = writer.build("scan_parameters", 0, {})
        return outer[:HIDDEN_AT] + unknown[1] + outer[HIDDEN_AT + len(short) :]
    if number % 4 == 3:
        return good[:-check] + bytes(byte ^ 0xFF for byte in good[-check:])
    return unknown[0]


def _checked(writer: Commands, frame: bytes) -> bytes:
    """The frame with the check that its bytes want."""
    framing, buffer = writer.framing, bytearray(frame)
    at = len(buffer) - framing[F_CHECK_SIZE]
    put_check(buffer, at, check_value(buffer, framing[F_CHECK_FROM], at, framing, crc16_table(framing)), framing)
    return bytes(buffer)


def measure_cut_through(profile: Profile, micropython: Path, frames: int) -> CutThrough:
    """Play so many mixed frames to a guard of a `cutting_profile`, each when both lines have come to rest."""
    pico = booted_guard(profile, micropython)
    baud = baud_of(profile)
    taken: list[Message] = []
    gantry = Endpoint(pico.clock, profile, BACKWARD, lambda _data: None, any_value=True, receive=taken.append)
    pico.gantry_out.deliver = gantry.on_byte
    stream = mixed(profile, frames)
    byte_ns = byte_time_ns(baud)
    rest_ns = REST_NS + REST_GAPS * profile.package.table("params")[P_GAP_MS] * MS
    begins = [pico.now_ns + rest_ns]
    for frame, _passes in stream:
        pico.clock.call_at(begins[-1], partial(pico.console_in.send, frame))
        begins.append(begins[-1] + len(frame) * byte_ns + rest_ns)
    pico.run_until(begins[-1])
    wanted = [frame for frame, passes in stream if passes]
    got = [message.frame for message in taken]
    same = sum(left == right for left, right in zip(wanted, got, strict=False))
    wrong = len(wanted) - same + max(0, len(got) - len(wanted))
    ends = [begin + len(frame) * byte_ns + byte_ns // BITS_PER_BYTE for begin, (frame, _) in zip(begins, stream, strict=False)]
    spans = list(zip(begins, ends, strict=False))
    in_time = sum(any(begin < message.t_ns <= end for begin, end in spans) for message in taken)
    delays = _delays([arrival.t_ns for arrival in pico.gantry_out.arrivals], spans, byte_ns)
    return CutThrough(baud, frames, len(wanted), in_time, wrong, Spread.of(delays) if delays else None)


def _delays(arrivals: Sequence[int], spans: Sequence[tuple[int, int]], byte_ns: int) -> list[float]:
    """By how many bits each byte that arrived while its frame came was later than without a guard."""
    delays = []
    for begin, end in spans:
        while_it_came = arrivals[bisect_right(arrivals, begin) : bisect_right(arrivals, end)]
        for number, t_ns in enumerate(while_it_came, 1):
            delays.append((t_ns - begin - number * byte_ns) * BITS_PER_BYTE / byte_ns)
    return delays
