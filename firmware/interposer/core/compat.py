"""Lets the same source run as viper code on the RP2040 and as plain Python on the host.

On the device `micropython.viper` compiles a function to machine code and `ptr8`, `ptr32` are words of that compiler, never
looked up as names. On CPython the decorator does nothing and the casts hand back what they were given, so a `ptr32`
argument must be an `array("i")` and a `ptr8` argument anything that is indexed by bytes.
"""

try:
    from array import array

    import micropython
    from uctypes import addressof
    from uctypes import bytearray_at as memory_at

    ptr8 = ptr32 = None

    def pointers(*buffers):
        """What native code takes for many buffers at once; somebody has to keep the buffers themselves."""
        return array("i", [addressof(buffer) for buffer in buffers])

    def code_of(function):
        """Where a function in inline assembler is called: MicroPython keeps the address in the third word of the function."""
        return int.from_bytes(memory_at(id(function) + 8, 4), "little") | 1

except ImportError:

    class micropython:  # noqa: N801 - stands in for the module of that name
        """What the host needs of MicroPython's module."""

        @staticmethod
        def native(function):
            """Leave the function as it is."""
            return function

        @staticmethod
        def viper(function):
            """Leave the function as it is."""
            return function

    def ptr8(buffer):
        """Leave the buffer as it is."""
        return buffer

    def ptr32(words):
        """Leave the words as they are."""
        return words

    def pointers(*buffers):
        """The buffers themselves."""
        return buffers


def compiled(function):
    """Marks a function that becomes machine code with all that it calls, where the device's image is built."""
    return function


def functions(works):
    """Hand out functions. Where the caller is compiled, the compiler knows them."""
    return works


def const(value):
    """Name a compile-time constant (mpy-cross folds calls of this name away)."""
    return value


TICKS_MASK = const(0x3FFFFFFF)


def elapsed(now, then):
    """Milliseconds from `then` to `now`, both of a clock that wraps at 2^30."""
    return (now - then) & TICKS_MASK
