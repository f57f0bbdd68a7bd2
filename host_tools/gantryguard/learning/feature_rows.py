"""Rows of a profile source as text: the forms that `features` needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def row(name: str, lines: Iterable[str], about: str = "") -> str:
    """A row from its lines."""
    comment = f"  # {about}" if about else ""
    return "\n".join(["[[row]]", f'name = "{name}"{comment}', *lines])


def log(name: str, source: str) -> str:
    """log2 of a quantity."""
    return row(name, [f'log2 = "{source}"'])


def _terms(terms: Mapping[str, float]) -> str:
    return f"sum = {{ {', '.join(f'{source} = {factor:g}' for source, factor in terms.items())} }}"


def octaves(name: str, terms: Mapping[str, float], about: str = "", add: float = 0.0) -> str:
    """A sum of logarithms and plain octaves."""
    return row(name, [_terms(terms), *([f"add = {add:.10g}"] if add else []), "log = true"], about)


def feature(name: str, terms: Mapping[str, float], add: float, about: str = "", clamp: tuple[int, int] = (0, 127)) -> str:
    """An affine row clamped to what networks read."""
    return row(name, [_terms(terms), f"add = {add:g}", "scale = 1", f"clamp = [{clamp[0]}, {clamp[1]}]"], about)


def flag(name: str, source: str) -> str:
    """A flag as an activation."""
    return feature(name, {source: 127}, 0)


def lookup(name: str, values: Mapping[str, float], about: str) -> str:
    """A logarithm by objective."""
    return row(name, ['lookup = "objective"', "log = true", "[row.table]", *_table(values)], about)


def activation(name: str, values: Mapping[str, float], about: str) -> str:
    """A number 0..127 by objective."""
    whole = {key: round(min(max(value, 0), 127)) for key, value in values.items()}
    return row(name, ['lookup = "objective"', "clamp = [0, 127]", "[row.table]", *_table(whole)], about)


def marked(name: str, chosen: Iterable[str], about: str = "") -> str:
    """1 for these objectives, else 0."""
    listed = ", ".join(f'"{one}"' for one in chosen)
    return row(name, ['in_set = "objective"', f"set = [{listed}]"], about)


def _table(values: Mapping[str, float]) -> list[str]:
    return [f"{key} = {value:.6g}" for key, value in values.items()]
