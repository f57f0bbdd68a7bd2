"""Runs on the device: both evaluators of rows on the same values, every kind of row and every row of the package."""

from array import array

from interposer.core import quantities, quantities_thumb
from interposer.core.codec import C_ROWS, COMMAND_WORDS
from interposer.core.package import P_VALUES, Package
from interposer.core.quantities import (
    ABSOLUTE,
    AFFINE,
    AT_LEAST,
    CURVE,
    CURVES_START,
    EQUAL,
    EXP2,
    IN_SET,
    LARGEST,
    LOG2,
    ROW_WORDS,
    SELECT,
)
from interposer.core.rows_program import arrange
from interposer.hal import board_record

SOURCES = 12
LARGE = 1 << 29
ROUNDS = 400
KINDS = (AFFINE, LOG2, EXP2, EQUAL, AT_LEAST, IN_SET, CURVE, SELECT, ABSOLUTE, LARGEST)
KNOTS = (-500, 7, 300, 0, -2, -900, 4, 40, 5000, 900, -40, 0)


class Dice:
    """Reproducible numbers: a xorshift of 30 bits."""

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

    def value(self):
        """A number of any size, small and extreme ones often."""
        style = self.below(8)
        if style == 0:
            return (0, 1, -1, 2, LARGE, -LARGE, 1 << 16, 1 << 10)[self.below(8)]
        size = 1 << (self.below(29) + 1)
        return self.below(size) - (size >> 1 if style > 2 else 0)


def _tables():
    package = Package(open("package.bin", "rb"), board_record.NAME)  # noqa: PTH123, SIM115 - the package keeps its file
    return package.table("params"), package.table("rows"), package.table("curves")


def _command(count):
    """A table of one command that has so many rows."""
    command = array("i", bytes(4 * COMMAND_WORDS))
    command[C_ROWS] = count
    return command


def _row(dice, kind, curves_at):
    """One row of a kind, within what the compiler would let pass."""
    terms = dice.below(4) + 1 if kind in (AFFINE, LARGEST) else 2 if kind == SELECT else 1
    a, b = dice.value(), dice.below(12)
    if kind in (CURVE, IN_SET):
        a, b = curves_at, 1 + dice.below(4)
    low = dice.value()
    row = [kind, SOURCES + dice.below(2), low, low + dice.below(LARGE), a, b, terms]
    for _ in range(terms):
        row += [dice.below(SOURCES), dice.below(401) - 200 if kind == AFFINE else 0]
    return array("i", row)


def test_every_kind():
    """Random rows on random values: the same result from both."""
    curves = array("i", _tables()[2][:CURVES_START]) + array("i", KNOTS)
    dice = Dice(3)
    for number in range(ROUNDS):
        kind = KINDS[number % len(KINDS)]
        row = _row(dice, kind, CURVES_START)
        values = array("i", [dice.value() >> (6 if kind == AFFINE else 0) for _ in range(SOURCES)] + [0, 0])
        if kind == EXP2:
            values[row[ROW_WORDS]] = dice.below(60 << 10) - (30 << 10)
        if kind in (EQUAL, IN_SET) and dice.below(2):
            values[row[ROW_WORDS]] = row[4] if kind == EQUAL else KNOTS[dice.below(4)]
        if kind == CURVE:
            values[row[ROW_WORDS]] = dice.below(12000) - 3000
        wanted = array("i", values)
        quantities.evaluate(wanted, row, 0, 1, curves)
        arranged = array("i", row)
        arrange(arranged, curves, _command(1), array("i", (0, 0)))
        quantities_thumb.evaluate(values, arranged, 0, 1, curves)
        assert values == wanted, (list(row), list(values), list(wanted))
    return ROUNDS


def test_every_row_of_the_package():
    """All rows of all commands, one after the other, on values of every size."""
    params, rows, curves = _tables()
    count = at = 0
    while at < len(rows):
        at += ROW_WORDS + 2 * rows[at + 6]
        count += 1
    arranged = array("i", rows)
    arrange(arranged, curves, _command(count), array("i", (0, 0)))
    dice = Dice(5)
    for _ in range(6):
        values = array("i", [dice.value() >> 12 for _ in range(params[P_VALUES])])
        wanted = array("i", values)
        quantities.evaluate(wanted, rows, 0, count, curves)
        quantities_thumb.evaluate(values, arranged, 0, count, curves)
        assert values == wanted
    return count
