"""Checks row programs, the largest part of a package, for `audit.py`.

Apart from it, because native code never leaves the device's memory again, and keeps its whole module there.
"""

from interposer.core.compat import const, micropython, ptr8, ptr32
from interposer.core.network import HIGHEST_ACTIVATION
from interposer.core.quantities import AFFINE, CURVE, IN_SET, KNOT_WORDS, LARGEST, ROW_WORDS, SELECT

MOST_SHIFT = const(30)

# What rows are checked against, in `bounds`.
A_ROWS = const(0)  # words of the rows section
A_FIRST = const(1)  # the first slot that a row may write
A_VALUES = const(2)
A_CURVES = const(3)


@micropython.viper
def rows_hold(rows: ptr32, at: int, count: int, bounds: ptr32, wide: ptr8) -> int:
    """1 if `count` rows from word `at` on end inside their section and read, write and look up only where they may.

    Marks in `wide`, by slot, what a row can set outside of what a network reads.
    """
    values = bounds[A_VALUES]
    curves = bounds[A_CURVES]
    while count:
        count -= 1
        if at + ROW_WORDS > bounds[A_ROWS]:
            return 0
        kind = rows[at]
        slot = rows[at + 1]
        a = rows[at + 4]
        b = rows[at + 5]
        terms = rows[at + 6]
        if terms < 1 or terms > values or at + ROW_WORDS + 2 * terms > bounds[A_ROWS]:
            return 0
        if kind < AFFINE or kind > LARGEST or rows[at + 2] > rows[at + 3]:
            return 0
        if slot < bounds[A_FIRST] or slot >= values:
            return 0
        if rows[at + 2] < 0 or rows[at + 3] > HIGHEST_ACTIVATION:
            wide[slot] = 1
        entries = b
        if kind == AFFINE and (b < 0 or b > MOST_SHIFT):
            return 0
        if kind == SELECT and terms < 2:
            return 0
        if kind == CURVE:
            if b < 1 or b > curves:
                return 0
            entries = b * KNOT_WORDS
        if (kind == CURVE or kind == IN_SET) and (a < 0 or entries < 0 or a > curves or entries > curves - a):
            return 0
        at += ROW_WORDS
        end = at + 2 * terms
        while at < end:
            if rows[at] < 0 or rows[at] >= values:
                return 0
            at += 2
    return 1
