from array import array

from interposer.core.compat import ptr32

def evaluate(values: array[int] | ptr32, rows: array[int] | ptr32, at: int, count: int, curves: array[int] | ptr32) -> int: ...
