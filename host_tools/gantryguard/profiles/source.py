"""Reads the TOML files of a profile. Every complaint names the file, the line, the field and the remedy.

`tomllib` keeps no line numbers, so the text is searched for keys and table headers once (`line_index`).
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from gantryguard.errors import UserError
from gantryguard.profiles.expressions import ExpressionError, Value, calculate

EXIT_SOURCE = 4
Place = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[?)([^\[\]]+)\]\]?\s*$")
_KEY = re.compile(r'^\s*("?[A-Za-z0-9_\-]+"?(?:\s*\.\s*"?[A-Za-z0-9_\-]+"?)*)\s*=')
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')


@dataclass(frozen=True)
class Source:
    """One file: where it lies, which line each key is on, and the names that its expressions may use."""

    path: Path
    lines: Mapping[Place, int]
    names: Mapping[str, Value]

    def line(self, place: Place) -> int:
        """Line of a key, or of the nearest table around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


@dataclass
class Entry:
    """One table of a file with typed, strict access: what is read is noted, `done` complains about the rest."""

    source: Source
    place: Place
    data: Mapping[str, Any]
    used: set[str] = field(default_factory=set)

    def fail(self, key: str, problem: str, remedy: str) -> NoReturn:
        """Raise the UserError (exit 4) about one field of this table."""
        place = (*self.place, key) if key else self.place
        where = f"{self.source.path}:{self.source.line(place)}"
        label = ".".join(str(part) for part in place) or "the file"
        raise UserError(f"{where}: {label} {problem}.", remedy=remedy, exit_code=EXIT_SOURCE)

    def has(self, key: str) -> bool:
        """Whether the table states this key."""
        self.used.add(key)
        return key in self.data

    def raw(self, key: str) -> Any:
        """The value as TOML gives it; the key is required."""
        if not self.has(key):
            self.fail(key, "is missing", f"state `{key}` in this table.")
        return self.data[key]

    def text(self, key: str, default: str | None = None) -> str:
        """A string."""
        if default is not None and not self.has(key):
            return default
        value = self.raw(key)
        if not isinstance(value, str):
            self.fail(key, f"is {value!r}, which is no text", f'write it as `{key} = "..."`.')
        return value

    def flag(self, key: str) -> bool:
        """A boolean that is false where it is not stated."""
        value = self.raw(key) if self.has(key) else False
        if not isinstance(value, bool):
            self.fail(key, f"is {value!r}, neither true nor false", f"write `{key} = true` or leave it out.")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number or an expression."""
        if default is not None and not self.has(key):
            return default
        return self.as_number(key, self.raw(key))

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number in low..high."""
        if default is not None and not self.has(key):
            return default
        value = self.as_number(key, self.raw(key))
        if value != int(value) or not low <= value <= high:
            self.fail(key, f"is {value:g}, no whole number in {low}..{high}", f"choose one in {low}..{high}.")
        return int(value)

    def choice(self, key: str, choices: Sequence[str], default: str | None = None) -> str:
        """One of some words."""
        value = self.text(key, default)
        if value not in choices:
            self.fail(key, f"is {value!r}", f"use one of {', '.join(choices)}.")
        return value

    def words(self, key: str, default: Sequence[str] | None = None) -> list[str]:
        """A list of strings; a lone string counts as a list of one."""
        if default is not None and not self.has(key):
            return list(default)
        value = self.raw(key)
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            self.fail(key, f"is {value!r}, no list of names", f'write `{key} = ["...", "..."]`.')
        return list(value)

    def numbers(self, key: str) -> list[float]:
        """A list of numbers, or an expression that stands for one."""
        value = self.raw(key)
        if isinstance(value, str):
            value = self._calculate(key, value)
        if not isinstance(value, Sequence) or isinstance(value, str):
            self.fail(key, f"is {value!r}, no list of numbers", f"write `{key} = [1, 2, 3]`.")
        return [self.as_number(key, one) for one in value]

    def as_number(self, key: str, value: Any) -> float:
        """Turn one element of this key into a finite number."""
        if isinstance(value, str):
            value = self._calculate(key, value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.fail(key, f"is {value!r}, no finite number", "give a number or an expression over scanner.toml.")
        return float(value)

    def _calculate(self, key: str, text: str) -> Value:
        try:
            return calculate(text, self.source.names)
        except ExpressionError as error:
            self.fail(key, str(error), "use numbers, names of scanner.toml, + - * / **, log2, sqrt, min, max.")

    def child(self, key: str) -> Entry:
        """A table inside this one."""
        value = self.raw(key)
        if not isinstance(value, dict):
            self.fail(key, f"is {value!r}, no table", f"write it as `[{key}]`.")
        return Entry(self.source, (*self.place, key), value)

    def children(self, key: str) -> Iterator[tuple[str, Entry]]:
        """The named tables inside a table of tables; none where it is not stated."""
        table = self.child(key) if self.has(key) else None
        for name in table.data if table else ():
            assert table is not None
            yield name, table.child(name)

    def items(self, key: str) -> list[Entry]:
        """The entries of an array of tables; none where it is not stated."""
        value = self.raw(key) if self.has(key) else []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.fail(key, "is no list of tables", f"write each entry below its own `[[{key}]]`.")
        return [Entry(self.source, (*self.place, key, index), item) for index, item in enumerate(value)]

    def done(self) -> None:
        """Complain about keys that nobody has read: a misspelt limit must not be silently absent."""
        for key in self.data:
            if key not in self.used:
                self.fail(key, "is not known here", f"remove it, or use one of {', '.join(sorted(self.used))}.")


def read(path: Path, names: Mapping[str, Value] | None = None, *, required: bool = True) -> Entry:
    """The root table of a file; empty where a file that is not required is absent. Raises UserError (exit 4)."""
    if not path.is_file() and not required:
        return Entry(Source(path, {}, names or {}), (), {})
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        remedy = "create it, or name another profile folder."
        raise UserError(f"{path}:1: cannot be read ({error.strerror}).", remedy=remedy, exit_code=4) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        found = re.search(r"at line (\d+)", str(error))
        line = found.group(1) if found else "1"
        remedy = "mend the TOML syntax on that line."
        raise UserError(f"{path}:{line}: the file is not valid TOML: {error}.", remedy=remedy, exit_code=4) from error
    return Entry(Source(path, line_index(text), names or {}), (), data)


def line_index(text: str) -> dict[Place, int]:
    """First line (from 1) of every table and key that begins a line."""
    lines: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    table: Place = ()
    depth = 0
    for number, line in enumerate(text.splitlines(), 1):
        bare = _QUOTED.sub('""', line).split("#", 1)[0]
        header = _HEADER.match(line.split("#", 1)[0]) if not depth else None
        key = _KEY.match(line) if not depth and not header else None
        if header:
            table = _table(header.group(2), header.group(1) == "[[", counts)
            lines.setdefault(table, number)
            continue
        if key:
            lines.setdefault((*table, *_parts(key.group(1))), number)
        depth = max(0, depth + bare.count("[") - bare.count("]"))
    return lines


def _table(label: str, is_array: bool, counts: dict[Place, int]) -> Place:
    """Place of a table header; names of arrays are followed by the index of their latest entry."""
    place: Place = ()
    parts = _parts(label)
    for index, part in enumerate(parts):
        place = (*place, part)
        if index == len(parts) - 1 and is_array:
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            place = (*place, counts[place])
    return place


def _parts(label: str) -> list[str]:
    return [part.strip().strip('"') for part in label.split(".")]


def flatten(entry: Entry) -> dict[str, Value]:
    """Numbers and lists of numbers of a file by dotted name, and by last name where only one has it."""
    dotted = dict(_leaves(entry.data, ""))
    short: dict[str, list[Value]] = {}
    for name, value in dotted.items():
        short.setdefault(name.rsplit(".", 1)[-1], []).append(value)
    return {**{name: values[0] for name, values in short.items() if len(values) == 1}, **dotted}


def _leaves(data: Mapping[str, Any], before: str) -> Iterator[tuple[str, Value]]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{before}{key}.")
        elif _is_number(value) or (isinstance(value, list) and value and all(_is_number(v) for v in value)):
            yield f"{before}{key}", value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
