"""Measurements on the emulated guard, in simulated time."""

from gantryguard.rig.board import load_board


def clock_mhz() -> int:
    """How fast the board's processor runs: as many cycles a microsecond. UserError (exit 4) as `load_board`."""
    return load_board().system_clock_hz // 1_000_000
