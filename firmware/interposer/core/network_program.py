"""Prepares networks for `network_dual_thumb` when a package loads: every network becomes a program, a row of words.

A program is a row of steps; a step is a word that says which (STEP_...), then its header, then what it reads on the way:
slots, weights, targets. Addresses are worked out here and stay right, because nothing on the device's heap ever moves; who
keeps a program has to keep what it points into.

Whether networks may be compiled is derived here from their tables, never from a flag: the inputs of a network lie in 0..127,
which `audit` has proved by the rows that write them, and those of any other layer within the bounds of the one before.
"""

import struct

from interposer.core.compat import const, pointers
from interposer.core.network import (
    CLASSIFIER,
    HIGHEST_ACTIVATION,
    LAYER_WORDS,
    N_GROUP_SLOT,
    N_GROUPS,
    N_INPUT_AT,
    N_INPUTS,
    N_LAYER_AT,
    N_LAYERS,
    N_OUTPUT_AT,
    N_OUTPUTS,
    N_SCORE,
    N_THRESHOLD_AT,
    NET_WORDS,
    O_TARGET,
    O_WEIGHT,
    OUTPUT_WORDS,
    Y_BIAS_AT,
    Y_HIGHEST,
    Y_IN,
    Y_LOWEST,
    Y_OUT,
    Y_SHIFT,
    Y_WEIGHT_AT,
)
from interposer.core.network_packing import PASS, pack_pass, pack_single

# Which step: how far the kernel jumps into its table of branches, seen from the jump.
STEP_LAYER = const(-2)
STEP_GATHER = const(0)  # inputs from the value vector, as halves
STEP_WORDS = const(2)  # halves to words
STEP_SCORE = const(4)
STEP_END = const(6)

# Header of a layer, byte offsets. Its stream follows: passes of eight outputs, then single outputs.
X = const(0)  # address of the first pair of activations
PAIR_JUMP = const(4)  # into the unrolled pairs of a pass
X_END = const(8)
CARRY_SHIFT = const(12)  # shifts what decides a tie into the carry
ROUND = const(16)  # just under half, less 128 times the sum of activations; the kernel works it out
SHIFT = const(20)
OUT = const(24)  # where the next outputs go; the kernel counts it up
PASSES_END = const(28)
STREAM_END = const(32)
SINGLE_JUMP = const(36)  # into the unrolled pairs of a single output
SINGLE_X_END = const(40)
HALF = const(44)
SUM_JUMP = const(48)  # into the unrolled sum of activations
TARGET = const(52)
HEADER_BYTES = const(56)

# Header of a score. Offsets of targets and weights of errors follow, in pairs; none for a classifier.
SCORE_OUTPUT = const(0)
PAIRS_END = const(4)
THRESHOLDS = const(8)
GROUP = const(12)  # byte of the group's slot in the value vector, or negative
GROUPS = const(16)
RESULT_AT = const(20)
SCORE_HOLD = const(24)
SCORE_FOUND = const(28)
SCORE_IN_THERE = const(32)
SCORE_BYTES = const(36)

UNROLLED_PAIRS = const(16)
UNROLLED_BLOCKS = const(8)  # of two pairs, for single outputs
PAIR_BYTES = const(56)  # of code
SUM_BYTES = const(4)
BLOCK_BYTES = const(16)
NEXT_PLACE = const(2)  # a jump by 0 would land this far behind the instruction that follows it
NEVER = const(33)  # a shift that leaves nothing and no carry
MOST_SHIFT = const(6)
MOST_INPUTS = const(512)  # their sum has to stay below 2^16


def fits(nets, count):
    """Whether every layer of `count` networks meets the conditions of the kernel's arithmetic."""
    return all(are_narrow(nets, nets[net + N_LAYER_AT], nets[net + N_LAYERS]) for net in range(0, count * NET_WORDS, NET_WORDS))


def are_narrow(nets, at, count):
    """Whether all of `count` layers, the first at word `at`, turn 0..127 into 0..127 as the kernel does it."""
    for layer in range(at, at + count * LAYER_WORDS, LAYER_WORDS):
        if nets[layer + Y_LOWEST] != 0 or nets[layer + Y_HIGHEST] != HIGHEST_ACTIVATION:
            return False
        if nets[layer + Y_SHIFT] > MOST_SHIFT or nets[layer + Y_IN] > MOST_INPUTS:
            return False
    return True


def first_round(count, unrolled):
    """How many of `count` turns (at least one) the first round does, where a round unrolls `unrolled` of them."""
    return (count - 1) % unrolled + 1


class Compiler:
    """Writes programs that work on `here` and `there`, arrays of int32; keep its `buffers` as long as its programs.

    The weights are copied: they may go once all is written.

    Activations go to and fro between two buffers, of halves or of words as the next layer wants them.
    """

    def __init__(self, nets, weights, here, there, widest):
        self.nets = nets
        size = 2 * widest + 4 * PASS
        self.buffers = (nets, here, there, bytearray(size), bytearray(size))
        self.weights = weights
        self.nets_at, here_at, there_at, first, second = pointers(*self.buffers)
        self.weights_at = pointers(weights)[0]
        self.words_at = (here_at, there_at)
        self.halves_at = (first, second)
        self.program = None
        self.base = self.at = 0

    # ---- writing: once without a program, to see how long it gets, then for good

    def _write(self, step, *things):
        self.program = None
        self.base = self.at = 0
        step(*things)
        self.program = bytearray(4 * self.at)  # an array would be made by way of a second copy
        self.base = pointers(self.program)[0]
        self.at = 0
        step(*things)
        return self.program

    def _put(self, *words):
        for word in words:
            if self.program is not None:
                struct.pack_into("<i", self.program, 4 * self.at, word)
            self.at += 1

    def _place(self, words=0):
        """Address `words` behind what has been written."""
        return self.base + 4 * (self.at + words)

    # ---- programs

    def stretch(self, layer, count):
        """Program of `count` layers on the first slots of the value vector; the outputs end up in `there` if `count` is odd."""
        return self._write(self._stretch, layer, count)

    def network(self, index, scores, hold_above, found):
        """Program of network `index`: inputs, layers, score and threshold."""
        return self._write(self._network, index, scores, hold_above, found)

    def _stretch(self, layer, count):
        self._gather(range(self.nets[layer + Y_IN]))
        self._layers(layer, count)
        self._put(STEP_END)

    def _network(self, index, scores, hold_above, found):
        nets = self.nets
        net = index * NET_WORDS
        first = nets[net + N_INPUT_AT]
        self._gather(nets[first : first + nets[net + N_INPUTS]])
        self._layers(nets[net + N_LAYER_AT], nets[net + N_LAYERS])
        self._score(net, pointers(scores)[0] + 4 * index, pointers(hold_above)[0] + 4 * index, pointers(found)[0])

    # ---- steps

    def _gather(self, slots):
        """Inputs by twos; an odd one is followed by itself, for a weight of 0."""
        count = len(slots)
        self._put(STEP_GATHER, self.halves_at[0], self._place(3 + (count + 1 & ~1)))
        for i in range(count + 1 & ~1):
            self._put(4 * slots[min(i, count - 1)])

    def _layers(self, at, count):
        for done in range(count):
            self._layer(at, self.halves_at[done & 1], self.halves_at[1 - (done & 1)])
            at += LAYER_WORDS
        words = self.words_at[count & 1]
        self._put(STEP_WORDS, self.halves_at[count & 1], words, words + 4 * self.nets[at - LAYER_WORDS + Y_OUT])

    def _layer(self, at, x, target):
        nets = self.nets
        n_in = nets[at + Y_IN]
        n_out = nets[at + Y_OUT]
        shift = nets[at + Y_SHIFT]
        pairs = (n_in + 1) >> 1
        blocks = (pairs + 1) >> 1
        skipped = UNROLLED_PAIRS - first_round(pairs, UNROLLED_PAIRS)
        skipped_blocks = UNROLLED_BLOCKS - first_round(blocks, UNROLLED_BLOCKS)
        self._put(STEP_LAYER)
        stream = self._place(HEADER_BYTES >> 2)
        passes_end = stream + 4 * (n_out // PASS) * PASS * (1 + pairs)
        self._put(x, skipped * PAIR_BYTES - NEXT_PLACE, x + 4 * pairs)
        self._put(shift + 1 if shift else NEVER, 0, shift, target)
        self._put(passes_end, passes_end + 4 * (n_out % PASS) * (1 + 2 * blocks))
        self._put(skipped_blocks * BLOCK_BYTES - NEXT_PLACE, x + 8 * blocks)
        self._put((1 << (shift - 1)) - 1 if shift else 0, skipped * SUM_BYTES - NEXT_PLACE, target)
        self._stream(at, n_in, n_out)

    def _stream(self, at, n_in, n_out):
        pairs = (n_in + 1) >> 1
        weights = self.weights_at + self.nets[at + Y_WEIGHT_AT]
        biases = self.nets[at + Y_BIAS_AT]
        done = 0
        while done < n_out:
            whole = n_out - done >= PASS
            if self.program is not None and whole:
                pack_pass(self._place(), weights + done * n_in, n_in, self.nets_at + 4 * (biases + done))
            elif self.program is not None:
                pack_single(self._place(), weights + done * n_in, n_in, self.nets[biases + done])
            self.at += PASS * (1 + pairs) if whole else 1 + (pairs + 1 & ~1)
            done += PASS if whole else 1

    def _score(self, net, score, hold, found):
        nets = self.nets
        in_there = nets[net + N_LAYERS] & 1
        outputs = 0 if nets[net + N_SCORE] == CLASSIFIER else nets[net + N_OUTPUTS]
        self._put(STEP_SCORE, self.words_at[in_there], self._place(1 + (SCORE_BYTES >> 2) + 2 * outputs))
        self._put(self.nets_at + 4 * nets[net + N_THRESHOLD_AT])
        self._put(4 * nets[net + N_GROUP_SLOT], nets[net + N_GROUPS], score, hold, found, in_there)
        at = nets[net + N_OUTPUT_AT]
        for _ in range(outputs):
            self._put(4 * nets[at + O_TARGET], nets[at + O_WEIGHT])
            at += OUTPUT_WORDS
