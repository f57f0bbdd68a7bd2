from array import array
from collections.abc import Callable
from typing import Final

from interposer.core.compat import ptr32

TABLE_AT: Final[int]
DO_ONE: Final[int]
DO_TWO: Final[int]
DO_MANY: Final[int]
DO_ONE_SHIFTED: Final[int]
DO_LOG2: Final[int]
DO_END: Final[int]

_rows: Callable[[int, int, int], int]

def evaluate(values: array[int] | ptr32, rows: array[int] | ptr32, at: int, count: int, curves: array[int] | ptr32) -> int: ...
