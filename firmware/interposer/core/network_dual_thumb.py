"""Compiled networks: one assembler function runs all of them, from the value vector to their scores and thresholds.

Only the RP2040 (ARMv6-M) can run it; `network.first_suspect` says in plain words what it does, and its results are the same
to the bit. `network_program.py` writes the programs that it walks through. A run never touches the heap. It keeps
results in the program (`ROUND`, `OUT`), so that it is not reentrant.

Activations lie in 0..127. Two share a word, and so do their weights, the other way round and 128 larger: one multiplication
gives the sum of both products in its upper half, and its lower half never carries into that:

    (x1 << 16 | x0) * (w0 + 128 << 16 | w1 + 128)  =  (x0 * (w0 + 128) + x1 * (w1 + 128)) << 16  +  x0 * (w1 + 128)

Eight outputs grow at once, so that activations are loaded once for eight; what does not make up eight follows one by one. All
sums are too large by 128 times the sum of activations, which leaves where rounding adds its half: a multiple of 128 does not
touch the bit that decides a tie, for shifts up to 6.
"""

from interposer.core.compat import const, micropython
from interposer.core.network import B_PROGRAMS, FOUND_BLOCK_ABOVE, FOUND_IN_THERE, FOUND_WORST
from interposer.core.network_program import (
    CARRY_SHIFT,
    GROUP,
    GROUPS,
    HALF,
    HEADER_BYTES,
    OUT,
    PAIRS_END,
    PASSES_END,
    RESULT_AT,
    ROUND,
    SCORE_BYTES,
    SCORE_FOUND,
    SCORE_HOLD,
    SCORE_IN_THERE,
    SCORE_OUTPUT,
    SHIFT,
    SINGLE_JUMP,
    SINGLE_X_END,
    STREAM_END,
    SUM_JUMP,
    TARGET,
    THRESHOLDS,
    X_END,
    X,
)

# Instructions that the inline assembler has no name for. On the stack lie: the table of programs, the network's number, the
# networks still to be asked after it, the value vector; above them, within a layer, the address of its header.
NEXT_1 = const(0xC802)  # ldmia r0!, {r1}
NEXT_2 = const(0xC804)
NEXT_12 = const(0xC806)  # ldmia r0!, {r1, r2}
NEXT_34 = const(0xC818)
NEXT_56 = const(0xC860)
NEXT_67 = const(0xC8C0)
NEXT_123 = const(0xC80E)
NEXT_234567 = const(0xC8FC)
JUMP_1 = const(0x448F)  # add pc, r1
JUMP_2 = const(0x4497)
JUMP_3 = const(0x449F)
JUMP_4 = const(0x44A7)
PROGRAMS_0 = const(0x9800)  # ldr r0, [sp, 0]
INDEX_1 = const(0x9901)
ASKED_2 = const(0x9A02)
VALUES_2 = const(0x9A03)
VALUES_3 = const(0x9B03)
KEEP_INDEX = const(0x9101)  # str r1, [sp, 4]
KEEP_ASKED = const(0x9202)
DROP_FOUR = const(0xB004)  # add sp, 16
HEADER_2 = const(0x9A00)  # ldr r2, [sp, 0]
HEADER_3 = const(0x9B00)
INPUT_1 = const(0x5859)  # ldr r1, [r3, r1]
INPUT_2 = const(0x589A)
STORE_INPUTS = const(0xC502)  # stmia r5!, {r1}
STORE_WORD = const(0xC210)  # stmia r2!, {r4}
EXPECTED_3 = const(0x58D3)  # ldr r3, [r2, r3]
GROUP_5 = const(0x5955)  # ldr r5, [r2, r5]
OUTPUT_5 = const(0xC920)  # ldmia r1!, {r5}
COMPARE_CAP = const(0x4573)  # cmp r3, lr
ERRORS_LEFT = const(0x4558)  # cmp r0, r11
X_AND_JUMP = const(0xCB06)  # ldmia r3!, {r1, r2}
HOW_TO_ROUND = const(0xCA38)  # ldmia r2!, {r3, r4, r5}
STORE_TWO = const(0xC140)  # stmia r1!, {r6}
UP_7 = const(0x43F)  # lsls r7, r7, 16

# What repeats, by twos. r0 walks through the weights, r1 through the activations. Two of them, in r2, meet three words of
# weights at a time, in r3 to r5; the sums of the eight outputs are r6, r7, r8 to r12 and lr.
SUM_X = const(0x195BC920)  # ldmia r1!, {r5}; adds r3, r3, r5
X_AND_3 = const(0xC838C904)  # ldmia r1!, {r2}; ldmia r0!, {r3, r4, r5}
TIMES_3 = const(0xC1B4353)  # muls r3, r2; lsrs r3, r3, 16
TIMES_4 = const(0xC244354)
TIMES_5 = const(0xC2D4355)
SUM_67 = const(0x193F18F6)  # adds r6, r6, r3; adds r7, r7, r4
SUM_8_AND_3 = const(0xC83844A8)  # add r8, r5; the next three
SUM_9_10 = const(0x44A24499)
SUM_11_AND_2 = const(0xC81844AB)
SUM_12_14 = const(0x44A6449C)
TWO_PAIRS = const(0xC960C818)  # ldmia r0!, {r3, r4}; ldmia r1!, {r5, r6}
MULTIPLY = const(0x4374436B)  # muls r3, r5; muls r4, r6
HIGHER_HALVES = const(0xC240C1B)
SUM_2 = const(0x191218D2)  # adds r2, r2, r3; adds r2, r2, r4

# Round half to even: what decides a tie becomes the carry. Saturate: as unsigned, a negative number is too large as well.
TIE_6 = const(0x40DA0032)  # movs r2, r6; lsrs r2, r3
TIE_7 = const(0x40DA003A)
ROUND_6 = const(0x412E4166)  # adcs r6, r4; asrs r6, r5
ROUND_7 = const(0x412F4167)
FITS_6 = const(0xD9022E7F)  # cmp r6, 127; bls over the next three
FITS_7 = const(0xD9022F7F)
SIGN_6 = const(0x43F617F6)  # asrs r6, r6, 31; mvns r6, r6
SIGN_7 = const(0x43FF17FF)
LIMIT_6 = const(0xE76)  # lsrs r6, r6, 25: 127, or 0 for a negative number
LIMIT_7 = const(0xE7F)
JOIN = const(0x433E)  # orrs r6, r7


@micropython.asm_thumb
def run(r0, r1, r2, r3):
    """r0 the block of a `Network`, r1 index, r2 asked, r3 values: as `network.first_suspect`."""
    mov(r4, r8)
    mov(r5, r9)
    mov(r6, r10)
    mov(r7, r11)
    push({r4, r5, r6, r7})
    ldr(r0, [r0, B_PROGRAMS << 2])
    lsr(r2, r1)
    push({r0, r1, r2, r3})

    label(SEEK)  # r1 network, r2 those asked, the lowest bit being this one's
    cmp(r2, 0)
    bne(ANY_LEFT)
    mvn(r1, r2)
    b(LEAVE)
    label(ANY_LEFT)
    lsr(r2, r2, 1)
    bcs(START)
    add(r1, 1)
    b(SEEK)
    label(START)
    data(2, KEEP_INDEX, KEEP_ASKED, PROGRAMS_0)
    lsl(r1, r1, 2)
    add(r0, r0, r1)
    ldr(r0, [r0, 0])

    label(STEP)  # r0 walks through the program
    data(2, NEXT_1, JUMP_1)
    b(LAYER)
    b(GATHER)
    b(WORDS)
    b(SCORE)
    b(LEAVE)

    label(GATHER)
    data(2, VALUES_3, NEXT_56)
    label(TWO_INPUTS)
    data(2, NEXT_12, INPUT_1, INPUT_2)
    lsl(r2, r2, 16)
    orr(r1, r2)
    data(2, STORE_INPUTS)
    cmp(r0, r6)
    bne(TWO_INPUTS)
    b(STEP)
    label(WORDS)
    data(2, NEXT_123)
    label(ONE_WORD)
    ldrh(r4, [r1, 0])
    add(r1, 2)
    data(2, STORE_WORD)
    cmp(r2, r3)
    bne(ONE_WORD)
    b(STEP)

    label(LAYER)
    push({r0})
    ldr(r1, [r0, X])
    ldr(r2, [r0, X_END])
    ldr(r4, [r0, SUM_JUMP])
    mov(r3, 0)
    data(2, JUMP_4)
    label(SUM)
    data(4, SUM_X, SUM_X, SUM_X, SUM_X, SUM_X, SUM_X, SUM_X, SUM_X)
    data(4, SUM_X, SUM_X, SUM_X, SUM_X, SUM_X, SUM_X, SUM_X, SUM_X)
    cmp(r1, r2)
    bne(SUM)
    lsr(r4, r3, 16)
    add(r3, r3, r4)  # its lower half counts
    lsl(r3, r3, 16)
    lsr(r3, r3, 9)
    ldr(r4, [r0, HALF])
    sub(r4, r4, r3)
    str(r4, [r0, ROUND])
    ldr(r4, [r0, TARGET])
    str(r4, [r0, OUT])
    ldr(r4, [r0, PASSES_END])
    add(r0, HEADER_BYTES)
    cmp(r0, r4)
    bne(PASS_OF_EIGHT)
    b(SINGLES)

    label(PASS_OF_EIGHT)
    data(2, NEXT_234567)
    mov(r8, r2)
    mov(r9, r3)
    mov(r10, r4)
    mov(r11, r5)
    mov(r12, r6)
    mov(lr, r7)
    data(2, NEXT_67, HEADER_3, X_AND_JUMP, JUMP_2)
    label(PAIRS)  # 37 cycles for sixteen products
    data(4, X_AND_3, TIMES_3, TIMES_4, TIMES_5, SUM_67, SUM_8_AND_3, TIMES_3, TIMES_4, TIMES_5)
    data(4, SUM_9_10, SUM_11_AND_2, TIMES_3, TIMES_4, SUM_12_14)
    data(4, X_AND_3, TIMES_3, TIMES_4, TIMES_5, SUM_67, SUM_8_AND_3, TIMES_3, TIMES_4, TIMES_5)
    data(4, SUM_9_10, SUM_11_AND_2, TIMES_3, TIMES_4, SUM_12_14)
    data(4, X_AND_3, TIMES_3, TIMES_4, TIMES_5, SUM_67, SUM_8_AND_3, TIMES_3, TIMES_4, TIMES_5)
    data(4, SUM_9_10, SUM_11_AND_2, TIMES_3, TIMES_4, SUM_12_14)
    data(4, X_AND_3, TIMES_3, TIMES_4, TIMES_5, SUM_67, SUM_8_AND_3, TIMES_3, TIMES_4, TIMES_5)
    data(4, SUM_9_10, SUM_11_AND_2, TIMES_3, TIMES_4, SUM_12_14)
    data(4, X_AND_3, TIMES_3, TIMES_4, TIMES_5, SUM_67, SUM_8_AND_3, TIMES_3, TIMES_4, TIMES_5)
    data(4, SUM_9_10, SUM_11_AND_2, TIMES_3, TIMES_4, SUM_12_14)
    data(4, X_AND_3, TIMES_3, TIMES_4, TIMES_5, SUM_67, SUM_8_AND_3, TIMES_3, TIMES_4, TIMES_5)
    data(4, SUM_9_10, SUM_11_AND_2, TIMES_3, TIMES_4, SUM_12_14)
    data(4, X_AND_3, TIMES_3, TIMES_4, TIMES_5, SUM_67, SUM_8_AND_3, TIMES_3, TIMES_4, TIMES_5)
    data(4, SUM_9_10, SUM_11_AND_2, TIMES_3, TIMES_4, SUM_12_14)
    data(4, X_AND_3, TIMES_3, TIMES_4, TIMES_5, SUM_67, SUM_8_AND_3, TIMES_3, TIMES_4, TIMES_5)
    data(4, SUM_9_10, SUM_11_AND_2, TIMES_3, TIMES_4, SUM_12_14)
    data(4, X_AND_3, TIMES_3, TIMES_4, TIMES_5, SUM_67, SUM_8_AND_3, TIMES_3, TIMES_4, TIMES_5)
    data(4, SUM_9_10, SUM_11_AND_2, TIMES_3, TIMES_4, SUM_12_14)
    data(4, X_AND_3, TIMES_3, TIMES_4, TIMES_5, SUM_67, SUM_8_AND_3, TIMES_3, TIMES_4, TIMES_5)
    data(4, SUM_9_10, SUM_11_AND_2, TIMES_3, TIMES_4, SUM_12_14)
    data(4, X_AND_3, TIMES_3, TIMES_4, TIMES_5, SUM_67, SUM_8_AND_3, TIMES_3, TIMES_4, TIMES_5)
    data(4, SUM_9_10, SUM_11_AND_2, TIMES_3, TIMES_4, SUM_12_14)
    data(4, X_AND_3, TIMES_3, TIMES_4, TIMES_5, SUM_67, SUM_8_AND_3, TIMES_3, TIMES_4, TIMES_5)
    data(4, SUM_9_10, SUM_11_AND_2, TIMES_3, TIMES_4, SUM_12_14)
    data(4, X_AND_3, TIMES_3, TIMES_4, TIMES_5, SUM_67, SUM_8_AND_3, TIMES_3, TIMES_4, TIMES_5)
    data(4, SUM_9_10, SUM_11_AND_2, TIMES_3, TIMES_4, SUM_12_14)
    data(4, X_AND_3, TIMES_3, TIMES_4, TIMES_5, SUM_67, SUM_8_AND_3, TIMES_3, TIMES_4, TIMES_5)
    data(4, SUM_9_10, SUM_11_AND_2, TIMES_3, TIMES_4, SUM_12_14)
    data(4, X_AND_3, TIMES_3, TIMES_4, TIMES_5, SUM_67, SUM_8_AND_3, TIMES_3, TIMES_4, TIMES_5)
    data(4, SUM_9_10, SUM_11_AND_2, TIMES_3, TIMES_4, SUM_12_14)
    data(4, X_AND_3, TIMES_3, TIMES_4, TIMES_5, SUM_67, SUM_8_AND_3, TIMES_3, TIMES_4, TIMES_5)
    data(4, SUM_9_10, SUM_11_AND_2, TIMES_3, TIMES_4, SUM_12_14)
    data(2, HEADER_2)
    ldr(r3, [r2, X_END])
    cmp(r1, r3)
    beq(REQUANTISE)
    b(PAIRS)
    label(REQUANTISE)
    ldr(r1, [r2, OUT])
    add(r2, CARRY_SHIFT)
    data(2, HOW_TO_ROUND)
    data(4, TIE_6, ROUND_6, FITS_6, SIGN_6)
    data(2, LIMIT_6)
    data(4, TIE_7, ROUND_7, FITS_7, SIGN_7)
    data(2, LIMIT_7, UP_7, JOIN, STORE_TWO)
    mov(r6, r8)
    mov(r7, r9)
    data(4, TIE_6, ROUND_6, FITS_6, SIGN_6)
    data(2, LIMIT_6)
    data(4, TIE_7, ROUND_7, FITS_7, SIGN_7)
    data(2, LIMIT_7, UP_7, JOIN, STORE_TWO)
    mov(r6, r10)
    mov(r7, r11)
    data(4, TIE_6, ROUND_6, FITS_6, SIGN_6)
    data(2, LIMIT_6)
    data(4, TIE_7, ROUND_7, FITS_7, SIGN_7)
    data(2, LIMIT_7, UP_7, JOIN, STORE_TWO)
    mov(r6, r12)
    mov(r7, lr)
    data(4, TIE_6, ROUND_6, FITS_6, SIGN_6)
    data(2, LIMIT_6)
    data(4, TIE_7, ROUND_7, FITS_7, SIGN_7)
    data(2, LIMIT_7, UP_7, JOIN, STORE_TWO)
    data(2, HEADER_2)
    str(r1, [r2, OUT])
    ldr(r3, [r2, PASSES_END])
    cmp(r0, r3)
    beq(SINGLES)
    b(PASS_OF_EIGHT)

    label(SINGLES)
    data(2, HEADER_2)
    mov(r8, r2)
    ldr(r3, [r2, STREAM_END])
    cmp(r0, r3)
    beq(LAYER_DONE)
    label(SINGLE)
    mov(r7, r8)
    data(2, NEXT_2)
    ldr(r1, [r7, X])
    ldr(r3, [r7, SINGLE_JUMP])
    data(2, JUMP_3)
    label(BLOCKS)  # 12 cycles for four products
    data(4, TWO_PAIRS, MULTIPLY, HIGHER_HALVES, SUM_2, TWO_PAIRS, MULTIPLY, HIGHER_HALVES, SUM_2)
    data(4, TWO_PAIRS, MULTIPLY, HIGHER_HALVES, SUM_2, TWO_PAIRS, MULTIPLY, HIGHER_HALVES, SUM_2)
    data(4, TWO_PAIRS, MULTIPLY, HIGHER_HALVES, SUM_2, TWO_PAIRS, MULTIPLY, HIGHER_HALVES, SUM_2)
    data(4, TWO_PAIRS, MULTIPLY, HIGHER_HALVES, SUM_2, TWO_PAIRS, MULTIPLY, HIGHER_HALVES, SUM_2)
    ldr(r3, [r7, SINGLE_X_END])
    cmp(r1, r3)
    bne(BLOCKS)
    mov(r6, r2)
    ldr(r3, [r7, CARRY_SHIFT])
    ldr(r4, [r7, ROUND])
    ldr(r5, [r7, SHIFT])
    data(4, TIE_6, ROUND_6, FITS_6, SIGN_6)
    data(2, LIMIT_6)
    ldr(r3, [r7, OUT])
    strh(r6, [r3, 0])
    add(r3, 2)
    str(r3, [r7, OUT])
    ldr(r3, [r7, STREAM_END])
    cmp(r0, r3)
    bne(SINGLE)
    label(LAYER_DONE)
    pop({r1})
    b(STEP)

    label(SCORE)  # r1 outputs, r2 values, r6 largest error, r7 score, r8 header, r9 behind its target, r11 end, lr 4095
    mov(r8, r0)
    data(2, VALUES_2)
    ldr(r1, [r0, SCORE_OUTPUT])
    ldr(r4, [r0, PAIRS_END])
    mov(r11, r4)
    mov(r7, 0)
    mvn(r6, r7)
    lsr(r4, r6, 20)
    mov(lr, r4)
    add(r0, SCORE_BYTES)
    mov(r9, r0)
    mov(r10, r0)
    data(2, ERRORS_LEFT)
    bne(ERROR)
    ldr(r7, [r1, 0])  # a classifier
    b(SCORED)
    label(ERROR)
    data(2, NEXT_34, EXPECTED_3, OUTPUT_5)
    sub(r3, r3, r5)
    bpl(POSITIVE)
    neg(r3, r3)
    label(POSITIVE)
    mul(r3, r4)
    asr(r3, r3, 4)
    cmp(r3, r6)
    ble(NOT_WORSE)
    mov(r6, r3)
    mov(r9, r0)
    label(NOT_WORSE)
    data(2, COMPARE_CAP)
    ble(SQUARE)
    mov(r3, lr)
    label(SQUARE)
    mul(r3, r3)
    add(r7, r7, r3)
    data(2, ERRORS_LEFT)
    bne(ERROR)
    label(SCORED)
    mov(r3, r8)
    ldr(r4, [r3, THRESHOLDS])
    ldr(r5, [r3, GROUP])
    cmp(r5, 0)
    blt(NO_GROUP)
    data(2, GROUP_5)
    ldr(r6, [r3, GROUPS])
    cmp(r5, 0)
    blt(NO_GROUP)
    cmp(r5, r6)
    bge(NO_GROUP)
    lsl(r5, r5, 3)
    add(r4, r4, r5)
    label(NO_GROUP)
    ldr(r5, [r4, 0])
    ldr(r6, [r4, 4])
    ldr(r4, [r3, RESULT_AT])
    str(r7, [r4, 0])
    ldr(r4, [r3, SCORE_HOLD])
    str(r5, [r4, 0])
    ldr(r4, [r3, SCORE_FOUND])
    str(r6, [r4, FOUND_BLOCK_ABOVE << 2])
    ldr(r3, [r3, SCORE_IN_THERE])
    str(r3, [r4, FOUND_IN_THERE << 2])
    mov(r0, r9)
    mov(r1, r10)
    sub(r0, r0, r1)
    asr(r0, r0, 3)
    sub(r0, 1)  # behind no target: -1
    str(r0, [r4, FOUND_WORST << 2])
    data(2, INDEX_1, ASKED_2)
    cmp(r7, r5)
    bgt(LEAVE)
    cmp(r7, r6)
    bgt(LEAVE)
    add(r1, 1)
    b(SEEK)

    label(LEAVE)
    mov(r0, r1)
    data(2, DROP_FOUR)
    pop({r4, r5, r6, r7})
    mov(r8, r4)
    mov(r9, r5)
    mov(r10, r6)
    mov(r11, r7)
