from array import array
from typing import Any

def run(block: Any, index: int, asked: int, values: array[int]) -> int: ...
