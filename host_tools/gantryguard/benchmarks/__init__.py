"""Measurements on the emulated guard, in simulated time."""

CYCLES_PER_US = 125
