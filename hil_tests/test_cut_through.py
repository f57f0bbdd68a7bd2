"""Frames that leave while they come: what passes arrives whole, half a bit late or once more later; nothing else does."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from guard import Guard

from gantryguard.benchmarks.cut_through import bad_frame, cutting_profile, measure_cut_through
from gantryguard.profiles.profile import Profile
from gantryguard.rig import cases
from gantryguard.rig.clock import MS, S
from gantryguard.rig.endpoint import Commands, Endpoint, Message
from gantryguard.rig.guarded import booted_guard
from gantryguard.rig.pico import EmulatedPico
from interposer.core.link import BACKWARD, FORWARD
from interposer.core.package import P_GAP_MS, P_KEY_HOLD_MS

BAUD = 57_600  # of the short runs: here short commands leave in time, long ones may not
MOST_DELAY_BITS = 1
LEAST_IN_TIME = {19_200: 0.99, 115_200: 0.45, 921_600: 0.15}  # all; those that ask no network; a stop that finds the loop awake
SEEN_UP_NS = 100 * MS  # a key counts that was seen up since the hold began
WATCHDOG_NS = 2200 * MS
CHECK_BYTES = 2
TOLD_BYTE = 21  # a byte of scan parameters that an exposure is judged by too
LAPS_FRAMES = 120  # of 37 bytes: two laps of the ring and more
HANGS_INSIDE_A_FRAME = """
from time import sleep_ms
from interposer import cutting
from interposer.hal.cut_through import follow
def hang(block, now):
    if follow(block[0], block[1], block[2], block[6]):
        while True:
            sleep_ms(100)
    return -1
cutting.follow_and_judge = hang
"""
HELD = cases.abdomen(kvp=140, ma=560, rotation_s=0.8, pitch=0.8, scan_length_mm=460)  # above the notification value

pytestmark = pytest.mark.forked


class Bench:
    """A console that sends bytes, and a gantry that takes frames as a receiver does."""

    def __init__(self, pico: EmulatedPico, profile: Profile) -> None:
        self.pico = pico
        self.writer = Commands(profile, FORWARD)
        self.taken: list[Message] = []
        gantry = Endpoint(pico.clock, profile, BACKWARD, lambda _data: None, any_value=True, receive=self.taken.append)
        pico.gantry_out.deliver = gantry.on_byte
        self.rest_ns = 3 * profile.package.table("params")[P_GAP_MS] * MS
        self.key_ns = (profile.package.table("params")[P_KEY_HOLD_MS] + 200) * MS

    def send(self, data: bytes) -> list[bytes]:
        """Put bytes on a line at rest; the frames that the gantry took of them."""
        before = len(self.taken)
        self.pico.run_for(self.rest_ns)
        self.pico.console_in.send(data)
        self.pico.run_while(lambda: not self.pico.console_in.idle, 10 * S)
        self.pico.run_for(self.rest_ns)
        return [message.frame for message in self.taken[before:]]


@pytest.fixture(scope="module")
def cutting(ct: Profile) -> Profile:
    return cutting_profile(ct, BAUD)


@pytest.fixture(scope="module")
def booted_cutting(micropython_uf2: Path, cutting: Profile) -> EmulatedPico:
    return booted_guard(cutting, micropython_uf2)


@pytest.fixture
def bench(booted_cutting: EmulatedPico, cutting: Profile) -> Bench:
    return Bench(booted_cutting, cutting)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("baud", "frames"),
    [
        (115_200, 36),
        (921_600, 36),
        pytest.param(19_200, 200, marks=pytest.mark.full),
        pytest.param(115_200, 2000, marks=pytest.mark.full),
        pytest.param(921_600, 2000, marks=pytest.mark.full),
    ],
)
def test_what_passes_arrives_and_nothing_else_does(micropython_uf2: Path, ct: Profile, baud: int, frames: int) -> None:
    result = measure_cut_through(cutting_profile(ct, baud), micropython_uf2, frames)
    print(result)
    assert result.wrong == 0
    assert result.passing >= 2 * frames // 3
    assert result.delay_bits is not None
    assert 0 < result.delay_bits.min <= result.delay_bits.max <= MOST_DELAY_BITS
    assert result.in_time > LEAST_IN_TIME[baud] * result.passing


def test_a_held_frame_arrives_spoiled_and_an_override_sends_it_whole(bench: Bench) -> None:
    context = bench.writer.build("exam_context", 1, cases.VERY_OBESE)
    held = bench.writer.build("scan_parameters", 2, HELD.parameters)
    assert bench.send(context) == [context]
    before = len(bench.pico.gantry_out.arrivals)
    assert bench.send(held) == []
    spoiled = bench.pico.gantry_out.data[before:]
    assert len(spoiled) >= len(held) - 1  # it has left, but for what was spoiled of it
    assert spoiled != held
    assert spoiled[: len(held) - 1] == held[:-1]
    bench.pico.run_for(SEEN_UP_NS)
    bench.pico.press("override")
    bench.pico.run_for(bench.key_ns)
    bench.pico.release("override")
    assert [message.frame for message in bench.taken] == [context, held]


def test_a_stop_passes_right_behind_a_refused_frame(bench: Bench) -> None:
    good = bench.writer.build("keep_alive", 1, {})
    stop = bench.writer.build("stop", 2, {})
    assert bench.send(bad_frame(bench.writer, good, 0) + stop) == [stop]
    assert bench.send(bench.writer.build("keep_alive", 3, {}) + stop)[-1] == stop


def test_a_frame_whose_check_was_wrong_leaves_nothing_behind(bench: Bench) -> None:
    """It was judged before its check came: what the exposure behind it is judged by is what was let through."""
    parameters = cases.abdomen().parameters
    named = (("exam_context", cases.ADULT), ("scan_parameters", parameters), ("prepare", {}))
    for number, (name, values) in enumerate(named, 1):
        frame = bench.writer.build(name, number, values)
        assert bench.send(frame) == [frame]
    other = bytearray(bench.writer.build("scan_parameters", 4, parameters))
    other[TOLD_BYTE] ^= 1
    assert bench.send(bytes(other)) == []
    expose = bench.writer.build("expose", 4, {"series": 1})
    assert bench.send(expose) == [expose]


def test_no_frame_is_taken_for_lost_after_many_laps_of_the_ring(bench: Bench) -> None:
    """One by one they are judged while they come; those that follow without a pause go by store-and-forward."""
    context = bench.writer.build("exam_context", 1, cases.ADULT)
    assert bench.send(context) == [context]
    parameters = cases.abdomen().parameters
    for number in range(2, 2 + LAPS_FRAMES):
        frame = bench.writer.build("scan_parameters", number & 255, parameters)
        assert bench.send(frame) == [frame]
    pair = [bench.writer.build("keep_alive", 2 + LAPS_FRAMES + more & 255, {}) for more in (0, 1)]
    assert bench.send(b"".join(pair)) == pair


def test_a_guard_that_hangs_inside_a_frame_lets_it_go_spoiled(micropython_uf2: Path, cutting: Profile) -> None:
    """The state machine needs a word for each byte of the check, and nobody gives it. Then the watchdog opens the relay."""
    bench = Bench(Guard(micropython_uf2, cutting, patch=HANGS_INSIDE_A_FRAME).boot().pico, cutting)
    alive = bench.writer.build("keep_alive", 1, {})
    assert bench.send(alive) == []
    assert bench.pico.gantry_out.data.startswith(alive[:-CHECK_BYTES]), "it was on its way"
    assert bench.pico.gantry_out.data != alive
    assert bench.pico.run_while(lambda: bench.pico.relay.closed, WATCHDOG_NS)
    assert bench.taken == []


def test_no_stream_gets_a_refused_frame_through(bench: Bench) -> None:
    assert_hostile(bench, seed=1, bursts=8)


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_no_stream_gets_a_refused_frame_through_in_the_long_run(bench: Bench) -> None:
    assert_hostile(bench, seed=2, bursts=300)


def assert_hostile(bench: Bench, seed: int, bursts: int) -> None:
    """Pieces of intact but unknown frames, starts, ends, noise: whatever the gantry takes would have to be such a frame."""
    random = Random(seed)
    good = bench.writer.build("keep_alive", 9, {})
    unknown = bad_frame(bench.writer, good, 0)
    for _ in range(bursts):
        pieces = []
        for _ in range(random.randint(1, 5)):
            cut = random.randint(0, len(unknown))
            noise = bytes(random.randrange(256) for _ in range(random.randint(0, 3)))
            pieces.append(random.choice([unknown, unknown[:cut], unknown[cut:], noise, good[:3], unknown[:2]]))
        assert bench.send(b"".join(pieces)) == []
        assert bench.pico.relay.closed
