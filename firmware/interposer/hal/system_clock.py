"""The system's clock, and the voltage of the core that it needs.

MicroPython starts at 125 MHz. RP2040 is certified for 200 MHz where its regulator gives 1.15 V (release notes of pico-sdk
2.1.1; data sheet, 2.15.3), which `machine.freq` of MicroPython 1.25 does not see to. The UARTs keep their own 48 MHz.
Register: RP2040 data sheet, 2.10.6.
"""

import time

import machine
from machine import mem32

from interposer.core.compat import const
from interposer.hal import board_record as board

MOST_HZ = const(133000000)  # at 1.1 V, with which the chip starts
VOLTAGE = const(0x40064000)
SELECTION = const(0xF0)
SELECT_1150_MV = const(0xC0)
SETTLING_MS = const(1)


def start():
    """Let the processor run as fast as the board says: the voltage first."""
    if board.SYSTEM_CLOCK_HZ > MOST_HZ:
        mem32[VOLTAGE] = mem32[VOLTAGE] & ~SELECTION | SELECT_1150_MV
        time.sleep_ms(SETTLING_MS)
    machine.freq(board.SYSTEM_CLOCK_HZ)
