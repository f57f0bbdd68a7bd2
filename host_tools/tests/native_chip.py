"""The emulated processor alone, to run machine code of the compiler beside the same source in Python."""

from __future__ import annotations

import textwrap
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rp2040py.rp2040 import RP2040

from gantryguard.native.compiler import Unit, compile_unit
from gantryguard.native.source import Place

RAM = 0x20000000
CODE_AT, DATA_AT, STACK_AT, END_AT = 0x1000, 0x10000, 0x30000, 0x100
MOST_STEPS = 200_000
HEAD = "from interposer.core.compat import const, micropython, ptr8, ptr32\n"


class Chip:
    """The processor alone, with code in its memory."""

    def __init__(self, unit: Unit) -> None:
        self.mcu = RP2040()
        code = b"".join(word.to_bytes(2, "little") for word in unit.code)
        self.mcu.sram[CODE_AT : CODE_AT + len(code)] = code

    def call(self, *arguments: int | array[int] | bytearray) -> int:
        """The entry's result; what is given as a buffer is changed as the code changes it."""
        at, buffers, values = DATA_AT, [], []
        for argument in arguments:
            if isinstance(argument, int):
                values.append(argument & 0xFFFFFFFF)
                continue
            content = bytes(argument)
            self.mcu.sram[at : at + len(content)] = content
            buffers.append((argument, at, len(content)))
            values.append(RAM + at)
            at += len(content) + 3 & ~3
        registers = self.mcu.core.registers
        stack = STACK_AT - 4 * max(len(values) - 4, 0)
        for number, value in enumerate(values):
            if number < 4:
                registers[number] = value
            else:
                self.mcu.sram[stack + 4 * (number - 4) : stack + 4 * (number - 3)] = value.to_bytes(4, "little")
        kept = [0x11110000 + number for number in range(4, 12)]
        for number, value in enumerate(kept):
            registers[4 + number] = value
        registers[13], registers[14], registers[15] = RAM + stack, RAM + END_AT | 1, RAM + CODE_AT
        for _ in range(MOST_STEPS):
            self.mcu.core.execute_instruction()
            if registers[15] & ~1 == RAM + END_AT:
                break
        else:
            raise AssertionError("does not come to an end")
        assert list(registers[4:12]) == kept, "registers that belong to the caller"
        assert registers[13] == RAM + stack
        for buffer, start, size in buffers:
            content = bytes(self.mcu.sram[start : start + size])
            if isinstance(buffer, bytearray):
                buffer[:] = content
            else:
                buffer[:] = array("i", bytes(content))
        return signed(registers[0])


def signed(value: int) -> int:
    """As 32 bits say it."""
    return (value & 0xFFFFFFFF ^ 0x80000000) - 0x80000000


def built(folder: Path, body: str, entry: str = "f") -> tuple[Chip, Callable[..., int]]:
    """The same source for the chip and for Python."""
    package = folder / "interposer"
    package.mkdir(parents=True, exist_ok=True)
    name = f"sample{len(list(package.iterdir()))}"
    source = HEAD + textwrap.dedent(body)
    (package / f"{name}.py").write_text(source, encoding="utf-8")
    names: dict[str, Any] = {}
    exec(compile(source, name, "exec"), names)
    return Chip(compile_unit(Place(f"interposer.{name}", entry), folder, {}, ())), names[entry]


def same(chip: Chip, function: Callable[..., int], *arguments: Any) -> None:
    """Both give the same result and leave the same in their buffers."""
    copies = [argument if isinstance(argument, int) else argument[:] for argument in arguments]
    wanted = function(*arguments)
    got = chip.call(*copies)
    if wanted is not None:
        assert got == signed(wanted), (copies, got, wanted)
    assert [bytes(each) for each in copies if not isinstance(each, int)] == [
        bytes(each) for each in arguments if not isinstance(each, int)
    ]
