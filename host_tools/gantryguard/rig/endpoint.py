"""One end of a link over a byte port: builds frames from named values and finds frames in what arrives.

Framing, checks and fields are core's `Codec` and `Deframer`; the tables and names come from a profile. Numbers are in
the physical units of the profile's fields (kV, mA, mm, s, mGy, as its link table states them); enumerated fields are codes.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gantryguard.profiles.profile import Profile
from gantryguard.rig.clock import MS, Clock
from interposer.core.codec import C_DIRECTION, COMMAND_WORDS, RANGE_WORDS, Codec
from interposer.core.link import BACKWARD, FORWARD, Deframer
from interposer.core.package import P_GAP_MS
from interposer.core.reasons import NONE

LOWEST, HIGHEST = -(1 << 31), (1 << 31) - 1


@dataclass(frozen=True)
class Message:
    """A frame that arrived intact. `command` is "" and `fields` empty where `reason` (of core) is not NONE."""

    t_ns: int
    command: str
    sequence: int
    fields: Mapping[str, float]
    reason: int
    frame: bytes


class Commands:
    """Writes and reads the commands of one direction. With `any_value` a field may hold whatever its wire form can."""

    def __init__(self, profile: Profile, direction: int, *, any_value: bool = False) -> None:
        package = profile.package
        self.profile = profile
        ranges = array("i", package.table("ranges"))
        if any_value:
            for at in range(0, len(ranges), RANGE_WORDS):
                ranges[at], ranges[at + 1] = LOWEST, HIGHEST
        commands = package.table("commands")
        self._codec = Codec(direction, package.table("framings"), commands, package.table("fields"), ranges)
        self._start = profile.start_values()
        self._values = profile.start_values()
        self._fields = {
            name: profile.fields_of(name)
            for index, name in enumerate(profile.command_names)
            if commands[index * COMMAND_WORDS + C_DIRECTION] == direction
        }

    @property
    def framing(self) -> array[int]:
        """The framing record of this direction."""
        framing: array[int] = self._codec.framing
        return framing

    def build(self, command: str, sequence: int, fields: Mapping[str, float]) -> bytes:
        """The frame of a command; fields that are not given hold their start values. KeyError for names it does not have."""
        self._values[:] = self._start
        unknown = set(fields) - set(self._fields[command])
        if unknown:
            raise KeyError(f"{command} has no field {', '.join(sorted(unknown))}")
        for name, value in fields.items():
            self._values[self.profile.slot(name)] = self.profile.to_raw(name, value)
        length = self._codec.write(self.profile.command(command), sequence, self._values)
        return bytes(self._codec.buffer[:length])

    def read(self, frame: bytes, t_ns: int) -> Message:
        """What an intact frame says."""
        codec = self._codec
        reason = codec.read(frame, len(frame), self._values)
        sequence = codec.sequence_of(frame)
        if reason != NONE:
            return Message(t_ns, "", sequence, {}, reason, frame)
        profile = self.profile
        command = profile.command_names[codec.command]
        fields = {name: profile.from_raw(name, self._values[profile.slot(name)]) for name in self._fields[command]}
        return Message(t_ns, command, sequence, fields, NONE, frame)


@dataclass
class Endpoint:
    """One end of the link: `send` puts bytes on the wire, `receive` is called with each intact frame.

    `outgoing` is FORWARD for a console and BACKWARD for a gantry. Bytes that arrive go to `on_byte`. A frame that stops
    is given up after the link's gap, as the guard does it, so that a good frame hidden in a bad one is found by both.
    """

    clock: Clock
    profile: Profile
    outgoing: int
    send: Callable[[bytes], object]
    any_value: bool = False
    receive: Callable[[Message], None] | None = None
    sent: list[tuple[int, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        incoming = BACKWARD if self.outgoing == FORWARD else FORWARD
        self.writer = Commands(self.profile, self.outgoing, any_value=True)
        self.reader = Commands(self.profile, incoming, any_value=self.any_value)
        self._deframer = Deframer(self.reader.framing)
        self._gap_ns = self.profile.package.table("params")[P_GAP_MS] * MS
        self._cell = bytearray(1)
        self._last_ns = 0
        self._waiting = False

    def transmit(self, data: bytes) -> None:
        """Put bytes on the wire as they are."""
        self.sent.append((self.clock.now_ns, data))
        self.send(data)

    def say(self, command: str, sequence: int, fields: Mapping[str, float]) -> bytes:
        """Send a command; returns its frame."""
        frame = self.writer.build(command, sequence, fields)
        self.transmit(frame)
        return frame

    def on_byte(self, byte: int, flags: int = 0) -> None:
        """Take a byte from the wire; one with an error flag is lost."""
        if flags:
            return
        self._cell[0] = byte
        self._last_ns = self.clock.now_ns
        at = 0
        while at < 1 or self._deframer.length:
            at = self._deframer.feed(self._cell, at, 1)
            self._take()
        self._watch_gap()

    def _take(self) -> None:
        length = self._deframer.length
        if length and self.receive is not None:
            self.receive(self.reader.read(bytes(self._deframer.frame[:length]), self.clock.now_ns))

    def _watch_gap(self) -> None:
        if self._deframer.count and not self._waiting:
            self._waiting = True
            self.clock.call_at(self._last_ns + self._gap_ns, self._gap)

    def _gap(self) -> None:
        self._waiting = False
        if self.clock.now_ns >= self._last_ns + self._gap_ns:
            self._deframer.expire()
            while self._deframer.length:
                self._take()
                self._deframer.expire()
        self._watch_gap()
