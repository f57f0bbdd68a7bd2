"""Puts machine code in the place of a module's `@compiled` function and of what it calls there."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

from gantryguard import paths
from gantryguard.client import bytecode
from gantryguard.client.constants import constants_of
from gantryguard.client.fetch import keep
from gantryguard.errors import UserError
from gantryguard.native.compiler import Unit, compile_unit
from gantryguard.native.source import ASSEMBLER, VIPER, Place, kind_of, read_module
from gantryguard.native.syntax import LanguageError

MARK = "compiled"
WORKS = "works_of"  # the function that gives the addresses of what lies outside
WORKS_AT = "K_WORKS"  # the constant that says in which word of the entry's block they are found
LANGUAGE = ("compiled", "functions")  # words that nothing on the device knows
ENTRY = Place("interposer.carry", "turn")
# What the host calls, and in its place the device.
STAND_INS = {"interposer.core.quantities.evaluate": Place("interposer.core.quantities_thumb", "evaluate")}
FUNCTIONS = (
    Place("interposer.core.quantities_thumb", "evaluate"),
    Place("interposer.core.network_thumb", "ask"),
    Place("interposer.hal.ports", "room"),
    Place("interposer.hal.ports", "transmit"),
    Place("interposer.hal.ports", "is_behind"),
    Place("interposer.hal.ports", "has_lost"),
    Place("interposer.hal.rest", "rest"),
    Place("interposer.hal.flash_chip", "begin"),
    Place("interposer.hal.flash_chip", "exchange"),
    Place("interposer.hal.flash_chip", "end"),
)
PER_LINE = 16


def link(source: bytes, name: str, firmware: Path = paths.FIRMWARE) -> bytes:
    """The source of a module as the device is to compile it; the same where nothing is marked, or where it does not parse.

    `name`: path below `firmware`, with slashes. Raises UserError (exit 3) with module and line for what cannot be compiled.
    """
    if MARK.encode() not in source:
        return source
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    entry = next((node for node in tree.body if isinstance(node, ast.FunctionDef) and _is_marked(node)), None)
    if entry is None:
        return source
    cached = paths.BUILD / "native" / f"{_key(source, name, firmware)}.py"
    if not cached.is_file():
        read_module.cache_clear()  # what the key was made of may be younger than what was read before
        constants_of.cache_clear()
        module = name.removesuffix(".py").replace("/", ".")
        try:
            unit = compile_unit(Place(module, entry.name), firmware, STAND_INS, FUNCTIONS)
        except LanguageError as fault:
            raise UserError(f"{fault}.", remedy="Write it as the compiler knows it.", exit_code=3) from fault
        keep(_linked(source, tree, entry, unit, firmware), cached)
    return cached.read_bytes()


def _is_marked(node: ast.FunctionDef) -> bool:
    return any(isinstance(decorator, ast.Name) and decorator.id == MARK for decorator in node.decorator_list)


def _key(source: bytes, name: str, firmware: Path) -> str:
    """Of everything that the result depends on."""
    key = hashlib.sha256(name.encode() + b"\0" + source)
    for folder in (firmware, Path(__file__).parent, Path(bytecode.__file__).parent):
        for file in sorted(folder.rglob("*.py")):
            key.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    return key.hexdigest()


def _linked(source: bytes, tree: ast.Module, entry: ast.FunctionDef, unit: Unit, firmware: Path) -> bytes:
    """Functions that are compiled go, imports of what they alone need too; every line that stays keeps its number."""
    gone = {node for node in tree.body if isinstance(node, ast.FunctionDef) and (kind_of(node) == VIPER or node.name == WORKS)}
    names = {name.id for node in tree.body if node not in gone for name in ast.walk(node) if isinstance(name, ast.Name)}
    lines = source.decode().splitlines()
    for node in tree.body:
        text = ""
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("interposer."):
            theirs = read_module(node.module or "", firmware).functions
            stays = [
                each for each in node.names if each.name not in LANGUAGE and (each.name not in theirs or each.name in names)
            ]
            text = ast.unparse(ast.ImportFrom(node.module, stays, node.level)) if stays else "pass"
        elif node not in gone:
            continue
        first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))]) - 1
        last = node.end_lineno or node.lineno
        lines[first:last] = [text, *[""] * (last - first - 1)]
    return "\n".join([*lines, *_outside(unit.outside, firmware), *_assembler(entry, unit), ""]).encode()


def _outside(places: list[Place], firmware: Path) -> Iterator[str]:
    """Imports, and the function that says where everything is."""
    functions: set[Place] = set()
    for place in places:
        yield f"from {place.module} import {place.name}"
        definition = read_module(place.module, firmware).functions.get(place.name)
        if definition is not None:
            assert kind_of(definition) == ASSEMBLER
            functions.add(place)
    yield "from array import array"
    yield "from uctypes import addressof"
    yield "from interposer.core.compat import code_of"
    addresses = [f"{'code_of' if place in functions else 'addressof'}({place.name})" for place in places]
    yield f"def {WORKS}(judge, port):"
    yield f"    return array('I', ({', '.join(addresses)},))"


def _assembler(entry: ast.FunctionDef, unit: Unit) -> Iterator[str]:
    """The entry: r8 becomes the address of those words while it runs."""
    registers = [f"r{number}" for number in range(len(entry.args.args))]
    yield "import micropython"
    yield "@micropython.asm_thumb"
    yield f"def {entry.name}({', '.join(registers)}):"
    yield "    bl(START)"
    yield "    label(CODE)"
    for first in range(0, len(unit.code), PER_LINE):
        yield f"    data(2, {', '.join(map(str, unit.code[first : first + PER_LINE]))})"
    yield "    label(START)"
    yield "    mov(r4, r8)"
    yield "    push({r4})"
    yield f"    ldr(r4, [r0, {WORKS_AT} << 2])"
    yield "    mov(r8, r4)"
    yield "    bl(CODE)"
    yield "    pop({r4})"
    yield "    mov(r8, r4)"
