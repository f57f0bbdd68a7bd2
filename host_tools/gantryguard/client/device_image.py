"""The device image: MicroPython and a littlefs filesystem with the compiled firmware, as flash or as UF2.

Equal sources, board, image and extra files give equal bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from littlefs import LittleFS, UserContext
from littlefs.errors import LittleFSError

from gantryguard import paths
from gantryguard.client.bytecode import compile_module
from gantryguard.client.uf2 import FLASH_BYTES, from_uf2, to_uf2
from gantryguard.errors import UserError
from gantryguard.native.link import link
from gantryguard.rig.board import Board, render_board_py
from interposer.hal import segments

FS_OFFSET = 0xA0000
BLOCK = 4096
BLOCKS = 352
PROGRAM = 256
DISK_VERSION = 0x0002_0001  # 2.1: MicroPython would upgrade a 2.0 at the first write

ENTRIES = ("boot.py", "main.py")
LOADER = "archive"  # imports the package's modules from one file
PACK = "modules.pack"
PACKAGE = "interposer"
BOARD_MODULE = f"{PACKAGE}/hal/board_record"
NUMBER = struct.Struct("<I")  # of a pack

assert FS_OFFSET + BLOCK * BLOCKS == FLASH_BYTES


def device_files(board: Board, extra: Mapping[str, bytes] | None = None, firmware: Path = paths.FIRMWARE) -> dict[str, bytes]:
    """Every file of the device by path: entries as source, the package compiled, `extra` as given.

    Raises UserError (exit 3) if an entry is missing or a module does not compile.
    """
    files: dict[str, bytes] = {}
    for entry in (*ENTRIES, f"{LOADER}.py"):
        path = firmware / entry
        if not path.is_file():
            raise UserError(f"The firmware lacks {entry}.", remedy=f"Restore {path}.", exit_code=3)
    for entry in ENTRIES:
        files[entry] = (firmware / entry).read_bytes()
    for path in (firmware / f"{LOADER}.py", *sorted((firmware / PACKAGE).rglob("*.py"))):
        name = path.relative_to(firmware).as_posix()
        files[name.removesuffix(".py") + ".mpy"] = compile_module(link(path.read_bytes(), name, firmware), name)
    record = render_board_py(board).encode()
    files[f"{BOARD_MODULE}.mpy"] = compile_module(record, f"{BOARD_MODULE}.py")
    files[segments.NOTE] = segments.note(0, 0)
    files.update(extra or {})
    return files


def build_flash(micropython_uf2: Path, files: Mapping[str, bytes]) -> bytes:
    """The 2 MiB of flash with MicroPython and a filesystem of `files`, the package's in one. Raises UserError (exit 3)."""
    flash = bytearray(from_uf2(micropython_uf2.read_bytes()))
    modules = {name: files[name] for name in sorted(files) if name.startswith(f"{PACKAGE}/")}
    others = {name: content for name, content in files.items() if name not in modules}
    flash[FS_OFFSET:] = build_filesystem({**others, PACK: pack(modules)} if modules else others)
    return bytes(flash)


def pack(files: Mapping[str, bytes]) -> bytes:
    """Files in one, as `firmware/archive.py` reads them. ValueError for two paths with one CRC-32."""
    offsets: dict[str, int] = {}
    content = bytes(NUMBER.size)  # no module lies at 0, which stands for a folder
    for name, module in files.items():
        for folder in PurePosixPath("/", name).parents[:-1]:
            offsets[str(folder)] = 0
        offsets[f"/{name}"] = len(content)
        content += NUMBER.pack(len(module)) + module
    keys = [zlib.crc32(path.encode()) for path in offsets]
    if len(set(keys)) < len(keys):
        raise ValueError("two paths have the same CRC-32: rename a module")
    return b"".join(map(NUMBER.pack, (len(keys), *keys, *offsets.values()))) + content


def build_uf2(micropython_uf2: Path, board: Board, extra: Mapping[str, bytes] | None = None) -> bytes:
    """The one UF2 that turns an empty Pico into an interposer. Raises UserError (exit 3)."""
    return to_uf2(build_flash(micropython_uf2, device_files(board, extra)))


def build_filesystem(files: Mapping[str, bytes]) -> bytes:
    """A littlefs of `files` (path to content), 352 blocks of 4096 bytes. UserError (exit 3) if too big."""
    context = UserContext(BLOCK * BLOCKS)
    filesystem = _littlefs(context)
    filesystem.format()
    filesystem.mount()
    try:
        for name in sorted(files):
            filesystem.makedirs(str(PurePosixPath("/", name).parent), exist_ok=True)
            with filesystem.open(name, "wb") as file:
                file.write(files[name])
        filesystem.unmount()
    except LittleFSError as error:
        size = sum(map(len, files.values()))
        remedy = f"The filesystem holds {BLOCK * BLOCKS} bytes: leave files out."
        raise UserError(f"{size} bytes of files do not fit ({error}).", remedy=remedy, exit_code=3) from error
    return bytes(context.buffer)


def read_filesystem(flash: bytes) -> dict[str, bytes]:
    """Every file of the filesystem in 2 MiB of flash, by path without a leading slash."""
    context = UserContext(buffer=bytearray(flash[FS_OFFSET : FS_OFFSET + BLOCK * BLOCKS]))
    filesystem = _littlefs(context)
    filesystem.mount()
    files: dict[str, bytes] = {}
    for folder, _folders, names in filesystem.walk("/"):
        for name in names:
            path = str(PurePosixPath(folder, name))
            with filesystem.open(path, "rb") as file:
                files[path.lstrip("/")] = file.read()
    return files


def _littlefs(context: UserContext) -> LittleFS:
    return LittleFS(
        context=context,
        mount=False,
        block_size=BLOCK,
        block_count=BLOCKS,
        prog_size=PROGRAM,
        disk_version=DISK_VERSION,
    )
