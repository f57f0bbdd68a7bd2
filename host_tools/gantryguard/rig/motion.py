"""One motorised axis (table or tilt): it runs at the commanded speed, and whatever is in its way stops it.

Positions and speeds are in the axis's own unit (mm or degrees) and that unit per second; time is simulated nanoseconds.
Not modelled: ramps, and damage (an axis that hit its stop can be driven out of it again).
"""

from __future__ import annotations

from dataclasses import dataclass

from gantryguard.rig.clock import S


@dataclass(frozen=True)
class Travel:
    """What the mechanics allow: end stops, and the speed above which the drive trips over into a fault."""

    lowest: float
    highest: float
    fastest: float


@dataclass(frozen=True)
class Fault:
    """Something mechanical that should never happen: when, on which axis, what."""

    t_ns: int
    axis: str
    what: str


class Axis:
    """Position as a function of time: a straight line from the last command to its target or to the end stop."""

    def __init__(self, name: str, travel: Travel) -> None:
        self.name = name
        self.travel = travel
        self.faults: list[Fault] = []
        self._start_ns = self._end_ns = 0
        self._from = self._to = min(max(0.0, travel.lowest), travel.highest)

    def position(self, now_ns: int) -> float:
        """Where the axis is."""
        if now_ns >= self._end_ns:
            return self._to
        part = (now_ns - self._start_ns) / (self._end_ns - self._start_ns)
        return self._from + part * (self._to - self._from)

    def moving(self, now_ns: int) -> bool:
        """Whether the axis has not arrived yet."""
        return now_ns < self._end_ns

    def move(self, target: float, speed: float, now_ns: int) -> int:
        """Drive to `target` at `speed`; returns when the axis will stand. Speed 0 moves nothing.

        Beyond the fastest speed the drive runs as fast as it can; beyond an end stop it runs into it. Both are faults.
        """
        if speed > self.travel.fastest:
            self._fail(now_ns, f"commanded to {speed:g} per second, the drive allows {self.travel.fastest:g}")
        speed = min(speed, self.travel.fastest)
        self.stop(now_ns)
        here = self._to
        there = min(max(target, self.travel.lowest), self.travel.highest) if speed > 0 else here
        self._to = there
        self._end_ns = now_ns + (round(abs(there - here) / speed * S) if speed > 0 else 0)
        if speed > 0 and there != target:
            self._fail(self._end_ns, f"driven into its end stop at {there:g} towards {target:g}")
        return self._end_ns

    def stop(self, now_ns: int) -> None:
        """Stand still at once; a stop that was not reached yet is not hit."""
        self._to = self.position(now_ns)
        self._from, self._start_ns, self._end_ns = self._to, now_ns, now_ns
        self.faults = [fault for fault in self.faults if fault.t_ns <= now_ns]

    def _fail(self, t_ns: int, what: str) -> None:
        self.faults.append(Fault(t_ns, self.name, what))
