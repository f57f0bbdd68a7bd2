"""The optimised twin of `quantities.evaluate`: same signature, same results to the bit, some ten times faster.

Only the RP2040 (ARMv6-M) can run it; the host uses `quantities.evaluate`, which says what every kind of row means.
"""

from interposer.core.compat import const, micropython, ptr32
from interposer.core.quantities import (
    ABSOLUTE,
    AFFINE,
    AT_LEAST,
    CURVE,
    EQUAL,
    EXP2,
    EXP_TABLE,
    IN_SET,
    LOG2,
    LOG_BITS,
    SELECT,
    SLOPE_BITS,
)

# Byte offsets in a row.
DESTINATION = const(4)
LOWEST = const(8)
HIGHEST = const(12)
CONSTANT = const(16)
SECOND = const(20)
TERMS = const(24)
FIRST_SOURCE = const(28)
FIRST_COEFFICIENT = const(32)
SECOND_SOURCE = const(36)
# Byte offsets in a knot of a curve.
KNOT_Y = const(4)
KNOT_SLOPE = const(8)
NEXT_KNOT = const(12)

HALF_TABLE = const(EXP_TABLE >> 1)  # the table begins at an odd word: half of its place fits an immediate, twice

# Instructions that the inline assembler has no name for.
VALUE_6 = const(0x598E)  # ldr r6, [r1, r6]
VALUE_3 = const(0x58CB)  # ldr r3, [r1, r3]
STORE_7 = const(0x510F)  # str r7, [r1, r4]
NEXT_3 = const(0xC808)  # ldmia r0!, {r3}
NEXT_6 = const(0xC840)  # ldmia r0!, {r6}
MEMBER_5 = const(0xCB20)  # ldmia r3!, {r5}


@micropython.asm_thumb
def _rows(r0, r1, r2, r3):
    """r0 row, r1 values, r2 curves, r3 number of rows.

    Within a row: r12 its beginning, lr rows left, r6 the first source, r7 the constant, then the result.
    """
    mov(lr, r3)

    label(NEXT_ROW)
    mov(r12, r0)
    ldr(r3, [r0, 0])
    ldr(r7, [r0, CONSTANT])
    ldr(r4, [r0, SECOND])
    ldr(r5, [r0, TERMS])
    ldr(r6, [r0, FIRST_SOURCE])
    lsl(r6, r6, 2)
    data(2, VALUE_6)
    cmp(r3, AFFINE)
    bne(OTHER_KIND)

    add(r0, FIRST_COEFFICIENT)
    label(TERM)
    data(2, NEXT_3)
    mul(r6, r3)
    add(r7, r7, r6)
    sub(r5, 1)
    beq(SCALE)
    data(2, NEXT_6)
    lsl(r6, r6, 2)
    data(2, VALUE_6)
    b(TERM)
    label(SCALE)
    cmp(r4, 0)
    beq(FINISH)
    label(ROUND)  # r7 = (r7 + 2 to the power of r4 - 1) >> r4
    mov(r5, r4)
    sub(r5, 1)
    mov(r3, 1)
    lsl(r3, r5)
    add(r7, r7, r3)
    asr(r7, r4)

    label(FINISH)
    mov(r3, r12)
    ldr(r4, [r3, LOWEST])
    cmp(r7, r4)
    bge(NOT_BELOW)
    mov(r7, r4)
    label(NOT_BELOW)
    ldr(r4, [r3, HIGHEST])
    cmp(r7, r4)
    ble(NOT_ABOVE)
    mov(r7, r4)
    label(NOT_ABOVE)
    ldr(r4, [r3, DESTINATION])
    lsl(r4, r4, 2)
    data(2, STORE_7)
    mov(r3, lr)
    sub(r3, 1)
    mov(lr, r3)
    bne(NEXT_ROW)
    b(END)

    label(OTHER_KIND)  # r0 goes on to the next row
    lsl(r5, r5, 3)
    add(r0, r0, r5)
    add(r0, FIRST_SOURCE)
    cmp(r3, CURVE)
    beq(IS_CURVE)
    cmp(r3, AT_LEAST)
    beq(IS_AT_LEAST)
    cmp(r3, SELECT)
    beq(IS_SELECT)
    cmp(r3, EQUAL)
    beq(IS_EQUAL)
    cmp(r3, IN_SET)
    beq(IS_IN_SET)
    cmp(r3, ABSOLUTE)
    beq(IS_ABSOLUTE)
    cmp(r3, LOG2)
    bne(NOT_LOG2)
    b(IS_LOG2)
    label(NOT_LOG2)
    cmp(r3, EXP2)
    bne(IS_LARGEST)
    b(IS_EXP2)

    label(IS_LARGEST)
    mov(r7, r6)
    mov(r4, r12)
    ldr(r5, [r4, TERMS])
    add(r4, FIRST_SOURCE)
    label(ANOTHER)
    sub(r5, 1)
    beq(FINISH)
    add(r4, 8)
    ldr(r6, [r4, 0])
    lsl(r6, r6, 2)
    data(2, VALUE_6)
    cmp(r6, r7)
    ble(ANOTHER)
    mov(r7, r6)
    b(ANOTHER)

    label(IS_ABSOLUTE)
    mov(r7, r6)
    cmp(r7, 0)
    bge(FINISH)
    neg(r7, r7)
    b(FINISH)

    label(IS_SELECT)
    mov(r3, r12)
    ldr(r3, [r3, SECOND_SOURCE])
    lsl(r3, r3, 2)
    data(2, VALUE_3)
    cmp(r3, 0)
    beq(FINISH)
    mov(r7, r6)
    b(FINISH)

    label(IS_AT_LEAST)
    cmp(r6, r7)
    bge(ONE)
    b(ZERO)
    label(IS_EQUAL)
    cmp(r6, r7)
    beq(ONE)
    label(ZERO)
    mov(r7, 0)
    b(FINISH)
    label(ONE)
    mov(r7, 1)
    b(FINISH)
    label(IS_IN_SET)
    lsl(r3, r7, 2)
    add(r3, r3, r2)
    label(ANY_MEMBER)
    cmp(r4, 0)
    beq(ZERO)
    data(2, MEMBER_5)
    cmp(r5, r6)
    beq(ONE)
    sub(r4, 1)
    b(ANY_MEMBER)

    label(IS_CURVE)
    lsl(r7, r7, 2)
    add(r7, r7, r2)
    label(KNOT)
    cmp(r4, 1)
    ble(LAST_KNOT)
    ldr(r3, [r7, NEXT_KNOT])
    cmp(r3, r6)
    bgt(BEFORE_NEXT)
    add(r7, NEXT_KNOT)
    sub(r4, 1)
    b(KNOT)
    label(BEFORE_NEXT)
    ldr(r3, [r7, 0])
    sub(r6, r6, r3)
    bpl(ON_SLOPE)
    label(LAST_KNOT)
    mov(r6, 0)
    label(ON_SLOPE)
    ldr(r3, [r7, KNOT_SLOPE])
    mul(r6, r3)
    mov(r3, 1)
    lsl(r3, r3, SLOPE_BITS - 1)
    add(r6, r6, r3)
    asr(r6, r6, SLOPE_BITS)
    ldr(r7, [r7, KNOT_Y])
    add(r7, r7, r6)
    b(FINISH)

    label(IS_LOG2)
    cmp(r6, 1)
    bge(POSITIVE)
    mov(r6, 1)
    label(POSITIVE)
    mov(r7, 0)
    mov(r3, r6)
    label(POWER)
    lsr(r3, r3, 1)
    beq(MANTISSA)
    add(r7, 1)
    b(POWER)
    label(MANTISSA)  # r6 = the source with its highest bit at place 16
    mov(r3, 16)
    sub(r3, r3, r7)
    bmi(SHORTEN)
    lsl(r6, r3)
    b(LOOK_UP)
    label(SHORTEN)
    neg(r3, r3)
    lsr(r6, r3)
    label(LOOK_UP)
    lsl(r3, r6, 16)
    lsr(r3, r3, 24)
    lsl(r3, r3, 2)
    add(r3, r3, r2)
    lsl(r6, r6, 24)
    lsr(r6, r6, 24)
    ldr(r5, [r3, 4])
    mul(r5, r6)
    ldr(r4, [r3, 0])
    mov(r3, 255)
    add(r3, 1)
    sub(r3, r3, r6)
    mul(r4, r3)
    add(r4, r4, r5)
    add(r4, 128)
    asr(r4, r4, 8)
    lsl(r7, r7, LOG_BITS)
    add(r7, r7, r4)
    b(FINISH)

    label(IS_EXP2)
    lsl(r4, r6, 22)
    lsr(r4, r4, 24)
    add(r4, HALF_TABLE)
    add(r4, HALF_TABLE + 1)
    lsl(r4, r4, 2)
    add(r4, r4, r2)
    asr(r3, r6, LOG_BITS)
    lsl(r6, r6, 30)
    lsr(r6, r6, 30)
    ldr(r5, [r4, 4])
    mul(r5, r6)
    ldr(r4, [r4, 0])
    mov(r7, 4)
    sub(r7, r7, r6)
    mul(r7, r4)
    add(r7, r7, r5)
    add(r7, 2)
    asr(r7, r7, 2)
    sub(r3, 15)  # places to the left
    bmi(TO_THE_RIGHT)
    cmp(r3, 15)
    bge(TOO_LARGE)
    lsl(r7, r3)
    b(FINISH)
    label(TOO_LARGE)
    mov(r3, r12)
    ldr(r7, [r3, HIGHEST])
    b(FINISH)
    label(TO_THE_RIGHT)
    neg(r4, r3)
    cmp(r4, 31)
    blt(FAR)
    mov(r4, 31)
    label(FAR)
    b(ROUND)
    label(END)


@micropython.viper
def evaluate(values: ptr32, rows: ptr32, at: int, count: int, curves: ptr32):
    """Evaluate `count` rows from word `at` on, in order, into `values`."""
    if count:
        _rows(int(rows) + (at << 2), int(values), int(curves), count)
