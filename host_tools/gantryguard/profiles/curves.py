"""The curves section: tables of log2 and its inverse, then the profile's own knots and sets."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

from interposer.core.quantities import CURVES_START, LOG_BITS

EXP_BITS = 15


def base_tables() -> list[int]:
    """257 words of 2^LOG_BITS * log2(1 + i/256), then 257 words of 2^15 * 2^(i/256)."""
    logs = [round((1 << LOG_BITS) * math.log2(1 + i / 256)) for i in range(257)]
    powers = [round((1 << EXP_BITS) * 2 ** (i / 256)) for i in range(257)]
    words = logs + powers
    assert len(words) == CURVES_START
    return words


class Curves:
    """Collects the words of the section; equal runs of words are stored once."""

    def __init__(self) -> None:
        self.words = base_tables()
        self._places: dict[tuple[int, ...], int] = {}

    def add(self, words: Sequence[int]) -> int:
        """Place of these words in the section."""
        key = tuple(words)
        if key not in self._places:
            self._places[key] = len(self.words)
            self.words.extend(key)
        return self._places[key]

    def array(self) -> array[int]:
        """The section as int32."""
        return array("i", self.words)
