"""Spells constants out before a module is compiled, so that the device neither keeps nor looks up their names.

mpy-cross folds `NAME = const(1)` only inside the module that says it, and keeps the name as well: a constant that five
modules import costs the device five names, five entries and five stores. So every use becomes the number, and definitions and
imports go.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from gantryguard import paths

PACKAGE = "interposer"


def fold_constants(source: bytes, firmware: Path = paths.FIRMWARE) -> bytes:
    """The source with its own and imported constants as numbers; every line keeps its number.

    Source that does not parse stays as it is: the compiler says where. ValueError for a constant inside an f-string.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    known, modules = _known(tree, firmware)
    lines = source.splitlines()
    changes = list(_changes(tree, known, modules, firmware))
    for node, text in sorted(changes, key=lambda change: (change[0].lineno, change[0].col_offset), reverse=True):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        tail = lines[last][node.end_col_offset or 0 :]
        lines[first] = lines[first][: node.col_offset] + text.encode() + tail
        lines[first + 1 : last + 1] = [b""] * (last - first)
    return b"\n".join([*lines, b""])


def _known(tree: ast.Module, firmware: Path) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """Constants by the name that a module uses, and those of the modules that it imports, by module."""
    known: dict[str, int] = {}
    modules: dict[str, dict[str, int]] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and _is_ours(node):
            theirs = constants_of(node.module or "", firmware)
            for name in node.names:
                if name.name in theirs:
                    known[name.asname or name.name] = theirs[name.name]
                else:
                    modules[name.asname or name.name] = constants_of(f"{node.module}.{name.name}", firmware)
        elif definition := _definition(node):
            constant, value = definition
            known[constant] = eval(compile(ast.Expression(value), constant, "eval"), {"__builtins__": {}}, known)
    return known, modules


def _is_ours(node: ast.ImportFrom) -> bool:
    return (node.module or "").split(".")[0] == PACKAGE


def _definition(node: ast.AST) -> tuple[str, ast.expr] | None:
    match node:
        case ast.Assign([ast.Name(name)], ast.Call(ast.Name("const"), [value])):
            return name, value
    return None


def _changes(
    node: ast.AST, known: dict[str, int], modules: dict[str, dict[str, int]], firmware: Path
) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    """Everything under a node that is to be replaced; nothing of it lies in anything else of it."""
    for child in ast.iter_child_nodes(node):
        if change := _change(child, known, modules, firmware):
            yield change
        else:
            yield from _changes(child, known, modules, firmware)


def _change(
    node: ast.AST, known: dict[str, int], modules: dict[str, dict[str, int]], firmware: Path
) -> tuple[ast.stmt | ast.expr, str] | None:
    """What stands in the place of a node from now on."""
    match node:
        case ast.Name(name, ast.Load()) if name in known:
            return node, _number(known[name])
        case ast.Attribute(ast.Name(module), name, ast.Load()) if name in modules.get(module, {}):
            return node, _number(modules[module][name])
        case ast.JoinedStr() if any(isinstance(part, ast.Name) and part.id in known for part in ast.walk(node)):
            raise ValueError(f"line {node.lineno}: a constant inside an f-string")
        case ast.ImportFrom() if _is_ours(node):
            gone = {"const", *constants_of(node.module or "", firmware)}
            rest = [name for name in node.names if name.name not in gone]
            return node, ast.unparse(ast.ImportFrom(node.module, rest, node.level)) if rest else "pass"
        case ast.Assign() if _definition(node):
            return node, "pass"
    return None


def _number(value: int) -> str:
    return f"({value})" if value < 0 else str(value)


@cache
def constants_of(module: str, firmware: Path = paths.FIRMWARE) -> dict[str, int]:
    """Every `NAME = const(...)` at the top of a module, its own and those that it imports; none where there is no such file."""
    file = firmware / f"{module.replace('.', '/')}.py"
    return _known(ast.parse(file.read_bytes()), firmware)[0] if file.is_file() else {}
