"""Lets firmware modules share constants that mpy-cross folds.

The compiler folds `NAME = const(1)` only inside the module that says it, and native code cannot index by anything else. So
before a module is compiled, the constants that it imports from other modules of the firmware become its own.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from gantryguard import paths

PACKAGE = "interposer."


def fold_imports(source: bytes, firmware: Path = paths.FIRMWARE) -> bytes:
    """The source with imported constants spelt out; every line keeps its number. Source that does not parse stays as it is."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source  # the compiler says where
    lines = source.decode().splitlines()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            first, last = node.lineno - 1, node.end_lineno or node.lineno
            lines[first:last] = [_spelt_out(node, firmware), *[""] * (last - first - 1)]
    return "\n".join([*lines, ""]).encode()


def _spelt_out(node: ast.ImportFrom, firmware: Path) -> str:
    known = constants_of(node.module or "", firmware)
    spelt = [f"{name.asname or name.name} = const({known[name.name]})" for name in node.names if name.name in known]
    rest = [name for name in node.names if name.name not in known]
    if rest:
        spelt.insert(0, ast.unparse(ast.ImportFrom(node.module, rest, node.level)))
    return "; ".join(spelt)


@cache
def constants_of(module: str, firmware: Path = paths.FIRMWARE) -> dict[str, int]:
    """Every `NAME = const(...)` at the top of a module, its own and those that it imports; none where there is no such file."""
    file = firmware / f"{module.replace('.', '/')}.py"
    known: dict[str, int] = {}
    if file.is_file():
        for node in ast.parse(fold_imports(file.read_bytes(), firmware)).body:
            match node:
                case ast.Assign([ast.Name(name)], ast.Call(ast.Name("const"), [argument])):
                    known[name] = eval(compile(ast.Expression(argument), module, "eval"), {"__builtins__": {}}, known)
    return known
