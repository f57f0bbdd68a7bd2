"""The firmware's bridge on a desk: the real decision core and the real `Bridge`, with ports and pins that only remember.

For questions that need millions of steps. Whatever depends on the chip is asked on the emulated one (`hil_tests`).
"""

from __future__ import annotations

import sys
import types
from array import array
from collections.abc import Callable
from typing import Any

from gantryguard.profiles.profile import Profile
from gantryguard.rig.board import load_board, render_board_py
from interposer.core.gate import CANCEL_DOWN, OVERRIDE_DOWN
from interposer.core.reasons import NONE
from interposer.core.ring import unread
from interposer.core.verdict import Judge

RING = 65536
ROOM = 4096


class Pin:
    """A pin that keeps its level."""

    IN, OUT, PULL_UP, PULL_DOWN = range(4)

    def __init__(self, number: int, _mode: int = 0, _pull: int = -1, value: int = 0) -> None:
        self.number = number
        self.level = value

    def __call__(self, level: int | None = None) -> int:
        if level is not None:
            self.level = level
        return self.level


class DeskClock:
    """Microseconds; a look at it takes so long that nobody waits awake."""

    def __init__(self) -> None:
        self.now_us = 0

    def __getitem__(self, _word: int) -> int:
        self.now_us += 60_000
        return self.now_us


class DeskPins:
    """The registers that set and clear pins: `strobed` is called where one is set."""

    def __init__(self) -> None:
        self.strobed: Callable[[], None] = lambda: None

    def __setitem__(self, register: int, _pins: int) -> None:
        if register == 0:
            self.strobed()


class DeskChip:
    """A flash to which nothing is ever written."""

    functions = (lambda _words: None, lambda _words, _command, _count: 0, lambda _words: None)
    words: tuple[int, ...] = ()


class DeskPort:
    """A port: `arrive` is what comes in, `left` is what went out."""

    functions = (
        lambda _port: ROOM,
        lambda port, source, start, count: port.transmit(source, start, count),
        lambda _port: 0,
        lambda _ring, _loss: 0,
    )
    loss: tuple[int, ...] = ()
    resting: tuple[int, ...] = ()
    chip = DeskChip()

    def __init__(self) -> None:
        self.byte_us = 87
        self.clock = DeskClock()
        self.pins = DeskPins()
        self.sender = self
        self.left: list[bytes] = []
        self._bytes = bytearray(RING)
        self._place = array("i", [0])
        self.ring = (self._bytes, self._place, array("i", [0]), array("i", [0, RING - 1, 0]))

    def arrive(self, data: bytes) -> None:
        assert unread(self.ring) + len(data) < RING, "more at once than the ring takes"
        for byte in data:
            self._bytes[self._place[0]] = byte
            self._place[0] = (self._place[0] + 1) % RING

    @staticmethod
    def rest(_words: tuple[int, ...], _us: int, _hears: int) -> int:
        """Nothing happens while a desk rests."""
        return 0

    def is_behind(self) -> bool:
        return False

    def room(self) -> int:
        return ROOM

    def transmit(self, source: bytes, start: int, count: int) -> None:
        if count:
            self.left.append(bytes(source[start : start + count]))

    def finish(self) -> None:
        pass


class DeskRelay:
    """A relay whose contact obeys at once, unless it is `stuck`."""

    def __init__(self) -> None:
        self.closed = False
        self.stuck = False

    def open(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True

    def agrees(self) -> bool:
        return not self.stuck

    def settle(self) -> bool:
        return self.agrees()


class DeskKeys:
    """Debounced keys, as levels."""

    def __init__(self) -> None:
        self.levels = 0

    def read(self, _now: int) -> int:
        return self.levels

    def set(self, *, override: bool | None = None, cancel: bool | None = None) -> None:
        for bit, down in ((OVERRIDE_DOWN, override), (CANCEL_DOWN, cancel)):
            if down is not None:
                self.levels = self.levels | bit if down else self.levels & ~bit


def firmware() -> Any:
    """Bridge, lamps, keys and status, imported over a `machine` with nothing but pins and the generated board record."""
    if "machine" not in sys.modules:
        machine = types.ModuleType("machine")
        machine.Pin = Pin  # type: ignore[attr-defined]  # a stand-in module
        sys.modules["machine"] = machine
        record = types.ModuleType("interposer.hal.board_record")
        exec(render_board_py(load_board()), record.__dict__)
        import interposer.hal

        sys.modules["interposer.hal.board_record"] = record
        interposer.hal.board_record = record  # type: ignore[attr-defined]  # generated into the device image only
    from interposer import bridge
    from interposer.hal import panel
    from interposer.service import status

    return types.SimpleNamespace(Bridge=bridge.Bridge, Lamp=panel.Lamp, Keys=panel.Keys, Status=status.Status)


class Desk:
    """A guard on the desk. Time is `now` in ms and moves by `wait`."""

    def __init__(self, profile: Profile, death: int = NONE, start_ms: int = 0) -> None:
        parts = firmware()
        self.profile = profile
        self.now = start_ms
        self.console, self.gantry = DeskPort(), DeskPort()
        self.relay, self.keys = DeskRelay(), DeskKeys()
        judge = Judge(profile.package)
        lamps = (parts.Lamp(16), parts.Lamp(17))
        self.bridge = parts.Bridge(profile.package, judge, self.console, self.gantry, self.relay, *lamps, self.keys)
        self.bridge.start(death, start_ms)

    def step(self) -> None:
        """Turns of the loop until it would sleep."""
        while not self.bridge.step(self.now & 0x3FFFFFFF):
            pass

    def send(self, frame: bytes) -> list[bytes]:
        """Console bytes; returns what left for the gantry at once."""
        before = len(self.gantry.left)
        self.console.arrive(frame)
        self.step()
        return self.gantry.left[before:]

    def wait(self, duration_ms: int, grain_ms: int = 20) -> None:
        """Let time pass, a turn every `grain_ms`."""
        end = self.now + duration_ms
        while self.now < end:
            self.now = min(self.now + grain_ms, end)
            self.step()
