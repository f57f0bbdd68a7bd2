"""Every order of frames, keys, STOP and time around a hold, to depth 6: only a fresh OVERRIDE releases the held frame, once.

States that cannot be told apart any more are visited once, so that all orders are covered without playing each of them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from commands import consistent
from desk import Desk

from gantryguard import paths
from gantryguard.profiles.profile import Profile
from interposer.core.exam import X_FATE, X_LENGTH, X_RETRIES, X_SEQUENCE, X_STATE
from interposer.core.gate import HOLDING
from interposer.core.package import P_HOLD_MS, P_KEY_HOLD_MS

DEPTH = 6
FULL_DEPTH = 9
CONTEXT = {
    "exam_number": 1, "objective": "abdomen_pelvis", "age_years": 47, "sex": "male", "weight_kg": 190, "height_cm": 175,
}  # fmt: skip
NORMAL = {
    "scan_mode": "helical", "kvp": 120, "ma": 350, "rotation_s": 0.5, "pitch": 1.0, "collimation_mm": 80, "slice_mm": 5,
    "scan_length_mm": 440, "phantom_cm": 32, "rotations": 1,
}  # fmt: skip
HELD = NORMAL | {"kvp": 140, "ma": 560, "rotation_s": 0.8, "pitch": 0.8}


@pytest.fixture(scope="module")
def profile() -> Profile:
    """The CT profile without its networks: limits alone decide here."""
    return Profile.load(paths.MODELS / "ct")


@dataclass
class Oracle:
    """What the rule allows, worked out from the events alone."""

    key_hold_ms: int
    hold_ms: int
    held: bytes = b""
    since: int = 0
    override_down: bool = False
    cancel_down: bool = False
    fresh_since: int | None = None
    released: set[bytes] = field(default_factory=set)

    def may_release(self, frame: bytes, now: int) -> bool:
        """Whether these bytes may leave now although they were held."""
        fresh = self.fresh_since is not None and now - self.fresh_since >= self.key_hold_ms
        in_time = now - self.since <= self.hold_ms
        return frame == self.held and fresh and in_time and not self.cancel_down and frame not in self.released


class World:
    """A guard, its console's numbers, and the oracle."""

    def __init__(self, profile: Profile) -> None:
        self.desk = Desk(profile)
        self.profile = profile
        self.sequence = 0
        self.ever_held: set[bytes] = set()
        self.last_held = b""
        params = profile.package.table("params")
        self.oracle = Oracle(params[P_KEY_HOLD_MS], params[P_HOLD_MS])
        self.desk.wait(40)
        assert self.send("exam_context", CONTEXT)

    def frame(self, command: str, values: dict[str, Any]) -> bytes:
        """A fresh frame whose stated dose, length product and speed are what they compute to."""
        self.sequence = (self.sequence + 1) & 255
        return self.profile.encode(
            command, self.sequence, consistent(self.profile, CONTEXT | values) if command == "scan_parameters" else values
        )

    def send(self, command: str, values: dict[str, Any]) -> list[bytes]:
        return self.pass_on(self.frame(command, values))

    def pass_on(self, frame: bytes) -> list[bytes]:
        """Send bytes; whatever leaves is checked against the rule."""
        replies = len(self.desk.console.left)
        left = self.desk.send(frame)
        if any(self.is_held_reply(reply) for reply in self.desk.console.left[replies:]) and frame != self.oracle.held:
            self.oracle.held, self.oracle.since, self.oracle.fresh_since = frame, self.desk.now, None
            self.ever_held.add(frame)
        self.check(left)
        return left

    def is_held_reply(self, reply: bytes) -> bool:
        backward = self.desk.bridge.judge.backward
        return bool(
            backward.read(reply, len(reply), self.profile.start_values()) == 0
            and backward.command == self.profile.command("held")
        )

    def check(self, left: list[bytes]) -> None:
        for frame in left:
            if frame in self.ever_held:
                assert self.oracle.may_release(frame, self.desk.now), "a held frame left without a fresh OVERRIDE"
                self.oracle.released.add(frame)
                self.oracle.held = b""

    def wait(self, duration_ms: int) -> None:
        grain_ms = 200 if duration_ms < 1000 else 7600
        for _ in range(0, duration_ms, grain_ms):
            before = len(self.desk.gantry.left)
            self.desk.wait(grain_ms, grain_ms)
            self.check(self.desk.gantry.left[before:])
        if self.desk.now - self.oracle.since > self.oracle.hold_ms:
            self.oracle.held = b""

    def keys(self, *, override: bool | None = None, cancel: bool | None = None) -> None:
        oracle = self.oracle
        if override is not None:
            edge = override and not oracle.override_down
            oracle.fresh_since = self.desk.now if edge else oracle.fresh_since if override else None
            oracle.override_down = override
        if cancel is not None:
            if cancel and not oracle.cancel_down:
                oracle.fresh_since = None
            oracle.cancel_down = cancel
        self.desk.keys.set(override=override, cancel=cancel)
        before = len(self.desk.gantry.left)
        self.desk.wait(20)  # no press is shorter: the board's debounce
        self.check(self.desk.gantry.left[before:])

    def stop(self) -> None:
        frame = self.frame("stop", {})
        assert self.pass_on(frame)[:1] == [frame], "a STOP did not pass"
        self.oracle.held = b""

    def key(self) -> object:
        """Everything that decides what happens next; times and numbers are relative, and only where they still matter."""
        bridge = self.desk.bridge
        gate, exam, now = bridge.gate, bridge.judge.exam, self.desk.now
        session = exam.session
        oracle = self.oracle
        last = bytes(exam.last_frame[: exam.session[X_LENGTH]])
        fresh = oracle.fresh_since if oracle.held else None
        return (
            (gate.state, gate.momentary, gate.keys, gate.fresh, bridge.relay.closed, self.desk.keys.levels),
            (now - gate.since if gate.state == HOLDING else 0, min(now - gate.pressed_at, 600) if gate.fresh else 0),
            (session[X_STATE], (self.sequence - session[X_SEQUENCE]) & 255, session[X_FATE], session[X_RETRIES]),
            last == self.last_held,
            (bytes(bridge.held[: bridge.held_length]) == self.last_held, bytes(exam.values)),
            (now - oracle.since if oracle.held else 0, None if fresh is None else min(now - fresh, 600)),
            (oracle.override_down, oracle.cancel_down, self.last_held in oracle.released),
        )

    def split(self) -> World:
        """A copy that shares what never changes."""
        tables = self.profile.package.tables
        memo: dict[int, Any] = {id(self.profile): self.profile, id(self.profile.package): self.profile.package}
        memo |= {id(table): table for table in tables.values()}
        memo[id(self.desk.bridge.events)] = self.desk.bridge.events
        self.desk.gantry.left.clear()
        self.desk.console.left.clear()
        return copy.deepcopy(self, memo)


def _held(world: World) -> None:
    world.last_held = world.frame("scan_parameters", HELD)
    world.pass_on(world.last_held)


def _again(world: World) -> None:
    if world.last_held:
        world.pass_on(world.last_held)


EVENTS: dict[str, Callable[[World], object]] = {
    "held": _held,
    "again": _again,
    "normal": lambda world: world.send("scan_parameters", NORMAL),
    "alive": lambda world: world.send("keep_alive", {}),
    "stop": World.stop,
    "override down": lambda world: world.keys(override=True),
    "override up": lambda world: world.keys(override=False),
    "cancel down": lambda world: world.keys(cancel=True),
    "cancel up": lambda world: world.keys(cancel=False),
    "moment": lambda world: world.wait(200),
    "key time": lambda world: world.wait(600),
    "hold time": lambda world: world.wait(30_400),
}


def explore(world: World, depth: int) -> tuple[int, int]:
    """Visit everything within `depth` events; (states, releases)."""
    seen = {world.key()}
    front = [world]
    releases = 0
    for _ in range(depth):
        following = []
        for before in front:
            for event in EVENTS.values():
                after = before.split()
                event(after)
                releases += len(after.oracle.released) - len(before.oracle.released)
                if (key := after.key()) not in seen:
                    seen.add(key)
                    following.append(after)
        front = following
    return len(seen), releases


@pytest.mark.timeout(900)
def test_only_a_fresh_override_releases_and_only_once(profile: Profile) -> None:
    states, releases = explore(World(profile), DEPTH)
    assert states > 500
    assert releases > 10, "the exploration never saw a release: it would prove nothing"


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_the_same_deeper(profile: Profile) -> None:
    explore(World(profile), FULL_DEPTH)


def test_the_plain_way(profile: Profile) -> None:
    """Held, OVERRIDE pressed long enough, released once; its retry and a second press release nothing."""
    world = World(profile)
    _held(world)
    assert not world.desk.gantry.left[1:]
    world.keys(override=True)
    world.wait(600)
    assert world.desk.gantry.left[1:] == [world.last_held]
    world.keys(override=False)
    _again(world)
    world.keys(override=True)
    world.wait(600)
    assert world.desk.gantry.left[1:] == [world.last_held]


@pytest.mark.parametrize(
    "order", [("override down", "held", "key time"), ("held", "override down", "moment", "override up", "key time")]
)
def test_a_stuck_or_short_press_does_nothing(profile: Profile, order: tuple[str, ...]) -> None:
    world = World(profile)
    for name in order:
        EVENTS[name](world)
    assert not world.oracle.released
