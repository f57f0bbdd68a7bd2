"""The optimised twin of `network.layers`: same signature, same results to the bit, some ten times faster.

Only the RP2040 (ARMv6-M) can run it; the host uses `network.layers`. Where all layers of a `Network` meet the conditions of
`network_program.py`, it is compiled for the faster `network_dual_thumb.py`; what follows is for layers of any kind. A viper
function turns the tables into addresses in a block of words that was allocated once, so a call never touches the heap. The
kernel does four products a turn: weights are read as signed bytes, activations two words at a time. The block is shared, so
the kernel is not reentrant.
"""

import gc
from array import array

from interposer.core.compat import const, micropython, pointers, ptr8, ptr32
from interposer.core.network import (
    B_PROGRAMS,
    LAYER_WORDS,
    Y_BIAS_AT,
    Y_HIGHEST,
    Y_IN,
    Y_LOWEST,
    Y_OUT,
    Y_SHIFT,
    Y_WEIGHT_AT,
    first_by_layers,
)
from interposer.core.network_dual_thumb import run

# The block: byte offsets, as the kernel's loads need them.
WEIGHTS = const(0)  # address of the first weight
SOURCE = const(4)  # address of the first activation
GROUPS_END = const(8)  # address behind the activations that come in fours
SOURCE_END = const(12)  # address behind the last activation
TARGET = const(16)  # address of the next output
BIAS = const(20)  # address of the next bias
LEFT = const(24)  # outputs still to do
SHIFT = const(28)
HALF = const(32)  # just under half of what is shifted out
LOWEST = const(36)
HIGHEST = const(40)
# Behind it, by word: where a layer's record has what. Viper cannot fold the constants of another module.
AT_IN = const(11)
AT_OUT = const(12)
AT_BIAS = const(13)
AT_SHIFT = const(14)
AT_LOWEST = const(15)
AT_HIGHEST = const(16)
AT_WEIGHT = const(17)
AT_WORDS = const(18)

# Instructions that the inline assembler has no name for.
LOAD_TWO = const(0xC918)  # ldmia r1!, {r3, r4}
LOAD_ONE = const(0xC908)  # ldmia r1!, {r3}
EVEN_WEIGHT = const(0x5785)  # ldrsb r5, [r0, r6], r6 being 0
ODD_WEIGHT = const(0x57C5)  # ldrsb r5, [r0, r7], r7 being 1
COMPARE_GROUPS_END = const(0x4571)  # cmp r1, lr

_block = array("i", [0] * AT_IN + [Y_IN, Y_OUT, Y_BIAS_AT, Y_SHIFT, Y_LOWEST, Y_HIGHEST, Y_WEIGHT_AT, LAYER_WORDS])


@micropython.asm_thumb
def _layer(r0):
    """r0 weight, r1 activation, r2 sum, r3..r5 scratch, r6 0, r7 1, r12 the block, lr end of the groups."""
    mov(r12, r0)
    ldr(r0, [r0, WEIGHTS])
    mov(r6, 0)
    mov(r7, 1)

    label(NEXT_OUTPUT)
    mov(r3, r12)
    ldr(r4, [r3, BIAS])
    ldr(r2, [r4, 0])
    add(r4, 4)
    str(r4, [r3, BIAS])
    ldr(r1, [r3, SOURCE])
    ldr(r4, [r3, GROUPS_END])
    mov(lr, r4)
    b(ANY_GROUP)

    label(GROUP)  # 27 cycles for four products
    data(2, LOAD_TWO)
    data(2, EVEN_WEIGHT)
    mul(r5, r3)
    add(r2, r2, r5)
    data(2, ODD_WEIGHT)
    mul(r5, r4)
    add(r2, r2, r5)
    add(r0, 2)
    data(2, LOAD_TWO)
    data(2, EVEN_WEIGHT)
    mul(r5, r3)
    add(r2, r2, r5)
    data(2, ODD_WEIGHT)
    mul(r5, r4)
    add(r2, r2, r5)
    add(r0, 2)
    label(ANY_GROUP)
    data(2, COMPARE_GROUPS_END)
    bne(GROUP)

    mov(r3, r12)
    ldr(r4, [r3, SOURCE_END])
    b(ANY_SINGLE)
    label(SINGLE)
    data(2, LOAD_ONE)
    data(2, EVEN_WEIGHT)
    mul(r5, r3)
    add(r2, r2, r5)
    add(r0, 1)
    label(ANY_SINGLE)
    cmp(r1, r4)
    bne(SINGLE)

    mov(r3, r12)  # round half to even: add just under half, and one more where the result would be odd
    ldr(r4, [r3, SHIFT])
    cmp(r4, 0)
    beq(SATURATE)
    mov(r5, r2)
    asr(r5, r4)
    and_(r5, r7)
    add(r2, r2, r5)
    ldr(r5, [r3, HALF])
    add(r2, r2, r5)
    asr(r2, r4)

    label(SATURATE)
    ldr(r4, [r3, LOWEST])
    cmp(r2, r4)
    bge(NOT_BELOW)
    mov(r2, r4)
    label(NOT_BELOW)
    ldr(r4, [r3, HIGHEST])
    cmp(r2, r4)
    ble(NOT_ABOVE)
    mov(r2, r4)
    label(NOT_ABOVE)

    ldr(r4, [r3, TARGET])
    str(r2, [r4, 0])
    add(r4, 4)
    str(r4, [r3, TARGET])
    ldr(r4, [r3, LEFT])
    sub(r4, 1)
    str(r4, [r3, LEFT])
    bne(NEXT_OUTPUT)


@micropython.viper
def run_layers(weights: ptr8, nets: ptr32, layer: int, count: int, here: ptr32, there: ptr32) -> int:
    """`count` layers, each of at least one output, as `network.layers`."""
    block = ptr32(_block)
    source = int(here)
    target = int(there)
    left = count
    while left:
        n_in = nets[layer + block[AT_IN]]
        shift = nets[layer + block[AT_SHIFT]]
        block[WEIGHTS >> 2] = int(weights) + nets[layer + block[AT_WEIGHT]]
        block[SOURCE >> 2] = source
        block[GROUPS_END >> 2] = source + ((n_in >> 2) << 4)
        block[SOURCE_END >> 2] = source + (n_in << 2)
        block[TARGET >> 2] = target
        block[BIAS >> 2] = int(nets) + (nets[layer + block[AT_BIAS]] << 2)
        block[LEFT >> 2] = nets[layer + block[AT_OUT]]
        block[SHIFT >> 2] = shift
        block[HALF >> 2] = (1 << (shift - 1)) - 1 if shift else 0
        block[LOWEST >> 2] = nets[layer + block[AT_LOWEST]]
        block[HIGHEST >> 2] = nets[layer + block[AT_HIGHEST]]
        _layer(int(block))
        place = source
        source = target
        target = place
        layer += block[AT_WORDS]
        left -= 1
    return count & 1


@micropython.viper
def ask(block: ptr32, index: int, asked: int, values: ptr32) -> int:
    """As `network.first_suspect`, by the kernel that can."""
    if ptr32(block[B_PROGRAMS])[0]:
        return int(run(block, index, asked, values))
    return int(first_by_layers(block, run_layers, index, asked, values))


class Layers:
    """The kernel for a `Network` on the RP2040."""

    def __call__(self, weights, nets, layer, count, here, there):
        """`count` layers, as `network.layers`."""
        return run_layers(weights, nets, layer, count, here, there)

    def prepare(self, network, weights, widest, count):
        """(what a `Network` calls, its programs or a single 0, what has to be kept for them).

        What writes programs is imported here alone: it is needed once, and `loading` takes it out of memory again.
        """
        from interposer.core.network_program import Compiler, fits

        if not count or not fits(network.nets, count):
            return run_layers, array("i", [0]), None
        compiler = Compiler(network.nets, weights, network.here, network.there, widest)
        programs = []
        for index in range(count):
            gc.collect()  # what the last one left in pieces would be in the way of the next
            programs.append(compiler.network(index, network.scores, network.hold_above, network.found))
        return run, pointers(*programs), (compiler.buffers, programs)


layers = Layers()
