"""The flash of the emulated Pico, with the time that erasing and programming take, and power cuts in between.

The emulator's flash is instantaneous. Here the processor stands still until an operation is over, as it does
in the boot ROM's wait loop with interrupts off, while lines, FIFOs and DMA go on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rp2040py.peripherals.ssi import CMD_BLOCK_ERASE, CMD_PAGE_PROGRAM, CMD_SECTOR_ERASE, RPSSI
from rp2040py.rp2040 import RP2040

from gantryguard.client.uf2 import FLASH_BYTES

BEFORE, TORN, AFTER = "before", "torn", "after"
HEADER = 4  # opcode and three bytes of address
SSI_PLACE = 0x18000


class FlashTimes(NamedTuple):
    """Durations in nanoseconds of erasing 4 KiB, erasing 64 KiB and programming a page of 256 bytes."""

    erase_ns: int
    block_erase_ns: int
    page_ns: int


TYPICAL = FlashTimes(45_000_000, 150_000_000, 700_000)  # the block erase is recalled, unverified
INSTANT = FlashTimes(0, 0, 0)


class Operation(NamedTuple):
    """One erase or program operation, in the order of the run."""

    number: int
    erase: bool
    offset: int
    size: int
    duration_ns: int


class TimedFlash(RPSSI):
    """The serial flash behind the SSI.

    `begin(operation)` is called when one starts: the owner records it, lets time pass and calls `finish`.
    """

    def __init__(self, mcu: RP2040, times: FlashTimes, begin: Callable[[Operation], None]) -> None:
        super().__init__(mcu, "SSI")
        self.times = times
        self.count = 0
        self.running: Operation | None = None
        self._begin = begin
        mcu.ssi = self
        mcu.peripherals[SSI_PLACE] = self

    def _apply_command(self) -> None:
        operation = self._decoded()
        if operation is None:
            super()._apply_command()
            return
        self.count += 1
        self.running = operation
        self._begin(operation)

    def finish(self) -> None:
        """The operation that runs, if any, is complete: the cells change."""
        if self.running is not None:
            self.running = None
            super()._apply_command()

    def tear(self) -> None:
        """Power fails in the middle of the operation that runs, if any: its first half has happened."""
        operation, self.running = self.running, None
        if operation is None:
            return
        half = operation.size // 2
        if operation.erase:
            self.rp2040.flash[operation.offset : operation.offset + half] = b"\xff" * half
        else:
            del self._tx_buffer[HEADER + half :]
            super()._apply_command()

    def drop(self) -> None:
        """Power fails before the operation that would run: nothing has happened."""
        self.running = None

    def content(self) -> bytes:
        """The 2 MiB as they stand."""
        return bytes(self.rp2040.flash[:FLASH_BYTES])

    def _decoded(self) -> Operation | None:
        buffer = self._tx_buffer
        if not self._write_enabled or len(buffer) < HEADER:
            return None
        address = int.from_bytes(buffer[1:HEADER], "big")
        erases = {
            CMD_SECTOR_ERASE: (4096, self.times.erase_ns),
            CMD_BLOCK_ERASE: (65536, self.times.block_erase_ns),
        }
        if buffer[0] in erases:
            size, duration_ns = erases[buffer[0]]
            return Operation(self.count, True, address & ~(size - 1), size, duration_ns)
        if buffer[0] == CMD_PAGE_PROGRAM and len(buffer) > HEADER:
            return Operation(self.count, False, address, len(buffer) - HEADER, self.times.page_ns)
        return None
