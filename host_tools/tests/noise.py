"""A noisy line: frames spoilt as a real line spoils them, by seed, and what may and must come out of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from gantryguard.rig.cable import BREAK, FRAMING

MOST_IN_A_ROW = 6  # spoilt frames: fewer than sequence numbers may run ahead
LONGEST_REST = 10  # frames between two disturbances
LONGEST_BREAK = 40  # byte times
MOST_BITS = 12
MOST_BYTES = 3


@dataclass(frozen=True)
class Piece:
    """A frame and the bytes that came of it. `errors`: flags of the receiver by place in `wire`, as `rig.cable` has them."""

    frame: bytes
    wire: bytes
    errors: Mapping[int, int] = field(default_factory=dict)

    @property
    def is_spoilt(self) -> bool:
        return self.wire != self.frame


def bit_errors(dice: random.Random, frame: bytes) -> Piece:
    """Some bits turned over, anywhere or close together."""
    bits = int.from_bytes(frame, "big")
    span = dice.choice((16, 8 * len(frame)))
    start = dice.randrange(8 * len(frame) - span + 1)
    for place in dice.sample(range(start, start + span), dice.randint(1, MOST_BITS)):
        bits ^= 1 << place
    return Piece(frame, bits.to_bytes(len(frame), "big"))


def line_break(dice: random.Random, frame: bytes) -> Piece:
    """The line is held low for some time: no byte comes in it but zeros, from one alone to one per byte time."""
    start = dice.randrange(len(frame))
    lasts = dice.randint(1, LONGEST_BREAK)
    zeros = dice.choice((1, lasts))
    errors = dict.fromkeys(range(start, start + zeros), BREAK | FRAMING)
    return Piece(frame, frame[:start] + bytes(zeros) + frame[start + lasts :], errors)


def framing_error(dice: random.Random, frame: bytes) -> Piece:
    """A byte without its stop bit is read wrong."""
    at = dice.randrange(len(frame))
    return Piece(frame, frame[:at] + bytes((frame[at] ^ dice.randint(1, 255),)) + frame[at + 1 :], {at: FRAMING})


def dropped(dice: random.Random, frame: bytes) -> Piece:
    """Bytes that never came."""
    at = dice.randrange(len(frame))
    return Piece(frame, frame[:at] + frame[at + dice.randint(1, MOST_BYTES) :])


def inserted(dice: random.Random, frame: bytes) -> Piece:
    """Bytes that nobody sent, also before and behind the frame."""
    at = dice.randint(0, len(frame))
    return Piece(frame, frame[:at] + dice.randbytes(dice.randint(1, MOST_BYTES)) + frame[at:])


KINDS: tuple[Callable[[random.Random, bytes], Piece], ...] = (bit_errors, line_break, framing_error, dropped, inserted)


def noisy(frames: Iterable[bytes], dice: random.Random, kinds: tuple[Callable[..., Piece], ...] = KINDS) -> Iterator[Piece]:
    """Disturbances of one frame or a few, and rests, by turns; the first frame is intact."""
    is_spoilt, left = False, 1
    for frame in frames:
        if not left:
            is_spoilt = not is_spoilt
            left = dice.randint(1, MOST_IN_A_ROW if is_spoilt else LONGEST_REST)
        left -= 1
        yield dice.choice(kinds)(dice, frame) if is_spoilt else Piece(frame, frame)


def passed(pieces: list[Piece], came: Iterable[bytes]) -> list[bool]:
    """Which of the frames came out. AssertionError if anything came that was not on the wire byte for byte, or out of order.

    A frame that lost its ends is on the wire all the same where its neighbours have the very bytes there that are missing.
    """
    found = [False] * len(pieces)
    at = 0
    for frame in came:
        while at < len(pieces) and not (pieces[at].frame == frame and frame in _wire_around(pieces, at)):
            at += 1
        assert at < len(pieces), f"{frame.hex()} came out and was never sent"
        found[at] = True
        at += 1
    return found


def _wire_around(pieces: list[Piece], at: int) -> bytes:
    return b"".join(piece.wire for piece in pieces[max(0, at - 1) : at + 2])


def late_recoveries(pieces: list[Piece], found: list[bool]) -> int:
    """How often the first intact frame after a disturbance was lost. AssertionError if ever the second one was too."""
    late = 0
    for before, piece, came in zip(pieces, pieces[1:], found[1:], strict=False):
        if not piece.is_spoilt and not came:
            assert before.is_spoilt, f"{piece.frame.hex()} was lost without a disturbance before it"
            late += 1
    return late
