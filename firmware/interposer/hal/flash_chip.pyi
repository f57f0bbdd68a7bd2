from array import array
from collections.abc import Callable
from typing import Any

PAGE_BYTES: int

class FlashChip:
    functions: tuple[Callable[..., Any], ...]
    words: array[int]
    def erase(self, at: int) -> None: ...
    def program(self, at: int, content: bytes | bytearray | memoryview) -> None: ...
