"""Simulated time of an emulated Pico: the rig's agenda hung on one alarm of the emulator's clock.

The emulator takes every cycle for 8 ns, whatever the firmware makes of the system's clock. So its clock counts cycles here,
and nanoseconds, the peripherals' too, are what they last (`rig/system_clock.py`). And it keeps its alarms in a linked list,
where each one more slows every other; the heap does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from rp2040py.clock.simulation_clock import SimulationClock

from gantryguard.rig.clock import Action, Agenda, Handle

if TYPE_CHECKING:
    from rp2040py.clock.clock import IAlarm

COUNTED_NS = 8.0  # what the emulator takes a cycle for
START_HZ = 125_000_000


class PicoClock:
    """A `Clock` over the emulator's. `after_action` is called after each action: shall the run end?

    `counter` is for the run loop, `of_peripherals` for the chip; `cycle_ns` is what a cycle lasts at present.
    """

    def __init__(self) -> None:
        self.after_action: Callable[[], None] | None = None
        self.counter = SimulationClock()
        self.of_peripherals = _PeripheralClock(self)
        self.cycle_ns = 1e9 / START_HZ
        self._since_ns = self._counted = 0.0  # when the present length of a cycle began, in both measures
        self._scale = self.cycle_ns / COUNTED_NS
        self._agenda = Agenda()
        self._alarm = self.counter.create_alarm(self._fire)
        self._armed_ns: int | None = None
        self._firing = False

    @property
    def now_ns(self) -> int:
        """Simulated time since power-on in nanoseconds (the start of the instruction that runs)."""
        return round(self.exact_ns)

    @property
    def exact_ns(self) -> float:
        """The same, not rounded."""
        return self._since_ns + (self.counter.nanos - self._counted) * self._scale

    def run_at(self, frequency_hz: float) -> None:
        """From now on the system's clock has this frequency."""
        self._since_ns, self._counted = self.exact_ns, self.counter.nanos
        self.cycle_ns = 1e9 / frequency_hz
        self._scale = self.cycle_ns / COUNTED_NS
        if self._armed_ns is not None:
            self._arm(self._armed_ns)

    def call_at(self, t_ns: int, action: Action) -> Handle:
        """Run `action` at `t_ns`, or next if that has passed."""
        t_ns = max(t_ns, self.now_ns)
        handle = self._agenda.add(t_ns, action)
        if not self._firing and (self._armed_ns is None or t_ns < self._armed_ns):
            self._arm(t_ns)
        return handle

    def skip(self, limit_ns: int) -> int:
        """Pass to the next alarm, `limit_ns` at most, without the processor. Returns the cycles passed."""
        counted = max(limit_ns, 1) / self._scale  # the present is rounded: nothing left may be a fraction
        if self.counter.has_scheduled_alarm:
            counted = min(counted, self.counter.nanos_to_next_alarm)
        self.counter.tick(counted)
        return int(counted // COUNTED_NS)

    def _arm(self, t_ns: int) -> None:
        self._armed_ns = t_ns
        self._alarm.schedule(max(0.0, (t_ns - self.exact_ns) / self._scale))

    def _fire(self) -> None:
        self._firing, self._armed_ns = True, None
        try:
            while (due_ns := self._agenda.next_ns()) is not None and due_ns <= self.now_ns:
                self._agenda.pop()()
                if self.after_action is not None:
                    self.after_action()
        finally:
            self._firing = False
        if due_ns is not None:
            self._arm(due_ns)


class _PeripheralClock(SimulationClock):
    """The rig's clock as the emulator's peripherals know one; it has to be of their class."""

    def __init__(self, clock: PicoClock) -> None:
        super().__init__()
        self._clock = clock

    @property
    def nanos(self) -> float:
        return self._clock.exact_ns

    @property
    def micros(self) -> float:
        return self._clock.exact_ns / 1000

    def create_alarm(self, callback: Callable[[], None]) -> IAlarm:  # type: ignore[override]  # its class is not asked
        return _Alarm(self._clock, callback)


class _Alarm:
    """An alarm of a peripheral, as an action of the rig."""

    def __init__(self, clock: PicoClock, callback: Callable[[], None]) -> None:
        self._clock = clock
        self._callback = callback
        self._handle: Handle | None = None

    def schedule(self, delta_nanos: float) -> None:
        self.cancel()
        self._handle = self._clock.call_at(math.ceil(self._clock.exact_ns + delta_nanos), self._callback)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
