"""`gantryguard doctor`: says what is missing and how to get it."""

from __future__ import annotations

from typing import Annotated

import typer

from gantryguard import paths
from gantryguard.client.image import micropython_uf2
from gantryguard.errors import UserError
from gantryguard.rig.compiled import compile_emulator


def doctor(
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only what is missing.")] = False,
) -> None:
    """Check the MicroPython image, the package of the CT profile, the emulator and the cache; fetch and compile what can be."""
    failed: UserError | None = None

    def say(line: str) -> None:
        print(f"setup: {line}", flush=True)

    try:
        image = micropython_uf2(say=say)
        if not quiet:
            print(f"ok       MicroPython image {image.name}, hash verified")
    except UserError as error:
        failed = error
        print(f"missing  MicroPython image: {error}")
    package = paths.MODELS / "ct" / "package.bin"
    if not package.is_file():
        print("missing  models/ct/package.bin: run `make gen`")
    elif not quiet:
        print(f"ok       package {package.relative_to(paths.ROOT)}")
    emulator = compile_emulator(say)
    if not quiet:
        print(f"ok       emulator, {emulator.value}")
        print(f"ok       cache of downloads: {paths.cache_dir()}")
    if failed is not None:
        raise failed
