from array import array

def layers(
    weights: bytes | bytearray, nets: array[int], layer: int, count: int, here: array[int], there: array[int]
) -> int: ...
