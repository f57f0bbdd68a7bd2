"""The device's keys as the firmware reads them: a press is what was never seen interrupted, and only that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from desk import Desk, firmware
from desk_console import DeskConsole

from gantryguard.profiles.profile import Profile
from gantryguard.rig.board import load_board
from interposer.core.gate import CANCEL_DOWN, OVERRIDE_DOWN, UNKNOWN

BOARD = load_board()
GRAIN_MS = 10


class Panel:
    """The firmware's keys over pins that a test sets, read every GRAIN_MS."""

    def __init__(self) -> None:
        self.keys: Any = firmware().Keys()
        self.now = 0
        self.set()
        self.wait(100)

    def set(self, *, override: bool = False, cancel: bool = False) -> None:
        """Levels of both keys."""
        for pin, down in ((self.keys.override, override), (self.keys.cancel, cancel)):
            pin(BOARD.key_active if down else 1 - BOARD.key_active)

    def wait(self, duration_ms: int, grain_ms: int = GRAIN_MS) -> list[int]:
        """What each reading says until `duration_ms` have passed."""
        readings = []
        for _ in range(0, duration_ms, grain_ms):
            self.now += grain_ms
            readings.append(self.keys.read(self.now))
        return readings


def test_a_key_counts_as_down_once_it_has_been_down_for_the_debounce_time() -> None:
    panel = Panel()
    panel.set(override=True)
    readings = panel.wait(100)
    first_down = readings.index(OVERRIDE_DOWN)
    assert first_down * GRAIN_MS == BOARD.debounce_ms
    assert set(readings[:first_down]) == {0}
    assert set(readings[first_down:]) == {OVERRIDE_DOWN}


def test_a_key_counts_as_up_at_the_first_reading_that_finds_it_up() -> None:
    panel = Panel()
    panel.set(override=True, cancel=True)
    assert panel.wait(100)[-1] == OVERRIDE_DOWN | CANCEL_DOWN
    panel.set(cancel=True)
    assert panel.wait(GRAIN_MS) == [CANCEL_DOWN]
    panel.set(override=True, cancel=True)
    assert panel.wait(BOARD.debounce_ms) == [CANCEL_DOWN, CANCEL_DOWN]


def test_nothing_is_known_at_the_start_and_after_a_pause() -> None:
    keys = firmware().Keys()
    assert keys.read(1000) == UNKNOWN
    panel = Panel()
    assert panel.wait(GRAIN_MS) == [0]
    assert panel.wait(100, 100) == [UNKNOWN]


def presses(down_ms: int, up_ms: int, count: int) -> Iterable[tuple[bool, int]]:
    """OVERRIDE pressed and let go `count` times."""
    return ((down, for_ms) for _ in range(count) for down, for_ms in ((True, down_ms), (False, up_ms)))


@pytest.mark.parametrize(("down_ms", "up_ms"), [(480, 10), (300, 60), (300, 10), (50, 20), (20, 10)])
def test_presses_that_are_too_short_never_add_up(ct: Profile, down_ms: int, up_ms: int) -> None:
    """The gate with the real keys: whatever the rhythm of short presses, nothing leaves."""
    desk, panel = held_with_keys(ct)
    left = len(desk.gantry.left)
    for down, for_ms in presses(down_ms, up_ms, 20):
        panel.set(override=down)
        desk.wait(for_ms, GRAIN_MS)
    assert len(desk.gantry.left) == left
    panel.set(override=True)
    desk.wait(500 + BOARD.debounce_ms + 2 * GRAIN_MS, GRAIN_MS)
    assert len(desk.gantry.left) == left + 1, "a press that is long enough releases: the keys do reach the gate"


def held_with_keys(profile: Profile) -> tuple[Desk, Panel]:
    """A guard with the firmware's own keys that holds a command."""
    console, panel = DeskConsole(profile), Panel()
    console.desk.bridge.keys = panel.keys
    console.hold()
    console.desk.wait(100, GRAIN_MS)
    return console.desk, panel


def test_the_loop_looks_often_while_a_press_counts(ct: Profile) -> None:
    desk, panel = held_with_keys(ct)
    desk.wait(2000, GRAIN_MS)  # the search for a proposal is over
    assert desk.bridge.idle_ms() == 50
    panel.set(override=True)
    desk.wait(100, GRAIN_MS)
    assert desk.bridge.idle_ms() == GRAIN_MS
