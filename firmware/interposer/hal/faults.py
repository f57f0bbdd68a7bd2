"""What the last run died of, kept in the watchdog's scratch registers: they survive a reset but not a power loss."""

import machine

from interposer.core.compat import const
from interposer.core.reasons import CRASH, NONE, WATCHDOG

REASON_REGISTER = const(0x40058008)  # RP2040 data sheet, WATCHDOG: REASON; bit 0 the timer, bit 1 forced
SCRATCH = const(0x4005800C)
MARK = const(0x4747)
UNWRITTEN = const(0x40058018)  # the next scratch register
COUNT_MARK = const(0x1A47)
EXPECTED = const(0xFFFF)  # in the place of a reason: nothing went wrong


def remember_crash(error):
    """Keep the name of the exception that ended the guard (its first eight letters).

    Should this fail too, the forced reset by itself tells the next run of a crash.
    """
    name = (type(error).__name__ + "        ").encode()
    machine.mem32[SCRATCH] = MARK << 16 | CRASH
    machine.mem32[SCRATCH + 4] = int.from_bytes(name[:4], "little")
    machine.mem32[SCRATCH + 8] = int.from_bytes(name[4:8], "little")


def expect_reset():
    """The reset that comes next is wanted."""
    machine.mem32[SCRATCH] = MARK << 16 | EXPECTED


def last_death():
    """(reason, exception name) of the run before this one, and forget it; (NONE, "") after a plain start."""
    mark = machine.mem32[SCRATCH]
    name = b""
    for at in (4, 8):
        name += (machine.mem32[SCRATCH + at] & 0xFFFFFFFF).to_bytes(4, "little")
    machine.mem32[SCRATCH] = MARK << 16
    if (mark >> 16) & 0xFFFF != MARK:
        return NONE, ""
    if mark & 0xFFFF == EXPECTED:
        return NONE, ""
    if mark & 0xFFFF:
        return mark & 0xFFFF, name.decode().strip()
    how = machine.mem32[REASON_REGISTER] & 3
    return (WATCHDOG if how & 1 else CRASH if how else NONE), ""


def keep_count(count):
    """Remember over a reset how many records are not written yet; allocates nothing."""
    machine.mem32[UNWRITTEN] = COUNT_MARK << 16 | count


def kept_count():
    """How many records the run before had not written; 0 after a power loss, which leaves no trace of it."""
    kept = machine.mem32[UNWRITTEN]
    keep_count(0)
    return kept & 0xFFFF if (kept >> 16) & 0xFFFF == COUNT_MARK else 0
