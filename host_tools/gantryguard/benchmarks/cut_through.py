"""What arrives at the gantry while frames leave as they come: which, how late, and that nothing else does.

Traffic: commands that pass, between them frames that are refused or damaged, among these such as turn good if their last bit is
inverted, and such as hide a whole frame. The guard believes its own profile but for the line's rate, cut-through, how many
commands in a row it tolerates, and that a refusal drops the frame alone, so that the traffic goes on.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gantryguard.benchmarks.latency import BITS_PER_BYTE, MANY, REST_NS, WORD_BYTES, commands
from gantryguard.profiles.package import redigest
from gantryguard.profiles.profile import Profile
from gantryguard.rig.clock import MS, S
from gantryguard.rig.endpoint import Commands, Endpoint, Message
from gantryguard.rig.guarded import booted_guard
from gantryguard.rig.pico import EmulatedPico
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
REST_GAPS = 3  # between two commands, in silences that end a frame: each finds both lines at rest


@dataclass(frozen=True)
class CutThrough:
    """One run at one rate. `wrong`: frames that the gantry took and should not have, or did not take and should have.

    Of `passing` commands `in_time` left while they came, each byte `delay_bits` late; the others arrived spoiled and were
    sent again once the gantry had given them up.
    """

    baud: int
    frames: int
    passing: int
    in_time: int
    wrong: int
    delay_bits: Spread | None


def cutting_guard(profile: Profile, micropython: Path, baud: int) -> EmulatedPico:
    """A booted guard of this profile that cuts through, on a line of another rate. UserError (exit 8) if it refuses."""
    blob = bytearray(profile.blob)
    places = profile.package.places
    for section, index, value in (
        ("params", P_BAUD, baud),
        ("params", P_RATE_FRAMES, MANY),
        ("framings", F_CUT_THROUGH, 1),
        *(("policy", reason, POLICY_REFUSE) for reason in range(len(profile.package.table("policy")))),
    ):
        struct.pack_into("<i", blob, places[section][0] + index * WORD_BYTES, value)
    return booted_guard(profile, micropython, blob=redigest(bytes(blob)), baud=baud)


def mixed(profile: Profile, count: int) -> list[tuple[bytes, bool]]:
    """Frames of the console, and whether each is to arrive: two that pass, then one that does not, kind after kind."""
    passing = commands(profile, count)
    writer = Commands(profile, FORWARD)
    stream: list[tuple[bytes, bool]] = []
    for frame in passing:
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


def measure_cut_through(pico: EmulatedPico, profile: Profile, baud: int, frames: int) -> CutThrough:
    """Play so many mixed frames, each when both lines have come to rest; uses the guard up."""
    taken: list[Message] = []
    gantry = Endpoint(pico.clock, profile, BACKWARD, lambda _data: None, any_value=True, receive=taken.append)
    pico.gantry_out.deliver = gantry.on_byte
    stream = mixed(profile, frames)
    rest_ns = REST_NS + REST_GAPS * profile.package.table("params")[P_GAP_MS] * MS
    at, ends = pico.now_ns + rest_ns, []
    for frame, _passes in stream:
        pico.clock.call_at(at, partial(pico.console_in.send, frame))
        ends.append(at + len(frame) * BITS_PER_BYTE * S // baud)
        at = ends[-1] + rest_ns
    pico.run_until(at)
    wanted = [(frame, end) for (frame, passes), end in zip(stream, ends, strict=True) if passes]
    got = [message.frame for message in taken]
    same = sum(left == right for (left, _end), right in zip(wanted, got, strict=False))
    wrong = len(wanted) - same + max(0, len(got) - len(wanted))
    delays = [(message.t_ns - end) * baud / S for message, (_frame, end) in zip(taken, wanted, strict=False)]
    return CutThrough(baud, frames, len(wanted), sum(delay <= 1 for delay in delays), wrong, _in_time(delays))


def _in_time(delays: Sequence[float]) -> Spread | None:
    quick = [delay for delay in delays if delay <= 1]
    return Spread.of(quick) if quick else None
