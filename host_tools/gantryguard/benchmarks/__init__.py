"""Measurements on the emulated guard, in simulated time."""
