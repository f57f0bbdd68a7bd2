"""The power may go at any time: the relay opens within a millisecond and stays open until a package has been checked again."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest
from forking import in_fork
from guard import OPEN_WITHIN_NS, Guard

from gantryguard.profiles.profile import Profile
from gantryguard.rig import trace
from gantryguard.rig.clock import MS, S

CUTS = 50
FULL_CUTS = 100


def traffic(guard: Guard, duration_ms: int) -> None:
    """Keep-alives every 30 ms from now on, in between a replayed one, which opens the relay, and stops through it."""
    for number in range(duration_ms // 30):
        replayed, stop = number % 20 == 10, number % 20 > 10
        frame = guard.frame("stop" if stop else "keep_alive", step=100 if replayed else 1)
        guard.pico.clock.call_at(guard.pico.now_ns + 30 * number * MS, partial(guard.pico.console_in.send, frame))


def cut(guard: Guard, restart: bool) -> None:
    """The power goes now, and comes back."""
    at, was_closed, passed = guard.pico.now_ns, guard.pico.relay.closed, len(guard.pico.gantry_out.arrivals)
    assert guard.pico.power_cut()[: len(guard.flash)] == guard.flash, "the flash was written to"
    guard.pico.run_for(3 * MS)
    assert not guard.pico.relay.closed
    if was_closed:
        assert guard.times(trace.CONTACT, 0)[-1] - at <= OPEN_WITHIN_NS
    guard.pico.console_in.clear()
    guard.pico.power_on()
    guard.pico.run_for(10 * MS)
    assert not guard.pico.relay.closed
    assert len(guard.pico.gantry_out.arrivals) == passed
    if restart:
        guard.boot()
        assert guard.send(alive := guard.frame("keep_alive")) == alive


def power_cuts(guard: Guard, count: int, restarts: int) -> None:
    """Cut at `count` random times, each in a fork: half of them before the relay closes, the rest in traffic and in waiting."""
    dice = random.Random(count)
    times = sorted(dice.uniform(0, 1.0) for _ in range(count // 2)) + sorted(
        dice.uniform(1.0, 1.6) for _ in range(count - count // 2)
    )
    restarted = set(dice.sample(range(count), restarts))
    open_ones = 0
    for number, at_s in enumerate(times):
        if number == count // 2:
            guard.boot()
            traffic(guard, 600)
        guard.pico.run_until(max(guard.pico.now_ns, int(at_s * S)))
        open_ones += not guard.pico.relay.closed
        failure = in_fork(partial(cut, guard, number in restarted))
        assert not failure, f"cut at {at_s:.4f} s: {failure}"
    print(f"{count} cuts, {open_ones} of them with the relay open, {restarts} complete restarts")
    assert count // 4 < open_ones < count


def test_power_may_go_at_any_time(micropython_uf2: Path, ct: Profile) -> None:
    power_cuts(Guard(micropython_uf2, ct), CUTS, 1)


@pytest.mark.full
@pytest.mark.timeout(7200)
def test_power_may_go_at_any_time_and_the_guard_starts_again(micropython_uf2: Path, ct: Profile) -> None:
    power_cuts(Guard(micropython_uf2, ct), FULL_CUTS, FULL_CUTS)
