from array import array
from collections.abc import Callable
from typing import Any

from interposer.core.network import Network

def run_layers(
    weights: bytes | bytearray, nets: array[int], layer: int, count: int, here: array[int], there: array[int]
) -> int: ...

class Layers:
    def __call__(
        self, weights: bytes | bytearray, nets: array[int], layer: int, count: int, here: array[int], there: array[int]
    ) -> int: ...
    def prepare(self, network: Network, widest: int, count: int) -> tuple[Callable[..., int], Any, Any]: ...

layers: Layers

def ask(block: array[int], index: int, asked: int, values: array[int]) -> int: ...
