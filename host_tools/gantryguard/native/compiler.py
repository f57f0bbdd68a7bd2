"""Compiles functions that are written for viper, and all that they call, into one piece of machine code.

Viper calls every function through MicroPython: names are looked up, numbers are made objects and taken apart again, ten
microseconds each time. Here a call is one instruction, and constants are folded into addresses. The language is the part of
viper that the firmware uses: numbers of 32 bits, `ptr8` and `ptr32`, assignments, conditions, loops, calls. What it does not
know it refuses, with the line.

A call: the first four arguments in r0 to r3, others on the stack; the result in r0; r4 to r11 are kept. r8 is the address of a
row of words with the addresses of what lies outside: functions in inline assembler, and arrays of modules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gantryguard.native.expressions import Instance
from gantryguard.native.function import Function
from gantryguard.native.source import Place, read_module
from gantryguard.native.syntax import LanguageError
from gantryguard.native.thumb import Code, Label, OutOfRangeError


@dataclass(frozen=True)
class Unit:
    """Machine code whose first instruction is the entry's, and what lies outside it in the order of the words at r8.

    `places`: where each function begins, in bytes.
    """

    code: list[int]
    outside: list[Place]
    places: dict[str, int]


def compile_unit(entry: Place, firmware: Path, stand_ins: Mapping[str, Place], functions: Sequence[Place]) -> Unit:
    """Compile a function and all that it calls.

    stand_ins: functions by their full name, in whose place others are called. functions: what `functions(...)` stands for.
    LanguageError with module and line for what cannot be compiled.
    """
    compiler = _Compiler(firmware, stand_ins, functions)
    compiler.label_of(Instance(entry))
    for instance in compiler.wanted:  # grows on the way
        compiler.code.label(compiler.labels[instance])
        try:
            Function(compiler, instance).compile()
        except OutOfRangeError as fault:
            raise LanguageError(f"{instance.place} needs more than an instruction can name: {fault}") from fault
    code = compiler.code.halfwords()
    return Unit(code, compiler.outside, {str(instance.place): label.at for instance, label in compiler.labels.items()})


@dataclass
class _Compiler:
    firmware: Path
    stand_ins: Mapping[str, Place]
    functions: Sequence[Place]
    code: Code = field(default_factory=Code)
    labels: dict[Instance, Label] = field(default_factory=dict)
    wanted: list[Instance] = field(default_factory=list)
    outside: list[Place] = field(default_factory=list)

    def label_of(self, instance: Instance) -> Label:
        """Where a function is, or will be."""
        if instance not in self.labels:
            self.labels[instance] = Label()
            self.wanted.append(instance)
        return self.labels[instance]

    def outside_of(self, place: Place) -> int:
        """Number of the word with the address of what lies outside."""
        if place not in self.outside:
            self.outside.append(place)
        return self.outside.index(place)

    def resolve(self, place: Place) -> Place:
        """Where a name is defined, seen through imports and stand-ins."""
        place = self.stand_ins.get(str(place), place)
        traced = read_module(place.module, self.firmware).trace(place.name)
        return place if traced is None or traced == place else self.resolve(traced)
