"""The board record: one immutable description per board, loaded from `boards/<name>/board.toml`.

The rig reads it directly; the firmware gets it as the generated module `interposer.hal.board_record`.
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

from gantryguard import paths
from gantryguard.errors import UserError

FLOATING_PIN = 15  # driven by the work-around of erratum RP2040-E5 during USB enumeration
LAST_PIN = 28
LONGEST_MS = 1000
LONGEST_US = 20_000
SYSTEM_CLOCKS_HZ = (125_000_000, 200_000_000)  # as MicroPython starts, and what the chip is certified for at 1.15 V

PIN, UART, LEVEL, TIME, TRAVEL = (0, LAST_PIN), (0, 1), (0, 1), (1, LONGEST_MS), (1, LONGEST_US)
CLOCK = (SYSTEM_CLOCKS_HZ[0], SYSTEM_CLOCKS_HZ[-1])

# field of the record: (table and key in board.toml, smallest, largest)
FIELDS: dict[str, tuple[str, str, tuple[int, int]]] = {
    "console_uart": ("console", "uart", UART),
    "console_tx": ("console", "tx", PIN),
    "console_rx": ("console", "rx", PIN),
    "gantry_uart": ("gantry", "uart", UART),
    "gantry_tx": ("gantry", "tx", PIN),
    "gantry_rx": ("gantry", "rx", PIN),
    "relay": ("relay", "drive", PIN),
    "relay_contact": ("relay", "contact", PIN),
    "strobe": ("strobe", "pin", PIN),
    "lamp_red": ("lamps", "red", PIN),
    "lamp_green": ("lamps", "green", PIN),
    "key_override": ("keys", "override", PIN),
    "key_cancel": ("keys", "cancel", PIN),
    "key_active": ("keys", "active_level", LEVEL),
    "service_strap": ("service", "strap", PIN),
    "relay_closed_level": ("relay", "closed_level", LEVEL),
    "contact_closed_level": ("relay", "contact_closed_level", LEVEL),
    "relay_operate_us": ("relay", "operate_us", TRAVEL),
    "relay_release_us": ("relay", "release_us", TRAVEL),
    "contact_timeout_ms": ("relay", "contact_timeout_ms", TIME),
    "debounce_ms": ("keys", "debounce_ms", TIME),
    "system_clock_hz": ("clock", "system_hz", CLOCK),
}
RIG_ONLY = ("relay_operate_us", "relay_release_us")  # properties of the relay that the firmware need not know


@dataclass(frozen=True)
class Board:
    """Pins (GPIO numbers), levels (0 or 1) and times (by their suffix) of one board."""

    name: str
    console_uart: int
    console_tx: int
    console_rx: int
    gantry_uart: int
    gantry_tx: int
    gantry_rx: int
    relay: int
    relay_contact: int
    strobe: int
    lamp_red: int
    lamp_green: int
    key_override: int
    key_cancel: int
    key_active: int
    service_strap: int
    relay_closed_level: int
    contact_closed_level: int
    relay_operate_us: int
    relay_release_us: int
    contact_timeout_ms: int
    debounce_ms: int
    system_clock_hz: int


def load_board(name: str = "pico") -> Board:
    """The board `name` of this checkout. Raises UserError (exit 4) if the record is missing or unsafe."""
    return load_board_file(paths.BOARDS / name / "board.toml")


def load_board_file(path: Path) -> Board:
    """Read and check one board.toml. Raises UserError (exit 4) that names file, field and remedy."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise _fault(path, "file", what, "Name a folder of boards/.") from error
    except tomllib.TOMLDecodeError as error:
        raise _fault(path, "file", f"is not TOML ({error})", "Correct the line named.") from error
    name = table.get("name")
    if not isinstance(name, str) or not name.isidentifier():
        raise _fault(path, "name", "must be a plain word", 'Write, for instance, name = "pico".')
    board = Board(name=name, **{field: _number(path, table, field) for field in FIELDS})
    _check(path, board, table)
    return board


def render_board_py(board: Board) -> str:
    """The record as text of a MicroPython module of plain integers; equal boards give equal text."""
    lines = ['"""Board record, generated from board.toml: do not edit."""', ""]
    told = {field: value for field, value in asdict(board).items() if field not in RIG_ONLY}
    lines += [f"{field.upper()} = {value!r}" for field, value in told.items()]
    return "\n".join(lines) + "\n"


def _fault(path: Path, field: str, what: str, remedy: str) -> UserError:
    return UserError(f"{path}: {field} {what}.", remedy=remedy, exit_code=4)


def _number(path: Path, table: dict[str, object], field: str) -> int:
    section, key, (low, high) = FIELDS[field]
    part = table.get(section)
    value = part.get(key) if isinstance(part, dict) else None
    if type(value) is not int or not low <= value <= high:
        raise _fault(path, f"{section}.{key}", f"is {value!r}", f"Write a whole number from {low} to {high}.")
    return value


def _check(path: Path, board: Board, table: dict[str, object]) -> None:
    if board.system_clock_hz not in SYSTEM_CLOCKS_HZ:
        known = " or ".join(map(str, SYSTEM_CLOCKS_HZ))
        raise _fault(path, "clock.system_hz", f"is {board.system_clock_hz}, which nobody has tried", f"Write {known}.")
    _check_relay(path, board, table)
    _check_uart(path, "console", board.console_uart, board.console_tx, board.console_rx)
    _check_uart(path, "gantry", board.gantry_uart, board.gantry_tx, board.gantry_rx)
    if board.console_uart == board.gantry_uart:
        raise _fault(path, "gantry.uart", "is the console's UART too", "Give each side its own UART.")
    used: dict[int, str] = {}
    for field, (section, key, kind) in FIELDS.items():
        if kind is not PIN:
            continue
        pin = getattr(board, field)
        if pin in used:
            raise _fault(path, f"{section}.{key}", f"uses GP{pin} like {used[pin]}", "Choose a free pin.")
        used[pin] = f"{section}.{key}"


def _check_relay(path: Path, board: Board, table: dict[str, object]) -> None:
    if board.relay == FLOATING_PIN:
        raise _fault(path, "relay.drive", "is GP15, which floats during USB enumeration", "Choose any other free pin.")
    relay = table["relay"]
    pull = relay.get("pull") if isinstance(relay, dict) else None
    if pull != "down" or board.relay_closed_level != 1:
        raise _fault(
            path,
            "relay.pull",
            "does not hold the relay open while the pin is undriven",
            'Fit an external pull-down and write pull = "down" with closed_level = 1.',
        )
    if 1000 * board.contact_timeout_ms <= max(board.relay_operate_us, board.relay_release_us):
        raise _fault(
            path,
            "relay.contact_timeout_ms",
            "is not longer than the relay takes to move",
            "Choose a time above operate_us and release_us.",
        )


def _check_uart(path: Path, section: str, uart: int, tx: int, rx: int) -> None:
    """The pin multiplexer offers TX on every fourth pin, RX on the next; the UARTs take turns by fours."""
    for key, pin, place in (("tx", tx, 0), ("rx", rx, 1)):
        if pin % 4 != place or (pin + 4) // 8 % 2 != uart:
            what = f"is GP{pin}, which is not {key} of UART{uart}"
            raise _fault(path, f"{section}.{key}", what, "See the pinout of the Pico.")
