"""Arranges rows for `quantities_thumb` when a package loads: in their place, and never longer than they were.

An arranged row is the address of the code for its kind, what that reads, then lowest, highest and destination; places of values
are bytes, those of curves addresses. Every row gets shorter by a word at least, so that an address of the code that ends a
run fits behind its last row; `audit` has proved that runs of different commands have no word in common. A row whose result is
0 or 1 has both, clamped, in place of its limits.
"""

from array import array

from interposer.core.ahead import A_COUNT, A_REST, AHEAD_WORDS
from interposer.core.codec import C_ROW, C_ROWS, COMMAND_WORDS
from interposer.core.compat import code_of, const, memory_at, micropython, pointers, ptr32
from interposer.core.quantities import AFFINE, AT_LEAST, CURVE, EQUAL, IN_SET, KNOT_WORDS, LARGEST, LOG2, ROW_WORDS, SELECT
from interposer.core.quantities_thumb import (
    DO_END,
    DO_LOG2,
    DO_MANY,
    DO_ONE,
    DO_ONE_SHIFTED,
    DO_TWO,
    TABLE_AT,
    _rows,
)

BRANCH_BITS = const(11)
BRANCH_FROM = const(4)  # a branch counts from the second instruction behind it
HALFWORD = const(2)


def arrange(rows, curves, commands, ahead):
    """Arrange every command's rows, once. `ahead`: by `core.ahead.split`; each part of its rows gets an end of its own."""
    kinds = _kinds()
    curves_at = pointers(curves)[0]
    done = []
    for index in range(len(commands) // COMMAND_WORDS):
        first, count = commands[index * COMMAND_WORDS + C_ROW], commands[index * COMMAND_WORDS + C_ROWS]
        before, rest = ahead[index * AHEAD_WORDS + A_COUNT], ahead[index * AHEAD_WORDS + A_REST]
        for at, rows_here in ((first, before), (rest, count - before)):
            if rows_here and at not in done:
                done.append(at)
                run(rows, at, rows_here, kinds, curves_at)


def _kinds():
    """Addresses of the code by kind, read from its own table of branches."""
    first = (code_of(_rows) & ~1) + TABLE_AT
    branches = array("H", memory_at(first, HALFWORD * (DO_END + 1)))
    addresses = array("i")
    for number, branch in enumerate(branches):
        places = branch & (1 << BRANCH_BITS) - 1
        if places >> BRANCH_BITS - 1:
            places -= 1 << BRANCH_BITS
        addresses.append(first + HALFWORD * (number + places) + BRANCH_FROM)
    return addresses


@micropython.viper
def clamped(value: int, lowest: int, highest: int) -> int:
    """The value, or the bound that it passes."""
    if value < lowest:
        return lowest
    return highest if value > highest else value


@micropython.viper
def sum_of(rows: ptr32, at: int, to: int, kinds: ptr32) -> int:
    """Write what an AFFINE row reads; the word behind it."""
    a = rows[at + 4]
    b = rows[at + 5]
    terms = rows[at + 6]
    at += ROW_WORDS
    end = at + 2 * terms
    if terms > 2:
        rows[to] = kinds[DO_MANY]
        rows[to + 1] = a
        rows[to + 2] = terms | (b << 16)
        to += 3
    else:
        shifted = DO_ONE_SHIFTED - DO_ONE if b else 0
        rows[to] = kinds[shifted + (DO_ONE if terms == 1 else DO_TWO)]
        rows[to + 1] = a
        to += 2
    while at < end:
        source = rows[at] << 2
        rows[to + 1] = rows[at + 1]
        rows[to] = source
        to += 2
        at += 2
    if b and terms <= 2:
        rows[to] = b - 1
        to += 1
    return to


@micropython.viper
def reading(rows: ptr32, at: int, to: int, kinds: ptr32, curves_at: int) -> int:
    """Write what a row of another kind reads; the word behind it."""
    kind = rows[at]
    a = rows[at + 4]
    b = rows[at + 5]
    terms = rows[at + 6]
    at += ROW_WORDS
    source = rows[at] << 2
    second = rows[at + 2] << 2 if terms > 1 else 0
    rows[to] = kinds[kind - LOG2 + DO_LOG2]
    rows[to + 1] = source
    to += 2
    if kind == EQUAL or kind == AT_LEAST:
        rows[to] = a
        to += 1
    elif kind == IN_SET or kind == CURVE:
        last = b if kind == IN_SET else (b - 1) * KNOT_WORDS
        rows[to] = curves_at + (a << 2)
        rows[to + 1] = curves_at + ((a + last) << 2)
        to += 2
    elif kind == SELECT:
        rows[to] = second
        rows[to + 1] = a
        to += 2
    elif kind == LARGEST:
        rows[to] = terms
        to += 1
        while terms > 1:
            at += 2
            rows[to] = rows[at] << 2
            to += 1
            terms -= 1
    return to


@micropython.viper
def run(rows: ptr32, at: int, count: int, kinds: ptr32, curves_at: int):
    """Arrange `count` rows from word `at` on."""
    to = at
    while count:
        count -= 1
        kind = rows[at]
        destination = rows[at + 1] << 2
        lowest = rows[at + 2]
        highest = rows[at + 3]
        after = at + ROW_WORDS + 2 * rows[at + 6]
        to = int(sum_of(rows, at, to, kinds)) if kind == AFFINE else int(reading(rows, at, to, kinds, curves_at))
        at = after
        if kind == EQUAL or kind == AT_LEAST or kind == IN_SET:
            rows[to] = int(clamped(0, lowest, highest))
            rows[to + 1] = int(clamped(1, lowest, highest))
        else:
            rows[to] = lowest
            rows[to + 1] = highest
        rows[to + 2] = destination
        to += 3
    rows[to] = kinds[DO_END]
