"""A simulated gantry: it executes commands in time, refuses what it cannot do, and believes the rest (`trust.py`).

States: idle (no parameters yet), ready, moving, prepared, exposing, stopped. It answers a command in the moment in which the
command's last byte arrives, reports its status every second, at the end of
an exposure and on every keep-alive, and obeys a stop in every state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gantryguard.profiles.profile import Profile
from gantryguard.rig.clock import Clock, Handle, S
from gantryguard.rig.endpoint import Endpoint, Message
from gantryguard.rig.motion import Axis, Fault
from gantryguard.rig.phantom import Phantom
from gantryguard.rig.refusals import BEYOND, IMPOSSIBLE_NOW, OLD_NUMBER, UNREADABLE
from gantryguard.rig.trust import TRUSTING, Trust
from gantryguard.rig.xray import Shot, XrayUnit
from interposer.core.link import BACKWARD
from interposer.core.reasons import NONE

STATUS_NS = S
IDLE, READY, MOVING, PREPARED, EXPOSING, STOPPED = "idle", "ready", "moving", "prepared", "exposing", "stopped"
STANDING = (IDLE, READY, PREPARED, STOPPED)

# In which states a command can be carried out at all. Where an expose fires unprepared is a matter of trust.
POSSIBLE: Mapping[str, tuple[str, ...]] = {
    "exam_context": (*STANDING, MOVING),
    "scan_parameters": (*STANDING, MOVING),
    "table_move": (IDLE, READY, STOPPED, MOVING),
    "tilt": (IDLE, READY, STOPPED, MOVING),
    "prepare": (READY, PREPARED),
    "expose": (PREPARED,),
}


@dataclass(frozen=True)
class Executed:
    """One command that was carried out."""

    t_ns: int
    command: str
    fields: Mapping[str, float]


@dataclass(frozen=True)
class Exposure:
    """One exposure that took place: `fraction` 1 unless a stop ended it; doses are of the executed part."""

    start_ns: int
    end_ns: int
    shot: Shot
    fraction: float
    prepared: bool

    @property
    def ctdivol_mgy(self) -> float:
        """CTDIvol that the phantom received, in mGy."""
        return self.shot.ctdivol_mgy * self.fraction


class SimulatedGantry:
    """The far end of the link. `send` puts bytes on the wire to the console; arriving bytes go to `endpoint.on_byte`."""

    def __init__(
        self,
        clock: Clock,
        profile: Profile,
        send: Callable[[bytes], object],
        *,
        xray: XrayUnit | None = None,
        trust: Trust = TRUSTING,
        phantom: Phantom | None = None,
    ) -> None:
        self.xray = xray or XrayUnit()
        self.phantom = phantom or Phantom()
        self.table = Axis("table", self.xray.table)
        self.tilt = Axis("tilt", self.xray.tilt)
        self.endpoint = Endpoint(clock, profile, BACKWARD, send, any_value=trust.any_value)
        self.endpoint.receive = self._receive
        self.received: list[tuple[int, bytes]] = []
        self.executed: list[Executed] = []
        self.exposures: list[Exposure] = []
        self._clock = clock
        self._trust = trust
        self._codes = profile.codes("gantry_state")
        self._standing = IDLE
        self._parameters: Mapping[str, float] | None = None
        self._shot: tuple[int, Shot, bool, Handle] | None = None
        self._last: tuple[bytes, int] | None = None
        self._newest = -1
        self._dose_before_mgy = 0.0
        self._sequence = 0
        self._report: Handle | None = None
        self._actions: Mapping[str, Callable[[Mapping[str, float]], None]] = {
            "exam_context": lambda _fields: self._begin_exam(),
            "scan_parameters": self._take_parameters,
            "table_move": lambda fields: self._drive(self.table, fields["table_position_mm"], fields["move_speed_mm_s"]),
            "tilt": lambda fields: self._drive(self.tilt, fields["gantry_tilt_deg"], self.xray.tilt.fastest),
            "prepare": lambda _fields: self._stand(PREPARED),
            "expose": lambda _fields: self._expose(),
            "stop": lambda _fields: self._stop(),
        }

    # ---- what can be seen

    @property
    def state(self) -> str:
        """The state, by name."""
        if self._shot is not None:
            return EXPOSING
        now_ns = self._clock.now_ns
        return MOVING if self.table.moving(now_ns) or self.tilt.moving(now_ns) else self._standing

    @property
    def mechanical_faults(self) -> list[Fault]:
        """Faults of table and tilt that have happened by now, in order."""
        faults = [fault for fault in (*self.table.faults, *self.tilt.faults) if fault.t_ns <= self._clock.now_ns]
        return sorted(faults, key=lambda fault: (fault.t_ns, fault.axis))

    def start(self) -> None:
        """Begin to report the status."""
        self._say_status()
        self._report = self._clock.call_at(self._clock.now_ns + STATUS_NS, self.start)

    def close(self) -> None:
        """Fall silent."""
        if self._report is not None:
            self._report.cancel()

    # ---- the link

    def _receive(self, message: Message) -> None:
        self.received.append((message.t_ns, message.frame))
        if message.command == "keep_alive":
            self._say_status()
            return
        if message.command == "stop" or self._last != (message.frame, NONE):
            self._last = (message.frame, self._carry_out(message))
        reason = self._last[1]
        if reason == NONE:
            self.endpoint.say("acknowledge", message.sequence, {})
        else:
            self.endpoint.say("refuse", message.sequence, {"reason": reason})

    def _carry_out(self, message: Message) -> int:
        """Do what a command says; NONE, or the reason why not."""
        reason = UNREADABLE if message.reason != NONE else self._objection(message)
        if reason == NONE:
            self._newest = message.sequence
            self.executed.append(Executed(message.t_ns, message.command, message.fields))
            self._actions[message.command](message.fields)
        return reason

    def _objection(self, message: Message) -> int:
        if message.command == "stop":
            return NONE
        behind = (self._newest - message.sequence) & 255
        known = self._newest >= 0 and message.command != "exam_context"
        if known and behind < 128 and not self._trust.old_numbers:
            return OLD_NUMBER
        if not self._possible(message.command):
            return IMPOSSIBLE_NOW
        return NONE if self._believes(message.command, message.fields) else BEYOND

    def _possible(self, command: str) -> bool:
        if command == "expose" and self._trust.unprepared:
            return self._parameters is not None and self.state in STANDING
        return self.state in POSSIBLE.get(command, ())

    def _believes(self, command: str, fields: Mapping[str, float]) -> bool:
        """False for a scan mode that does not exist, and for what a less trusting gantry would see through."""
        trust, xray = self._trust, self.xray
        if command == "scan_parameters":
            return fields["scan_mode"] in xray.modes and (trust.any_kvp or fields["kvp"] in xray.stations_kv)
        if command == "table_move":
            reachable = xray.table.lowest <= fields["table_position_mm"] <= xray.table.highest
            slow = fields["move_speed_mm_s"] <= xray.table.fastest
            return (trust.any_target or reachable) and (trust.any_speed or slow)
        if command == "tilt":
            return trust.any_target or xray.tilt.lowest <= fields["gantry_tilt_deg"] <= xray.tilt.highest
        return True

    def _say_status(self) -> None:
        now_ns = self._clock.now_ns
        fields = {
            "gantry_state": self._codes[self.state],
            "gantry_position_mm": self.table.position(now_ns),
            "gantry_tilt_now_deg": self.tilt.position(now_ns),
            "gantry_dose_mgy": self.phantom.ctdivol_mgy - self._dose_before_mgy,
            "table_moving": self.table.moving(now_ns) or self.tilt.moving(now_ns),
        }
        self.endpoint.say("status", self._sequence, fields)
        self._sequence = (self._sequence + 1) & 255

    # ---- doing it

    def _stand(self, state: str) -> None:
        self._standing = state

    def _begin_exam(self) -> None:
        self._dose_before_mgy = self.phantom.ctdivol_mgy

    def _take_parameters(self, fields: Mapping[str, float]) -> None:
        self._parameters = fields
        self._stand(READY)

    def _drive(self, axis: Axis, target: float, speed: float) -> None:
        axis.move(target, speed, self._clock.now_ns)

    def _expose(self) -> None:
        if self._parameters is None:
            raise LookupError("an exposure without parameters is impossible")
        now_ns = self._clock.now_ns
        shot = self.xray.shot(self._parameters, self.table.position(now_ns))
        if shot.table_speed_mm_s:
            self.table.move(shot.table_end_mm, shot.table_speed_mm_s, now_ns)
        prepared = self._standing == PREPARED
        end = self._clock.call_at(now_ns + shot.duration_ns, lambda: self._end_exposure(1.0))
        self._shot = (now_ns, shot, prepared, end)

    def _end_exposure(self, fraction: float) -> None:
        if self._shot is None:
            return
        start_ns, shot, prepared, end = self._shot
        end.cancel()
        self._shot = None
        self.table.stop(self._clock.now_ns)
        self.exposures.append(Exposure(start_ns, self._clock.now_ns, shot, fraction, prepared))
        self.phantom.add(shot, fraction)
        self._stand(READY)
        self._say_status()

    def _stop(self) -> None:
        now_ns = self._clock.now_ns
        if self._shot is not None:
            start_ns, shot = self._shot[:2]
            self._end_exposure((now_ns - start_ns) / shot.duration_ns)
        self.table.stop(now_ns)
        self.tilt.stop(now_ns)
        self._parameters = None
        self._stand(STOPPED)
