"""Chooses tube current, rotation, pitch and voltage for a wanted CTDIvol, as a console does, within the scanner's means.

A tube that is asked for too much turns slower, then feeds slower, then goes up in voltage; one that is asked for less
than its least current turns faster, then goes down in voltage. What remains is clipped: the dose then differs from the
wanted one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gantryguard.clinic.commands import FloatArray
from gantryguard.clinic.objectives import IntArray
from gantryguard.clinic.scanner import BoolArray, Scanner

PITCH_DECIMALS = 3


@dataclass
class Choice:
    """Technique in the making, columns of shape (n,); voltages, rotations and collimations by place in the lists.

    `pitch` is 1 / rotations for stationary scans, so that one formula serves all modes.
    """

    target_mgy: FloatArray
    head: BoolArray
    kvp_at: IntArray
    rotation_at: IntArray
    collimation_at: IntArray
    pitch: FloatArray
    feeds: BoolArray  # the pitch may be changed: helical
    rotation_max_s: FloatArray
    pitch_floor: float


class Solver:
    """Solves `Choice`s for one scanner; its dose factors per station are tabulated once."""

    def __init__(self, scanner: Scanner) -> None:
        self.scanner = scanner
        self.kvp = np.array(scanner.kvp_stations_kv)
        self.rotation = np.array(scanner.rotation_times_s)
        self.collimation = np.array(scanner.collimations_mm)
        self.dose = np.stack([scanner.dose_per_mas(self.kvp, 32), scanner.dose_per_mas(self.kvp, 16)])
        self.beam = scanner.beam_factor(self.collimation)
        self.ma_cap = np.minimum(scanner.ma_max_ma, np.floor(scanner.generator_kw * 1000 / self.kvp))

    def needed_ma(self, c: Choice) -> FloatArray:
        """Tube current that gives the target with the technique as it stands, in mA."""
        per_ma = self.dose[c.head.astype(np.int64), c.kvp_at] * self.beam[c.collimation_at]
        needed: FloatArray = c.target_mgy * c.pitch / (per_ma * self.rotation[c.rotation_at])
        return needed

    def slow_table(self, c: Choice) -> None:
        """Narrow the collimation of helical scans that would outrun the table."""
        for _ in range(len(self.collimation) - 1):
            over = c.feeds & (self._speed(c) > self.scanner.table_speed_max_mm_s)
            c.collimation_at = np.where(over, np.maximum(c.collimation_at - 1, 0), c.collimation_at)

    def solve(self, c: Choice) -> FloatArray:
        """Settle the technique in place and return the tube current in mA, on the console's steps, shape (n,)."""
        self.slow_table(c)
        self._relieve(c)
        self._ease(c)
        scanner = self.scanner
        step = scanner.ma_step_ma
        ma = np.round(self.needed_ma(c) / step) * step
        top = np.floor(self.ma_cap[c.kvp_at] / step) * step
        return np.clip(ma, np.ceil(scanner.ma_min_ma / step) * step, top)

    def _speed(self, c: Choice) -> FloatArray:
        speed: FloatArray = c.pitch * self.collimation[c.collimation_at] / self.rotation[c.rotation_at]
        return speed

    def _excess(self, c: Choice) -> FloatArray:
        excess: FloatArray = self.needed_ma(c) / self.ma_cap[c.kvp_at]
        return excess

    def _relieve(self, c: Choice) -> None:
        last = len(self.rotation) - 1
        for _ in range(last):
            slower = np.minimum(c.rotation_at + 1, last)
            over = (self._excess(c) > 1) & (self.rotation[slower] <= c.rotation_max_s)
            if not over.any():
                break
            c.rotation_at = np.where(over, slower, c.rotation_at)
        excess = self._excess(c)
        lowest = np.minimum(c.pitch, c.pitch_floor)
        lower = np.maximum(np.floor(c.pitch / excess * 10**PITCH_DECIMALS) / 10**PITCH_DECIMALS, lowest)
        c.pitch = np.where(c.feeds & (excess > 1), lower, c.pitch)
        for _ in range(len(self.kvp) - 1):
            over = self._excess(c) > 1
            c.kvp_at = np.where(over, np.minimum(c.kvp_at + 1, len(self.kvp) - 1), c.kvp_at)

    def _ease(self, c: Choice) -> None:
        for _ in range(len(self.rotation) - 1):
            under = self.needed_ma(c) < self.scanner.ma_min_ma
            if not under.any():
                return
            faster = np.maximum(c.rotation_at - 1, 0)
            speed = c.pitch * self.collimation[c.collimation_at] / self.rotation[faster]
            fits = ~c.feeds | (speed <= self.scanner.table_speed_max_mm_s)
            c.rotation_at = np.where(under & fits, faster, c.rotation_at)
        for _ in range(len(self.kvp) - 1):
            under = self.needed_ma(c) < self.scanner.ma_min_ma
            c.kvp_at = np.where(under, np.maximum(c.kvp_at - 1, 0), c.kvp_at)
