"""The firmware's functions as the compiler wants them: constants spelled out, names traced to where they are defined."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gantryguard.client.constants import PACKAGE, fold_constants

VIPER, ASSEMBLER = "viper", "asm_thumb"


@dataclass(frozen=True)
class Place:
    """Where something is defined: module with dots, and name."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True)
class Module:
    """One module: its functions, what it imports from ours, and the names that it assigns at its top."""

    name: str
    functions: dict[str, ast.FunctionDef]
    imports: dict[str, Place]
    globals: frozenset[str]

    def trace(self, name: str) -> Place | None:
        """Where a name that is used here is defined; None for one that is none of ours."""
        if name in self.functions or name in self.globals:
            return Place(self.name, name)
        return self.imports.get(name)


@cache
def read_module(name: str, firmware: Path) -> Module:
    """A module of the firmware by its name with dots."""
    source = (firmware / f"{name.replace('.', '/')}.py").read_bytes()
    tree = ast.parse(fold_constants(source, firmware))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    return Module(name, functions, dict(_imports(tree)), frozenset(_globals(tree)))


def kind_of(function: ast.FunctionDef) -> str:
    """By what it is compiled on the device: VIPER, ASSEMBLER, or "" for bytecode."""
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Attribute) and decorator.attr in (VIPER, ASSEMBLER):
            return decorator.attr
    return ""


def _imports(tree: ast.Module) -> Iterator[tuple[str, Place]]:
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            for name in node.names:
                yield name.asname or name.name, Place(node.module or "", name.name)


def _globals(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id
