"""A guard that has come as far as the choice of its package, which the rig then makes.

Two thirds of a boot are the same whatever the package: each test takes it from there, in a fork of its own.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from guard import Guard
from profile_bench import INJECTOR, small_net
from spoilt import spoilt

from gantryguard import paths
from gantryguard.learning.pipeline import nets_of
from gantryguard.profiles.files import baud_of
from gantryguard.profiles.profile import Profile
from gantryguard.rig.clock import S
from gantryguard.signing.development import sign

READY = b"?"
NO_FILE = 255
READY_LIMIT_NS = 3 * S
# main.py with one thing more: which file holds the package comes over the console's line, as one byte.
CHOOSING_MAIN = """
import machine
try:
    import time, micropython
    micropython.kbd_intr(-1)
    from interposer.hal import slots
    from interposer.app import main
    from interposer.hal import board_record as board
    port = machine.UART(board.CONSOLE_UART, 115200, tx=machine.Pin(board.CONSOLE_TX), rx=machine.Pin(board.CONSOLE_RX))
    port.write(b"?")
    while not port.any():
        time.sleep_ms(20)
    slots.PACKAGES = ("%d.bin" % port.read(1)[0], "none")
    port.deinit()
    del port  # what the choice has cost is no part of the product
    import gc
    gc.collect()
    main()
except BaseException as error:
    from interposer.hal.faults import remember_crash
    remember_crash(error)
finally:
    machine.reset()
"""


def changed(profile: Profile, folder: Path, *changes: tuple[str, str]) -> Profile:
    """The CT profile with lines of its profile.toml replaced (regular expression, text), networks as committed."""
    target = folder / f"{len(list(folder.iterdir()))}"
    shutil.copytree(paths.MODELS / "ct", target, ignore=shutil.ignore_patterns("*.bin", "*.onnx", "report"))
    rewrite(target / "profile.toml", *changes)
    return Profile.load(target, nets_of(profile))


def rewrite(file: Path, *changes: tuple[str, str]) -> None:
    """Replace lines of a file, each pattern exactly once."""
    text = file.read_text(encoding="utf-8")
    for pattern, line in changes:
        text, count = re.subn(f"(?m)^{pattern}", line, text)
        assert count == 1, pattern
    file.write_text(text, encoding="utf-8")


def enforcing_injector(folder: Path) -> Profile:
    """The second, invented device, with its mode changed to enforce."""
    target = folder / "injector"
    shutil.copytree(INJECTOR, target)
    rewrite(target / "profile.toml", ('mode = "monitor"', 'mode = "enforce"'))
    return Profile.load(target, [small_net()])


class Stage:
    """One guard, several packages. `load` and `choose` use the guard up, hence only in a forked test."""

    def __init__(self, micropython_uf2: Path, ct: Profile, folder: Path) -> None:
        self.profiles = {
            "ct": ct,
            "unhurried": changed(ct, folder, (r"rate_frames = \d+", "rate_frames = 100000")),
            "monitor": changed(ct, folder, ('mode = "enforce"', 'mode = "monitor"')),
            "injector": enforcing_injector(folder),
        }
        blobs = {name: profile.blob for name, profile in self.profiles.items()}
        blobs |= {name: blob for name, (blob, _reason) in spoilt(ct).items() if blob is not None}
        self._names = list(blobs)
        files: dict[str, bytes | None] = {f"{number}.bin": blob for number, blob in enumerate(map(sign, blobs.values()))}
        self.guard = Guard(micropython_uf2, ct, usb=True, extra={"main.py": CHOOSING_MAIN.encode(), **files})
        pico = self.guard.pico
        assert pico.run_while(lambda: pico.console_out.data != READY, READY_LIMIT_NS), pico.maintenance.data

    def choose(self, name: str) -> Guard:
        """Name the package and go on (an unknown name stands for a file that is missing); the guard is not booted yet."""
        pico = self.guard.pico
        profile = self.profiles.get(name, self.guard.profile)
        pico.console_in.send(bytes((self._names.index(name) if name in self._names else NO_FILE,)))
        pico.run_while(lambda: not pico.console_in.idle, S)
        for line in (pico.console_in, pico.console_out, pico.gantry_in, pico.gantry_out):
            line.baud = baud_of(profile)
            line.arrivals.clear()
        self.guard.profile = profile
        return self.guard

    def load(self, name: str) -> Guard:
        """Boot with the package of that name; relay closed."""
        return self.choose(name).boot()
