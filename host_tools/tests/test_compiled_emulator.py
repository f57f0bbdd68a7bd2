"""The emulator's modules are compiled as a set, or its wheel's are left alone."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

import pytest

from gantryguard.rig.compiled import Emulator, compile_emulator

MODULE = """
#include <Python.h>
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "%s"};
PyMODINIT_FUNC PyInit_%s(void) { return PyModule_Create(&definition); }
"""
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("_first", "_second"):
        (tmp_path / f"{name}.c").write_text(MODULE % (name, name))
    return tmp_path


def names(folder: Path) -> set[str]:
    return {place.name for place in folder.iterdir()}


def test_all_modules_are_compiled_once(folder: Path) -> None:
    said: list[str] = []
    assert compile_emulator(said.append, folder) is Emulator.COMPILED
    assert {f"_first{SUFFIX}", f"_second{SUFFIX}"} < names(folder)
    assert compile_emulator(said.append, folder) is Emulator.COMPILED
    assert len(said) == 1


def test_a_newer_source_is_compiled_again(folder: Path) -> None:
    compile_emulator(print, folder)
    module = folder / f"_second{SUFFIX}"
    before = module.stat().st_mtime_ns
    later = module.stat().st_mtime + 5
    os.utime(folder / "_second.c", (later, later))
    said: list[str] = []
    compile_emulator(said.append, folder)
    assert len(said) == 1
    assert module.stat().st_mtime_ns > before


@pytest.mark.parametrize("linker", ["no-such-compiler", "false", None])
def test_without_a_compiler_the_wheel_serves(folder: Path, monkeypatch: pytest.MonkeyPatch, linker: str | None) -> None:
    kept = names(folder)
    real = sysconfig.get_config_var
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: linker if name == "LDSHARED" else real(name))
    said: list[str] = []
    assert compile_emulator(said.append, folder) is Emulator.WHEEL
    assert "Remedy: install a C compiler" in said[-1]
    assert names(folder) == kept


def test_one_module_that_fails_leaves_none(folder: Path) -> None:
    kept = names(folder)
    compile_emulator(print, folder)
    (folder / "_second.c").write_text("#error a later release\n")
    later = (folder / f"_first{SUFFIX}").stat().st_mtime + 5
    os.utime(folder / "_second.c", (later, later))
    said: list[str] = []
    assert compile_emulator(said.append, folder) is Emulator.WHEEL
    assert "a later release" in said[-1]
    assert names(folder) == kept
