"""A small assembler for ARMv6-M: instructions, labels, and branches that find the form that reaches.

Encodings: ARMv6-M Architecture Reference Manual, A5 and A6. Registers are numbers 0 to 14.
"""

from __future__ import annotations

from dataclasses import dataclass

SP, LR, PC = 13, 14, 15
# Conditions, as the architecture numbers them, and what is not them.
EQ, NE, LT, GE, GT, LE = 0, 1, 11, 10, 12, 13
OPPOSITE = {EQ: NE, NE: EQ, LT: GE, GE: LT, GT: LE, LE: GT}
WHEN_SWAPPED = {EQ: EQ, NE: NE, LT: GT, GT: LT, GE: LE, LE: GE}

NEAR, FAR = 254, 2046  # how far the two short branches reach, in bytes from the place two behind them
ALU = {"and": 0, "eor": 1, "lsl": 2, "lsr": 3, "asr": 4, "neg": 9, "cmp": 10, "cmn": 11, "orr": 12, "mul": 13, "mvn": 15}


class OutOfRangeError(Exception):
    """A number does not fit its instruction."""


@dataclass(eq=False)
class Label:
    """A place in the code; `at`, in bytes, once that is laid out."""

    at: int = -1


@dataclass
class Branch:
    """To a label: always, under a condition, or as a call. `size` in halfwords grows until it reaches."""

    target: Label
    condition: int | None = None
    is_call: bool = False
    size: int = 1


Item = int | Label | Branch


class Code:
    """Instructions in the order in which they are emitted."""

    def __init__(self) -> None:
        self.items: list[Item] = []

    def put(self, *halfwords: int) -> None:
        """Instructions as numbers."""
        self.items.extend(halfwords)

    def label(self, label: Label) -> None:
        """The label is here."""
        self.items.append(label)

    def branch(self, target: Label, condition: int | None = None) -> None:
        """Go on at a label."""
        self.items.append(Branch(target, condition))

    def call(self, target: Label) -> None:
        """Call what begins at a label."""
        self.items.append(Branch(target, is_call=True, size=2))

    # ---- instructions

    @staticmethod
    def _fits(number: int, most: int) -> int:
        if not 0 <= number <= most:
            raise OutOfRangeError(f"{number} is not within 0 to {most}")
        return number

    def move(self, to: int, source: int) -> None:
        """mov, of any register."""
        if to != source:
            self.put(0x4600 | (to & 8) << 4 | source << 3 | to & 7)

    def number(self, to: int, value: int) -> None:
        """A 32-bit number into a low register, in as few instructions as are found."""
        value &= 0xFFFFFFFF
        if value < 256:
            self.put(0x2000 | to << 8 | value)
        elif 0xFFFFFFFF - value < 256:
            self.put(0x2000 | to << 8 | 0xFFFFFFFF - value)
            self.alu("mvn", to, to)
        elif value & value + 1 == 0:  # ones at the end
            self.put(0x2000 | to << 8)
            self.alu("mvn", to, to)
            self.shift("lsr", to, to, 32 - value.bit_length())
        elif value >> (zeros := (value & -value).bit_length() - 1) < 256:
            self.put(0x2000 | to << 8 | value >> zeros)
            self.shift("lsl", to, to, zeros)
        else:
            self.number(to, value >> 8)
            self.shift("lsl", to, to, 8)
            if value & 255:
                self.put(0x3000 | to << 8 | value & 255)

    def alu(self, name: str, to: int, other: int) -> None:
        """to = to (and, eor, lsl, lsr, asr, orr, mul) other; neg, mvn: of other; cmp, cmn: flags only. Low registers."""
        self.put(0x4000 | ALU[name] << 6 | other << 3 | to)

    def shift(self, name: str, to: int, source: int, places: int) -> None:
        """Shift by a number, 1 to 31."""
        self.put({"lsl": 0, "lsr": 0x0800, "asr": 0x1000}[name] | self._fits(places - 1, 30) + 1 << 6 | source << 3 | to)

    def add(self, to: int, left: int, right: int) -> None:
        """Sum of low registers."""
        self.put(0x1800 | right << 6 | left << 3 | to)

    def subtract(self, to: int, left: int, right: int) -> None:
        """Difference of low registers."""
        self.put(0x1A00 | right << 6 | left << 3 | to)

    def add_number(self, to: int, left: int, number: int) -> None:
        """Sum with -255 to 255."""
        if abs(number) < 8:
            self.put((0x1C00 if number >= 0 else 0x1E00) | abs(number) << 6 | left << 3 | to)
            return
        self.move(to, left)
        self.put((0x3000 if number >= 0 else 0x3800) | to << 8 | abs(number))

    def compare_number(self, left: int, number: int) -> None:
        """Flags of a low register and 0 to 255."""
        self.put(0x2800 | left << 8 | number)

    def load(self, to: int, base: int, index: int) -> None:
        """A word at base + index, both registers."""
        self.put(0x5800 | index << 6 | base << 3 | to)

    def load_byte(self, to: int, base: int, index: int) -> None:
        """A byte at base + index."""
        self.put(0x5C00 | index << 6 | base << 3 | to)

    def load_at(self, to: int, base: int, word: int) -> None:
        """A word, 0 to 31 words behind a base."""
        self.put(0x6800 | self._fits(word, 31) << 6 | base << 3 | to)

    def load_byte_at(self, to: int, base: int, byte: int) -> None:
        """A byte, 0 to 31 bytes behind a base."""
        self.put(0x7800 | self._fits(byte, 31) << 6 | base << 3 | to)

    def store(self, value: int, base: int, index: int) -> None:
        """The opposite of `load`."""
        self.put(0x5000 | index << 6 | base << 3 | value)

    def store_byte(self, value: int, base: int, index: int) -> None:
        """The opposite of `load_byte`."""
        self.put(0x5400 | index << 6 | base << 3 | value)

    def store_at(self, value: int, base: int, word: int) -> None:
        """The opposite of `load_at`."""
        self.put(0x6000 | self._fits(word, 31) << 6 | base << 3 | value)

    def store_byte_at(self, value: int, base: int, byte: int) -> None:
        """The opposite of `load_byte_at`."""
        self.put(0x7000 | self._fits(byte, 31) << 6 | base << 3 | value)

    def load_stack(self, to: int, word: int) -> None:
        """A word of the stack."""
        self.put(0x9800 | to << 8 | self._fits(word, 255))

    def store_stack(self, value: int, word: int) -> None:
        """Into a word of the stack."""
        self.put(0x9000 | value << 8 | self._fits(word, 255))

    def push(self, registers: list[int]) -> None:
        """Low registers, and the link register always."""
        self.put(0xB500 | sum(1 << register for register in registers))

    def pop(self, registers: list[int]) -> None:
        """Low registers, and return."""
        self.put(0xBD00 | sum(1 << register for register in registers))

    def grow_stack(self, words: int) -> None:
        """So many words more on the stack."""
        if words:
            self.put(0xB080 | self._fits(words, 127))

    def shrink_stack(self, words: int) -> None:
        """So many words less."""
        if words:
            self.put(0xB000 | self._fits(words, 127))

    # ---- layout

    def halfwords(self) -> list[int]:
        """The machine code; every label gets its place."""
        while self._lay_out():
            pass
        code: list[int] = []
        for item in self.items:
            match item:
                case Label():
                    pass
                case Branch():
                    code += _branch(item, 2 * len(code))
                case _:
                    code.append(item)
        return code

    def _lay_out(self) -> bool:
        """Place everything; whether a branch had to grow, so that it has to be done again."""
        at = 0
        for item in self.items:
            if isinstance(item, Label):
                item.at = at
            else:
                at += 2 * item.size if isinstance(item, Branch) else 2
        at, has_grown = 0, False
        for item in self.items:
            if isinstance(item, Branch) and not item.is_call:
                wanted = _size(item, item.target.at - at - 4)
                has_grown |= wanted > item.size
                item.size = max(item.size, wanted)
            at += 0 if isinstance(item, Label) else 2 * item.size if isinstance(item, Branch) else 2
        return has_grown


def _size(branch: Branch, distance: int) -> int:
    """Halfwords that a branch over this distance takes. One that goes further than the short forms clobbers lr."""
    if branch.condition is not None and -NEAR <= distance <= NEAR - 4:
        return 1
    reaches = -FAR <= distance <= FAR - 8
    return (1 if reaches else 2) + (0 if branch.condition is None else 1)


def _branch(branch: Branch, at: int) -> list[int]:
    over: list[int] = []
    distance = branch.target.at - at - 4
    if branch.condition is not None and branch.size == 1:
        return [0xD000 | branch.condition << 8 | distance >> 1 & 255]
    if branch.condition is not None:
        over = [0xD000 | OPPOSITE[branch.condition] << 8 | branch.size - 2]
        distance -= 2
    if branch.size - len(over) == 1:
        return [*over, 0xE000 | distance >> 1 & 0x7FF]
    high, low = distance >> 12 & 0x3FF, distance >> 1 & 0x7FF
    sign = int(distance < 0)
    first, second = (1 ^ (distance >> 23 & 1) ^ sign), (1 ^ (distance >> 22 & 1) ^ sign)
    return [*over, 0xF000 | sign << 10 | high, 0xD000 | first << 13 | second << 11 | low]
