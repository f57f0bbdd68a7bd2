"""The flash of the emulated Pico, with the time that erasing and programming take, and power cuts in between.

The emulator's flash is instantaneous. Here an operation takes its time, while lines, FIFOs and DMA go on. One that the
boot ROM gives lets the processor stand still, as its wait loop with interrupts off does. During one that is given from RAM the
processor goes on: the chip says that it is busy, and no other may be given; code that is run from it all the same stops
at a breakpoint, and what is read is rubbish.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rp2040py.peripherals.ssi import CMD_BLOCK_ERASE, CMD_PAGE_PROGRAM, CMD_READ_STATUS_1, CMD_SECTOR_ERASE, RPSSI
from rp2040py.rp2040 import RP2040

from gantryguard.client.uf2 import FLASH_BYTES

BEFORE, TORN, AFTER = "before", "torn", "after"
HEADER = 4  # opcode and three bytes of address
SSI_PLACE = 0x18000
BUSY = 1  # of the chip's first status register
UNREADABLE = b"\xbe" * FLASH_BYTES  # what a busy chip shows; as instructions: BKPT 0xBE


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
        self._hidden: bytes | None = None
        self._command = bytearray()  # of the operation that runs
        mcu.ssi = self
        mcu.peripherals[SSI_PLACE] = self

    def _apply_command(self) -> None:
        operation = self._decoded()
        if operation is None:
            super()._apply_command()
            return
        assert self.running is None, "a busy flash takes no other command"
        self.count += 1
        self.running, self._command = operation, self._tx_buffer
        self._tx_buffer = bytearray()
        self._begin(operation)

    def _shift_byte(self, byte_out: int) -> int:
        answer = super()._shift_byte(byte_out)
        is_asked = self._tx_buffer[0] == CMD_READ_STATUS_1 and len(self._tx_buffer) > 1
        return answer | BUSY if is_asked and self.running is not None else answer

    def hide(self) -> None:
        """Let nobody read the chip until the operation that runs is over."""
        self._hidden = bytes(self.rp2040.flash[:FLASH_BYTES])
        self.rp2040.flash[:FLASH_BYTES] = UNREADABLE

    def _show(self) -> None:
        if self._hidden is not None:
            self.rp2040.flash[:FLASH_BYTES] = self._hidden
            self._hidden = None

    def finish(self) -> None:
        """The operation that runs, if any, is complete: the cells change."""
        self._show()
        if self.running is not None:
            self.running = None
            self._apply()

    def _apply(self) -> None:
        """Do what was asked for, whatever is being said to the chip at the moment."""
        said, self._tx_buffer = self._tx_buffer, self._command
        super()._apply_command()
        self._tx_buffer = said

    def tear(self) -> None:
        """Power fails in the middle of the operation that runs, if any: its first half has happened."""
        self._show()
        operation, self.running = self.running, None
        if operation is None:
            return
        half = operation.size // 2
        if operation.erase:
            self.rp2040.flash[operation.offset : operation.offset + half] = b"\xff" * half
        else:
            del self._command[HEADER + half :]
            self._apply()

    def drop(self) -> None:
        """Power fails before the operation that would run: nothing has happened."""
        self._show()
        self.running = None

    def content(self) -> bytes:
        """The 2 MiB as they stand."""
        return bytes(self.rp2040.flash[:FLASH_BYTES]) if self._hidden is None else self._hidden

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
