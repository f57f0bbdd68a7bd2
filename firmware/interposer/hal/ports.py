"""The two serial ports of the link, with DMA in both directions.

What arrives is written into a ring by a pair of DMA channels that start each other in turn, for ever and without the
processor: no interrupt, no collection of garbage and no flash operation that is shorter than the ring loses a byte. What
leaves is copied into a second ring, which another channel empties. Registers: RP2040 data sheet, 2.5.7 and 4.2.8.
"""

from array import array

import rp2
from machine import UART, Pin, mem32
from uctypes import addressof, bytearray_at

from interposer.core.compat import const, micropython, pointers, ptr8, ptr32
from interposer.core.link import move
from interposer.core.ring import G_PLACE, G_PLACE_TOO, G_WORDS, READ_MASK, RING_WORDS, V_MASK, V_READ, V_START
from interposer.hal import board_record as board
from interposer.hal import rest
from interposer.hal.flash_chip import FlashChip

RECEIVE_BITS = const(11)  # 2 kB: what comes in 178 ms at 115,200 baud
TO_CONSOLE_BITS = const(11)  # what the guard could not carry for a while leaves from here, so that it may happen again
TO_GANTRY_BITS = const(9)  # little: before the relay opens, all that has passed has to leave
BITS_PER_BYTE = const(10)

MICROSECONDS = const(0x40054028)  # the timer's count
PINS = const(0xD0000014)  # two registers: bits of pins to set, to clear
UARTS = const(0x40034000)
UART_SIZE = const(0x4000)
INTERRUPT_MASK = const(0x38)
DMA_CONTROL = const(0x48)
BOTH_DIRECTIONS = const(3)
# By word in a UART's registers.
FLAGS = const(6)
INTERRUPT_RAW = const(15)
INTERRUPT_CLEAR = const(17)
SENDING_BIT = const(3)
OVERRUN_BIT = const(10)

SEND_REQUEST = const(20)  # DMA request of UART 0
RECEIVE_REQUEST = const(21)
REQUESTS = const(2)  # per UART
DMA = const(0x50000000)
CHANNEL_SIZE = const(0x40)
WRITE_ADDRESS = const(4)
DMA_RAW = const(0x50000400)
# By word in a channel's registers.
LEFT = const(2)
CONTROL = const(3)
COUNT_AND_START = const(7)
BUSY_BIT = const(24)

# A sender, SENDER_WORDS words.
T_BYTES = const(0)  # address of its ring
T_MASK = const(1)
T_HEAD = const(2)  # how many bytes were put into it
T_HANDED = const(3)  # and how many of them handed to the channel
T_CHANNEL = const(4)  # address of the channel's registers
T_UART = const(5)  # and of the UART's
SENDER_WORDS = const(6)

# What tells that bytes were lost, LOSS_WORDS words.
H_RAW = const(0)  # address of the channels' flags
H_ENDED = const(1)  # the flags of the two that receive
H_LAPS = const(2)  # bytes of all whole laps
H_UART = const(3)
LOSS_WORDS = const(4)


@micropython.viper
def room(sender: ptr32) -> int:
    """How many bytes fit into the ring now. Lets the channel go on with what waits in it."""
    channel = ptr32(sender[T_CHANNEL])
    waiting = sender[T_HEAD] - sender[T_HANDED]
    if (channel[CONTROL] >> BUSY_BIT) & 1:
        return sender[T_MASK] - waiting - channel[LEFT]
    if waiting:
        sender[T_HEAD] = sender[T_HEAD] & READ_MASK
        sender[T_HANDED] = sender[T_HEAD]
        channel[COUNT_AND_START] = waiting
    return sender[T_MASK] - waiting


@micropython.viper
def is_behind(sender: ptr32) -> int:
    """Whether bytes still wait for the channel to end what it was given before: somebody has to ask again soon."""
    room(sender)
    return sender[T_HEAD] - sender[T_HANDED]


@micropython.viper
def transmit(sender: ptr32, source: ptr8, start: int, count: int):
    """Send `source[start:start + count]`, for which there has to be room."""
    ring = ptr8(sender[T_BYTES])
    at = sender[T_HEAD] & sender[T_MASK]
    before = sender[T_MASK] + 1 - at
    if count <= before:
        move(ring, at, source, start, count)
    else:  # the ring's end lies between
        move(ring, at, source, start, before)
        move(ring, 0, source, start + before, count - before)
    sender[T_HEAD] += count
    room(sender)


@micropython.viper
def is_sending(sender: ptr32) -> int:
    """Whether a byte has not left the wire yet."""
    uart = ptr32(sender[T_UART])
    return (sender[T_MASK] - int(room(sender))) | ((uart[FLAGS] >> SENDING_BIT) & 1)


@micropython.viper
def has_lost(ring: ptr32, loss: ptr32) -> int:
    """Whether bytes were lost since the last call: the ring was lapped, or the UART's own queue ran over.

    To be asked at least once in the time of a lap. What is unread then is given up.
    """
    own = ptr32(ring[G_WORDS])
    flags = ptr32(loss[H_RAW])
    uart = ptr32(loss[H_UART])
    place = ptr32(ring[G_PLACE])[0] + ptr32(ring[G_PLACE_TOO])[0] - own[V_START]
    ended = flags[0] & loss[H_ENDED]
    later = ptr32(ring[G_PLACE])[0] + ptr32(ring[G_PLACE_TOO])[0] - own[V_START]
    if later < place:  # a lap ended in between
        ended = flags[0] & loss[H_ENDED]
        place = later
    size = own[V_MASK] + 1
    if ended:
        flags[0] = ended
        loss[H_LAPS] = (loss[H_LAPS] + size) & READ_MASK
    written = (loss[H_LAPS] + place) & READ_MASK
    overrun = (uart[INTERRUPT_RAW] >> OVERRUN_BIT) & 1
    if overrun:
        uart[INTERRUPT_CLEAR] = 1 << OVERRUN_BIT
    lost = overrun
    if ended == loss[H_ENDED] or ((written - own[V_READ]) & READ_MASK) >= size:
        lost = 1
    if lost:
        own[V_READ] = written
    return lost


def _number(channel):
    return channel.channel


class Port:
    """One UART with its rings; nothing allocates after construction.

    `ring` is what `core.ring` works on, `sender` what `room` and `transmit` do.
    """

    clock = bytearray_at(MICROSECONDS, 4)
    pins = bytearray_at(PINS, 8)
    resting = array("I")  # for `hal.rest`; the console's port has it
    chip = FlashChip()

    def __init__(self, number, tx, rx, baud, receive_ring, send_ring, send_bits):
        self.uart = UART(number, baud, tx=Pin(tx), rx=Pin(rx))  # pins, clock divisor, format; nothing else of it is used
        self.base = UARTS + number * UART_SIZE
        self.byte_us = BITS_PER_BYTE * 1000000 // baud
        self.own = array("i", bytes(4 * RING_WORDS))
        self.sender = array("i", bytes(4 * SENDER_WORDS))
        self.loss = array("i", (DMA_RAW, 0, 0, self.base))
        self._receive(receive_ring, RECEIVE_REQUEST + REQUESTS * number)
        self._send(send_ring, send_bits, SEND_REQUEST + REQUESTS * number)
        mem32[self.base + INTERRUPT_MASK] = 0
        mem32[self.base + DMA_CONTROL] = BOTH_DIRECTIONS

    def _receive(self, buffer, request):
        """Two channels of one lap each; the one that has ended stands at the ring's beginning again."""
        start = addressof(buffer)
        self.ring = pointers(buffer, self.own, self.own, self.own)
        self.own[V_START] = 2 * start
        self.own[V_MASK] = len(buffer) - 1
        self.buffer = buffer
        self.channels = pair = (rp2.DMA(), rp2.DMA())
        for index in (0, 1):
            channel = pair[index]
            control = channel.pack_ctrl(
                size=0,
                inc_read=False,
                ring_sel=True,
                ring_size=RECEIVE_BITS,
                treq_sel=request,
                chain_to=_number(pair[1 - index]),
                irq_quiet=False,  # its flag, whose interrupt is never enabled, tells that it has ended
            )
            channel.config(read=self.base, write=start, count=len(buffer), ctrl=control)
            self.ring[G_PLACE + index] = DMA + _number(channel) * CHANNEL_SIZE + WRITE_ADDRESS
            self.loss[H_ENDED] |= 1 << _number(channel)
        mem32[DMA_RAW] = self.loss[H_ENDED]
        pair[0].active(1)

    def _send(self, buffer, bits, request):
        self.channel = rp2.DMA()
        control = self.channel.pack_ctrl(size=0, inc_write=False, ring_sel=False, ring_size=bits, treq_sel=request)
        self.channel.config(read=addressof(buffer), write=self.base, count=0, ctrl=control)
        self.sender[T_BYTES] = addressof(buffer)
        self.sender[T_MASK] = len(buffer) - 1
        self.sender[T_CHANNEL] = DMA + _number(self.channel) * CHANNEL_SIZE
        self.sender[T_UART] = self.base
        self.send_buffer = buffer

    def room(self):
        """As the function of that name."""
        return room(self.sender)

    def is_behind(self):
        """As the function of that name."""
        return is_behind(self.sender)

    def transmit(self, source, start, count):
        """As the function of that name."""
        transmit(self.sender, source, start, count)

    def finish(self):
        """Wait until every byte has left."""
        while is_sending(self.sender):
            pass


class Rings:
    """The memory of both ports' rings, to be had before anything cuts the heap into pieces.

    Rings lie at multiples of their sizes; the small one fits before or behind the others, where these leave room.
    """

    def __init__(self):
        large = 1 << RECEIVE_BITS
        small = 1 << TO_GANTRY_BITS
        self.memory = bytearray(4 * large)
        first = addressof(self.memory)
        start = _up(first, large)
        self.receive = (bytearray_at(start, large), bytearray_at(start + large, large))
        self.to_console = bytearray_at(start + 2 * large, large)
        end = start + 3 * large
        self.to_gantry = bytearray_at(end if first + 4 * large - end >= small else _up(first, small), small)


def _up(address, size):
    return (address + size - 1) & ~(size - 1)


def open_ports(rings, baud):
    """(console, gantry) ports of this board. `rings` has to be kept."""
    pins = (board.CONSOLE_TX, board.CONSOLE_RX)
    console = Port(board.CONSOLE_UART, *pins, baud, rings.receive[0], rings.to_console, TO_CONSOLE_BITS)
    pins = (board.GANTRY_TX, board.GANTRY_RX)
    gantry = Port(board.GANTRY_UART, *pins, baud, rings.receive[1], rings.to_gantry, TO_GANTRY_BITS)
    console.resting = rest.prepare()
    return console, gantry
