"""What the lines want, and how much of it has come: looked up by `carry.py` between two frames.

Compiled into the same piece of machine code; the device never loads it as a module.
"""

from interposer.core.compat import TICKS_MASK, const, functions, micropython, ptr32
from interposer.core.link import D_COUNT, D_LENGTH, D_MISSING, F_MIN
from interposer.core.package import P_GAP_MS
from interposer.core.pipeline import B_PARAMS
from interposer.core.ring import E_FRAMING, E_STATE, G_WORDS, V_READ, unread
from interposer.places import (
    K_BACKWARD,
    K_BACKWARD_LOSS,
    K_FORWARD,
    K_FORWARD_FRAMES,
    K_FORWARD_LOSS,
    K_JUDGE,
    K_WATCH,
    K_WORKS,
    LOST_BACKWARD,
    SILENT_CONSOLE,
    SILENT_GANTRY,
    SOME,
    W_LOST,
)

PATIENT_BYTES = const(32)  # of the gantry's may wait until a frame of the console has ended


@micropython.viper
def look(block: ptr32, now: int) -> int:
    """What the lines want: REST, SOME, a line that fell silent in a frame, or how many bytes are awaited at least."""
    awaited = 0
    side = K_FORWARD
    while side <= K_BACKWARD:
        ring = ptr32(block[side])
        state = ptr32(ptr32(block[side + 1])[E_STATE])
        waiting = int(unread(ring))
        if waiting >= state[D_MISSING] or (state[D_LENGTH] and state[D_COUNT] > state[D_LENGTH]):
            return SOME
        if waiting or state[D_COUNT] != state[D_LENGTH]:
            watch = ptr32(block[K_WATCH])
            total = ptr32(ring[G_WORDS])[V_READ] + waiting
            if total != watch[side]:
                watch[side] = total
                watch[side + 1] = now
            elif (now - watch[side + 1]) & TICKS_MASK >= ptr32(ptr32(block[K_JUDGE])[B_PARAMS])[P_GAP_MS]:
                return SILENT_CONSOLE if side == K_FORWARD else SILENT_GANTRY
            missing = state[D_MISSING] - waiting
            if not awaited or missing < awaited:
                awaited = missing
        side += K_BACKWARD - K_FORWARD
    return awaited


@micropython.viper
def to_come(block: ptr32) -> int:
    """How many bytes of the console's frame are still to come; -1 where none is under way, or nobody knows."""
    deframer = ptr32(block[K_FORWARD_FRAMES])
    state = ptr32(deframer[E_STATE])
    if state[D_LENGTH] or state[D_COUNT] < ptr32(deframer[E_FRAMING])[F_MIN]:
        return -1
    missing = state[D_MISSING] - int(unread(ptr32(block[K_FORWARD])))
    return missing if missing > 0 else 0


@micropython.viper
def is_ending(block: ptr32, near: int) -> int:
    """1 where a frame of the console has ended, or will so soon that the gantry's bytes can wait for it, else 0."""
    missing = int(to_come(block))
    if missing < 0 or missing > near:
        return 0
    return 1 if int(unread(ptr32(block[K_BACKWARD]))) <= PATIENT_BYTES else 0


@micropython.viper
def note_lost(block: ptr32) -> int:
    """Of which lines bytes were lost, as W_LOST says it too. What a lap of a ring takes may not pass between two such looks."""
    works = functions(block[K_WORKS])
    has_lost = works[5]
    lost = int(has_lost(ptr32(block[K_FORWARD]), ptr32(block[K_FORWARD_LOSS])))
    if int(has_lost(ptr32(block[K_BACKWARD]), ptr32(block[K_BACKWARD_LOSS]))):
        lost |= LOST_BACKWARD
    ptr32(block[K_WATCH])[W_LOST] = lost
    return lost


@micropython.viper
def later(now: int, passed_us: int) -> int:
    """Milliseconds of the clock that wraps, so many microseconds after `now`, at most two seconds."""
    return (now + (((passed_us >> 3) * 8388) >> 20)) & TICKS_MASK
