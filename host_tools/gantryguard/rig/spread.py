"""Figures of a set of times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * len(ordered) * 1000) // 1000) - 1))]


@dataclass(frozen=True)
class Spread:
    """Minimum, median, 99th percentile and maximum."""

    min: float
    median: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value, rounded to a tenth."""
        figures = (min(values), median(values), percentile(values, 0.99), max(values))
        return cls(*(round(figure, 1) for figure in figures))
