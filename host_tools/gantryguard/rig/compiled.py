"""The emulator, compiled for the Python that runs it.

The wheel of rp2040py is built for CPython's stable interface, which looks every method up by name: about a third of the speed
that the same C files reach when compiled for one version of Python. The wheel brings these files with it, so nothing is
fetched; where there is no compiler, the wheel's own modules go on serving.
"""

from __future__ import annotations

import shlex
import subprocess
import sysconfig
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from importlib.util import find_spec
from pathlib import Path

JOBS = 2
FASTER = ("-O2", "-g0", "-w")  # after what Python itself was compiled with: -O3 takes half as long again and gains nothing


class Emulator(Enum):
    """Which modules an import takes."""

    COMPILED = "compiled for this Python"
    WHEEL = "as its wheel brings it, about a third as fast"


def native_folder() -> Path:
    """Where rp2040py keeps its C files and what was compiled of them."""
    spec = find_spec("rp2040py")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "native"


def compile_emulator(say: Callable[[str], None], folder: Path | None = None) -> Emulator:
    """Compile what is missing or older than its source; all modules or none, since they share their structures.

    Has no effect on modules that this process has loaded. Where it cannot, it says why and the wheel's modules serve.
    """
    folder = folder or native_folder()
    wanted = {source: source.with_suffix(_suffix()) for source in sorted(folder.glob("_*.c"))}
    if all(map(_is_fresh, wanted, wanted.values())):
        return Emulator.COMPILED
    for module in wanted.values():
        module.unlink(missing_ok=True)  # of an older release, or one of a set that was never completed
    say("compiling the emulator for this Python (half a minute, once)")
    with ThreadPoolExecutor(JOBS) as pool:
        reasons = [reason for reason in pool.map(_compile, wanted) if reason]
    if reasons:
        for source in wanted:
            _unfinished(source).unlink(missing_ok=True)
        say(f"{Emulator.WHEEL.value}: {reasons[0]}. Remedy: install a C compiler and Python's headers; all works without")
        return Emulator.WHEEL
    for source, module in wanted.items():
        _unfinished(source).replace(module)
    return Emulator.COMPILED


def _suffix() -> str:
    return str(sysconfig.get_config_var("EXT_SUFFIX"))


def _unfinished(source: Path) -> Path:
    return source.with_suffix(".unfinished")


def _is_fresh(source: Path, module: Path) -> bool:
    return module.is_file() and module.stat().st_mtime >= source.stat().st_mtime


def _compile(source: Path) -> str:
    """Why it could not be compiled; "" if it was."""
    linker = sysconfig.get_config_var("LDSHARED")
    if not linker:
        return "this Python does not name its compiler"
    command = [
        *shlex.split(linker),
        *shlex.split(sysconfig.get_config_var("CCSHARED") or ""),
        *shlex.split(sysconfig.get_config_var("CFLAGS") or ""),
        *FASTER,
        f"-I{sysconfig.get_path('include')}",
        str(source),
        "-o",
        str(_unfinished(source)),
    ]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    return next(iter(ended.stderr.splitlines()), f"{command[0]} ended with {ended.returncode}") if ended.returncode else ""
