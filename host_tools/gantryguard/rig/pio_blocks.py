"""The chip's two PIO blocks, which the emulator's run loop need not see while neither of them runs.

After each instruction that loop goes through `RP2040.pio` and asks every block whether it is stopped; for two blocks that
nothing uses, that is two fifths of all it does. Everything else takes them by number.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import cast

from rp2040py.peripherals.pio import RPPIO
from rp2040py.rp2040 import RP2040

PERIPHERALS = (0x50200, 0x50300)  # keys of the emulator's map of peripherals
CONTROL = 0  # the register whose writes start and stop state machines


class _Idle(chain[RPPIO]):
    """Blocks to take by number and none to go through: an iterator at its end costs next to nothing."""

    def __init__(self, blocks: list[RPPIO]) -> None:
        self._blocks = blocks

    def __new__(cls, _blocks: list[RPPIO]) -> _Idle:
        return super().__new__(cls)

    def __getitem__(self, number: int) -> RPPIO:
        return self._blocks[number]


class _Registers:
    """One block's registers on the bus; `moved` is called after each start or stop."""

    def __init__(self, block: RPPIO, moved: Callable[[], None]) -> None:
        self._block = block
        self._moved = moved
        self.read_uint32 = block.read_uint32

    def write_uint32_atomic(self, offset: int, value: int, atomic_type: int) -> None:
        self._block.write_uint32_atomic(offset, value, atomic_type)
        if offset == CONTROL:
            self._moved()


def install(mcu: RP2040, end_batch: Callable[[], None]) -> None:
    """Show the run loop the blocks only while one runs. `end_batch`: the loop looks at `mcu.pio` when a batch begins."""
    blocks = list(mcu.pio)
    idle = cast(list[RPPIO], _Idle(blocks))

    def moved() -> None:
        mcu.pio = blocks if any(not block.stopped for block in blocks) else idle
        end_batch()

    for block, peripheral in zip(blocks, PERIPHERALS, strict=True):
        mcu.peripherals[peripheral] = _Registers(block, moved)  # type: ignore[assignment]  # all the bus calls
    mcu.pio = idle
