"""A console at the desk: numbers its commands, understands the replies, and can bring the guard to a hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from desk import Desk

from gantryguard.profiles.profile import Profile
from gantryguard.rig import cases
from gantryguard.rig.cable import Arrival
from gantryguard.rig.endpoint import Commands, Message
from gantryguard.rig.result import frames_in
from interposer.core.link import BACKWARD
from interposer.core.package import P_REASON_SLOT

HELD = cases.abdomen(kvp=140, ma=560, rotation_s=0.8, pitch=0.8, scan_length_mm=460)  # above the notification value
KEY_MS = 700


class DeskConsole:
    """A guard on the desk with its console and the keys."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.desk = Desk(profile)
        self.sequence = 0
        self._replies = Commands(profile, BACKWARD)
        self.desk.wait(100)

    def frame(self, command: str, values: Mapping[str, Any] | None = None, step: int = 1) -> bytes:
        """The next frame of the console."""
        self.sequence = (self.sequence + step) & 255
        return self.profile.encode(command, self.sequence, values or {})

    def passes(self, command: str, values: Mapping[str, Any] | None = None) -> bool:
        """Whether the next command, and nothing else, reaches the gantry within its turn."""
        frame = self.frame(command, values)
        return self.desk.send(frame) == [frame]

    def hold(self) -> bytes:
        """Begin the exam of a very obese patient and have its parameters held; returns the held frame."""
        assert self.passes("exam_context", cases.VERY_OBESE)
        held = self.frame("scan_parameters", HELD.parameters)
        assert self.desk.send(held) == []
        assert self.said()[-1][0] == "held"
        return held

    def status(self, **values: Any) -> None:
        """The gantry reports."""
        self.desk.gantry.arrive(self.profile.encode("status", 0, values))
        self.desk.step()

    def press(self, key: str, for_ms: int = KEY_MS) -> None:
        """Press a key, keep it, let it go."""
        self.desk.keys.set(**{key: True})
        self.desk.wait(for_ms)
        self.desk.keys.set(**{key: False})
        self.desk.wait(60)

    def replies(self) -> list[Message]:
        """Everything that the console was told."""
        heard = [Arrival(0, byte) for byte in b"".join(self.desk.console.left)]
        return [self._replies.read(frame, t_ns) for t_ns, frame in frames_in(heard, self._replies)]

    def said(self) -> list[tuple[str, int]]:
        """(command, reason) of every reply that carries a reason."""
        reason = self.profile.slot_names[self.profile.package.table("params")[P_REASON_SLOT]]
        return [(reply.command, int(reply.fields[reason])) for reply in self.replies() if reason in reply.fields]
