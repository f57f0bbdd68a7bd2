"""The maintenance port of an emulated guard, as the client talks to it: in simulated time."""

from __future__ import annotations

from gantryguard.errors import UserError
from gantryguard.rig.clock import S
from gantryguard.rig.pico import EmulatedPico


class PicoTransport:
    """A `client.maintenance.Transport` to an emulated Pico whose maintenance port is plugged in."""

    def __init__(self, pico: EmulatedPico) -> None:
        self._pico = pico

    def exchange(self, line: bytes, timeout_s: float) -> bytes:
        """Send a request and run until its answer has come. Raises UserError (exit 6)."""
        port = self._pico.maintenance
        before = len(port.data)
        port.send(line)
        if not self._pico.run_while(lambda: not port.data[before:].endswith(b"\n"), int(timeout_s * S)):
            remedy = "look at the run's timeline: the guard may have been in a reset."
            raise UserError("The emulated guard does not answer.", remedy=remedy, exit_code=6)
        return port.data[before:]
