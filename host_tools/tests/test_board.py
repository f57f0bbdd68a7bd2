"""The board record: what is loaded, what is refused, what the firmware gets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gantryguard import paths
from gantryguard.errors import UserError
from gantryguard.rig.board import load_board, load_board_file, render_board_py

TEXT = (paths.BOARDS / "pico" / "board.toml").read_text()


def test_the_pico_as_wired() -> None:
    board = load_board()
    assert (board.console_uart, board.console_tx, board.console_rx) == (0, 0, 1)
    assert (board.gantry_uart, board.gantry_tx, board.gantry_rx) == (1, 4, 5)
    assert (board.relay, board.relay_contact, board.lamp_red, board.lamp_green) == (14, 13, 16, 17)
    assert (board.key_override, board.key_cancel, board.key_active) == (18, 19, 0)
    assert (board.relay_operate_us, board.contact_timeout_ms, board.debounce_ms) == (1000, 20, 20)


def test_the_firmware_s_module_is_plain_and_stable() -> None:
    text = render_board_py(load_board())
    assert text == render_board_py(load_board())
    names: dict[str, object] = {}
    exec(text, names)
    assert names["NAME"] == "pico"
    assert names["RELAY"] == 14
    assert names["CONTACT_CLOSED_LEVEL"] == 1
    assert "RELAY_OPERATE_MS" not in names


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("drive = 14", "drive = 15", "relay.drive is GP15"),
        ('pull = "down"', 'pull = "up"', "relay.pull"),
        ("closed_level = 1    #", "closed_level = 0    #", "relay.pull"),
        ("contact_timeout_ms = 20", "contact_timeout_ms = 1", "relay.contact_timeout_ms"),
        ("drive = 14", "drive = 16", "lamps.red uses GP16 like relay.drive"),
        ("drive = 14", "drive = 29", "relay.drive is 29"),
        ("drive = 14", "drive = true", "relay.drive is True"),
        ("red = 16", "", "lamps.red is None"),
        ("tx = 0", "tx = 4", "console.tx is GP4"),
        ("rx = 5", "rx = 6", "gantry.rx is GP6"),
        ("uart = 1\ntx = 4\nrx = 5", "uart = 0\ntx = 12\nrx = 29", "gantry.rx"),
        ("uart = 1\ntx = 4\nrx = 5", "uart = 0\ntx = 12\nrx = 13", "gantry.uart"),
        ("system_hz = 200_000_000", "system_hz = 150_000_000", "clock.system_hz is 150000000"),
        ("system_hz = 200_000_000", "system_hz = 250_000_000", "clock.system_hz is 250000000"),
        ('name = "pico"', "", "name must be"),
        ('name = "pico"', 'name = "', "is not TOML"),
    ],
)
def test_an_unsafe_or_broken_record_is_refused(old: str, new: str, field: str, tmp_path: Path) -> None:
    assert old in TEXT
    path = tmp_path / "board.toml"
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(UserError) as error:
        load_board_file(path)
    assert field in error.value.message
    assert str(path) in error.value.message
    assert error.value.exit_code == 4
    assert error.value.remedy


def test_an_unknown_board_is_refused() -> None:
    with pytest.raises(UserError, match="cannot be read") as error:
        load_board("nonesuch")
    assert error.value.exit_code == 4


def test_a_broken_record_is_told_in_one_line_by_what_needs_it_and_by_nothing_else(tmp_path: Path) -> None:
    """It is read when a command needs it, not when the tools are loaded."""
    path = tmp_path / "boards" / "pico" / "board.toml"
    path.parent.mkdir(parents=True)
    path.write_text(TEXT.replace("200_000_000", "180_000_000"))
    start = (
        "import sys; from pathlib import Path; from gantryguard import paths; "
        f"paths.BOARDS = Path({str(tmp_path / 'boards')!r}); from gantryguard.cli.main import run; sys.argv[1:] = "
    )
    outcomes = [
        subprocess.run([sys.executable, "-c", start + repr(words) + "; run()"], capture_output=True, text=True, check=False)
        for words in (["bench", "--help"], ["bench", "latency", "--frames", "2", "--baud", "115200"])
    ]
    assert [outcome.returncode for outcome in outcomes] == [0, 4]
    assert "Traceback" not in outcomes[1].stderr
    assert "clock.system_hz is 180000000" in outcomes[1].stderr
