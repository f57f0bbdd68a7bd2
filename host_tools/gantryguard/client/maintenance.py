"""Talks to the guard's maintenance port: one line out, one JSON line back."""

from __future__ import annotations

import json
import time
from typing import Any, Protocol

import serial
from serial.tools import list_ports

from gantryguard.errors import UserError, cause

PICO_VENDOR = 0x2E8A  # Raspberry Pi's USB vendor number
PROTOCOL = 4
LINE_LIMIT = 65536
SETTLE_S = 0.3  # between two looks whether a port is there again


class Transport(Protocol):
    """Carries a request to a guard and its answer back."""

    def exchange(self, line: bytes, timeout_s: float) -> bytes:
        """Send `line` (ended by a newline) and return the answer up to its newline.

        Raises UserError (exit 6) where nothing comes for `timeout_s`.
        """


class SerialTransport:
    """A guard on a serial port of this machine (a USB device, or a terminal that a rig serves)."""

    def __init__(self, port: str) -> None:
        self._port = port
        self._serial = self._open()

    def reconnect(self, timeout_s: float) -> None:
        """Open the port again, waiting for it to come back. Raises UserError (exit 6) where it does not."""
        self._serial.close()
        deadline = time.monotonic() + timeout_s
        time.sleep(SETTLE_S)
        while True:
            try:
                self._serial = self._open()
                return
            except UserError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(SETTLE_S)

    def _open(self) -> serial.Serial:
        port = self._port
        try:
            return serial.Serial(port, 115200, timeout=0.05)
        except (serial.SerialException, OSError, ValueError) as error:
            remedy = "run `gantryguard device list`, check the cable and your right to open the port."
            raise UserError(f"The port {port} cannot be opened ({cause(error)}).", remedy=remedy, exit_code=6) from error

    def exchange(self, line: bytes, timeout_s: float) -> bytes:
        """See `Transport`."""
        answer = b""
        deadline = time.monotonic() + timeout_s
        try:
            self._serial.reset_input_buffer()
            self._serial.write(line)
            while not answer.endswith(b"\n"):
                if time.monotonic() > deadline or len(answer) > LINE_LIMIT:
                    raise UserError(
                        f"No guard answers on {self._serial.port}.",
                        remedy="check that this is a GantryGuard's maintenance port and that it has power.",
                        exit_code=6,
                    )
                if piece := self._serial.read(4096):
                    answer += piece
                    deadline = time.monotonic() + timeout_s
        except (serial.SerialException, OSError) as error:
            remedy = "plug the cable in again and repeat the command."
            raise UserError(f"Lost {self._serial.port}: {error}.", remedy=remedy, exit_code=6) from error
        return answer


class Guard:
    """Requests to one guard. Raises UserError (exit 6) where it does not answer or speaks another protocol."""

    def __init__(self, transport: Transport, timeout_s: float = 3.0) -> None:
        self._transport = transport
        self._timeout_s = timeout_s

    def _ask(self, request: str) -> Any:
        answer = self._transport.exchange(request.encode() + b"\n", self._timeout_s)
        try:
            return json.loads(answer)
        except ValueError as error:
            remedy = "check that this is a GantryGuard's maintenance port."
            raise UserError("The answer is not a guard's.", remedy=remedy, exit_code=6) from error

    def status(self) -> dict[str, Any]:
        """The guard's whole state; keys as in `firmware/interposer/service/status.py`."""
        status = self._ask("status")
        if not isinstance(status, dict) or status.get("protocol") != PROTOCOL:
            remedy = "use the gantryguard that belongs to the device's firmware, or flash the device again."
            raise UserError("The device speaks another protocol.", remedy=remedy, exit_code=6)
        return status

    def events(self, since: int) -> list[dict[str, Any]]:
        """Events from number `since` on, oldest first, by column name; `kind` in words."""
        answer = self._ask(f"events {since}")
        rows = [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]
        for row in rows:
            row["kind"] = answer["kinds"][row["kind"]]
        return rows

    def log(self, number: int) -> dict[str, Any]:
        """Records of the audit log, as `firmware/interposer/service/export.py` answers."""
        answer: dict[str, Any] = self._ask(f"log {number}")
        return answer

    def tell_time(self, now_s: int) -> None:
        """Tell the guard the time, in seconds since 1970: it has no clock, and the log is easier to read with one."""
        self._ask(f"time {now_s}")

    def names(self) -> str:
        """The package's names section."""
        return "".join(self._ask("names"))


def ports() -> list[tuple[str, str]]:
    """(port, description) of every board of the Pico's maker that is plugged in."""
    return [(port.device, port.description) for port in list_ports.comports() if port.vid == PICO_VENDOR]


def find_port(port: str | None) -> str:
    """The port to use: the one named, else the only board there is. Raises UserError (exit 6)."""
    if port:
        return port
    found = ports()
    if len(found) != 1:
        names = ", ".join(name for name, _ in found) or "none"
        remedy = "plug in one guard, or name it with --port (a rig prints its ports when it starts)."
        raise UserError(f"Exactly one board is needed, found {names}.", remedy=remedy, exit_code=6)
    return found[0][0]
