"""Derived quantities: one integer table, evaluated row by row into the exam's value vector.

Rows see raw fields, session state and earlier rows. Logarithms are base 2 with LOG_BITS fractional bits, so that products,
quotients and powers are sums. A row is ROW_WORDS words, then `terms` pairs of words (source, coefficient):

    kind, destination, lowest, highest, a, b, terms

The curves section begins with the two tables of the logarithm and its inverse (257 words each), then the profile's own
curves and sets. Results are clamped to lowest..highest. The compiler proves that no sum leaves 32 bits.
"""

from interposer.core.compat import const, micropython, ptr32

LOG_BITS = const(10)
LOG_TABLE = const(0)
EXP_TABLE = const(257)
CURVES_START = const(514)
ROW_WORDS = const(7)

AFFINE = const(0)  # (a + sum of coefficient * source, rounded half up) >> b
LOG2 = const(1)  # log2 of the source (at least 1)
EXP2 = const(2)  # 2 to the power of the source
EQUAL = const(3)  # 1 where the source is a, else 0
AT_LEAST = const(4)  # 1 where the source is at least a, else 0
IN_SET = const(5)  # 1 where the source is one of the b words from curves[a], else 0
CURVE = const(6)  # through b knots (x, y, slope / 4096) from curves[a]
SELECT = const(7)  # the first source where the second is not 0, else a
ABSOLUTE = const(8)
LARGEST = const(9)  # of all sources
KNOT_WORDS = const(3)
SLOPE_BITS = const(12)


@micropython.viper
def evaluate(values: ptr32, rows: ptr32, at: int, count: int, curves: ptr32):
    """Evaluate `count` rows from word `at` on, in order, into `values`."""
    while count:
        kind = rows[at]
        a = rows[at + 4]
        b = rows[at + 5]
        terms = rows[at + 6]
        pair = at + ROW_WORDS
        source = values[rows[pair]]
        result = 0
        if kind == AFFINE:
            result = a
            end = pair + terms + terms
            while pair < end:
                result += values[rows[pair]] * rows[pair + 1]
                pair += 2
            if b:
                result = (result + (1 << (b - 1))) >> b
        elif kind == LOG2:
            if source < 1:
                source = 1
            power = 0
            step = source
            while step > 1:
                step >>= 1
                power += 1
            mantissa = source << (16 - power) if power < 16 else source >> (power - 16)
            place = (mantissa >> 8) & 255
            part = mantissa & 255
            result = curves[LOG_TABLE + place] * (256 - part) + curves[LOG_TABLE + 1 + place] * part
            result = (power << LOG_BITS) + ((result + 128) >> 8)
        elif kind == EXP2:
            power = source >> LOG_BITS
            place = (source >> 2) & 255
            part = source & 3
            result = curves[EXP_TABLE + place] * (4 - part) + curves[EXP_TABLE + 1 + place] * part
            result = (result + 2) >> 2
            if power > 14:
                result = result << (power - 15) if power < 30 else rows[at + 3]
            else:
                power = 15 - power if power > -16 else 31
                result = (result + (1 << (power - 1))) >> power
        elif kind == EQUAL:
            result = 1 if source == a else 0
        elif kind == AT_LEAST:
            result = 1 if source >= a else 0
        elif kind == IN_SET:
            while b:
                if curves[a] == source:
                    result = 1
                a += 1
                b -= 1
        elif kind == CURVE:
            while b > 1 and curves[a + KNOT_WORDS] <= source:
                a += KNOT_WORDS
                b -= 1
            source -= curves[a]
            if source < 0 or b == 1:
                source = 0
            result = curves[a + 1] + ((source * curves[a + 2] + 2048) >> SLOPE_BITS)
        elif kind == SELECT:
            result = source if values[rows[pair + 2]] else a
        elif kind == ABSOLUTE:
            result = source if source >= 0 else 0 - source
        else:
            result = source
            while terms:
                source = values[rows[pair]]
                if source > result:
                    result = source
                pair += 2
                terms -= 1
        if result < rows[at + 2]:
            result = rows[at + 2]
        if result > rows[at + 3]:
            result = rows[at + 3]
        values[rows[at + 1]] = result
        at += ROW_WORDS + rows[at + 6] * 2
        count -= 1
