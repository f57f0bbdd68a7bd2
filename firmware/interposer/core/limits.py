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
    at = first * LIMIT_WORDS
    end = at + count * LIMIT_WORDS
    while at < end:
        value = values[limits[at]]
        if value < limits[at + L_LOWEST] or value > limits[at + L_HIGHEST]:
            condition = limits[at + L_CONDITION]
            if limits[at + L_VERDICT] > worst and (condition < 0 or values[condition]):
                worst = limits[at + L_VERDICT]
                found = first
        at += LIMIT_WORDS
        first += 1
    return found
