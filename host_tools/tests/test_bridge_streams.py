"""For any byte stream, what leaves is a sequence of exact input frames that were judged PASS, or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from desk import Desk
from hypothesis import given, settings
from hypothesis import strategies as st

from gantryguard.profiles.profile import Profile
from gantryguard.rig.cable import Arrival
from gantryguard.rig.endpoint import Commands
from gantryguard.rig.result import frames_in
from interposer.core.link import FORWARD
from interposer.core.package import P_GAP_MS
from interposer.core.reasons import PASS

CONTEXT = {"exam_number": 1, "objective": "head", "age_years": 60, "sex": "male", "weight_kg": 80, "height_cm": 175}
LONGEST_FRAME = 64


class Watched(Desk):
    """A desk that remembers which frames the judge passed."""

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        self.passed: list[bytes] = []
        self.console.pins.strobed = self.strobed
        self.wait(40)

    def strobed(self) -> None:
        """A verdict has been found."""
        if self.bridge.judge.verdict == PASS:
            self.passed.append(bytes(self.bridge.forward.frame[: self.bridge.forward.length]))


def real_frames(profile: Profile) -> list[bytes]:
    """Frames that a console might send in its first second, good and bad ones."""
    commands: list[tuple[str, dict[str, Any]]] = [
        ("keep_alive", {}), ("exam_context", CONTEXT), ("table_move", {"table_position_mm": 100, "move_speed_mm_s": 80}),
        ("tilt", {"gantry_tilt_deg": 10}), ("prepare", {}), ("expose", {"series": 1}), ("stop", {}),
    ]  # fmt: skip
    return [profile.encode(name, number + 1, values) for number, (name, values) in enumerate(commands)]


def flipped(frame: bytes, at: int, bit: int) -> bytes:
    """A frame with one bit turned over."""
    place = at % len(frame)
    return frame[:place] + bytes((frame[place] ^ 1 << bit,)) + frame[place + 1 :]


def pieces(profile: Profile) -> st.SearchStrategy[list[bytes]]:
    """Streams of frames, spoilt frames, sync bytes, lies about lengths and noise."""
    frames = real_frames(profile)
    framing = bytes((0xA5, 0x5A))
    piece = st.one_of(
        st.sampled_from(frames),
        st.binary(max_size=20),
        st.builds(lambda frame, cut: frame[:cut], st.sampled_from(frames), st.integers(0, 12)),
        st.builds(
            flipped, st.sampled_from(frames), st.integers(0, 63), st.integers(0, 7)
        ),
        st.builds(lambda length, frame: framing + bytes((length,)) + frame, st.integers(0, 255), st.sampled_from(frames)),
        st.just(framing),
    )  # fmt: skip
    return st.lists(piece, max_size=12)


@pytest.fixture(scope="module")
def streams(ct: Profile) -> st.SearchStrategy[list[bytes]]:
    return pieces(ct)


def test_nothing_but_judged_frames_leaves(ct: Profile, streams: st.SearchStrategy[list[bytes]]) -> None:
    @settings(max_examples=300)
    @given(stream=streams, cuts=st.lists(st.integers(1, 40), max_size=20))
    def check(stream: list[bytes], cuts: list[int]) -> None:
        desk = Watched(ct)
        data = b"".join(stream)
        for cut in (*cuts, len(data)):
            desk.send(data[:cut])
            data = data[cut:]
        desk.wait(100)
        left = list(desk.gantry.left)
        allowed = iter(desk.passed)
        assert all(any(frame == judged for judged in allowed) for frame in left), "something left that was not judged PASS"
        whole = b"".join(stream)
        assert all(frame in whole for frame in left)

    check()


def test_a_split_changes_nothing(ct: Profile, streams: st.SearchStrategy[list[bytes]]) -> None:
    @settings(max_examples=200)
    @given(stream=streams, cuts=st.lists(st.integers(1, 40), max_size=20))
    def check(stream: list[bytes], cuts: list[int]) -> None:
        data = b"".join(stream)
        whole, split = Watched(ct), Watched(ct)
        whole.send(data)
        rest = data
        for cut in cuts:
            split.send(rest[:cut])
            rest = rest[cut:]
        split.send(rest)
        whole.wait(100)
        split.wait(100)
        assert split.gantry.left == whole.gantry.left
        # how many of one turn's refusals are answered is bounded, so a turn more may answer more of them
        assert set(whole.console.left) <= set(split.console.left)

    check()


def test_a_good_frame_after_garbage_is_found(ct: Profile) -> None:
    @settings(max_examples=300)
    @given(garbage=st.binary(max_size=80))
    def check(garbage: bytes) -> None:
        desk = Watched(ct)
        frame = ct.encode("keep_alive", 1, {})
        arrivals = [Arrival(0, byte) for byte in garbage]
        by_chance = frames_in(arrivals, Commands(ct, FORWARD, any_value=True))
        desk.send(garbage + frame)
        desk.wait(2 * ct.package.table("params")[P_GAP_MS] + 40)
        assert frame in desk.gantry.left or by_chance, "the frame was not found"

    check()
