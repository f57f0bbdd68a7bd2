"""Plays every scenario twice, through the guard and on a plain wire.

The guard boots once, from the device image as flashed; every run begins in a forked copy of that booted chip, so that all of
them start from the same state at the same simulated time, two at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context

from gantryguard.client.maintenance import Guard
from gantryguard.client.report import Labels, describe_event
from gantryguard.profiles.profile import Profile
from gantryguard.rig.endpoint import Commands
from gantryguard.rig.guarded import run_guarded
from gantryguard.rig.pico import EmulatedPico
from gantryguard.rig.result import RunResult, frames_in
from gantryguard.rig.scenario import Scenario
from gantryguard.rig.trace import STROBE
from gantryguard.rig.transport import PicoTransport
from gantryguard.rig.wire import run_on_wire
from interposer.core.link import FORWARD

WORKERS = 2
TOLD = ("verdict", "proposal", "state")
NS_PER_US = 1000


@dataclass(frozen=True)
class PairedRun:
    """One scenario with the guard and without.

    `verdict_us`: simulated time from a frame's last byte to its verdict. `told`: what the device itself says that it did
    and why, as `gantryguard device watch` shows it.
    """

    story: str
    guard: RunResult
    wire: RunResult
    verdict_us: tuple[float, ...]
    told: tuple[str, ...]


class Stage:
    """The booted guard and the scenarios, inherited by every forked run."""

    current: Stage

    def __init__(self, profile: Profile, pico: EmulatedPico, scenarios: tuple[Scenario, ...]) -> None:
        self.profile = profile
        self.pico = pico
        self.scenarios = scenarios

    def play(self, number: int) -> PairedRun:
        """Play one scenario; uses the guard up, hence only in a fork."""
        scenario = self.scenarios[number]
        guard = run_guarded(lambda: self.pico, self.profile, scenario)
        verdict_us = verdict_times_us(self.pico, self.profile)
        wire = run_on_wire(self.profile, scenario)
        return PairedRun(scenario.story, guard, wire, verdict_us, self._told())

    def _told(self) -> tuple[str, ...]:
        labels = Labels(self.profile.package.table("names").decode())
        events = Guard(PicoTransport(self.pico)).events(0)
        return tuple(describe_event(event, labels).strip() for event in events if event["kind"] in TOLD)


def verdict_times_us(pico: EmulatedPico, profile: Profile) -> tuple[float, ...]:
    """Simulated microseconds from the last byte of each frame to the strobe of its verdict.

    None where the guard judged another number of frames than crossed the line: bytes of a flood were lost.
    """
    ends = [t_ns for t_ns, _frame in frames_in(pico.console_in.arrivals, Commands(profile, FORWARD, any_value=True))]
    strobes = [entry.t_ns for entry in pico.trace.of(STROBE) if entry.value]
    if len(ends) != len(strobes):
        return ()
    return tuple((strobe - end) / NS_PER_US for end, strobe in zip(ends, strobes, strict=True))


def _play(number: int) -> tuple[int, PairedRun]:
    return number, Stage.current.play(number)


def play_all(profile: Profile, pico: EmulatedPico, scenarios: tuple[Scenario, ...]) -> Iterator[tuple[int, PairedRun]]:
    """Play all scenarios, each in a fork of its own; yields number and run as they end.

    The last begin first: it is attacks that take longest.
    """
    Stage.current = Stage(profile, pico, scenarios)
    with get_context("fork").Pool(WORKERS, maxtasksperchild=1) as pool:
        yield from pool.imap_unordered(_play, reversed(range(len(scenarios))), chunksize=1)
