"""Runs functions of test modules inside the emulated RP2040 and brings back what each of them said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gantryguard import paths
from gantryguard.client.bytecode import compile_module
from gantryguard.client.device_image import build_flash, device_files
from gantryguard.rig.board import load_board
from gantryguard.rig.clock import S
from gantryguard.rig.pico import EmulatedPico

RUNNER = """
import gc, sys
from machine import UART, Pin
port = UART(0, 115200, tx=Pin(0), rx=Pin(1), txbuf=4096)
def say(line):
    port.write(line.encode() + b"\\n")
    port.flush()
sys.path.append("")
for name in MODULES:
    module = __import__(name)
    for test in sorted(dir(module)):
        if test.startswith("test_"):
            gc.collect()
            try:
                answer = getattr(module, test)()
                say("ok %s.%s %s" % (name, test, "" if answer is None else answer))
            except BaseException as error:
                say("FAIL %s.%s %s %s" % (name, test, type(error).__name__, error))
say("END")
"""


def run_on_target(
    micropython_uf2: Path, modules: Mapping[str, bytes], extra: Mapping[str, bytes] | None = None, limit_s: int = 600
) -> dict[str, str]:
    """Outcome by "module.test": "ok ..." or "FAIL ...". `modules` maps names to sources, `extra` are more files.

    Raises AssertionError where the run did not end within `limit_s` simulated seconds.
    """
    board = load_board()
    files = device_files(board, extra)
    files["main.py"] = f"MODULES = {tuple(modules)!r}\n{RUNNER}".encode()
    for name, source in modules.items():
        files[f"{name}.mpy"] = compile_module(source, f"{name}.py")
    pico = EmulatedPico(build_flash(micropython_uf2, files), board, usb=False)
    ended = pico.run_while(lambda: not pico.console_out.data.endswith(b"END\n"), limit_s * S)
    assert ended, pico.console_out.data[-500:]
    outcomes: dict[str, str] = {}
    for line in pico.console_out.data.decode(errors="replace").splitlines()[:-1]:
        outcome, name, answer = (line + "  ").split(" ", 2)
        outcomes[name] = f"{outcome} {answer}".strip()
    return outcomes


def firmware_test(name: str) -> bytes:
    """Source of a module of `firmware/tests`."""
    return (paths.FIRMWARE / "tests" / f"{name}.py").read_bytes()
