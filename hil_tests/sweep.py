"""Power cuts at every flash operation of an update: what a cut leaves, and what the guard's own code makes of it.

The flash of each cut is put together from the record of one update: everything before operation `number` has happened, and of
that one nothing, half, or all. The slots' code and the whole verification then run on it: here, through the same littlefs, for
every cut, and on the device itself for some (all of them in the long run).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from littlefs import LittleFS, UserContext

from gantryguard.client.device_image import BLOCK, BLOCKS, DISK_VERSION, FS_OFFSET, PROGRAM
from gantryguard.rig.flash import AFTER, BEFORE, TORN, Operation
from gantryguard.rig.pico import EmulatedPico
from interposer.core.package import Package
from interposer.core.reasons import NONE, UPDATE_UNCONFIRMED
from interposer.core.trust import Trust
from interposer.hal.slots import RUNNING, Slots

WAYS = (BEFORE, TORN, AFTER)
ERASED = b"\xff"


class Change(NamedTuple):
    """One flash operation and the bytes that it leaves in its place."""

    offset: int
    data: bytes
    is_erase: bool


class Recorder:
    """Notes every flash operation of a device, with what stands in its place afterwards."""

    def __init__(self, pico: EmulatedPico) -> None:
        self.start = pico.flash.content()
        self.changes: list[Change] = []
        self._pico = pico
        self._finish = pico.flash.finish
        pico.flash.finish = self._finished  # type: ignore[method-assign]  # the rig has no other hook

    def _finished(self) -> None:
        running: Operation | None = self._pico.flash.running
        self._finish()
        if running is not None:
            end = running.offset + running.size
            data = bytes(self._pico._mcu.flash[running.offset : end])
            self.changes.append(Change(running.offset, data, running.erase))


def cuts(start: bytes, changes: list[Change]) -> Iterator[tuple[int, str, bytes]]:
    """(number, way, flash) of a cut at every operation, three ways."""
    flash = bytearray(start)
    for number, change in enumerate(changes):
        yield number, BEFORE, bytes(flash)
        half = change.offset + len(change.data) // 2
        torn = bytearray(flash)
        torn[change.offset : half] = change.data[: half - change.offset]
        yield number, TORN, bytes(torn)
        flash[change.offset : change.offset + len(change.data)] = change.data
        yield number, AFTER, bytes(flash)


class Flash(UserContext):
    """The filesystem's part of a flash, which notes its operations."""

    def __init__(self, flash: bytes) -> None:
        super().__init__(buffer=bytearray(flash[FS_OFFSET : FS_OFFSET + BLOCK * BLOCKS]))
        self.changes: list[Change] = []
        self._head = flash[:FS_OFFSET]

    def content(self) -> bytes:
        """The whole flash."""
        return self._head + bytes(self.buffer)

    def _operate(self, at: int, data: bytes, is_erase: bool) -> int:
        self.changes.append(Change(FS_OFFSET + at, data, is_erase))
        self.buffer[at : at + len(data)] = data
        return 0

    def prog(self, cfg: Any, block: int, off: int, data: bytes) -> int:
        """Program a page."""
        return self._operate(block * cfg.block_size + off, bytes(data), False)

    def erase(self, cfg: Any, block: int) -> int:
        """Erase a block."""
        return self._operate(block * cfg.block_size, ERASED * cfg.block_size, True)


class Files:
    """`open` and `os` as the slots' code uses them, on a flash."""

    def __init__(self, flash: Flash) -> None:
        self.flash = flash
        self._system = LittleFS(
            context=flash, mount=False, block_size=BLOCK, block_count=BLOCKS, prog_size=PROGRAM, disk_version=DISK_VERSION
        )
        self._system.mount()

    def open(self, name: str, mode: str) -> Any:
        """A file; OSError where there is none."""
        return self._system.open(str(PurePosixPath("/", name)), mode)

    def listdir(self, name: str) -> list[str]:
        """What is in a folder."""
        return list(self._system.listdir(str(PurePosixPath("/", name))))

    def mkdir(self, name: str) -> None:
        """Make a folder."""
        self._system.mkdir(str(PurePosixPath("/", name)))

    def remove(self, name: str) -> None:
        """Remove a file."""
        self._system.remove(str(PurePosixPath("/", name)))

    def rename(self, old: str, new: str) -> None:
        """Rename a file over another."""
        self._system.rename(old, new)


def slots_on(flash: Flash) -> Slots:
    """The guard's own slots on a flash."""
    files = Files(flash)
    return Slots(files.open, files)


def decide(flash: Flash) -> bytes:
    """What a start would run: the digest of the package, b"" for none.

    As `interposer/loading.py` does it, but for the golden frames; a start that an update's failure ends is made again.
    """
    slots = slots_on(flash)
    order = slots.begin()
    if order is None:
        slots.refuse(UPDATE_UNCONFIRMED)
        order = slots.begin()
    root = slots.root()
    for slot in order:
        file = slots.open(slot)
        if file is None or root.reason != NONE:
            continue
        trust = Trust(root, slots.counter)
        with file:
            package = Package(file.read(), "pico", trust)
        if package.reason == NONE:
            if slots.trial != RUNNING:
                slots.settle_on(slot)
                if trust.is_newer:
                    slots.adopt(trust.root.record)
            return bytes(package.digest)
    if slots.trial == RUNNING:
        slots.refuse(UPDATE_UNCONFIRMED)
        return decide(flash)
    return b""


def second_cuts(flash: bytes) -> Iterator[bytes]:
    """What a second cut leaves, at every flash operation of the start that follows the first one, three ways."""
    start = Flash(flash)
    decide(start)
    for _number, _way, image in cuts(flash, start.changes):
        yield image


def violations(start: bytes, changes: list[Change], allowed: set[bytes], *, twice: bool) -> tuple[int, list[str]]:
    """(cuts tried, those after which a start would run anything else than what is allowed)."""
    count, found = 0, []
    for number, way, flash in cuts(start, changes):
        images = [flash, *second_cuts(flash)] if twice else [flash]
        for index, image in enumerate(images):
            count += 1
            if decide(Flash(image)) not in allowed:
                found.append(f"operation {number} {way}, second cut {index}")
    return count, found
