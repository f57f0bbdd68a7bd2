"""Compiles the firmware's hot path for the RP2040: functions that call one another without MicroPython in between."""
