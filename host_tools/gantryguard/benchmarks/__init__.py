"""Measurements on the emulated guard, in simulated time."""

from gantryguard.rig.board import load_board

CYCLES_PER_US = load_board().system_clock_hz // 1_000_000
