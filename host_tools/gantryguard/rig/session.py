"""Stop-and-wait on the console's side: numbers commands, repeats what is not answered, waits while one is held.

What to say is a *script*: a generator that yields steps (`ask`, `until`, `pause`, `raw`) and is resumed with their outcome,
so that a console, an attacker and a test read like the list of what they do.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from gantryguard.rig.clock import MS, Clock, Handle, S
from gantryguard.rig.endpoint import Endpoint, Message
from gantryguard.rig.refusals import name_of_reason
from interposer.core.reasons import NONE

ACKNOWLEDGED, REFUSED, UNANSWERED, RAW = "acknowledged", "refused", "unanswered", "sent"


@dataclass(frozen=True)
class Timing:
    """How patient a console is."""

    keep_alive_ns: int = S
    retry_ns: int = 200 * MS
    tries: int = 3
    hold_ns: int = 60 * S


@dataclass(frozen=True)
class Entry:
    """One line of the transcript: a command, what became of it and why, how often it was sent, whether it was held."""

    t_ns: int
    command: str
    sequence: int
    outcome: str
    reason: str
    tries: int
    held: str
    answered_ns: int

    @property
    def done(self) -> bool:
        """Whether the gantry acknowledged the command."""
        return self.outcome == ACKNOWLEDGED


@dataclass(frozen=True)
class Ask:
    """Step: a command, to be answered. Resumes with its `Entry`."""

    command: str
    fields: Mapping[str, float]


@dataclass(frozen=True)
class Until:
    """Step: wait until a status that arrived after the step began fits. Resumes with True, or False after the limit."""

    fits: Callable[[Mapping[str, float]], bool]
    limit_ns: int


@dataclass(frozen=True)
class Pause:
    """Step: let time pass."""

    duration_ns: int


@dataclass(frozen=True)
class Raw:
    """Step: bytes of the script's own making, back to back behind what is still being sent; nothing is waited for.

    `make` is given the function that yields the session's next sequence numbers.
    """

    make: Callable[[Callable[[], int]], bytes]


Step = Ask | Until | Pause | Raw
Script = Generator[Step, Any, None]


@dataclass
class _Pending:
    """The command that waits for its answer."""

    ask: Ask
    t_ns: int
    sequence: int
    frame: bytes
    tries: int = 0
    held: str = ""
    timer: Handle | None = None


class Session:
    """Runs one script after the other over an endpoint. `transcript` grows; `status` is the gantry's latest word."""

    def __init__(self, clock: Clock, endpoint: Endpoint, timing: Timing | None = None, first_sequence: int = 0) -> None:
        self.transcript: list[Entry] = []
        self.status: Mapping[str, float] = {}
        self.on_held: Callable[[Entry], None] | None = None
        self._clock = clock
        self._endpoint = endpoint
        self._timing = timing or Timing()
        self._sequence = first_sequence
        self._script: Script | None = None
        self._finished: Callable[[], None] | None = None
        self._pending: _Pending | None = None
        self._until: Until | None = None
        self._timer: Handle | None = None
        self._keep_alive: Handle | None = None
        endpoint.receive = self._received

    # ---- scripts

    @property
    def busy(self) -> bool:
        """Whether a script is running."""
        return self._script is not None

    def start(self, script: Script, finished: Callable[[], None] | None = None) -> None:
        """Begin a script; keep-alives go out from now on until `close`."""
        self._script, self._finished = script, finished
        self._sent()
        self._resume(None)

    def close(self) -> None:
        """Fall silent."""
        for handle in (self._timer, self._keep_alive, self._pending.timer if self._pending else None):
            if handle is not None:
                handle.cancel()
        self._script = self._pending = self._until = self._timer = self._keep_alive = None

    def _resume(self, outcome: object) -> None:
        if self._script is None:
            return
        try:
            step = self._script.send(outcome)
        except StopIteration:
            self._script = None
            if self._finished is not None:
                self._finished()
            return
        self._begin(step)

    def _begin(self, step: Step) -> None:
        if isinstance(step, Ask):
            sequence = self._next_sequence()
            frame = self._endpoint.writer.build(step.command, sequence, step.fields)
            self._pending = _Pending(step, self._clock.now_ns, sequence, frame)
            self._try()
        elif isinstance(step, Until):
            self._until = step
            self._timer = self._after(step.limit_ns, lambda: self._settle(False))
        elif isinstance(step, Pause):
            self._timer = self._after(step.duration_ns, lambda: self._resume(None))
        else:
            data = step.make(self._next_sequence)
            self._endpoint.transmit(data)
            now_ns = self._clock.now_ns
            self.transcript.append(Entry(now_ns, f"{len(data)} bytes", -1, RAW, "", 1, "", now_ns))
            self._sent()
            self._after(0, lambda: self._resume(None))

    def _after(self, duration_ns: int, action: Callable[[], None]) -> Handle:
        return self._clock.call_at(self._clock.now_ns + duration_ns, action)

    def _settle(self, outcome: bool) -> None:
        self._until = None
        if self._timer is not None:
            self._timer.cancel()
        self._resume(outcome)

    # ---- commands

    def _next_sequence(self) -> int:
        sequence = self._sequence
        self._sequence = (sequence + 1) & 255
        return sequence

    def _sent(self) -> None:
        if self._keep_alive is not None:
            self._keep_alive.cancel()
        self._keep_alive = self._after(self._timing.keep_alive_ns, self._say_alive)

    def _say_alive(self) -> None:
        """Not between a command and its first answer: a retry behind a newer sequence number would look like a replay."""
        if self._pending is None or self._pending.held:
            self._endpoint.say("keep_alive", self._next_sequence(), {})
        self._sent()

    def _try(self) -> None:
        pending = self._pending
        if pending is None:
            return
        if pending.tries == self._timing.tries:
            self._answer(UNANSWERED, "")
            return
        pending.tries += 1
        pending.timer = self._after(self._timing.retry_ns, self._try)
        self._sent()
        self._endpoint.transmit(pending.frame)

    def _received(self, message: Message) -> None:
        if message.reason != NONE:
            return
        if message.command == "status":
            self.status = message.fields
            if self._until is not None and self._until.fits(message.fields):
                self._settle(True)
            return
        pending = self._pending
        if pending is None or message.sequence != pending.sequence:
            return
        reason = name_of_reason(round(message.fields.get("reason", NONE)))
        if message.command == "acknowledge":
            self._answer(ACKNOWLEDGED, "")
        elif message.command == "refuse":
            self._answer(REFUSED, reason)
        elif message.command == "held" and not pending.held:
            self._hold(pending, reason)

    def _hold(self, pending: _Pending, reason: str) -> None:
        pending.held = reason
        if pending.timer is not None:
            pending.timer.cancel()
        pending.timer = self._after(self._timing.hold_ns, lambda: self._answer(UNANSWERED, ""))
        if self.on_held is not None:
            self.on_held(self._entry(pending, "held", reason))

    def _entry(self, pending: _Pending, outcome: str, reason: str) -> Entry:
        command, sequence, now_ns = pending.ask.command, pending.sequence, self._clock.now_ns
        return Entry(pending.t_ns, command, sequence, outcome, reason, pending.tries, pending.held, now_ns)

    def _answer(self, outcome: str, reason: str) -> None:
        pending = self._pending
        if pending is None:
            return
        if pending.timer is not None:
            pending.timer.cancel()
        self._pending = None
        entry = self._entry(pending, outcome, reason)
        self.transcript.append(entry)
        self._resume(entry)
