"""Vectorised evaluator of the row table: many value vectors at once, equal to `quantities.evaluate` bit for bit."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from interposer.core import quantities as core

Matrix = NDArray[np.int64]


def evaluate(values: Matrix, rows: Sequence[int] | array[int], at: int, count: int, curves: Sequence[int] | array[int]) -> None:
    """Evaluate `count` rows from word `at` on into `values`, int64 of shape (n, length of the value vector).

    int64 cannot overflow where the compiler has proven that 32 bits suffice, so both evaluators agree.
    """
    table = np.asarray(curves, dtype=np.int64)
    for _ in range(count):
        kind, target, low, high, a, b, terms = rows[at : at + core.ROW_WORDS]
        pairs = [(rows[at + core.ROW_WORDS + 2 * i], rows[at + core.ROW_WORDS + 2 * i + 1]) for i in range(terms)]
        result = _row(kind, values, pairs, table, a, b, high)
        values[:, target] = np.clip(result, low, high)
        at += core.ROW_WORDS + 2 * terms


def _row(kind: int, values: Matrix, pairs: Sequence[tuple[int, int]], table: Matrix, a: int, b: int, high: int) -> Matrix:
    source: Matrix = values[:, pairs[0][0]]
    if kind == core.AFFINE:
        total = np.full(len(values), a, dtype=np.int64)
        for slot, coefficient in pairs:
            total += values[:, slot] * coefficient
        rounded: Matrix = (total + (1 << (b - 1))) >> b if b else total
        return rounded
    if kind == core.LOG2:
        return _log2(source, table)
    if kind == core.EXP2:
        return _exp2(source, table, high)
    if kind == core.EQUAL:
        equal: Matrix = (source == a).astype(np.int64)
        return equal
    if kind == core.AT_LEAST:
        return (source >= a).astype(np.int64)
    if kind == core.IN_SET:
        return np.isin(source, table[a : a + b]).astype(np.int64)
    if kind == core.CURVE:
        return _curve(source, table[a : a + b * core.KNOT_WORDS].reshape(b, core.KNOT_WORDS))
    if kind == core.SELECT:
        return np.where(values[:, pairs[1][0]] != 0, source, a)
    if kind == core.ABSOLUTE:
        return np.abs(source)
    largest: Matrix = np.max(values[:, [slot for slot, _ in pairs]], axis=1)
    return largest


def _log2(source: Matrix, table: Matrix) -> Matrix:
    """As core: exponent by position of the highest bit, mantissa by interpolation in 256 steps."""
    positive = np.maximum(source, 1)
    power = np.frexp(positive.astype(np.float64))[1].astype(np.int64) - 1  # exact: values stay below 2^53
    mantissa = np.where(power < 16, positive << np.maximum(16 - power, 0), positive >> np.maximum(power - 16, 0))
    place, part = (mantissa >> 8) & 255, mantissa & 255
    logs = table[core.LOG_TABLE + place] * (256 - part) + table[core.LOG_TABLE + 1 + place] * part
    result: Matrix = (power << core.LOG_BITS) + ((logs + 128) >> 8)
    return result


def _exp2(source: Matrix, table: Matrix, high: int) -> Matrix:
    power = source >> core.LOG_BITS
    place, part = (source >> 2) & 255, source & 3
    scaled = table[core.EXP_TABLE + place] * (4 - part) + table[core.EXP_TABLE + 1 + place] * part
    scaled = (scaled + 2) >> 2
    up = scaled << np.clip(power - 15, 0, 15)
    down_by = np.where(power > -16, 15 - power, 31)
    down_by = np.maximum(down_by, 1)
    down = (scaled + (np.int64(1) << (down_by - 1))) >> down_by
    return np.where(power > 14, np.where(power < 30, up, high), down)


def _curve(source: Matrix, knots: Matrix) -> Matrix:
    index = np.searchsorted(knots[:, 0], source, side="right") - 1
    index = np.clip(index, 0, len(knots) - 1)
    x, y, slope = knots[index, 0], knots[index, 1], knots[index, 2]
    distance = np.where((source < x) | (index == len(knots) - 1), 0, source - x)
    result: Matrix = y + ((distance * slope + (1 << (core.SLOPE_BITS - 1))) >> core.SLOPE_BITS)
    return result
