"""Hard limits: bounds on fields and quantities under a condition, from the package.

A limit is LIMIT_WORDS words. It is broken where its condition slot is not 0 (or there is none) and its source lies outside
lowest..highest. Of several broken limits the strictest verdict counts, and among equals the first.
"""

from interposer.core.compat import const, micropython, ptr32

LIMIT_WORDS = const(10)
L_SOURCE = const(0)
L_LOWEST = const(1)
L_HIGHEST = const(2)
L_CONDITION = const(3)  # slot, or -1
L_VERDICT = const(4)
L_REASON = const(5)
L_BLAMED = const(6)  # slot of the field to name and to correct, or -1
L_GAIN = const(7)  # log2 of the field per log2 of the source, times 256; 0: the field itself is bounded
L_MOMENTARY = const(8)
L_NAME = const(9)


@micropython.viper
def first_broken(values: ptr32, limits: ptr32, first: int, count: int) -> int:
    """Index of the broken limit that counts, or -1."""
    worst = 0
    found = -1
    index = first
    while index < first + count:
        at = index * LIMIT_WORDS
        condition = limits[at + L_CONDITION]
        holds = 1 if condition < 0 else values[condition]
        if holds and limits[at + L_VERDICT] > worst:
            value = values[limits[at]]
            if value < limits[at + L_LOWEST] or value > limits[at + L_HIGHEST]:
                worst = limits[at + L_VERDICT]
                found = index
        index += 1
    return found
