"""A device's audit log on a filesystem in memory, as tests write, read and spoil it."""

from __future__ import annotations

import json
import struct
from types import SimpleNamespace
from typing import Any

from sweep import Files, Flash

from gantryguard.client import log as logs
from gantryguard.client.device_image import FS_OFFSET, build_filesystem
from gantryguard.client.uf2 import FLASH_BYTES
from interposer.core import journal, reasons
from interposer.hal.segments import NOTE, Segments, note
from interposer.service.events import STATE, VERDICT, Events
from interposer.service.export import export
from interposer.service.logbook import Logbook

IDENTITY = bytes(range(8))
MANY = 10_000


class Device:
    """The log's own code on a littlefs in memory: what a device does, and what it answers."""

    def __init__(self, flash: bytes | None = None, cut_off: int = 0) -> None:
        empty = bytes(FS_OFFSET) + build_filesystem({NOTE: note(0, 0)})
        assert len(empty) == FLASH_BYTES
        self.flash = Flash(flash or empty)
        files = Files(self.flash)
        self.counts: list[int] = []
        self.events = Events(8)
        self.loaded = SimpleNamespace(package=None, refusal=reasons.NONE, reason=reasons.NO_PACKAGE)
        self.segments = Segments(IDENTITY, files.open, files)
        self.logbook = Logbook(self.segments, self.events, None, self.loaded, self.counts.append, cut_off)

    def verdicts(self, count: int) -> None:
        for number in range(count):
            self.events.add(VERDICT, number, 1, 2, reasons.STALE, 3, -4, 5, -1)
            self.events.add_frame(struct.pack("<Q", number), 8)

    def log(self, number: int) -> dict[str, Any]:
        """The answer to `log N`, over the wire's JSON."""
        answer: dict[str, Any] = json.loads(" ".join(export(self.logbook, number)))
        return answer

    def fetched(self) -> logs.Log:
        return logs.fetch(self, lambda _done: None)


def numbers(log: logs.Log) -> list[int]:
    assert [record.fault for record in log.records() if record.fault] == []
    return [record.values["number"] for record in log.records()]


def blank(first: int, count: int) -> list[bytes]:
    """Bodies of so many records."""
    return [struct.pack(journal.BODY, first + i, 1, 0, 0, STATE, 0, 0, 0, 0, 0, 0, 0, b"") for i in range(count)]
