"""The device image: UF2, bytecode and filesystem, their determinism, and that the result boots."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from gantryguard import paths
from gantryguard.client import bytecode
from gantryguard.client.constants import fold_constants
from gantryguard.client.device_image import (
    FS_OFFSET,
    PACK,
    build_filesystem,
    build_flash,
    device_files,
    pack,
    read_filesystem,
)
from gantryguard.client.uf2 import FLASH_BYTES, from_uf2, to_uf2
from gantryguard.errors import UserError
from gantryguard.native.link import link
from gantryguard.rig.board import Board, load_board
from gantryguard.rig.clock import S
from gantryguard.rig.pico import EmulatedPico


@pytest.fixture
def board() -> Board:
    return load_board()


@pytest.fixture
def firmware(tmp_path: Path) -> Path:
    """A firmware folder of its own, shaped like the real one."""
    for name, text in {
        "boot.py": (paths.FIRMWARE / "boot.py").read_text(),
        "archive.py": (paths.FIRMWARE / "archive.py").read_text(),
        "main.py": "import interposer.app\n",
        "interposer/__init__.py": "",
        "interposer/app.py": (
            "from machine import Pin, UART\n"
            "from interposer.hal import board_record as board\n"
            "uart = UART(board.CONSOLE_UART, 115200, tx=Pin(board.CONSOLE_TX), rx=Pin(board.CONSOLE_RX))\n"
            "with open('package.bin', 'rb') as file:\n"
            "    uart.write(file.read() + board.NAME.encode())\n"
        ),
        "interposer/app.pyi": "uart: object\n",
        "interposer/hal/__init__.py": "",
        **{
            name: (paths.FIRMWARE / name).read_text()
            for name in ("interposer/core/__init__.py", "interposer/core/compat.py", "interposer/hal/system_clock.py")
        },
        "tests/test_app.py": "raise SystemExit\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_only_the_device_s_own_files_go_in(firmware: Path, board: Board) -> None:
    files = device_files(board, {"package.bin": b"p"}, firmware)
    assert sorted(files) == [
        "archive.mpy",
        "boot.py",
        "interposer/__init__.mpy",
        "interposer/app.mpy",
        "interposer/core/__init__.mpy",
        "interposer/core/compat.mpy",
        "interposer/hal/__init__.mpy",
        "interposer/hal/board_record.mpy",
        "interposer/hal/system_clock.mpy",
        "log/note",
        "main.py",
        "package.bin",
    ]
    assert files["main.py"] == b"import interposer.app\n"
    assert files["interposer/app.mpy"].startswith(b"M\x06")


def test_equal_sources_give_equal_bytes(
    firmware: Path, board: Board, micropython_uf2: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = build_flash(micropython_uf2, device_files(board, {"b": b"2", "a": b"1"}, firmware))
    monkeypatch.setattr(paths, "BUILD", tmp_path / "elsewhere")
    second = build_flash(micropython_uf2, device_files(board, {"a": b"1", "b": b"2"}, firmware))
    assert first == second
    assert to_uf2(first) == to_uf2(second)
    assert str(tmp_path).encode() not in first


def test_uf2_round_trip(micropython_uf2: Path) -> None:
    flash = build_flash(micropython_uf2, {"deep/er/file.bin": bytes(range(256)) * 40, "main.py": b"pass"})
    uf2 = to_uf2(flash)
    assert len(flash) == FLASH_BYTES
    assert len(uf2) % 512 == 0
    assert from_uf2(uf2) == flash
    assert flash[:FS_OFFSET] == from_uf2(micropython_uf2.read_bytes())[:FS_OFFSET]
    assert read_filesystem(flash) == {"deep/er/file.bin": bytes(range(256)) * 40, "main.py": b"pass"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda uf2: uf2[:-1],
        lambda _uf2: b"",
        lambda uf2: b"X" + uf2[1:],
        lambda uf2: uf2[:511] + b"X" + uf2[512:],
        lambda uf2: uf2[:12] + bytes(4) + uf2[16:],  # address outside flash
        lambda uf2: uf2[:28] + bytes(4) + uf2[32:],  # another chip's family
    ],
)
def test_a_foreign_uf2_is_refused(spoil: object, micropython_uf2: Path) -> None:
    with pytest.raises(UserError, match="not a UF2 for the Pico") as error:
        from_uf2(spoil(micropython_uf2.read_bytes()))  # type: ignore[operator]  # parametrised by a callable
    assert error.value.exit_code == 3


def test_a_syntax_error_names_file_and_line(firmware: Path, board: Board) -> None:
    (firmware / "interposer" / "bad.py").write_text("good = 1\nbad = = 2\n")
    with pytest.raises(UserError, match=r"interposer/bad\.py, line 2: SyntaxError") as error:
        device_files(board, firmware=firmware)
    assert error.value.exit_code == 3


def test_a_missing_entry_is_named(firmware: Path, board: Board) -> None:
    (firmware / "boot.py").unlink()
    with pytest.raises(UserError, match=r"lacks boot\.py"):
        device_files(board, firmware=firmware)


def test_too_many_files_are_refused() -> None:
    with pytest.raises(UserError, match="do not fit"):
        build_filesystem({"big": bytes(352 * 4096)})


def test_a_second_build_compiles_nothing(firmware: Path, board: Board, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "BUILD", tmp_path / "build")
    first = device_files(board, firmware=firmware)

    def compile_again(_source: bytes, name: str) -> bytes:
        raise AssertionError(f"{name} is compiled again")

    monkeypatch.setattr(bytecode, "_compile", compile_again)
    assert device_files(board, firmware=firmware) == first
    (firmware / "interposer" / "app.py").write_text("changed = True\n")
    with pytest.raises(AssertionError, match=r"interposer/app\.py is compiled again"):
        device_files(board, firmware=firmware)


def test_the_image_boots(firmware: Path, board: Board, micropython_uf2: Path) -> None:
    flash = build_flash(micropython_uf2, device_files(board, {"package.bin": b"bytes of "}, firmware))
    pico = EmulatedPico(from_uf2(to_uf2(flash)), board)
    assert pico.run_while(lambda: pico.console_out.data != b"bytes of pico", 1 * S)


def test_the_interposer_package_of_this_checkout_compiles() -> None:
    modules = sorted((paths.FIRMWARE / "interposer").rglob("*.py"))
    assert modules
    for path in modules:
        name = path.relative_to(paths.FIRMWARE).as_posix()
        assert bytecode.compile_module(link(path.read_bytes(), name), name)


def test_constants_become_numbers(tmp_path: Path) -> None:
    """Own, imported and a module's; neither definitions nor imports are left, and every line keeps its number."""
    (tmp_path / "interposer" / "core").mkdir(parents=True)
    (tmp_path / "interposer" / "core" / "a.py").write_text("FAR = const(-3)\nTWICE = const(2 * FAR)\nWORDS = (1, 2)\n")
    source = b"""from interposer.core import a
from interposer.core.a import (
    FAR,
    WORDS,
)
OWN = const(FAR + 1)
def function(x, y=OWN): return x - FAR, a.TWICE, a.WORDS, WORDS, "OWN", x.FAR
"""
    folded = fold_constants(source, tmp_path).decode().split("\n")
    assert folded[0] == "from interposer.core import a"
    assert folded[1:6] == ["from interposer.core.a import WORDS", "", "", "", "pass"]
    assert folded[6] == 'def function(x, y=(-2)): return x - (-3), (-6), a.WORDS, WORDS, "OWN", x.FAR'


def test_a_constant_in_an_f_string_is_not_missed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line 2"):
        fold_constants(b"OWN = const(1)\nx = f'{OWN}'\n", tmp_path)


def test_the_archive_gives_back_what_was_packed(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("archive", paths.FIRMWARE / "archive.py")
    assert spec is not None
    assert spec.loader is not None
    archive = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(archive)
    files = {"a/__init__.mpy": b"", "a/b.mpy": bytes(range(256)) * 5, "a/b/c.mpy": b"last"}
    (tmp_path / PACK).write_bytes(pack(files))
    opened = archive.Archive(tmp_path / PACK)
    for name, content in files.items():
        assert opened.stat(f"/{name}")[0] == archive.FILE
        stream, buffer, read = opened.open(f"/{name}", "rb"), bytearray(100), b""
        while count := stream.readinto(buffer):
            read += buffer[:count]
        assert read == content
    assert opened.stat("/a")[0] == opened.stat("/a/b")[0] == archive.FOLDER
    for missing in ("/a/b.py", "/b", "", "/a/"):
        with pytest.raises(OSError, match="2"):
            opened.stat(missing)
    opened.umount()
