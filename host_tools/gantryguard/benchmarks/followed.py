"""Where the processor is, instruction by instruction, from the last byte of a frame to its verdict.

Nothing on the device takes part: the emulated guard stops after every cycle or so, and the address that it has come to tells
the function, in the compiled way of frames or in a kernel beside it.
"""

from __future__ import annotations

import bisect
import struct
from collections import Counter
from collections.abc import Mapping

from gantryguard import paths
from gantryguard.errors import UserError
from gantryguard.native.compiler import Unit, compile_unit
from gantryguard.native.link import ENTRY, FUNCTIONS, STAND_INS
from gantryguard.native.source import Place, read_module
from gantryguard.rig.clock import MS
from gantryguard.rig.pico import EmulatedPico
from gantryguard.rig.trace import STROBE

RAM = 0x20000000
OUTSIDE_REGISTER = 8
OTHER = "MicroPython"
LIMIT_NS = 20 * MS
EARLY_NS = 2000  # before the frame's end, from where on the instructions are followed
STAGES = {
    "check": ("is_intact", "check_value", "check_holds"),
    "decode": ("decode", "command_of", "read_binary", "read_text"),
    "features": ("derive", "evaluate", "_rows"),
    "limits": ("first_broken",),
    "networks": ("ask", "run", "first_by_layers", "_layer"),
    "verdict": ("judge_frame", "weigh", "admit", "note", "copy_words", "strobe"),
}


def compiled_way() -> Unit:
    """What the device's image has of it."""
    return compile_unit(ENTRY, paths.FIRMWARE, STAND_INS, FUNCTIONS)


def cycles_to_verdict(pico: EmulatedPico, frame: bytes, end_ns: int) -> dict[str, float]:
    """Cycles by stage, and `receive` for all else, once `frame`, whose last byte is there at `end_ns`, is on its way.

    UserError (exit 8) where no verdict falls.
    """
    pico.run_until(end_ns - EARLY_NS)
    before = len(pico.trace.of(STROBE))
    map_of = _Map(pico, compiled_way())
    cycles: Counter[str] = Counter()
    last_ns = pico.now_ns
    while len(pico.trace.of(STROBE)) == before:
        place = map_of.name(pico.program_counter)
        pico.run_for(round(pico.cycle_ns))
        cycles[place] += round(max(pico.now_ns - max(last_ns, end_ns), 0) / pico.cycle_ns)
        last_ns = pico.now_ns
        if last_ns > end_ns + LIMIT_NS:
            raise UserError(f"No verdict on {frame.hex()}.", remedy="choose another profile.", exit_code=8)
    return _by_stage(cycles)


def _by_stage(cycles: Mapping[str, int]) -> dict[str, float]:
    found = {stage: float(sum(cycles.get(name, 0) for name in names)) for stage, names in STAGES.items()}
    return {"receive": sum(cycles.values()) - sum(found.values()), **found}


class _Map:
    """Addresses and what lies there."""

    def __init__(self, pico: EmulatedPico, unit: Unit) -> None:
        memory = pico.memory()
        code = struct.pack(f"<{len(unit.code)}H", *unit.code)
        at = memory.find(code)
        if at < 0:
            raise UserError("The compiled way of frames is not in memory.", remedy="let the guard start first.", exit_code=8)
        self.first, self.end = RAM + at, RAM + at + len(code)
        self.starts = sorted((self.first + place, name.rsplit(".", 1)[1]) for name, place in unit.places.items())
        self.outside = unit.outside
        self.kernels: list[tuple[int, str]] = []
        self.pico = pico

    def name(self, address: int) -> str:
        """The function at an address."""
        if self.first <= address < self.end:
            self.kernels = self.kernels or self._find_kernels()  # later on they use this register for something else
            return self.starts[bisect.bisect_right(self.starts, (address, "~")) - 1][1]
        if address < RAM or not self.kernels:
            return OTHER
        return self.kernels[max(bisect.bisect_right(self.kernels, (address, "~")) - 1, 0)][1]

    def _find_kernels(self) -> list[tuple[int, str]]:
        addresses = self.pico.words(self.pico.register(OUTSIDE_REGISTER), len(self.outside))
        found = zip(addresses, self.outside, strict=True)
        return sorted((word & ~1, place.name) for word, place in found if self._is_function(place))

    @staticmethod
    def _is_function(place: Place) -> bool:
        return place.name in read_module(place.module, paths.FIRMWARE).functions
