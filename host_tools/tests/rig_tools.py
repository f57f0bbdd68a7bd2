"""Two ends of a link without wires: what the rig's tests build their small worlds from."""

from __future__ import annotations

from collections.abc import Mapping

from gantryguard.profiles.profile import Profile
from gantryguard.rig.clock import EventClock
from gantryguard.rig.endpoint import Endpoint, Message
from gantryguard.rig.gantry import SimulatedGantry
from gantryguard.rig.session import Session, Timing
from gantryguard.rig.trust import TRUSTING, Trust
from interposer.core.link import BACKWARD, FORWARD


class ScriptedGantry:
    """The far end as the test wants it: it keeps what it hears and says what it is told, at once."""

    def __init__(self, profile: Profile, timing: Timing | None = None) -> None:
        self.clock = EventClock()
        self.console = Endpoint(self.clock, profile, FORWARD, self._carry_out)
        self.end = Endpoint(self.clock, profile, BACKWARD, self._carry_back)
        self.heard: list[Message] = []
        self.end.receive = self.heard.append
        self.session = Session(self.clock, self.console, timing)

    def _carry_out(self, data: bytes) -> None:
        for byte in data:
            self.end.on_byte(byte)

    def _carry_back(self, data: bytes) -> None:
        for byte in data:
            self.console.on_byte(byte)

    def commands(self, *, without: str = "keep_alive") -> list[str]:
        """Names of what was heard."""
        return [message.command for message in self.heard if message.command != without]


class LoneGantry:
    """A simulated gantry and a voice that talks to it; `answers` holds what it says apart from its status."""

    def __init__(self, profile: Profile, trust: Trust = TRUSTING) -> None:
        self.clock = EventClock()
        self.voice = Endpoint(self.clock, profile, FORWARD, self._carry_out)
        self.gantry = SimulatedGantry(self.clock, profile, self._carry_back, trust=trust)
        self.answers: list[tuple[str, float]] = []
        self.statuses: list[Message] = []
        self.voice.receive = self._hear
        self._sequence = 0

    def _carry_out(self, data: bytes) -> None:
        for byte in data:
            self.gantry.endpoint.on_byte(byte)

    def _carry_back(self, data: bytes) -> None:
        for byte in data:
            self.voice.on_byte(byte)

    def _hear(self, message: Message) -> None:
        if message.command == "status":
            self.statuses.append(message)
        else:
            self.answers.append((message.command, message.fields.get("reason", 0)))

    def say(self, command: str, fields: Mapping[str, float] | None = None, sequence: int | None = None) -> str:
        """Say something; returns the first word of the answer ("" for none)."""
        before = len(self.answers)
        number = self._sequence if sequence is None else sequence
        self._sequence = (number + 1) & 255
        self.voice.say(command, number, fields or {})
        return self.answers[before][0] if len(self.answers) > before else ""
