"""The frequency at which the emulated chip runs, as its firmware has set it.

The emulator knows neither the PLL nor that the system's clock may change. Modelled: the system's PLL, and the moment when the
clock is taken from it; from a reset to that moment, and while another source serves meanwhile, it stays what it was.
Registers: RP2040 data sheet, 2.15.7 and 2.18.4.
"""

from __future__ import annotations

from collections.abc import Callable

from rp2040py.peripherals.clocks import CLK_SYS_CTRL, RPClocks
from rp2040py.peripherals.peripheral import BasePeripheral
from rp2040py.rp2040 import RP2040

from gantryguard.rig.pico_clock import START_HZ, PicoClock

CRYSTAL_HZ = 12_000_000
MOST_HZ = 133_000_000  # at the voltage that the chip starts with; and
FASTEST_HZ, FASTEST_SELECTION = 200_000_000, 0b1100  # at 1.15 V. Data sheet, 2.15.3 and 2.10.6
CLOCKS_PLACE, PLL_PLACE = 0x40008, 0x40028
CONTROL, POWER, FEEDBACK, POST_DIVIDERS = 0x0, 0x4, 0x8, 0xC
LOCKED = 1 << 31
POWERED_DOWN = 0x2D  # of the power register: the PLL is off
FROM_PLL = 0b000_00001  # of the system clock's control: the auxiliary source, and that it is the system's PLL
SOURCE_BITS = 0b111_00001


class _Pll(BasePeripheral):
    """The registers of one PLL, which locks at once."""

    def __init__(self, mcu: RP2040, name: str) -> None:
        super().__init__(mcu, name)
        self.words: dict[int, int] = {}
        self.reset()

    def reset(self) -> None:
        self.words = {CONTROL: 1, POWER: POWERED_DOWN, FEEDBACK: 0, POST_DIVIDERS: 0x77000}

    def read_uint32(self, offset: int) -> int:
        is_locked = offset == CONTROL and not self.words[POWER] & 1
        return self.words.get(offset, 0) | (LOCKED if is_locked else 0)

    def write_uint32(self, offset: int, value: int) -> None:
        self.words[offset] = value & ~LOCKED

    @property
    def frequency_hz(self) -> float:
        dividers = self.words[POST_DIVIDERS]
        divided = (self.words[CONTROL] & 0x3F) * (dividers >> 16 & 7) * (dividers >> 12 & 7)
        return CRYSTAL_HZ * (self.words[FEEDBACK] & 0xFFF) / (divided or 1)


class SystemClock(RPClocks):
    """The chip's clocks. `fail()` is called where they are set to more than the core's voltage is good for."""

    def __init__(self, mcu: RP2040, clock: PicoClock, fail: Callable[[], None]) -> None:
        super().__init__(mcu, "CLOCKS")
        self._pll = _Pll(mcu, "PLL_SYS")
        self._clock = clock
        self._fail = fail
        mcu.clocks = self
        mcu.peripherals[CLOCKS_PLACE] = self
        mcu.peripherals[PLL_PLACE] = self._pll

    def reset(self) -> None:
        """A reset of the chip."""
        super().reset()
        self._pll.reset()
        self._clock.run_at(START_HZ)

    def write_uint32(self, offset: int, value: int) -> None:
        """Bus write of one register."""
        super().write_uint32(offset, value)
        if offset == CLK_SYS_CTRL and value & SOURCE_BITS == FROM_PLL:
            self._run_at(self._pll.frequency_hz)

    def _run_at(self, frequency_hz: float) -> None:
        selection = self.rp2040.vreg_and_chip_reset.vreg >> 4 & 0xF
        if frequency_hz > (FASTEST_HZ if selection >= FASTEST_SELECTION else MOST_HZ):
            self._fail()
        self._clock.run_at(frequency_hz)
