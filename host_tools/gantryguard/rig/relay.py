"""The relay: its contact follows the coil after the operate or release time, unless it is jammed."""

from __future__ import annotations

from collections.abc import Callable

from gantryguard.rig.clock import Clock, Handle


class Relay:
    """A normally open contact. `on_contact(closed)` is called whenever it moves."""

    def __init__(self, clock: Clock, operate_ns: int, release_ns: int, on_contact: Callable[[bool], None]) -> None:
        self.closed = False
        self.energised = False
        self._clock = clock
        self._operate_ns = operate_ns
        self._release_ns = release_ns
        self._on_contact = on_contact
        self._jammed = False
        self._moving: Handle | None = None

    def drive(self, energised: bool) -> None:
        """Energise or release the coil; the contact moves later, and not at all if the coil changes back."""
        if energised == self.energised:
            return
        self.energised = energised
        if self._moving is not None:
            self._moving.cancel()
            self._moving = None
        if energised != self.closed:
            delay_ns = self._operate_ns if energised else self._release_ns
            self._moving = self._clock.call_at(self._clock.now_ns + delay_ns, self._arrive)

    def jam(self, closed: bool) -> None:
        """Fault: the contact is welded (closed) or broken (open) from now on."""
        self._jammed = True
        self._move(closed)

    def free(self) -> None:
        """Undo the fault; the contact goes where the coil wants it."""
        self._jammed = False
        self._move(self.energised)

    def _arrive(self) -> None:
        self._moving = None
        if not self._jammed:
            self._move(self.energised)

    def _move(self, closed: bool) -> None:
        if closed != self.closed:
            self.closed = closed
            self._on_contact(closed)
