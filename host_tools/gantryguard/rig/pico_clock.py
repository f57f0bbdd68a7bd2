"""Simulated time of an emulated Pico: the rig's agenda hung on one alarm of the emulator's clock.

The emulator keeps its alarms in a linked list, where each one more slows every other; the heap does not.
"""

from __future__ import annotations

from collections.abc import Callable

from rp2040py.clock.clock import IClock

from gantryguard.rig.clock import Action, Agenda, Handle


class PicoClock:
    """A `Clock` over the emulator's. `after_action` is called after each action: shall the run end?"""

    def __init__(self, clock: IClock) -> None:
        self.after_action: Callable[[], None] | None = None
        self._clock = clock
        self._agenda = Agenda()
        self._alarm = clock.create_alarm(self._fire)
        self._armed_ns: int | None = None
        self._firing = False

    @property
    def now_ns(self) -> int:
        """Simulated time since power-on in nanoseconds (the start of the instruction that runs)."""
        return round(self._clock.nanos)

    def call_at(self, t_ns: int, action: Action) -> Handle:
        """Run `action` at `t_ns`, or next if that has passed."""
        t_ns = max(t_ns, self.now_ns)
        handle = self._agenda.add(t_ns, action)
        if not self._firing and (self._armed_ns is None or t_ns < self._armed_ns):
            self._arm(t_ns)
        return handle

    def skip(self, limit_ns: int) -> int:
        """Pass to the next alarm, `limit_ns` at most, without the processor. Returns the ns passed."""
        delta_ns = float(limit_ns)
        if self._clock.has_scheduled_alarm:
            delta_ns = min(delta_ns, self._clock.nanos_to_next_alarm)
        self._clock.tick(delta_ns)
        return round(delta_ns)

    def _arm(self, t_ns: int) -> None:
        self._armed_ns = t_ns
        self._alarm.schedule(max(0.0, t_ns - self._clock.nanos))

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
