"""What a run was: counts, dose, faults, the console's transcript, and everything that crossed the wires."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from gantryguard.rig.cable import Arrival
from gantryguard.rig.console import ExamOutcome
from gantryguard.rig.endpoint import Commands, Message
from gantryguard.rig.gantry import Exposure
from gantryguard.rig.motion import Fault
from gantryguard.rig.refusals import name_of_reason
from gantryguard.rig.session import Entry
from interposer.core.link import Deframer
from interposer.core.reasons import BLOCKED, NONE

IGNORED = "keep_alive"


@dataclass(frozen=True)
class Happening:
    """One event of the timeline. `kind`: the line a frame came over, or a relay contact, a lamp, a key."""

    t_ns: int
    kind: str
    what: str


@dataclass(frozen=True)
class RunResult:
    """One run on the plain wire or through a guard.

    `sent`, `passed` and `blocked` count the intact frames that left the console, reached the gantry, did not reach it
    (keep-alives and repetitions of the frame before are left out); `held` counts commands that were answered as held,
    whatever became of them afterwards. `reasons` counts the refusals and holds that the console was told. `dose_mgy` is the
    CTDIvol of all executed exposures; `stop_delivered` is None where no stop was sent.
    """

    name: str
    kind: str
    sent: int
    passed: int
    held: int
    blocked: int
    reasons: Mapping[str, int]
    dose_mgy: float
    dlp_mgycm: float
    peak_mgy: float
    stop_delivered: bool | None
    exposures: tuple[Exposure, ...]
    faults: tuple[Fault, ...]
    outcomes: tuple[ExamOutcome, ...]
    transcript: tuple[Entry, ...]
    timeline: tuple[Happening, ...]

    def summary(self) -> dict[str, object]:
        """The keys of the demo's report."""
        return {
            "passed": self.passed,
            "held": self.held,
            "blocked": self.blocked,
            "dose_mgy": round(self.dose_mgy, 3),
            "stop_delivered": self.stop_delivered,
        }

    def digest(self) -> str:
        """SHA-256 over transcript and timeline, in hexadecimal: equal for equal runs."""
        lines = [repr(item) for item in self.transcript] + [repr(item) for item in self.timeline]
        return sha256("\n".join(lines).encode()).hexdigest()


def frames_in(arrivals: Iterable[Arrival], commands: Commands) -> list[tuple[int, bytes]]:
    """The intact frames in a recorded line, with the time of each one's last byte."""
    return [(message.t_ns, message.frame) for message in messages_in(arrivals, commands)]


def messages_in(arrivals: Iterable[Arrival], commands: Commands) -> list[Message]:
    """The intact frames in a recorded line, read."""
    deframer = Deframer(commands.framing)
    cell = bytearray(1)
    found: list[Message] = []
    for t_ns, cell[0] in arrivals:
        at = 0
        while at < 1 or deframer.length:
            at = deframer.feed(cell, at, 1)
            if deframer.length:
                found.append(commands.read(bytes(deframer.frame[: deframer.length]), t_ns))
    return found


def counted(messages: Iterable[Message]) -> list[str]:
    """Names of the commands in `messages`, without keep-alives and without repetitions of the frame before."""
    names: list[str] = []
    before = b""
    for message in messages:
        if message.command != IGNORED and message.frame != before:
            names.append(message.command)
            before = message.frame
    return names


def reasons_of(forward: Iterable[Message], backward: Iterable[Message]) -> dict[str, int]:
    """How often each reason was given to the console, in the order of their names; arguments in the order of time.

    Left out: refusals of keep-alives for no other reason than that the link is blocked anyway.
    """
    sent = sorted((message.t_ns, message.sequence, message.command) for message in forward)
    reasons: Counter[str] = Counter()
    said: dict[int, str] = {}
    at = 0
    for reply in backward:
        while at < len(sent) and sent[at][0] <= reply.t_ns:
            said[sent[at][1]] = sent[at][2]
            at += 1
        code = round(reply.fields.get("reason", NONE))
        if code != NONE and not (code == BLOCKED and said.get(reply.sequence) == IGNORED):
            reasons[name_of_reason(code)] += 1
    return dict(sorted(reasons.items()))
