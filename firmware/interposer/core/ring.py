"""Frames out of a ring that something else fills: how many bytes are new, and cutting frames from them.

Who fills the ring (a DMA pair on the device, a test on the host) counts in two words whose sum, less what it is at the
ring's beginning, is the place that is written next. Nothing here knows who that is, and nothing allocates.
"""

from interposer.core.compat import const, micropython, ptr8, ptr32
from interposer.core.link import D_COUNT, D_LENGTH, D_MISSING, F_MIN, cut

# What a ring is made of: places in its list of pointers.
G_BYTES = const(0)
G_PLACE = const(1)  # the two words that its writer counts in
G_PLACE_TOO = const(2)
G_WORDS = const(3)

# Its own words.
V_START = const(0)  # sum of the two places at the ring's beginning
V_MASK = const(1)  # its size, a power of two, less 1
V_READ = const(2)  # how many bytes were taken so far
RING_WORDS = const(3)

# What a deframer works on: places in its list of pointers.
E_STATE = const(0)
E_FRAME = const(1)
E_FRAMING = const(2)
E_TABLE = const(3)

READ_MASK = const(0x3FFFFFFF)


@micropython.viper
def unread(ring: ptr32) -> int:
    """How many bytes have arrived that were not taken yet."""
    own = ptr32(ring[G_WORDS])
    place = ptr32(ring[G_PLACE])[0] + ptr32(ring[G_PLACE_TOO])[0] - own[V_START]
    return (place - own[V_READ]) & own[V_MASK]


@micropython.viper
def take(ring: ptr32, deframer: ptr32, most: int, is_over: int) -> int:
    """Hand at most `most` unread bytes to a deframer, up to the end of the next good frame; how many it took.

    A frame that stands in the deframer's buffer has been dealt with and leaves it first.
    """
    own = ptr32(ring[G_WORDS])
    start = own[V_READ] & own[V_MASK]
    stop = start + most
    if stop > own[V_MASK] + 1:
        stop = own[V_MASK] + 1
    state = ptr32(deframer[E_STATE])
    framing = ptr32(deframer[E_FRAMING])
    source = ptr8(ring[G_BYTES])
    at = int(cut(state, ptr8(deframer[E_FRAME]), framing, ptr32(deframer[E_TABLE]), source, start, stop, is_over))
    own[V_READ] = (own[V_READ] + at - start) & READ_MASK
    return at - start


@micropython.viper
def pull(ring: ptr32, deframer: ptr32) -> int:
    """Length of the next good frame, which then stands in the deframer's buffer; 0 while more bytes are needed.

    No byte is taken before the next step of the deframer needs it, so that nothing has to be moved in its buffer.
    """
    state = ptr32(deframer[E_STATE])
    framing = ptr32(deframer[E_FRAMING])
    if state[D_LENGTH] == state[D_COUNT]:
        state[D_LENGTH] = 0
        state[D_COUNT] = 0
        state[D_MISSING] = framing[F_MIN]
    while True:
        waiting = int(unread(ring))
        missing = state[D_MISSING]
        if not state[D_LENGTH]:
            if waiting < missing:
                return 0
            waiting = missing
        else:
            waiting = 0
        took = int(take(ring, deframer, waiting, 0))
        if took < waiting and not state[D_LENGTH]:  # the ring's end lay between
            take(ring, deframer, waiting - took, 0)
        if state[D_LENGTH]:
            return state[D_LENGTH]
    return 0
