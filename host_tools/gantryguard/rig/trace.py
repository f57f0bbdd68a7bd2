"""What happened in a run, in one ordered list: the evidence of a test and the measure of determinism."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from gantryguard.rig.clock import Clock

CONSOLE_IN, CONSOLE_OUT = "console>pico", "pico>console"
GANTRY_IN, GANTRY_OUT, GANTRY_LOST = "gantry>pico", "pico>gantry", "lost at contact"
USB_IN, USB_OUT = "host>usb", "usb>host"
RELAY_DRIVE, CONTACT = "relay drive", "contact"
LAMP_RED, LAMP_GREEN = "lamp red", "lamp green"
STROBE = "verdict"
KEY_OVERRIDE, KEY_CANCEL = "key override", "key cancel"
RESET, POWER, HALT = "reset", "power", "halt"
FLASH_ERASE, FLASH_PROGRAM = "flash erase", "flash program"


class Entry(NamedTuple):
    """One thing that happened: simulated time, kind, and a byte, a level (0 or 1), a cause or an address."""

    t_ns: int
    kind: str
    value: int


class Trace:
    """The list of entries, in the order in which they happened."""

    def __init__(self, clock: Clock) -> None:
        self.entries: list[Entry] = []
        self._clock = clock

    def add(self, kind: str, value: int) -> None:
        """Enter something that happens now."""
        self.entries.append(Entry(self._clock.now_ns, kind, value))

    def of(self, kind: str) -> list[Entry]:
        """The entries of one kind."""
        return [entry for entry in self.entries if entry.kind == kind]

    def digest(self) -> str:
        """SHA-256 over all entries, in hexadecimal: equal for equal runs."""
        text = "".join(f"{entry.t_ns} {entry.kind} {entry.value}\n" for entry in self.entries)
        return hashlib.sha256(text.encode()).hexdigest()
