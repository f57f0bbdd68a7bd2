"""Lets the processor stand still: until a line begins to speak, for so many microseconds, or until anything else interrupts.

Reception itself goes by DMA and interrupts nobody. Interrupts are masked from the moment when they are looked at until the
processor stands still: one that comes in between wakes it all the same, and its handler runs afterwards. Alarm 0 of the
timer is ours, the others are MicroPython's. Registers: RP2040 data sheet, 2.4.8, 2.19.6, 4.6.5.
"""

from array import array

from machine import mem32

from interposer.core.compat import code_of, const, micropython
from interposer.hal import board_record as board

BANK = const(0x40014000)
RAW = const(0x0F0)
ENABLE = const(0x100)
TO_SET = const(0x2000)
TO_CLEAR = const(0x3000)
PINS_PER_WORD = const(8)
BITS_PER_PIN = const(4)
EDGE_LOW = const(4)
LEVELS = const(0xD0000004)
TIMER = const(0x40054000)
TIMER_ENABLE = const(0x38)
NVIC = const(0xE000E100)
NVIC_PENDING = const(0x100)  # behind it
VECTORS = const(0xE000ED08)
FIRST_VECTOR = const(16)
ALARM_BIT = const(1)
ALARM_IRQ = const(0)
PINS_IRQ = const(13)

# Byte offsets in the row of words, and in the registers of the timer.
FIRST_BIT = const(0)
FIRST_RAW = const(4)
FIRST_SET = const(8)
FIRST_CLEAR = const(12)
SECOND_BIT = const(16)
SECOND_RAW = const(20)
SECOND_SET = const(24)
SECOND_CLEAR = const(28)
LEVELS_AT = const(32)
PINS = const(36)
TIMER_AT = const(40)
NVIC_AT = const(44)
OURS = const(48)  # the interrupts that wake, as bits
T_ALARM = const(0x10)
T_ARMED = const(0x20)
T_COUNT = const(0x28)
T_RAW = const(0x34)

# Instructions that the inline assembler has no name for.
PENDING_3 = const(0x58F3)  # ldr r3, [r6, r3]
CLEAR_PENDING = const(0x50F4)  # str r4, [r6, r3]


@micropython.asm_thumb
def rest(r0, r1, r2):
    """r0 row of words, r1 microseconds (at least 10), r2 not 0: a line that begins to speak ends it. 1 if one speaks, or 0."""
    cpsid("i")
    cmp(r2, 0)
    beq(DEAF)
    ldr(r4, [r0, FIRST_BIT])
    ldr(r3, [r0, FIRST_RAW])
    str(r4, [r3, 0])
    ldr(r3, [r0, FIRST_SET])
    str(r4, [r3, 0])
    ldr(r4, [r0, SECOND_BIT])
    ldr(r3, [r0, SECOND_RAW])
    str(r4, [r3, 0])
    ldr(r3, [r0, SECOND_SET])
    str(r4, [r3, 0])
    label(DEAF)
    ldr(r5, [r0, TIMER_AT])
    ldr(r3, [r5, T_COUNT])
    add(r3, r3, r1)
    str(r3, [r5, T_ALARM])
    ldr(r6, [r0, NVIC_AT])
    mov(r3, NVIC_PENDING >> 8)
    lsl(r3, r3, 8)
    data(2, PENDING_3)
    ldr(r4, [r6, 0])
    and_(r3, r4)
    bne(AWAKE)
    wfi()
    label(AWAKE)
    mov(r4, ALARM_BIT)
    str(r4, [r5, T_ARMED])
    str(r4, [r5, T_RAW])
    ldr(r4, [r0, FIRST_BIT])
    ldr(r3, [r0, FIRST_RAW])
    ldr(r7, [r3, 0])
    and_(r7, r4)
    str(r4, [r3, 0])
    ldr(r3, [r0, FIRST_CLEAR])
    str(r4, [r3, 0])
    ldr(r4, [r0, SECOND_BIT])
    ldr(r3, [r0, SECOND_RAW])
    ldr(r5, [r3, 0])
    and_(r5, r4)
    orr(r7, r5)
    str(r4, [r3, 0])
    ldr(r3, [r0, SECOND_CLEAR])
    str(r4, [r3, 0])
    ldr(r3, [r0, LEVELS_AT])
    ldr(r3, [r3, 0])
    ldr(r4, [r0, PINS])
    bic(r4, r3)
    orr(r7, r4)
    ldr(r4, [r0, OURS])
    mov(r3, 3)
    lsl(r3, r3, 7)
    data(2, CLEAR_PENDING)
    cpsie("i")
    mov(r0, 0)
    cmp(r7, 0)
    beq(SILENT)
    mov(r0, 1)
    label(SILENT)


@micropython.asm_thumb
def _alarm():
    """The alarm's handler, for the moment in which nobody masks it."""
    mov(r0, 1)
    mov(r1, 0x40)
    lsl(r1, r1, 8)
    add(r1, 0x05)
    lsl(r1, r1, 8)
    add(r1, 0x40)
    lsl(r1, r1, 8)
    str(r0, [r1, T_RAW])


def prepare():
    """The row of words for `rest`; the alarm gets its handler."""
    words = array("I")
    for number in (board.CONSOLE_RX, board.GANTRY_RX):
        word = BANK + number // PINS_PER_WORD * 4
        words.append(EDGE_LOW << number % PINS_PER_WORD * BITS_PER_PIN)
        words.append(word + RAW)
        words.append(word + ENABLE + TO_SET)
        words.append(word + ENABLE + TO_CLEAR)
    ours = 1 << ALARM_IRQ | 1 << PINS_IRQ
    words.extend(array("I", (LEVELS, 1 << board.CONSOLE_RX | 1 << board.GANTRY_RX, TIMER, NVIC, ours)))
    mem32[mem32[VECTORS] + 4 * (FIRST_VECTOR + ALARM_IRQ)] = code_of(_alarm)
    mem32[TIMER + TIMER_ENABLE] |= ALARM_BIT
    mem32[NVIC] = ours
    return words
