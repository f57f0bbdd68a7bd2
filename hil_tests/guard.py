"""A guard on the emulated board, booted from a device image as flashed, with what the tests ask of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gantryguard.client.bytecode import compile_module
from gantryguard.client.device_image import build_flash, device_files
from gantryguard.errors import UserError
from gantryguard.profiles.files import baud_of
from gantryguard.profiles.profile import Profile
from gantryguard.rig import trace
from gantryguard.rig.board import load_board
from gantryguard.rig.clock import MS, S
from gantryguard.rig.endpoint import Commands, Message
from gantryguard.rig.pico import EmulatedPico
from gantryguard.rig.result import frames_in
from gantryguard.signing.development import provisioned
from interposer.core.link import BACKWARD
from interposer.core.package import P_REASON_SLOT

BOOT_LIMIT_NS = 5 * S
ANSWER_LIMIT_NS = 5 * S
RESTART_WITHIN_NS = 200 * MS
OPEN_WITHIN_NS = 1 * MS  # from any failure to an open contact
PATCHED_MAIN = """
import machine, sys
try:
    import micropython
    micropython.kbd_intr(-1)
    sys.path.append("")
    import patch
    from interposer.app import main
    main()
except BaseException as error:
    from interposer.hal.faults import remember_crash
    remember_crash(error)
finally:
    machine.reset()
"""


class Guard:
    """One interposer under test.

    `profile` gives names and package; `extra` files replace or add to those of the device image (None removes one). `patch` is
    the source of a module that is imported before the guard itself.
    """

    def __init__(
        self,
        micropython_uf2: Path,
        profile: Profile,
        *,
        patch: str = "",
        usb: bool = False,
        extra: Mapping[str, bytes | None] | None = None,
    ) -> None:
        files: dict[str, bytes | None] = {**device_files(load_board(), provisioned(profile.blob))}
        if patch:
            files["main.py"] = PATCHED_MAIN.encode()
            files["patch.mpy"] = compile_module(patch.encode(), "patch.py")
        files.update(extra or {})
        self.flash = build_flash(micropython_uf2, {name: data for name, data in files.items() if data is not None})
        self.profile = profile
        self.sequence = 0
        self.pico = EmulatedPico(self.flash, load_board(), baud=baud_of(profile), usb=usb)

    @classmethod
    def of(cls, pico: EmulatedPico, profile: Profile) -> Guard:
        """The same for a guard that somebody else has booted."""
        guard = cls.__new__(cls)
        guard.flash, guard.profile, guard.sequence, guard.pico = b"", profile, 0, pico
        return guard

    def boot(self) -> Guard:
        """Run until the relay is closed; fails if it never is."""
        assert self.pico.run_while(lambda: not self.pico.relay.closed, BOOT_LIMIT_NS), "the relay never closed"
        self.pico.run_for(30 * MS)
        return self

    # ---- the link

    def frame(self, command: str, values: Mapping[str, Any] | None = None, step: int = 1) -> bytes:
        """The next frame of the console; `step` is how far its sequence number is ahead."""
        self.sequence = (self.sequence + step) & 255
        return self.profile.encode(command, self.sequence, values or {})

    def send(self, data: bytes, wait_ms: int = 60) -> bytes:
        """Console bytes; returns what reached the gantry until `wait_ms` after the last of them."""
        before = len(self.pico.gantry_out.arrivals)
        self.pico.console_in.send(data)
        self.pico.run_while(lambda: not self.pico.console_in.idle, 20 * S)
        self.pico.run_for(wait_ms * MS)
        return bytes(arrival.byte for arrival in self.pico.gantry_out.arrivals[before:])

    def replies(self, since: int = 0) -> list[Message]:
        """Every frame that the console has received; `since` leaves the first ones out."""
        commands = Commands(self.profile, BACKWARD)
        heard = frames_in(self.pico.console_out.arrivals, commands)
        return [commands.read(frame, t_ns) for t_ns, frame in heard][since:]

    def said(self, since: int = 0) -> list[tuple[str, int]]:
        """(command, reason) of every reply that carries a reason."""
        reason = self.profile.slot_names[self.profile.package.table("params")[P_REASON_SLOT]]
        return [(reply.command, int(reply.fields[reason])) for reply in self.replies(since) if reason in reply.fields]

    # ---- the technologist

    def press(self, key: str, for_ms: int) -> None:
        """Press a key, keep it, let it go."""
        self.pico.press(key)
        self.pico.run_for(for_ms * MS)
        self.pico.release(key)
        self.pico.run_for(60 * MS)

    # ---- the maintenance port

    def exchange(self, line: bytes, _timeout_s: float = 0) -> bytes:
        """One request and its answer: the transport of `gantryguard.client.maintenance`."""
        before = len(self.pico.maintenance.data)
        port = self.pico.maintenance
        port.send(line)
        if not self.pico.run_while(lambda: not port.data[before:].endswith(b"\n"), ANSWER_LIMIT_NS):
            raise UserError(f"No guard answers: {port.data[before:]!r}.", remedy="see the trace.", exit_code=6)
        return port.data[before:]

    def reconnect(self, _timeout_s: float = 0) -> None:
        """Wait until the device is back on the maintenance port after a restart, or go on where it is there."""
        self.pico.run_while(lambda: self.pico.maintenance.connected, RESTART_WITHIN_NS)
        assert self.pico.run_while(lambda: not self.pico.maintenance.connected, BOOT_LIMIT_NS), "the port never came back"

    def ask(self, request: str) -> Any:
        """One request at the maintenance port."""
        return json.loads(self.exchange(request.encode() + b"\n"))

    def deafen_host(self) -> None:
        """The host stops reading: what the device offers from now on is never taken."""
        usb = self.pico.maintenance._usb
        taken = usb._indicate_buffer_ready
        usb._indicate_buffer_ready = lambda endpoint, is_out: taken(endpoint, is_out) if is_out or not endpoint else None

    # ---- what happened

    def times(self, kind: str, value: int) -> list[int]:
        """When something happened, ns."""
        return [entry.t_ns for entry in self.pico.trace.of(kind) if entry.value == value]

    def run_until(self, condition: Callable[[], bool], limit_ms: int) -> bool:
        """Run until a condition holds; false if it did not within the limit."""
        return self.pico.run_while(lambda: not condition(), limit_ms * MS)

    @property
    def verdicts(self) -> list[int]:
        """Times of the verdicts, ns."""
        return self.times(trace.STROBE, 1)
