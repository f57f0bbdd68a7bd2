"""What a scanner can execute: the checks of one command against its envelope, by name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gantryguard.clinic.commands import Commands, FloatArray
from gantryguard.clinic.scanner import BoolArray, Scanner
from gantryguard.clinic.schema import AXIAL, HELICAL, LOCALISER, STATIONARY

ROUNDING_DOSE = 0.0051  # stated values are rounded to 0.01
ROUNDING_MM = 1e-6


def violations(scanner: Scanner, commands: Commands) -> dict[str, BoolArray]:
    """For each check, which commands break it, shape (n,). NaN in a technique column breaks its check."""
    c = commands.columns
    mode = c["scan_mode"]
    localiser, turning = mode == LOCALISER, mode != LOCALISER
    moving = (mode == HELICAL) | (mode == AXIAL)
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = c["scan_length_mm"] / (c["pitch"] * c["collimation_mm"])
        fits = {
            "scan_mode": np.isin(mode, (LOCALISER, AXIAL, HELICAL, STATIONARY)),
            "kvp": _one_of(c["kvp"], scanner.kvp_stations_kv),
            "ma": np.where(localiser, _localiser_ma(scanner, c["ma"]), _ma(scanner, c["ma"])),
            "power": scanner.power_kw(commands) <= scanner.generator_kw,
            "rotation_s": np.where(localiser, c["rotation_s"] == 0, _one_of(c["rotation_s"], scanner.rotation_times_s)),
            "pitch": np.where(moving, _within(c["pitch"], scanner.pitch_min, scanner.pitch_max), c["pitch"] == 0),
            "collimation_mm": _one_of(c["collimation_mm"], scanner.collimations_mm)
            & ((mode != HELICAL) | (c["collimation_mm"] <= scanner.helical_collimation_max_mm)),
            "slice_mm": np.where(turning, _one_of(c["slice_mm"], scanner.slices_mm), c["slice_mm"] == c["collimation_mm"]),
            "scan_length_mm": _within(c["scan_length_mm"], 1, scanner.table_travel_mm),
            "whole_steps": (mode != AXIAL) | (np.abs(steps - np.round(steps)) < ROUNDING_MM),
            "table_speed_mm_s": c["table_speed_mm_s"] <= scanner.table_speed_max_mm_s,
            "tilt_deg": _within(c["tilt_deg"], scanner.tilt_min_deg, scanner.tilt_max_deg)
            & ((mode == AXIAL) | (c["tilt_deg"] == 0)),
            "phantom_cm": np.isin(c["phantom_cm"], (16, 32)),
            "rotations": np.where(mode == STATIONARY, _within(c["rotations"], 1, scanner.rotations_max), c["rotations"] == 1),
            "stated": consistent(scanner, commands),
        }
    return {name: ~np.asarray(fit, dtype=np.bool_) for name, fit in fits.items()}


def executable(scanner: Scanner, commands: Commands) -> BoolArray:
    """Which commands the scanner can execute as they stand, stated values included, shape (n,)."""
    broken = np.any(list(violations(scanner, commands).values()), axis=0)
    return np.asarray(~broken, dtype=np.bool_)


def consistent(scanner: Scanner, commands: Commands) -> BoolArray:
    """Which commands state the table speed, CTDIvol and DLP that the scanner computes, within rounding."""
    speed = np.abs(commands["table_speed_mm_s"] - scanner.table_speed_mm_s(commands)) < ROUNDING_DOSE
    dose = np.abs(commands["ctdivol_mgy"] - scanner.ctdivol_mgy(commands)) < ROUNDING_DOSE
    dlp = np.abs(commands["dlp_mgycm"] - scanner.dlp_mgycm(commands)) < ROUNDING_DOSE
    return np.asarray(speed & dose & dlp, dtype=np.bool_)


def _one_of(values: FloatArray, stations: Sequence[float]) -> BoolArray:
    return np.asarray(np.isin(values, stations), dtype=np.bool_)


def _within(values: FloatArray, low: float, high: float) -> BoolArray:
    return np.asarray((values >= low) & (values <= high), dtype=np.bool_)


def _localiser_ma(scanner: Scanner, ma: FloatArray) -> BoolArray:
    return _within(ma, scanner.localiser_ma_min_ma, scanner.localiser_ma_max_ma)


def _ma(scanner: Scanner, ma: FloatArray) -> BoolArray:
    on_step = np.abs(ma / scanner.ma_step_ma - np.round(ma / scanner.ma_step_ma)) < ROUNDING_MM
    return _within(ma, scanner.ma_min_ma, scanner.ma_max_ma) & on_step
