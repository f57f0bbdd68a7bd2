"""Service: a wire from the strap pin to ground, there when power comes, gives the REPL instead of the guard.

For whoever has opened the housing. The relay stays open, both lamps are lit, and the log says so. Nothing that comes over a
cable leads here.
"""

import time

import machine
import micropython
from machine import Pin

from interposer.core.compat import const
from interposer.core.reasons import PASS, SERVICE
from interposer.hal import board_record as board
from interposer.service.events import BOOT

LOOKS = const(5)
LOOK_MS = const(2)
POWER_ON = const(1)  # machine.reset_cause(): power came, or somebody pulled RUN low
CTRL_C = const(3)


def is_wanted():
    """Whether the strap was there at every look, after power came. A reset by the guard itself never leads to service."""
    if machine.reset_cause() != POWER_ON:
        return False
    strap = Pin(board.SERVICE_STRAP, Pin.IN, Pin.PULL_UP)
    for _ in range(LOOKS):
        if strap():
            return False
        time.sleep_ms(LOOK_MS)
    return True


def enter():
    """Relay open, lamps lit, a record in the log; then the caller ends, and the REPL begins."""
    Pin(board.RELAY, Pin.OUT, value=1 - board.RELAY_CLOSED_LEVEL)
    for lamp in (board.LAMP_RED, board.LAMP_GREEN):
        Pin(lamp, Pin.OUT, value=1)
    try:
        _log()
    except Exception:  # service is for what does not work
        print("GantryGuard: the log cannot be written.")
    micropython.kbd_intr(CTRL_C)
    print("GantryGuard: service. The relay is open. Take the strap off and power the board anew to guard again.")


def _log():
    from interposer.hal.faults import keep_count, kept_count
    from interposer.hal.segments import Segments
    from interposer.service.events import Events
    from interposer.service.logbook import Logbook

    events = Events()
    events.add(BOOT, time.ticks_ms(), -1, PASS, SERVICE, -1, 0, 0, 0)
    Logbook(Segments(machine.unique_id()), events, None, _Nothing(), keep_count, kept_count()).flush()


class _Nothing:
    """What was loaded."""

    package = None
    reason = 0
    refusal = 0
