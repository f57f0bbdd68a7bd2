"""Real-valued sums as fixed-point rows: choice of the shift, proof that 32 bits suffice, and the error made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gantryguard.profiles.vector import Quantity

MOST_SHIFT = 20
LIMIT = 1 << 31


@dataclass(frozen=True)
class Affine:
    """(constant + sum of coefficients * sources, rounded half up) >> shift; `error` in raw steps of the result."""

    constant: int
    coefficients: tuple[int, ...]
    shift: int
    error: float
    low: int
    high: int


def fixed_point(constant: float, coefficients: Sequence[float], sources: Sequence[Quantity]) -> Affine | None:
    """The most precise fixed-point form whose every partial sum stays inside 32 bits, or None where there is none."""
    whole = all(value == int(value) for value in (constant, *coefficients))
    for shift in [0] if whole else range(MOST_SHIFT, -1, -1):
        found = _with_shift(constant, coefficients, sources, shift)
        if found is not None:
            return found
    return None


def _with_shift(constant: float, coefficients: Sequence[float], sources: Sequence[Quantity], shift: int) -> Affine | None:
    unit = 1 << shift
    a = round(constant * unit)
    factors = tuple(round(value * unit) for value in coefficients)
    half = unit >> 1
    reach = abs(a) + half + sum(abs(f) * source.largest for f, source in zip(factors, sources, strict=True))
    if reach >= LIMIT:
        return None
    pairs = list(zip(factors, sources, strict=True))
    low = a + sum(min(f * source.low, f * source.high) for f, source in pairs)
    high = a + sum(max(f * source.low, f * source.high) for f, source in pairs)
    error = abs(a / unit - constant) + sum(
        abs(f / unit - value) * source.largest for (f, source), value in zip(pairs, coefficients, strict=True)
    )
    return Affine(a, factors, shift, error, (low + half) >> shift, (high + half) >> shift)
