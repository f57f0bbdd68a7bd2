"""Simulated time: integer nanoseconds, actions in order of (time, order of scheduling).

Everything in the rig acts from a clock's actions, never from wall time, so equal inputs give equal runs.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Protocol

US = 1_000
MS = 1_000_000
S = 1_000_000_000

TIDY = 1024  # smallest size of an agenda at which cancelled actions are cleared out

Action = Callable[[], None]


class Handle:
    """One scheduled action."""

    __slots__ = ("action",)

    def __init__(self, action: Action) -> None:
        self.action: Action | None = action

    def cancel(self) -> None:
        """Withdraw the action; harmless if it has already run."""
        self.action = None


class Clock(Protocol):
    """What cables, consoles and gantries need of time."""

    @property
    def now_ns(self) -> int:
        """Simulated time since power-on, in nanoseconds."""

    def call_at(self, t_ns: int, action: Action) -> Handle:
        """Run `action` at `t_ns`, or next if that has passed."""


class Agenda:
    """The actions still to come. Cancelled ones go when they reach the top, or when the heap has doubled."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Handle]] = []
        self._order = 0
        self._tidy_at = TIDY

    def add(self, t_ns: int, action: Action) -> Handle:
        """Enter an action at `t_ns`; equal times keep the order of entering."""
        if len(self._heap) >= self._tidy_at:
            self._tidy()
        handle = Handle(action)
        heapq.heappush(self._heap, (t_ns, self._order, handle))
        self._order += 1
        return handle

    def next_ns(self) -> int | None:
        """Time of the earliest live action, None if there is none."""
        heap = self._heap
        while heap and heap[0][2].action is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def pop(self) -> Action:
        """Take the earliest live action; only after `next_ns` has named a time."""
        handle = heapq.heappop(self._heap)[2]
        action = handle.action
        if action is None:
            raise LookupError("the earliest action was cancelled: ask next_ns first")
        handle.action = None
        return action

    def _tidy(self) -> None:
        self._heap = [entry for entry in self._heap if entry[2].action is not None]
        heapq.heapify(self._heap)
        self._tidy_at = max(TIDY, 2 * len(self._heap))

    def __len__(self) -> int:
        return len(self._heap)


class EventClock:
    """A discrete-event clock without a processor, for runs on the plain wire."""

    def __init__(self) -> None:
        self._now_ns = 0
        self._agenda = Agenda()

    @property
    def now_ns(self) -> int:
        """Simulated time in nanoseconds."""
        return self._now_ns

    def call_at(self, t_ns: int, action: Action) -> Handle:
        """Run `action` at `t_ns`, or next if that has passed."""
        return self._agenda.add(max(t_ns, self._now_ns), action)

    def run_until(self, t_ns: int) -> None:
        """Run every action due up to and including `t_ns`, then stand at `t_ns`."""
        while (due_ns := self._agenda.next_ns()) is not None and due_ns <= t_ns:
            self._now_ns = due_ns
            self._agenda.pop()()
        self._now_ns = max(self._now_ns, t_ns)

    def run_for(self, duration_ns: int) -> None:
        """Run for `duration_ns` nanoseconds."""
        self.run_until(self._now_ns + duration_ns)

    def run_while(self, wanted: Callable[[], bool], limit_ns: int) -> bool:
        """Run while `wanted()` holds, for `limit_ns` nanoseconds at most.

        The predicate is asked at the start and after every action. True if it ended the run, False if the
        limit did (the clock then stands at the limit).
        """
        end_ns = self._now_ns + limit_ns
        while wanted():
            due_ns = self._agenda.next_ns()
            if due_ns is None or due_ns > end_ns:
                self._now_ns = end_ns
                return False
            self._now_ns = due_ns
            self._agenda.pop()()
        return True
