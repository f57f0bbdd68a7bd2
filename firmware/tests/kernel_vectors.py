"""Vectors for the dense kernels, on CPython and on the RP2040 alike: plain functions, no test framework.

Layers of every legal shape with random, extreme, saturating and exactly half-way sums. What is right is worked out
with unbounded integers by the definition of rounding (`nearest_even`), not by the formula that the kernels use.
"""

from array import array

from interposer.core.compat import pointers
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
    layers,
)

WIDEST = 40
LAYER_AT = 3  # not at 0, so that a kernel which forgets the offset is found out
WEIGHT_AT = 5  # not on a word
MAX_SHIFT = 30
SUM_LIMIT = 1 << 23
BOUNDS = ((0, 127), (-128, 127), (-SUM_LIMIT, SUM_LIMIT), (0, 0), (-3, 5), (7, 7))
GUARD = 0x5A5A5A5A


class Dice:
    """Reproducible numbers, the same on both machines: a xorshift of 30 bits, so that it needs no heap."""

    def __init__(self, seed):
        self.state = 0x2545F49 ^ seed

    def below(self, bound):
        """A number from 0 to bound - 1."""
        state = self.state
        state ^= (state & 0x1FFFF) << 13
        state ^= state >> 17
        state ^= (state & 0x1FFFFFF) << 5
        self.state = state
        return (state >> 3) % bound

    def between(self, low, high):
        """A number from low to high."""
        span = high - low + 1
        return low + (self.below(1 << 15) << 15 | self.below(1 << 15)) % span


def weight(dice, style):
    """An int8: random, or one of the extremes."""
    return dice.between(-128, 127) if style % 2 else (-128, 127, -1, 0, 1)[dice.below(5)]


def activation(dice, style, n_in):
    """An activation whose products stay within the limit: 0..127, its extremes, or signed and wide."""
    if style % 3 == 2:
        high = SUM_LIMIT // (2 * 128 * n_in)
        return dice.between(-high, high)
    return dice.between(0, 127) if style % 3 else (0, 127)[dice.below(2)]


def layer(dice, n_in, n_out, style, narrow=False):
    """(weights, nets, source) of one layer; its record begins at LAYER_AT, its weights at WEIGHT_AT.

    A `narrow` one meets the conditions of prepared networks.
    """
    rows = [[weight(dice, style) for _ in range(n_in)] for _ in range(n_out)]
    source = [activation(dice, style % 2 if narrow else style, n_in) for _ in range(n_in)]
    shift = style % (7 if narrow else MAX_SHIFT + 1)
    bounds = BOUNDS[0 if narrow else dice.below(len(BOUNDS))]
    bias_at = LAYER_AT + LAYER_WORDS
    nets = array("i", [GUARD] * (bias_at + n_out))
    for word, value in (
        (Y_IN, n_in),
        (Y_OUT, n_out),
        (Y_WEIGHT_AT, WEIGHT_AT),
        (Y_BIAS_AT, bias_at),
        (Y_SHIFT, shift),
        (Y_LOWEST, bounds[0]),
        (Y_HIGHEST, bounds[1]),
    ):
        nets[LAYER_AT + word] = value
    for o in range(n_out):
        nets[bias_at + o] = bias(dice, o + style, shift, dot(rows[o], source))
    weights = bytearray(WEIGHT_AT)
    for row in rows:
        weights.extend(bytes([value & 255 for value in row]))
    return weights, nets, array("i", source)


def dot(row, source):
    """The sum of products."""
    return sum(a * b for a, b in zip(row, source))  # noqa: B905 - MicroPython's zip has no `strict`


def bias(dice, style, shift, products):
    """A bias: random, or one that puts the sum exactly half-way between two results, or beside that."""
    if style % 4 == 0 or not 0 < shift < 22:
        return dice.between(-SUM_LIMIT // 4, SUM_LIMIT // 4)
    wanted = (dice.between(-3, 130) << shift) + (1 << (shift - 1)) + dice.between(-1, 1)
    value = wanted - products
    return value if -SUM_LIMIT <= value <= SUM_LIMIT else dice.between(-99, 99)


def nearest_even(total, shift):
    """total / 2^shift, rounded to the nearest integer, and to the even one of two that are equally near."""
    quotient = total >> shift
    twice_rest = 2 * (total - (quotient << shift))
    up = twice_rest > 1 << shift or (twice_rest == 1 << shift and quotient % 2 == 1)
    return quotient + 1 if up else quotient


def expected(weights, nets, source):
    """The outputs of a layer, by definition."""
    n_in = nets[LAYER_AT + Y_IN]
    result = []
    for o in range(nets[LAYER_AT + Y_OUT]):
        start = WEIGHT_AT + o * n_in
        row = [value - 256 if value > 127 else value for value in weights[start : start + n_in]]
        total = nets[nets[LAYER_AT + Y_BIAS_AT] + o] + dot(row, source)
        value = nearest_even(total, nets[LAYER_AT + Y_SHIFT])
        result.append(min(max(value, nets[LAYER_AT + Y_LOWEST]), nets[LAYER_AT + Y_HIGHEST]))
    return result


def outputs(kernel, vector):
    """What a kernel gives for a vector, with the word behind it, which it must not touch."""
    weights, nets, source = vector
    target = array("i", [GUARD] * (nets[LAYER_AT + Y_OUT] + 1))
    kernel(weights, nets, LAYER_AT, 1, source, target)
    return list(target)


def shape(dice, number):
    """(inputs, outputs): every number of inputs up to WIDEST in turn, the single ones often."""
    n_in = 1 + number % WIDEST
    return n_in, (1, 2, 3, 1 + dice.below(24))[dice.below(4)]


def vectors(seed, count, narrow=False):
    """`count` vectors, by seed."""
    dice = Dice(seed)
    for number in range(count):
        n_in, n_out = shape(dice, number)
        yield layer(dice, n_in, n_out, number * (5 if narrow else 7) + number // WIDEST, narrow)


def differences(kernel, seed, count):
    """Numbers of the vectors for which a kernel is wrong."""
    wrong = []
    number = 0
    for vector in vectors(seed, count):
        if outputs(kernel, vector) != expected(*vector) + [GUARD]:
            wrong.append(number)
        number += 1
    return wrong


def pack(seed, count, narrow=False):
    """Vectors with the right outputs as bytes, made on the host: the device would take minutes."""
    parts = []
    for vector in vectors(seed, count, narrow):
        weights, nets, source = vector
        right = array("i", expected(*vector) + [GUARD])
        pieces = (bytes(weights) + bytes(-len(weights) % 4), bytes(nets), bytes(source), bytes(right))
        parts.append(bytes(array("i", [len(piece) for piece in pieces])))
        parts.extend(pieces)
    return b"".join(parts)


def check(kernel, stream):
    """(numbers of the packed vectors for which a kernel is wrong, how many there were) of a binary file."""
    wrong = []
    number = 0
    while True:
        head = array("i", stream.read(16))
        if not head:
            return wrong, number
        weights, nets, source, right = [stream.read(size) for size in head]
        target = array("i", [GUARD] * (len(right) // 4))
        kernel(weights, array("i", nets), LAYER_AT, 1, array("i", source), target)
        if bytes(target) != right:
            wrong.append(number)
        number += 1


def block_of(program):
    """What the kernel of prepared networks takes, for one program."""
    block = array("i", bytes(4 * (B_PROGRAMS + 2)))
    block[B_PROGRAMS + 1] = pointers(program)[0]  # the table of programs lies behind the list that points to it
    block[B_PROGRAMS] = pointers(block)[0] + 4 * (B_PROGRAMS + 1)
    return block


def test_dense_is_right_by_definition():
    """The readable kernel."""
    assert differences(layers, 1, 40) == []


def test_a_wrong_kernel_is_found_out():
    """The vectors tell kernels apart that differ in the rounding of ties only."""

    def half_up(weights, nets, layer, _count, source, target):
        exact = array("i", nets)
        shift = exact[layer + Y_SHIFT]
        exact[layer + Y_SHIFT] = 0
        low, high = exact[layer + Y_LOWEST], exact[layer + Y_HIGHEST]
        exact[layer + Y_LOWEST], exact[layer + Y_HIGHEST] = -0x3FFFFFFF, 0x3FFFFFFF
        layers(weights, exact, layer, 1, source, target)
        for o in range(exact[layer + Y_OUT]):
            value = (target[o] + ((1 << shift) >> 1)) >> shift
            target[o] = min(max(value, low), high)

    assert differences(half_up, 1, 20) != []


TESTS = (test_dense_is_right_by_definition, test_a_wrong_kernel_is_found_out)
