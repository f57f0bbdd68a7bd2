"""`gantryguard firmware`: one file that turns a Pico into a guard."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from gantryguard import paths
from gantryguard.cli.options import Image, ProfileName
from gantryguard.client.device_image import build_uf2
from gantryguard.client.image import micropython_uf2
from gantryguard.errors import NO_READER, UserError
from gantryguard.profiles.files import package_path, read_bytes
from gantryguard.rig.board import load_board
from gantryguard.signing import development
from gantryguard.signing.trusting import load_root, verify
from interposer.core.package import Package as SignedPackage
from interposer.core.trust import Root as Record

app = typer.Typer(help="Build and flash the device image.", no_args_is_help=True)

Package = Annotated[Path | None, typer.Option("--package", help="A signed package; default: the profile's own.")]
Root = Annotated[Path | None, typer.Option("--root", help="Your root record; default: the development root, for benches.")]


@app.command()
def build(
    profile: ProfileName = "ct",
    micropython: Image = None,
    package: Package = None,
    root: Root = None,
    output: Annotated[Path | None, typer.Option("--output", help="Where to write the UF2.")] = None,
) -> None:
    """Build one UF2 from MicroPython, the firmware, a root record and a package that it vouches for."""
    target = output or paths.BUILD / f"gantryguard-{profile}.uf2"
    record, blob, _ = _vouched(profile, package, root)
    image = micropython_uf2(micropython, print)
    uf2 = build_uf2(image, load_board(), {"package.bin": blob, "root.bin": record.record})
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(uf2)
    print(f"{target}  {len(uf2)} bytes")
    _warn(root)


@app.command()
def release(
    profile: ProfileName = "ct",
    micropython: Image = None,
    package: Package = None,
    root: Root = None,
    output: Annotated[Path | None, typer.Option("--output", help="Folder; default build/release.")] = None,
) -> None:
    """Write what is handed out: UF2, signed package, bills of materials (CycloneDX) and digests. Equal sources, equal bytes.

    Exit codes: 3 no image, 16 cyclonedx-python-lib is not installed, 26 a package that the root record does not vouch for.
    """
    try:
        from gantryguard.release import build as releases
    except ImportError as error:
        remedy = "run `pip install 'gantryguard[release]'`."
        raise UserError(f"{error.name} is not installed.", remedy=remedy, exit_code=NO_READER) from error
    record, blob, good = _vouched(profile, package, root)
    folder = output or paths.BUILD / "release"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in releases.contents(micropython_uf2(micropython, print), good, blob, record).items():
        (folder / name).write_bytes(data)
        print(f"{folder / name}  {len(data)} bytes")
    _warn(root)


@app.command()
def flash(
    drive: Annotated[Path, typer.Argument(help="The drive that a Pico in BOOTSEL mode shows (RPI-RP2).")],
    profile: ProfileName = "ct",
    micropython: Image = None,
    package: Package = None,
    root: Root = None,
    on_bench: Annotated[bool, typer.Option("--development", help="Let the board trust the development keys.")] = False,
) -> None:
    """Build the image and copy it to a Pico in BOOTSEL mode."""
    development.refuse(load_root(root or development.ROOT_FILE), str(root or "The default root record"), on_bench)
    if not (drive / "INFO_UF2.TXT").is_file():
        remedy = "hold BOOTSEL while plugging the board in, and name the drive that appears."
        raise UserError(f"{drive} is not a Pico in BOOTSEL mode.", remedy=remedy, exit_code=6)
    build(profile, micropython, package, root, None)
    shutil.copyfile(paths.BUILD / f"gantryguard-{profile}.uf2", drive / "gantryguard.uf2")
    print("Flashed. The board restarts by itself; `gantryguard device status` shows it.")


def _vouched(profile: str, package: Path | None, root: Path | None) -> tuple[Record, bytes, SignedPackage]:
    """The root record, and the package that it vouches for, as bytes and read. Raises UserError (exit 5, 22, 26)."""
    record = load_root(root or development.ROOT_FILE)
    blob = read_bytes(package or package_path(profile))
    return record, blob, verify(blob, record)


def _warn(root: Path | None) -> None:
    if root is None:
        print("It trusts the development keys, which everybody has: for a bench only (docs/update.md).")
