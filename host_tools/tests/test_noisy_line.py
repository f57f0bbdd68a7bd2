"""A noisy line through ring and deframer as the device joins them: no bad frame comes out, and it recovers within one frame."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import cycle, islice

import pytest
from desk import DeskPort
from noise import KINDS, Piece, late_recoveries, noisy, passed

from gantryguard.profiles.profile import Profile
from gantryguard.rig.endpoint import Commands
from interposer.core.link import FORWARD, Deframer
from interposer.core.ring import pull, take, unread

FRAMES = 100_000
FULL_FRAMES = 1_000_000
DIFFERENT = 2560  # frames, a multiple of all sequence numbers
LONGEST_ARRIVAL = 60  # bytes that are there when the guard looks
SILENCE = 0.1  # share of frames after which the line is quiet for longer than a frame may stop
COMMANDS = ("keep_alive", "exam_context", "scan_parameters", "table_move", "tilt", "prepare", "expose", "stop")


def different_frames(profile: Profile, dice: random.Random) -> list[bytes]:
    """Frames of every command in turn with whatever their fields can hold."""
    writer = Commands(profile, FORWARD, any_value=True)
    frames = []
    for number in range(DIFFERENT):
        name = COMMANDS[number % len(COMMANDS)]
        values = {field: profile.from_raw(field, dice.randrange(256)) for field in profile.fields_of(name)}
        frames.append(writer.build(name, number & 255, values))
    return frames


def received(profile: Profile, pieces: list[Piece], dice: random.Random) -> Iterator[bytes]:
    """The frames that ring and deframer make of what arrives by fits and starts."""
    port = DeskPort()
    deframer = Deframer(Commands(profile, FORWARD).framing)
    for stretch in stretches(pieces, dice):
        while stretch:
            size = dice.randint(1, LONGEST_ARRIVAL)
            port.arrive(stretch[:size])
            stretch = stretch[size:]
            while length := pull(port.ring, deframer.block):
                yield bytes(deframer.frame[:length])
        yield from given_up(port, deframer)


def stretches(pieces: list[Piece], dice: random.Random) -> Iterator[bytes]:
    """What arrives between two silences that end a frame; they come between frames, whole ones and spoilt ones."""
    stretch = b""
    for piece in pieces:
        stretch += piece.wire
        if dice.random() < SILENCE:
            yield stretch
            stretch = b""
    yield stretch


def given_up(port: DeskPort, deframer: Deframer) -> Iterator[bytes]:
    """The frames that a line hides which went quiet inside a frame."""
    take(port.ring, deframer.block, unread(port.ring), 1)
    while deframer.length:
        yield bytes(deframer.frame[: deframer.length])
        take(port.ring, deframer.block, 0, 1)


def check(profile: Profile, count: int, seed: int, kinds: tuple[Callable[..., Piece], ...] = KINDS) -> None:
    dice = random.Random(seed)
    pieces = list(noisy(islice(cycle(different_frames(profile, dice)), count), dice, kinds))
    found = passed(pieces, received(profile, pieces, dice))
    late = late_recoveries(pieces, found)
    spoilt = sum(piece.is_spoilt for piece in pieces)
    print(f"{count} frames, {spoilt} spoilt, {count - sum(found)} lost, {late} times the first intact one after a disturbance")
    assert spoilt > count / 4
    assert sum(found) >= count - spoilt - late


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_of_disturbance(ct: Profile, kind: Callable[..., Piece]) -> None:
    check(ct, FRAMES // 50, 1, (kind,))


def test_no_bad_frame_comes_out_and_the_next_good_one_does(ct: Profile) -> None:
    check(ct, FRAMES, 2)


@pytest.mark.full
def test_a_long_day_on_a_noisy_line(ct: Profile) -> None:
    check(ct, FULL_FRAMES, 3)


def test_the_check_finds_a_bad_frame_and_a_late_recovery(ct: Profile) -> None:
    """What would have to fail does."""
    dice = random.Random(4)
    pieces = list(noisy(different_frames(ct, dice), dice))
    intact = [piece.frame for piece in pieces if not piece.is_spoilt]
    bad = bytes((*intact[50][:-1], intact[50][-1] ^ 1))
    with pytest.raises(AssertionError, match="never sent"):
        passed(pieces, [*intact[:50], bad, *intact[51:]])
    with pytest.raises(AssertionError, match="never sent"):
        passed(pieces, [*intact[:50], intact[51], intact[50], *intact[52:]])
    at = next(at for at in range(1, len(pieces)) if not (pieces[at - 1].is_spoilt or pieces[at].is_spoilt))
    found = [not piece.is_spoilt for piece in pieces]
    assert late_recoveries(pieces, found) == 0
    found[at] = False
    with pytest.raises(AssertionError, match="without a disturbance"):
        late_recoveries(pieces, found)
