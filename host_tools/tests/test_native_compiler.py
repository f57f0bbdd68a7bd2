"""The compiler of the firmware's hot path: its machine code on the emulated processor against the same source in Python."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_chip import built, same, signed

from gantryguard.native.syntax import LanguageError

words = st.integers(-(2**31), 2**31 - 1)
small = st.integers(-1000, 1000)


EXPRESSIONS = (
    "a + b", "a - b", "b - a", "a + 7", "a - 200", "a + 300", "7 + a", "0 - a", "-a", "~a", "a & b", "a | b", "a ^ b",
    "a & 255", "a & 0xFFFF", "a & 0x3FFFFFFF", "a & 0x7FFFFFFF", "a & 0xFFFFFFFF", "(a ^ 0x80) - 0x80",
    "a << 3", "a >> 3", "a << (b & 15)", "a >> (b & 15)",
    "(a & 1023) * (b & 1023)", "a * 8", "a * 1", "a * 10", "(a + b) - (c - a)", "((a << 8) & 0xFF00) ^ ((b >> 8) & 255)",
    "a if b else c", "a if b > c and a > 0 else b", "a < b", "not a", "1 << (a & 7)", "a - (b - (c - 1))",
    "-1", "0x12345678", "a & 0x12345678", "1000 - a", "(a & 255) - ((b & 255) << 4)",
)  # fmt: skip


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression(tmp_path: Path, expression: str) -> None:
    chip, function = built(
        tmp_path, f"@micropython.viper\ndef f(a: int, b: int, c: int) -> int:\n    d = {expression}\n    return d\n"
    )

    @settings(max_examples=40)
    @given(small | words, small | words, small)
    def check(a: int, b: int, c: int) -> None:
        assert chip.call(a, b, c) == signed(function(a, b, c))

    check()


COMPARISONS = ("a < b", "a <= b", "a > b", "a >= b", "a == b", "a != b", "a < 5", "a >= 200", "a > -3", "5 < a", "0 < a <= b",
               "a and b", "a or b", "not (a and b)", "not a or b > a")  # fmt: skip


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_a_condition(tmp_path: Path, comparison: str) -> None:
    chip, function = built(
        tmp_path,
        f"""
        @micropython.viper
        def f(a: int, b: int) -> int:
            if {comparison}:
                return 1
            return 0
        """,
    )

    @settings(max_examples=60)
    @given(small, small | st.just(0))
    def check(a: int, b: int) -> None:
        same(chip, function, a, b)
        same(chip, function, a, a)

    check()


PROGRAMS = {
    "a loop that ends early": """
        @micropython.viper
        def f(data: ptr8, size: int, wanted: int) -> int:
            i = 0
            while i < size:
                if int(data[i]) == wanted:
                    break
                if int(data[i]) & 1:
                    i += 2
                    continue
                i += 1
            return i
        """,
    "an endless loop": """
        @micropython.viper
        def f(data: ptr8, size: int, step: int) -> int:
            i = 0
            total = 0
            while True:
                if i >= size:
                    return total
                total += data[i] * step
                data[i] = total
                i += 1
            return 0
        """,
    "words by base and index": """
        WIDE = const(3)
        @micropython.viper
        def f(data: ptr8, size: int, step: int) -> int:
            rows = ptr32(data)
            at = 0
            end = size >> 2
            total = 0
            while at + WIDE <= end:
                total += rows[at] + rows[at + 1] - rows[at + 2]
                rows[at + 2] = total
                rows[at] += step
                rows[at + 1] -= 1
                at += WIDE
            return total
        """,
    "more locals than registers": """
        @micropython.viper
        def f(data: ptr8, size: int, step: int) -> int:
            a = 1
            b = 2
            c = 3
            d = 4
            e = 5
            g = 6
            h = 7
            i = 0
            while i < size:
                a += b
                b ^= c
                c += d & 255
                d += e
                e -= g
                g += h
                h += data[i] - step
                i += 1
            return a + b + c + d + e + g + h
        """,
    "calls in conditions and in expressions": """
        @micropython.viper
        def add(a: int, b: int) -> int:
            return a + b
        @micropython.viper
        def six(a: int, b: int, c: int, d: int, e: int, g: int) -> int:
            return a - b + c - d + e - g
        @micropython.viper
        def f(data: ptr8, size: int, step: int) -> int:
            if int(add(size, step)) > 3 and int(add(step, -size)) < int(add(size, 1)):
                size = int(add(size, step)) - int(add(step, 1))
            total = 5 - int(add(step, int(add(size, 2))))
            while int(add(total, 0)) & 3:
                total += 1
            data[0] = int(add(total, 1))
            return int(six(1, size, step, total, data[0] + 1, size + step))
        """,
    "what is read before a call that changes it": """
        @micropython.viper
        def bump(data: ptr8, by: int) -> int:
            data[0] = (data[0] + by) & 63
            return data[0]
        @micropython.viper
        def pair(a: int, b: int) -> int:
            return a * 100 + b
        @micropython.viper
        def f(data: ptr8, size: int, step: int) -> int:
            total = data[0] + int(bump(data, 1))
            total = total * 3 + int(pair(data[0], int(bump(data, 2))))
            if data[0] < int(bump(data, size)):
                total += 1
            if int(bump(data, 3)) < int(bump(data, 5)):
                total += 2
            if data[0] + 1 == int(bump(data, 1)) and data[1] > -1:
                total += 4
            data[1] = (data[1] + int(bump(data, step & 7))) & 63
            return total + data[0] - int(bump(data, 9))
        """,
    "functions that go one after the other": """
        @micropython.viper
        def swap(data: ptr8, i: int, j: int):
            kept = int(data[i])
            data[i] = data[j]
            data[j] = kept
        @micropython.viper
        def f(data: ptr8, size: int, step: int) -> int:
            i = 0
            while i + 1 < size:
                if data[i] > data[i + 1]:
                    swap(data, i, i + 1)
                    i = -1
                i += 1
            return data[0] + step
        """,
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program(tmp_path: Path, name: str) -> None:
    chip, function = built(tmp_path, PROGRAMS[name])

    def in_python(data: bytearray, size: int, step: int) -> int:
        if "words" not in name:
            return wrapped(function, data, size, step)
        rows = array("i", bytes(data))
        result = function(rows, size, step)
        data[:] = rows.tobytes()
        return result

    @settings(max_examples=60)
    @given(st.binary(min_size=4, max_size=24).filter(lambda data: len(data) % 4 == 0), st.integers(-9, 9))
    def check(data: bytes, step: int) -> None:
        small_bytes = bytes(byte & (7 if "words" in name else 63) for byte in data)  # no sum leaves 32 bits
        same(chip, in_python, bytearray(small_bytes), len(data), step)

    check()


def wrapped(function: Callable[..., int], data: bytearray, size: int, step: int) -> int:
    """Call it with bytes that wrap, as those of a machine do."""

    class Bytes(bytearray):
        def __setitem__(self, at: Any, value: Any) -> None:
            super().__setitem__(at, value & 255)

    kept = Bytes(data)
    result = function(kept, size, step)
    data[:] = kept
    return result


def test_a_far_branch_reaches(tmp_path: Path) -> None:
    """Over more code than a short branch, and than a long one, reaches."""
    body = "".join(f"        total = (total ^ {number}) + a * {number + 300}\n" for number in range(300))
    chip, function = built(
        tmp_path,
        "@micropython.viper\ndef f(a: int, b: int) -> int:\n    total = 0\n    i = 0\n"
        f"    while i < b:\n        if i == 1:\n            i += 1\n            continue\n{body}        i += 1\n"
        "        if total == 7:\n            break\n        total &= 0xFFFF\n    return total\n",
    )
    for a, b in ((0, 0), (1, 1), (3, 4), (-5, 3)):
        assert chip.call(a, b) == signed(function(a, b))


REFUSED = {
    "a division": ("return a // b", "operator that is not in the language"),
    "a value of two": ("return a or b", "not in the language"),
    "a sum of conditions": ("return (a < b) + (b < a)", "more than four registers"),
    "a call of nobody's": ("return int(print(a))", "print"),
    "an index of a number": ("return a[b]", "no pointer"),
    "a loop over a range": ("for i in range(a):\n        b += i\n    return b", "not in the language"),
    "too few arguments": ("return int(f(a))", "gives 1 arguments"),
    "a value that has none": ("return a + nothing", "(nothing) has no value"),
    "a comparison of its own": ("return 1 if a is b else 0", "not in the language"),
    "a call between two comparisons": ("return 1 if 0 < int(f(a, b)) < 5 else 0", "would call twice"),
    "a call that may not be done": ("return b + (int(f(a, b)) if a else 7)", "may not be done"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_it_does_not_know_it_refuses(tmp_path: Path, what: str) -> None:
    statement, complaint = REFUSED[what]
    with pytest.raises(LanguageError) as raised:
        built(tmp_path, f"@micropython.viper\ndef f(a: int, b: int) -> int:\n    {statement}\n")
    assert complaint in str(raised.value)
    assert "line 4" in str(raised.value)


def test_a_pointer_is_what_it_was_declared_until_it_is_set(tmp_path: Path) -> None:
    chip, _function = built(
        tmp_path,
        """
        @micropython.viper
        def f(data: ptr8, step: int) -> int:
            first = int(data[1]) + step
            data = ptr32(data)
            return first + data[0]
        """,
    )
    assert chip.call(bytearray((1, 2, 3, 4)), 50) == 52 + 0x04030201


def test_more_than_an_instruction_can_name_is_refused(tmp_path: Path) -> None:
    names = [f"v{number}" for number in range(150)]
    body = "".join(f"    {name} = a + {number}\n" for number, name in enumerate(names))
    with pytest.raises(LanguageError, match="more than an instruction can name"):
        built(tmp_path, f"@micropython.viper\ndef f(a: int, b: int) -> int:\n{body}    return {' + '.join(names)}\n")
