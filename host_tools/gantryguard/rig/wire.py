"""Runs without a guard: console and gantry joined by the two lines of a plain cable, in simulated time."""

from __future__ import annotations

from collections.abc import Callable

from gantryguard.profiles.profile import Profile
from gantryguard.rig.bench import play
from gantryguard.rig.cable import Line
from gantryguard.rig.clock import EventClock
from gantryguard.rig.result import RunResult
from gantryguard.rig.scenario import Scenario
from gantryguard.rig.trust import TRUSTING, Trust
from interposer.core.package import P_BAUD


class PlainWire:
    """A bench of two lines. Keys have nothing to act on."""

    def __init__(self, baud: int) -> None:
        self.clock = EventClock()
        self.console_in = self.gantry_out = Line(self.clock, baud)
        self.gantry_in = self.console_out = Line(self.clock, baud)

    def press(self, key: str) -> None:
        """Nothing is there to be pressed."""

    def release(self, key: str) -> None:
        """Nothing is there to be released."""

    def run_for(self, duration_ns: int) -> None:
        """Run for `duration_ns` nanoseconds."""
        self.clock.run_for(duration_ns)

    def run_while(self, wanted: Callable[[], bool], limit_ns: int) -> bool:
        """Run while `wanted()` holds, for `limit_ns` nanoseconds at most; True if it ended the run."""
        return self.clock.run_while(wanted, limit_ns)


def run_on_wire(profile: Profile, scenario: Scenario, *, trust: Trust = TRUSTING) -> RunResult:
    """Play a scenario without a guard. UserError (exit 8) if it never ends."""
    baud = profile.package.table("params")[P_BAUD]
    return play(PlainWire(baud), profile, scenario, trust=trust)
