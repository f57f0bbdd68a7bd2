"""A compiled profile as the host uses it: the package's tables under the names of its sources."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gantryguard.errors import UserError
from gantryguard.profiles import numpy_rows
from gantryguard.profiles.names import read_names
from gantryguard.profiles.nets import TrainedNet
from gantryguard.profiles.package import DEFAULT_BOARD, build, compile_profile
from gantryguard.profiles.vector import Quantity
from gantryguard.reasons import TEXTS
from interposer.core import codec
from interposer.core import limits as core_limits
from interposer.core import package as core
from interposer.core.reasons import NONE


class Profile:
    """Names over one package. Physical values are in the units of the sources; NaN means unknown.

    `slot_names[slot]` is "" for rows without a name; `command_names`, `roles`, `state_names` and `network_names` are by
    index. Raises UserError (exit 5) for a package that cannot be used.
    """

    def __init__(self, blob: bytes, board: str = DEFAULT_BOARD) -> None:
        self.blob = blob
        self.package = core.Package(blob, board)
        if self.package.reason != NONE:
            raise UserError(
                f"The package cannot be used: {TEXTS[self.package.reason][1]}.",
                remedy="build it again with this version, for this board.",
                exit_code=5,
            )
        names = read_names(self.package.table("names"))
        self.name: str = self.package.name
        self.quantities: dict[str, Quantity] = names.quantities
        self.command_names: list[str] = names.commands
        self.roles: list[str] = names.roles
        self.state_names: list[str] = names.states
        self.network_names: list[str] = names.networks
        self._lines = names.lines
        self.size: int = self.package.table("params")[core.P_VALUES]
        self.slot_names: list[str] = [""] * self.size
        for quantity in names.quantities.values():
            self.slot_names[quantity.slot] = quantity.name

    @classmethod
    def load(cls, folder: Path, nets: Sequence[TrainedNet] | None = None) -> Profile:
        """Compile a profile folder. Raises UserError (exit 4)."""
        board = compile_profile(folder).board
        return cls(build(folder, nets, board), board)

    # ---- names

    def slot(self, name: str) -> int:
        """Slot of a field, memory or row. Raises KeyError."""
        return self.quantities[name].slot

    def command(self, name: str) -> int:
        """Index of a command. Raises KeyError."""
        if name not in self.command_names:
            raise KeyError(name)
        return self.command_names.index(name)

    def codes(self, field: str) -> Mapping[str, int]:
        """Codes of an enumerated field by name; empty for others."""
        return self.quantities[field].codes

    def limit_name(self, index: int) -> str:
        """Name of an entry of the limit table (`Judge.limit`)."""
        return self._limit_line(index)[1]

    def limit_why(self, index: int) -> str:
        """Plain words for the technologist about an entry of the limit table."""
        return self._limit_line(index)[2]

    def _limit_line(self, index: int) -> list[str]:
        limits = self.package.table("limits")
        return self._lines[limits[index * core_limits.LIMIT_WORDS + core_limits.L_NAME]]

    # ---- values

    def to_raw(self, name: str, value: float | str | None) -> int:
        """Raw value of a physical one, a code's name, or None/NaN for unknown. Raises KeyError, ValueError."""
        quantity = self.quantities[name]
        return quantity.codes[value] if isinstance(value, str) else quantity.to_raw(value)

    def from_raw(self, name: str, raw: int) -> float:
        """Physical value of a raw one; NaN where it means unknown."""
        return self.quantities[name].from_raw(raw)

    def start_values(self) -> array[int]:
        """The value vector of a fresh exam: int32, one word per slot."""
        package: Any = self.package
        tables = package.table
        values = array("i", bytes(4 * self.size))
        fields: int = tables("params")[core.P_FIELDS]
        for slot in range(fields):
            values[slot] = tables("ranges")[slot * codec.RANGE_WORDS + 2]
        for index, start in enumerate(tables("states")):
            values[fields + index] = start
        return values

    def values_from(self, row: Mapping[str, float | str | None]) -> array[int]:
        """A fresh value vector with the named physical values set. Raises KeyError, ValueError, OverflowError."""
        values = self.start_values()
        for name, value in row.items():
            values[self.slot(name)] = self.to_raw(name, value)
        return values

    def matrix_from(self, columns: Mapping[str, ArrayLike]) -> NDArray[np.int64]:
        """Value vectors of many rows, int64 (n, slots), from physical columns; names that are no slots are ignored.

        Values are rounded to raw steps and saturated to 32 bits; NaN becomes the field's code for unknown (or 0).
        """
        known = {name: np.atleast_1d(np.asarray(columns[name], dtype=np.float64)) for name in columns}
        known = {name: column for name, column in known.items() if name in self.quantities}
        rows = max((len(column) for column in known.values()), default=1)
        matrix = np.tile(np.array(self.start_values(), dtype=np.int64), (rows, 1))
        for name, column in known.items():
            quantity = self.quantities[name]
            raw = np.floor((column - quantity.offset) / quantity.scale + 0.5)
            raw = np.nan_to_num(np.clip(raw, -(2.0**31), 2.0**31 - 1), nan=quantity.unknown or 0)
            matrix[:, quantity.slot] = raw.astype(np.int64)
        return matrix

    # ---- tables

    def program(self, command: str) -> tuple[int, int]:
        """(first word, count) of the rows that a command evaluates."""
        at = self.command(command) * codec.COMMAND_WORDS
        commands = self.package.table("commands")
        return commands[at + codec.C_ROW], commands[at + codec.C_ROWS]

    def evaluate(self, matrix: NDArray[np.int64], command: str) -> None:
        """Evaluate a command's rows for many value vectors, in place."""
        first, count = self.program(command)
        numpy_rows.evaluate(matrix, self.package.table("rows"), first, count, self.package.table("curves"))

    def fields_of(self, command: str) -> list[str]:
        """Names of a command's fields, in the order of the frame."""
        at = self.command(command) * codec.COMMAND_WORDS
        commands, fields = self.package.table("commands"), self.package.table("fields")
        first, count = commands[at + codec.C_FIELD], commands[at + codec.C_FIELDS]
        return [self.slot_names[fields[(first + i) * codec.FIELD_WORDS + 2]] for i in range(count)]

    def encode(self, command: str, sequence: int, values: Mapping[str, float | str | None]) -> bytes:
        """The frame of a command from physical values; fields that are not named hold their start values."""
        index = self.command(command)
        package: Any = self.package
        tables = package.table
        direction = tables("commands")[index * codec.COMMAND_WORDS + codec.C_DIRECTION]
        writer = codec.Codec(direction, tables("framings"), tables("commands"), tables("fields"), tables("ranges"))
        length = writer.write(index, sequence, self.values_from(values))
        return bytes(writer.buffer[:length])
